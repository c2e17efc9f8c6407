# test_login.py: keyrig exec --key a=keyrig --key b=yubikey-5.7 -- pytest test_login.py
import json
import os

import pytest
import requests
import webauthn
from webauthn.helpers.structs import PublicKeyCredentialDescriptor as Allowed

SITE, RP_ID = "https://login.example.com", "example.com"


def keyrig(method, path, **body):
    token = {"Authorization": f"Bearer {os.environ['KEYRIG_TOKEN']}"}
    answer = requests.request(method, f"{os.environ['KEYRIG_URL']}/v1/{path}", json=body, headers=token)
    assert answer.ok, answer.json()["error"]
    return answer.json()


def navigator(ceremony, options, origin):
    return keyrig("POST", f"client/{ceremony}", origin=origin, options=json.loads(webauthn.options_to_json(options)))


def register(key, origin=SITE):
    keyrig("PUT", "finger", key=key)
    options = webauthn.generate_registration_options(rp_id=RP_ID, rp_name="Example", user_name="alice")
    return webauthn.verify_registration_response(
        credential=navigator("create", options, origin),
        expected_challenge=options.challenge,
        expected_origin=SITE,
        expected_rp_id=RP_ID,
    )


def log_in(registered):
    allowed = [Allowed(id=one.credential_id) for one in registered]
    options = webauthn.generate_authentication_options(rp_id=RP_ID, allow_credentials=allowed)
    credential = navigator("get", options, SITE)
    used = next(one for one in registered if one.credential_id == webauthn.base64url_to_bytes(credential["id"]))
    return webauthn.verify_authentication_response(
        credential=credential,
        credential_current_sign_count=used.sign_count,
        credential_public_key=used.credential_public_key,
        expected_challenge=options.challenge,
        expected_origin=SITE,
        expected_rp_id=RP_ID,
    )


def test_a_second_key_replaces_a_lost_one():
    registered = [register("a"), register("b")]
    keyrig("PUT", "finger", key="a")
    assert log_in(registered).credential_id == registered[0].credential_id
    keyrig("POST", "keys/a/unplug")
    keyrig("PUT", "finger", key="b")
    assert log_in(registered).credential_id == registered[1].credential_id


def test_a_page_from_elsewhere_gets_nothing():
    with pytest.raises(AssertionError, match="rp-id-foreign"):
        register("b", origin="https://login.example.net")
