"""Verifies ceremonies with python-fido2's server. Input and output: see tests/tests/verifiers.rs."""

import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fido2.attestation import Attestation, AttestationVerifier
from fido2.server import Fido2Server
from fido2.webauthn import AttestationConveyancePreference, PublicKeyCredentialRpEntity, UserVerificationRequirement


class Trusting(AttestationVerifier):
    """Trusts one root."""

    def __init__(self, pem):
        super().__init__()
        self.root = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)

    def ca_lookup(self, attestation_result, auth_data):
        return self.root


def by_statement(attestation_object, client_data_hash):
    """Verifies the statement, whoever made it."""
    attestation = Attestation.for_type(attestation_object.fmt)()
    attestation.verify(attestation_object.att_stmt, attestation_object.auth_data, client_data_hash)


def server(ceremony):
    # With attestation wanted, it refuses the format "none": whoever wants none says so.
    conveyance = AttestationConveyancePreference(ceremony["attestation"])
    if ceremony["root"] is None:
        return Fido2Server(
            PublicKeyCredentialRpEntity(id=ceremony["rpId"], name="Example"),
            attestation=conveyance,
            verify_origin=lambda origin: origin in ceremony.get("origins", [ceremony["origin"]]),
            verify_attestation=by_statement,
        )
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=ceremony["rpId"], name="Example"),
        attestation=conveyance,
        verify_origin=lambda origin: origin in ceremony.get("origins", [ceremony["origin"]]),
        verify_attestation=Trusting(ceremony["root"]),
    )


def state(ceremony):
    required = UserVerificationRequirement.REQUIRED if ceremony["userVerification"] else None
    return {"challenge": ceremony["challenge"], "user_verification": required}


registered = {}
for line in sys.stdin:
    ceremony = json.loads(line)
    refused = None
    try:
        if "registration" in ceremony:
            known = [registered[ceremony["registration"]]]
            server(ceremony).authenticate_complete(state(ceremony), known, ceremony["credential"])
        else:
            data = server(ceremony).register_complete(state(ceremony), ceremony["credential"])
            registered[ceremony["name"]] = data.credential_data
    except Exception as error:  # Whatever it raises is a refusal: which, is judged by the test.
        refused = f"{type(error).__name__}: {error}"
    print(json.dumps({"name": ceremony["name"], "refused": refused}))
