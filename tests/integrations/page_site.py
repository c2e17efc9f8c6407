"""A site with a page, for one user, on PyPI's webauthn. It says where it listens, and serves until its input ends."""

import sys
from threading import Thread

import webauthn
from flask import Flask, Response, request
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    UserVerificationRequirement,
)
from werkzeug.serving import make_server

RP_ID = "localhost"
PAGE = """<!doctype html><title>logins</title><script>
async function ceremony(name, operation, parse) {
  const options = PublicKeyCredential[parse](await (await fetch(`/${name}`)).json());
  const credential = await navigator.credentials[operation]({ publicKey: options });
  const headers = { 'content-type': 'application/json' };
  return (await fetch(`/${name}`, { method: 'POST', headers, body: JSON.stringify(credential) })).text();
}
const register = () => ceremony('register', 'create', 'parseCreationOptionsFromJSON');
const logIn = () => ceremony('login', 'get', 'parseRequestOptionsFromJSON');
</script>"""
site = Flask(__name__)
registered, asked = {}, {}


def asks(options):
    asked["challenge"] = options.challenge
    return Response(webauthn.options_to_json(options), mimetype="application/json")


def known():
    return [PublicKeyCredentialDescriptor(id=one.credential_id) for one in registered.values()]


def expected():
    return {"expected_challenge": asked["challenge"], "expected_origin": url, "expected_rp_id": RP_ID}


@site.get("/")
def page():
    return PAGE


@site.get("/register")
def registration():
    discouraged = AuthenticatorSelectionCriteria(user_verification=UserVerificationRequirement.DISCOURAGED)
    return asks(
        webauthn.generate_registration_options(
            rp_id=RP_ID,
            rp_name="Example",
            user_name="alice",
            exclude_credentials=known(),
            authenticator_selection=discouraged,
        )
    )


@site.post("/register")
def register():
    credential = request.get_json()
    registered[credential["id"]] = webauthn.verify_registration_response(credential=credential, **expected())
    return "registered"


@site.get("/login")
def authentication():
    return asks(
        webauthn.generate_authentication_options(
            rp_id=RP_ID, allow_credentials=known(), user_verification=UserVerificationRequirement.DISCOURAGED
        )
    )


@site.post("/login")
def login():
    credential = request.get_json()
    verified = webauthn.verify_authentication_response(
        credential=credential,
        credential_public_key=registered[credential["id"]].credential_public_key,
        credential_current_sign_count=registered[credential["id"]].sign_count,
        **expected(),
    )
    registered[credential["id"]].sign_count = verified.new_sign_count
    return "logged in"


server = make_server("127.0.0.1", 0, site, threaded=True)
url = f"http://localhost:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
print(url, flush=True)
sys.stdin.read()
