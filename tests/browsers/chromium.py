"""Drives Chromium by WebDriver, within `keyrig exec` with two keys called a and b, and prints what came of each step.

chromium.py KEYRIG [SWITCH...]: the program whose `key` command works the keys, and switches for Chromium.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

KEYRIG, SWITCHES = sys.argv[1], sys.argv[2:]

# What Chromium asks, and what it prints of the answer. Without hints it would show a dialog first.
PAGE = b"""<!doctype html><title>keys</title><script>
const bytes = (id) => Uint8Array.from(atob(id), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
const list = (ids) => ids.map((id) => ({ type: "public-key", id: bytes(id), transports: ["usb"] }));
const told = async (ceremony) => {
  try {
    return text((await ceremony).rawId);
  } catch (error) {
    return error.name;
  }
};
const register = (known) => told(navigator.credentials.create({ publicKey: {
  challenge: crypto.getRandomValues(new Uint8Array(32)), rp: { id: "localhost", name: "keys" },
  user: { id: new Uint8Array([1]), name: "alice", displayName: "Alice" }, hints: ["security-key"], timeout: 60000,
  pubKeyCredParams: [{ type: "public-key", alg: -7 }], excludeCredentials: list(known),
  authenticatorSelection: {
    authenticatorAttachment: "cross-platform", residentKey: "discouraged", userVerification: "discouraged",
  },
} }));
const logIn = async (known) => {
  const ceremony = navigator.credentials.get({ publicKey: {
    challenge: crypto.getRandomValues(new Uint8Array(32)), rpId: "localhost", hints: ["security-key"], timeout: 60000,
    userVerification: "discouraged", allowCredentials: list(known),
  } });
  await fetch("/asked");
  return told(ceremony);
};
</script>"""

asked = threading.Event()


class Site(http.server.BaseHTTPRequestHandler):
    """One page, which says when it has asked for a login."""

    def do_GET(self):
        if self.path == "/asked":
            asked.set()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def key(*arguments):
    """Works the keys."""
    subprocess.run([KEYRIG, "key", *arguments], check=True, stdout=subprocess.DEVNULL, close_fds=False)


class Browser:
    """A session of Chromium."""

    def __init__(self, site):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if match := re.search(r"successfully on port (\d+)", line):
                self.url = f"http://127.0.0.1:{match.group(1)}"
                break
        else:
            sys.exit("chromedriver did not start")
        switches = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--disable-sync"]
        switches += [
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={tempfile.mkdtemp()}",
        ]
        options = {"binary": "/usr/bin/chromium", "args": switches + SWITCHES}
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.url += f"/session/{session['sessionId']}"
        self.ask("POST", "/timeouts", {"script": 60000})
        self.ask("POST", "/url", {"url": site})

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            sys.exit(f"chromedriver refuses {path}: {error.read().decode()[:100]}")

    def run(self, function, known):
        script = f"const done = arguments[1]; {function}(arguments[0]).then(done);"
        return self.ask("POST", "/execute/async", {"script": script, "args": [known]})

    def close(self):
        self.ask("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


def main():
    os.environ["HOME"] = tempfile.mkdtemp()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    browser = Browser(f"http://localhost:{site.server_port}/")
    ids = {}

    def name(answer):
        return next((name for name, id_ in ids.items() if id_ == answer), answer)

    for finger in ["a", "b"]:
        key("finger", finger)
        answer = browser.run("register", list(ids.values()))
        ids[finger] = answer
        print(f"register with {finger}:", answer if answer.endswith("Error") else "done")
    print("two credentials:", ids["a"] != ids["b"])
    for finger in ["a", "b"]:
        key("finger", finger)
        print(f"log in with {finger}:", name(browser.run("logIn", list(ids.values()))))
    key("unplug", "a")
    print("log in without a:", name(browser.run("logIn", list(ids.values()))))
    key("unplug", "b")
    # With a key that knows nothing plugged in too, Chromium would show a dialog that says so, and wait.
    key("plug", "a")
    key("finger", "a")
    print("log in where only a is known:", name(browser.run("logIn", [ids["a"]])))
    key("unplug", "a")
    asked.clear()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(browser.run("logIn", list(ids.values()))))
    waiting.start()
    asked.wait(60)
    key("plug", "b")
    key("plug", "a")
    waiting.join()
    print("log in while they are plugged in:", name(answers[0]) in ids)
    browser.close()


main()
