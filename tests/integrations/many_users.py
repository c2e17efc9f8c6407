"""A site for many users, verified by PyPI's webauthn. It says where it listens, and serves until its input ends."""

import sys
from threading import Thread

import webauthn
from flask import Flask, Response, request, session
from webauthn.helpers.structs import PublicKeyCredentialDescriptor
from werkzeug.serving import make_server

ORIGIN, RP_ID = "https://login.example.com", "example.com"
site = Flask(__name__)
site.secret_key = "of a test"
registered = {}


def asks(user: str, options):
    session["user"], session["challenge"] = user, options.challenge
    return Response(webauthn.options_to_json(options), mimetype="application/json")


def expected():
    return {
        "expected_challenge": session.pop("challenge"),
        "expected_origin": ORIGIN,
        "expected_rp_id": RP_ID,
    }


@site.get("/register")
def registration():
    user = request.args["user"]
    return asks(user, webauthn.generate_registration_options(rp_id=RP_ID, rp_name="Example", user_name=user))


@site.post("/register")
def register():
    registered[session["user"]] = webauthn.verify_registration_response(credential=request.get_json(), **expected())
    return {"user": session["user"]}


@site.get("/login")
def authentication():
    user = request.args["user"]
    allowed = [PublicKeyCredentialDescriptor(id=registered[user].credential_id)]
    return asks(user, webauthn.generate_authentication_options(rp_id=RP_ID, allow_credentials=allowed))


@site.post("/login")
def login():
    known = registered[session["user"]]
    known.sign_count = webauthn.verify_authentication_response(
        credential=request.get_json(),
        credential_public_key=known.credential_public_key,
        credential_current_sign_count=known.sign_count,
        **expected(),
    ).new_sign_count
    return {"user": session["user"]}


server = make_server("127.0.0.1", 0, site, threaded=True)
Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
