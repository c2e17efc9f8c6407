"""A test as Selenium's documentation has it: the path of the driver is all that differs. selenium_python.py DRIVER"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

SCRIPT = """
const done = arguments[arguments.length - 1];
const bytes = (length) => crypto.getRandomValues(new Uint8Array(length));
(async () => {
  const made = await navigator.credentials.create({ publicKey: {
    challenge: bytes(32), rp: { name: 'a site' }, user: { id: bytes(16), name: 'u', displayName: 'U' },
    pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  } });
  const used = await navigator.credentials.get({ publicKey: { challenge: bytes(32), userVerification: 'required' } });
  return used.id === made.id;
})().then(done, (error) => done(String(error)));
"""


class Site(BaseHTTPRequestHandler):
    """A page."""

    def do_GET(self):
        """It is empty."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_):
        """Nobody is told."""


def main(path):
    """Registers a passkey, logs in with it, and looks at it."""
    site = HTTPServer(("127.0.0.1", 0), Site)
    Thread(target=site.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--password-store=basic"]:
        options.add_argument(switch)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    driver = webdriver.Chrome(service=Service(executable_path=path), options=options)
    try:
        authenticator = VirtualAuthenticatorOptions()
        authenticator.has_resident_key = True
        authenticator.has_user_verification = True
        authenticator.is_user_verified = True
        driver.add_virtual_authenticator(authenticator)
        driver.get(f"http://localhost:{site.server_port}/")
        assert driver.execute_async_script(SCRIPT) is True
        (credential,) = driver.get_credentials()
        assert (credential.rp_id, credential.is_resident_credential, credential.sign_count) == ("localhost", True, 2)
        driver.remove_all_credentials()
        assert driver.get_credentials() == []
        driver.remove_virtual_authenticator()
        print("passed, by", driver.capabilities.get("keyrig:webauthn", {}).get("mode", "the driver's own"))
    finally:
        driver.quit()


main(*sys.argv[1:])
