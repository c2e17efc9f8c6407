"""Has ceremonies refused in a browser whose pages are observed, within `keyrig exec --explain` with keys a and b.

refusals.py BROWSER KEYRIG [SWITCH...]: chromium or firefox; the program whose `key` command works the keys; its
switches. What the rack says of each refusal is in its transcript; what a page could see of being observed is printed.
"""

import contextlib
import http.server
import json
import os
import pathlib
import sys
import tempfile
import threading

import observe
from chromium import Chromium
from firefox import Firefox
from keys import Keys
from own import PASSWORD, Own, tools

USER = "a@pve"

# What it asks for, as a page does; it can abort it.
ASK = """(operation, known, more) => {
  const bytes = (id) => Uint8Array.from(atob(id.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const list = known.map((id) => ({ type: 'public-key', id: bytes(id) }));
  const common = { challenge: crypto.getRandomValues(new Uint8Array(32)), hints: ['security-key'], timeout: 60000 };
  const asked = operation === 'get'
    ? { ...common, allowCredentials: list, userVerification: 'discouraged', ...more }
    : {
      ...common, excludeCredentials: list, rp: { name: 'page' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
      user: { id: bytes('AAAA'), name: 'alice', displayName: 'Alice' },
      authenticatorSelection: { authenticatorAttachment: 'cross-platform', userVerification: 'discouraged' }, ...more,
    };
  window.control = new AbortController();
  window.asked = navigator.credentials[operation]({ publicKey: asked, signal: control.signal });
  window.got = asked && window.asked.then((credential) => credential.id, (error) => error.name);
  return true;
}"""

# What a page sees of being observed.
SEEN = """async () => {
  const of = (object, name) => {
    const { value, ...rest } = Object.getOwnPropertyDescriptor(object, name);
    const shown = String(value).replace(/\\s+/g, ' ');
    return [value.name, value.length, shown, 'prototype' in value, ...Object.values(rest)];
  };
  return {
    get: of(CredentialsContainer.prototype, 'get'),
    toString: of(Function.prototype, 'toString'),
    fetch: of(window, 'fetch'),
    promise: await window.unhandled,
    added: Object.keys(window).filter((name) => /keyrig/i.test(name)),
  };
}"""

# A page that puts something else in the place of what the script might use, while it asks.
HOSTILE = """() => {
  const publicKey = { challenge: new Uint8Array(32), rpId: 'example.net' };
  const fail = () => { throw new Error('hostile'); };
  const places = [
    [Array.prototype, Symbol.iterator], [Array.prototype, 'toJSON'], [Object.prototype, 'toJSON'],
    [JSON, 'stringify'], [Reflect, 'apply'], [String.prototype, 'slice'], [Date, 'now'], [Function.prototype, 'call'],
    [Function.prototype, 'apply'],
  ];
  const before = places.map(([object, name]) => Object.getOwnPropertyDescriptor(object, name));
  const define = Object.defineProperty;
  const remove = Reflect.deleteProperty;
  for (let at = 0; at < places.length; at += 1) {
    define(places[at][0], places[at][1], { __proto__: null, value: fail, configurable: true, writable: true });
  }
  const asked = navigator.credentials.get({ publicKey });
  for (let at = 0; at < places.length; at += 1) {
    if (before[at]) define(places[at][0], places[at][1], before[at]);
    else remove(places[at][0], places[at][1]);
  }
  return asked.then(() => 'done', (error) => error.name);
}"""


# A page that handles no rejection: whether what it hears of is its promise, and what it was rejected with.
PLAIN = b"""<!doctype html><title>page</title><script>
  window.unhandled = new Promise((resolve) => addEventListener('unhandledrejection', (event) => {
    resolve(event.promise === asked && asked.constructor === Promise && event.reason.name);
  }));
  const asked = navigator.credentials.get.call({}, { publicKey: {} });
</script>"""


class Page(http.server.BaseHTTPRequestHandler):
    """A page whose policy allows nothing, no script, no connection; and one without a policy."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        is_plain = self.path == "/plain"
        if not is_plain:
            self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        self.wfile.write(PLAIN if is_plain else b"<!doctype html><title>page</title>")

    def log_message(self, *_):
        """Says nothing."""


def refusals(browser, keys, url):
    """What is refused by the browser, by a key, and by nobody in time."""

    def finish():
        return browser.run("() => window.got")

    def ask(operation, known=(), **more):
        browser.run(ASK, operation, list(known), more)

    def work(finger, operation, known):
        """Touches a key that refuses. Chromium says so in a window of its own, and the page waits for its end."""
        keys.run("finger", finger)
        if browser.leaves_windows:
            keys.run("touch-policy", "manual")
            ask(operation, known)
            keys.run("touch", finger, "--wait")
            browser.run("() => control.abort()")
        else:
            keys.run("touch-policy", "auto")
            ask(operation, known)
        return finish()

    browser.go(f"{url}plain")
    seen = browser.run(SEEN)
    browser.go(url)
    keys.run("finger", "a")
    ask("create")
    known = finish()
    ask("get", [known], rpId="example.com")
    told = {"wrong RP ID": finish(), "no credential": work("b", "get", [known])}
    told["excluded"] = work("a", "create", [known])
    keys.run("touch-policy", "manual")
    ask("get", [known], timeout=10_000)
    if browser.leaves_windows:
        keys.wait("a", "b")
        browser.run("() => control.abort()")
    told["nobody came"] = finish()
    browser.go(url)
    told["hostile page"] = browser.run(HOSTILE)
    return {"seen": seen, "told": told}


def refused_by_site(browser, keys, site):
    """A site that thinks that it is at another port."""
    keys.run("touch-policy", "auto")
    browser.go(site.url)
    browser.run(f"() => {{ {tools('page.js')} }}")
    browser.run("(user, password) => window.keys.enter(user, password)", USER, PASSWORD)
    return browser.run("(password) => window.keys.add('webauthn', 'a', password)", PASSWORD)["said"]


def main():
    name, keyrig, *switches = sys.argv[1:]
    os.environ["HOME"] = tempfile.mkdtemp()
    keys = Keys(keyrig)
    settings = pathlib.Path(tempfile.mkdtemp(), "site.toml")
    settings.write_text('rp_id = "localhost"\norigins = ["http://localhost:8443"]\n', encoding="utf-8")
    site = Own(keyrig, [USER], ["--config", str(settings)])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Firefox(True, switches) if name == "firefox" else Chromium(True, switches)
    notes = observe.firefox(browser) if name == "firefox" else observe.chromium(browser)
    found = refusals(browser, keys, f"http://localhost:{server.server_port}/")
    found["told"]["site"] = refused_by_site(browser, keys, site)
    with contextlib.closing(browser):
        # What Firefox has to tell is heard when it is asked something.
        browser.run("() => null")
        notes.wait(lambda note: note["note"] == "answered")
    print(json.dumps(found))
    site.close()
    server.shutdown()


main()
