"""Verifies ceremonies with PyPI's `webauthn`. Input and output: see tests/tests/verifiers.rs."""

import json
import sys

import webauthn
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import AttestationFormat

KNOWN = {algorithm.value for algorithm in COSEAlgorithmIdentifier}


def register(ceremony):
    roots = [ceremony["root"].encode()]
    return webauthn.verify_registration_response(
        credential=ceremony["credential"],
        expected_challenge=base64url_to_bytes(ceremony["challenge"]),
        expected_rp_id=ceremony["rpId"],
        expected_origin=ceremony["origin"],
        require_user_verification=ceremony["userVerification"],
        supported_pub_key_algs=[COSEAlgorithmIdentifier(a) for a in ceremony["algorithms"] if a in KNOWN],
        pem_root_certs_bytes_by_fmt={AttestationFormat.PACKED: roots, AttestationFormat.FIDO_U2F: roots},
    )


def authenticate(ceremony, registered):
    return webauthn.verify_authentication_response(
        credential=ceremony["credential"],
        expected_challenge=base64url_to_bytes(ceremony["challenge"]),
        expected_rp_id=ceremony["rpId"],
        expected_origin=ceremony["origin"],
        require_user_verification=ceremony["userVerification"],
        credential_public_key=registered.credential_public_key,
        credential_current_sign_count=registered.sign_count,
    )


registered = {}
for line in sys.stdin:
    ceremony = json.loads(line)
    refused = None
    try:
        if "registration" in ceremony:
            authenticate(ceremony, registered[ceremony["registration"]])
        else:
            registered[ceremony["name"]] = register(ceremony)
    except Exception as error:  # Whatever it raises is a refusal: which, is judged by the test.
        refused = f"{type(error).__name__}: {error}"
    print(json.dumps({"name": ceremony["name"], "refused": refused}))
