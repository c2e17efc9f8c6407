"""Sites on server libraries that nobody here wrote."""

import http.server
import json
import pathlib
import subprocess
import threading

import webauthn
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialHint,
    UserVerificationRequirement,
)

PAGE = """<!doctype html><title>keys</title><script>
async function ceremony(name, operation, parse) {
  const options = await (await fetch(`/${name}/begin`, { method: "POST" })).json();
  const credential = await navigator.credentials[operation]({ publicKey: PublicKeyCredential[parse](options) });
  return (await fetch(`/${name}`, { method: "POST", body: JSON.stringify(credential) })).text();
}
const register = () => ceremony("register", "create", "parseCreationOptionsFromJSON");
const logIn = () => ceremony("login", "get", "parseRequestOptionsFromJSON");
</script>"""


class Npm:
    """A site of one user on npm's `@simplewebauthn/server`."""

    def __init__(self):
        program = pathlib.Path(__file__).with_name("site.mjs")
        self.server = subprocess.Popen(["/usr/bin/node", program, PAGE], stdout=subprocess.PIPE, text=True)
        self.url = f"http://localhost:{int(self.server.stdout.readline())}/"

    def close(self):
        """Ends it."""
        self.server.terminate()
        self.server.wait()


class PyPI:
    """A site of one user on PyPI's `webauthn`."""

    def __init__(self):
        site = self
        self.registered = None

        class Handler(http.server.BaseHTTPRequestHandler):
            """Its routes."""

            def answer(self, content, kind="text/plain"):
                """Answers with a text."""
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content.encode())))
                self.end_headers()
                self.wfile.write(content.encode())

            def do_GET(self):
                self.answer(PAGE, "text/html")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
                try:
                    self.answer(site.routes[self.path](body))
                except Exception as error:  # Whatever the library raises is a refusal.
                    self.answer(f"{type(error).__name__}: {error}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{self.server.server_port}/"
        self.origin = self.url.rstrip("/")
        self.routes = {
            "/register/begin": self.begin_registration,
            "/register": self.register,
            "/login/begin": self.begin_login,
            "/login": self.log_in,
        }

    def begin_registration(self, _):
        """Options for a new credential."""
        self.options = webauthn.generate_registration_options(
            rp_id="localhost",
            rp_name="keys",
            user_name="alice",
            hints=[PublicKeyCredentialHint.SECURITY_KEY],
            authenticator_selection=AuthenticatorSelectionCriteria(
                user_verification=UserVerificationRequirement.DISCOURAGED
            ),
        )
        return webauthn.options_to_json(self.options)

    def register(self, credential):
        """Verifies and keeps it."""
        self.registered = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=self.options.challenge,
            expected_rp_id="localhost",
            expected_origin=self.origin,
        )
        return f"registered {self.registered.fmt}"

    def begin_login(self, _):
        """Options for a login with what is registered."""
        self.options = webauthn.generate_authentication_options(
            rp_id="localhost",
            allow_credentials=[PublicKeyCredentialDescriptor(id=self.registered.credential_id)],
            user_verification=UserVerificationRequirement.DISCOURAGED,
        )
        # This version knows no hints for a login.
        return json.dumps(json.loads(webauthn.options_to_json(self.options)) | {"hints": ["security-key"]})

    def log_in(self, credential):
        """Verifies the login."""
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=self.options.challenge,
            expected_rp_id="localhost",
            expected_origin=self.origin,
            credential_public_key=self.registered.credential_public_key,
            credential_current_sign_count=self.registered.sign_count,
        )
        return "logged in" if verified.credential_id == self.registered.credential_id else "another credential"

    def close(self):
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()
