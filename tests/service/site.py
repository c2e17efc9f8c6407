"""A site to log in to by security keys, for one user, verified by PyPI's webauthn.

python site.py CMD… runs CMD with the site's address in SITE.
"""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import webauthn
from webauthn.helpers.structs import PublicKeyCredentialDescriptor

ORIGIN, RP_ID = "https://login.example.com", "example.com"
registered = {}
# The challenge of the options that were given last.
asked = {}


def register_options():
    exclude = [PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(one)) for one in registered]
    return webauthn.generate_registration_options(
        rp_id=RP_ID, rp_name="Example", user_name="alice", exclude_credentials=exclude
    )


def login_options():
    allow = [PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(one)) for one in registered]
    return webauthn.generate_authentication_options(rp_id=RP_ID, allow_credentials=allow)


def register(credential):
    expected = {"expected_challenge": asked["challenge"], "expected_origin": ORIGIN, "expected_rp_id": RP_ID}
    registered[credential["id"]] = webauthn.verify_registration_response(credential=credential, **expected)


def login(credential):
    known = registered[credential["id"]]
    verified = webauthn.verify_authentication_response(
        credential=credential,
        expected_challenge=asked["challenge"],
        expected_origin=ORIGIN,
        expected_rp_id=RP_ID,
        credential_public_key=known.credential_public_key,
        credential_current_sign_count=known.sign_count,
    )
    known.sign_count = verified.new_sign_count


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        options = {"/register": register_options, "/login": login_options}[self.path]()
        asked["challenge"] = options.challenge
        self.answer(200, webauthn.options_to_json(options))

    def do_POST(self):
        credential = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            {"/register": register, "/login": login}[self.path](credential)
        except Exception as refusal:
            self.answer(403, json.dumps({"refused": str(refusal)}))
        else:
            self.answer(200, json.dumps({"id": credential["id"]}))

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
Thread(target=server.serve_forever, daemon=True).start()
site = f"http://127.0.0.1:{server.server_port}"
sys.exit(subprocess.run(sys.argv[1:], check=False, env={**os.environ, "SITE": site}).returncode)
