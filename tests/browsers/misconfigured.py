"""Does in a browser what rows of the catalogue of misconfigurations say that a browser refuses, and prints what the
page is told: a line of JSON for each.

misconfigured.py BROWSER CATALOGUE [SWITCH...]: chromium or firefox; the folder with the rows; the browser's switches.
Any host can be opened: a proxy, which the browser is told to use, answers for all of them, over TLS with a certificate
that it is told to take, and is where a browser looks for related origins. No key is there, and none is asked: a page
that the browser lets ask is aborted.
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

# What a page's script does, and is told.
ASK = """async (operation, options) => {
  const control = new AbortController();
  setTimeout(() => control.abort(), 4000);
  try {
    const ask = navigator.credentials[operation].bind(navigator.credentials);
    const parse = operation === 'create' ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON';
    await ask({ publicKey: PublicKeyCredential[parse](options), signal: control.signal });
    return { name: 'none', message: '' };
  } catch (error) {
    return { name: error.name, message: error.message };
  }
}"""

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

    def browser(self, name, switches, trusted):
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
            return Firefox(True, switches, proxy | more, {"acceptInsecureCerts": True})
        more = [f"--proxy-server=127.0.0.1:{self.port}", "--proxy-bypass-list=<-loopback>"]
        # A page in plain http is to be that.
        more += ["--disable-features=HttpsUpgrades,HttpsFirstBalancedMode"]
        more += [f"--ignore-certificate-errors-spki-list={self.public_key}"] if trusted else []
        return Chromium(True, [*switches, *more])


def arguments(row):
    """What the page of a row asks: the operation, and options in JSON."""
    challenge = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    rp_id = row["site"]["rp_id"]
    if row["ceremony"] == "register":
        options = {
            "rp": {"id": rp_id, "name": "site"},
            "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
            "challenge": challenge,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        }
        return "create", options | row.get("options", {})
    count = 1 + row.get("allow_more", 0)
    ids = [base64.urlsafe_b64encode(bytes([at] * 16)).decode().rstrip("=") for at in range(count)]
    allowed = [{"type": "public-key", "id": id} for id in ids]
    options = {"rpId": rp_id, "challenge": challenge, "allowCredentials": allowed}
    return "get", options | row.get("options", {})


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


def carry_out(world, browser, row):
    """What the page of a row is told."""
    visit = row["visit"]
    world.well_known = row.get("well_known")
    asked = arguments(row)
    if "frame_of" in visit:
        is_opaque = visit["address"] == "null"
        attributes = PERMITTED if visit.get("permitted", True) else ""
        attributes += ' sandbox="allow-scripts"' if is_opaque else ""
        address = visit["frame_of"][0] if is_opaque else visit["address"]
        world.frame, world.around = asked, {"address": address, "attributes": attributes}
        browser.go(f"{visit['frame_of'][0]}/around")
        return browser.run("() => window.told")
    if visit.get("bad_certificate"):
        proceed(browser, visit["address"])
    else:
        browser.go(visit["address"])
    return browser.run(ASK, *asked)


def main():
    name, catalogue, *switches = sys.argv[1:]
    rows = {}
    for file in sorted(pathlib.Path(catalogue).glob("*.toml")):
        row = tomllib.loads(file.read_text(encoding="utf-8"))
        if name in row["expected"].get("real", []):
            rows[int(file.name[:2])] = row
    world = World()
    for trusted in (True, False):
        chosen = {number: row for number, row in rows.items() if row["visit"].get("bad_certificate", False) != trusted}
        if not chosen:
            continue
        browser = world.browser(name, switches, trusted)
        for number, row in chosen.items():
            told = carry_out(world, browser, row)
            print(json.dumps({"row": number, "version": browser.version, "told": told}), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
