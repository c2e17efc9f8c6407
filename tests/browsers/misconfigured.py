"""Does in a browser what rows of the catalogue of misconfigurations say that a browser refuses, and prints what the
page is told: a line of JSON for each.

misconfigured.py BROWSER CATALOGUE [SWITCH...]: chromium or firefox; the folder with the rows; the browser's switches.
Any host can be opened: a proxy, which the browser is told to use, answers for all of them, over TLS with a certificate
that it is told to take, and is where a browser looks for related origins. No key is there, and none is asked: a page
that the browser lets ask is aborted. misconfigured_keys.py has rows in which a key is asked.
"""

import base64
import hashlib
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import tomllib

from chromium import Chromium
from firefox import Firefox

# What a page's script does, and is told; after so many milliseconds it gives up.
ASK = """async (operation, options, patience) => {
  const control = new AbortController();
  setTimeout(() => control.abort(), patience);
  try {
    const ask = navigator.credentials[operation].bind(navigator.credentials);
    const parse = operation === 'create' ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON';
    await ask({ publicKey: PublicKeyCredential[parse](options), signal: control.signal });
    return { name: 'none', message: '' };
  } catch (error) {
    return { name: error.name, message: error.message };
  }
}"""

# What nobody answers is aborted, in milliseconds.
PATIENCE = 4000

# A frame asks by itself, and tells the page around it.
FRAME = """<!doctype html><title>frame</title><script>
  ({ask})(...{arguments}).then((told) => parent.postMessage(told, '*'));
</script>"""
AROUND = """<!doctype html><title>around</title><script>
  window.told = new Promise((resolve) => addEventListener('message', (event) => resolve(event.data)));
</script><iframe {attributes} src="{address}/frame"></iframe>"""
PERMITTED = 'allow="publickey-credentials-create *; publickey-credentials-get *"'


class Hosts(http.server.BaseHTTPRequestHandler):
    """A proxy behind which every host is this server."""

    protocol_version = "HTTP/1.1"

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self):
        path = "/" + self.path.split("/", 3)[3] if self.path.startswith("http") else self.path
        status, content_type, text = self.server.answer(self.headers["Host"], path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Says nothing."""


class World:
    """All hosts, and what is at them."""

    def __init__(self):
        folder = tempfile.mkdtemp()
        key, certificate = f"{folder}/key", f"{folder}/certificate"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=TEST"
        subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
        command = ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"]
        public = subprocess.run(command, check=True, capture_output=True)
        self.public_key = base64.b64encode(hashlib.sha256(public.stdout).digest()).decode()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hosts)
        self.server.daemon_threads = True
        self.server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.tls.load_cert_chain(certificate, key)
        self.server.answer = self.answer
        self.well_known, self.frame, self.around = None, None, {}
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, _host, path):
        """What is at a path of any host."""
        if path == "/.well-known/webauthn":
            return (200, "application/json", self.well_known) if self.well_known else (404, "text/plain", "")
        if path == "/frame":
            return 200, "text/html", FRAME.format(ask=ASK, arguments=json.dumps(self.frame))
        if path == "/around":
            return 200, "text/html", AROUND.format(**self.around)
        return 200, "text/html", "<!doctype html><title>page</title>"

    def browser(self, name, headless, switches, trusted):
        """A browser that takes every host to be here, and if it is to trust, the certificate to be good."""
        if name == "firefox":
            proxy = {f"network.proxy.{kind}": "127.0.0.1" for kind in ("http", "ssl")}
            proxy |= {f"network.proxy.{kind}_port": self.port for kind in ("http", "ssl")}
            more = {
                "network.proxy.type": 1,
                "network.proxy.allow_hijacking_localhost": True,
                "network.proxy.no_proxies_on": "",
                # The certificate is taken by an exception, which would forbid WebAuthn.
                "security.webauthn.allow_with_certificate_override": trusted,
            }
            return Firefox(headless, switches, proxy | more, {"acceptInsecureCerts": True})
        more = [f"--proxy-server=127.0.0.1:{self.port}", "--proxy-bypass-list=<-loopback>"]
        # A page in plain http is to be that.
        more += ["--disable-features=HttpsUpgrades,HttpsFirstBalancedMode"]
        more += [f"--ignore-certificate-errors-spki-list={self.public_key}"] if trusted else []
        return Chromium(headless, [*switches, *more])


def encoded(content):
    """Bytes in base64url."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def described(ids):
    """A list of credentials."""
    return [{"type": "public-key", "id": id} for id in ids]


def arguments(row, enrolled=None, patience=PATIENCE):
    """What the page of a row asks: the operation, options in JSON, and how long it waits for them."""
    site = row["site"]
    options = {"challenge": encoded(bytes(32)), "hints": ["security-key"]}
    if row["ceremony"] == "register":
        options |= {
            "rp": {"id": site["rp_id"], "name": "site"},
            "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {
                "authenticatorAttachment": "cross-platform",
                "residentKey": site.get("resident_key", "discouraged"),
                "userVerification": site.get("user_verification", "discouraged"),
            },
            "excludeCredentials": described([enrolled] if enrolled else []),
        }
        return "create", options | row.get("options", {}), patience
    is_passkey = row["ceremony"] == "passkey"
    known = [] if is_passkey and not row.get("allow_enrolled") else [enrolled or encoded(bytes(16))]
    known += [encoded(bytes([at] * 16)) for at in range(row.get("allow_more", 0))]
    required = "required" if is_passkey else "discouraged"
    options |= {
        "rpId": site["rp_id"],
        "allowCredentials": described(known),
        "userVerification": site.get("user_verification", required),
    }
    return "get", options | row.get("options", {}), patience


def proceed(browser, address):
    """Opens a page behind a warning, and clicks the warning away."""
    if browser.name == "Firefox":
        browser.go(address)
        return
    try:
        browser.go(address)
    except RuntimeError as error:
        assert "insecure certificate" in str(error), error
    browser.ask("POST", "/execute/sync", {"script": "certificateErrorPageController.proceed()", "args": []})
    for _ in range(100):
        if browser.run("() => document.title") == "page":
            return


def begin(world, browser, row, asked):
    """Has the page of a row ask."""
    visit = row["visit"]
    world.well_known = row.get("well_known")
    if "frame_of" in visit:
        is_opaque = visit["address"] == "null"
        attributes = PERMITTED if visit.get("permitted", True) else ""
        attributes += ' sandbox="allow-scripts"' if is_opaque else ""
        address = visit["frame_of"][0] if is_opaque else visit["address"]
        world.frame, world.around = asked, {"address": address, "attributes": attributes}
        browser.go(f"{visit['frame_of'][0]}/around")
        return
    if visit.get("bad_certificate"):
        proceed(browser, visit["address"])
    else:
        browser.go(visit["address"])
    browser.run(f"(...given) => {{ window.told = ({ASK})(...given); return true; }}", *asked)


def told(browser):
    """What the page of a row is told."""
    return browser.run("() => window.told")


def merged(table, differs):
    """A table with what differs in it, and in the tables in it. An outcome is another one as a whole."""
    both = {name: merged(table[name], differs[name]) for name in table if is_table(table, differs, name)}
    return table | differs | both


def is_table(table, differs, name):
    """Whether a name is a table's in both."""
    both = isinstance(table[name], dict) and isinstance(differs.get(name), dict)
    return both and "by" not in differs[name]


def chosen(catalogue, name, field):
    """The rows that a browser is to carry out, by number, and their variants, from 1 on; 0 is the row itself."""
    rows = {}
    for file in sorted(pathlib.Path(catalogue).glob("*.toml")):
        row = tomllib.loads(file.read_text(encoding="utf-8"))
        for variant, differs in enumerate([{}, *row.pop("variants", [])]):
            rows[int(file.name[:2]), variant] = merged(row, differs)
    return {which: row for which, row in rows.items() if name in row["expected"].get(field, [])}


def say(which, browser, told):
    """Prints what came of a row."""
    number, variant = which
    print(json.dumps({"row": number, "variant": variant, "version": browser.version, "told": told}), flush=True)


def main():
    name, catalogue, *switches = sys.argv[1:]
    rows = chosen(catalogue, name, "real")
    world = World()
    for trusted in (True, False):
        of_both = {which: row for which, row in rows.items() if row["visit"].get("bad_certificate", False) != trusted}
        if not of_both:
            continue
        browser = world.browser(name, True, switches, trusted)
        for which, row in of_both.items():
            begin(world, browser, row, arguments(row))
            say(which, browser, told(browser))
        browser.close()


if __name__ == "__main__":
    main()
