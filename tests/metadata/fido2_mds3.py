"""Has python-fido2's mds3 read metadata in all its variants, and verify a registration by it. Input and output: see
tests/tests/metadata.rs."""

import base64
import json
import sys
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from fido2.mds3 import MdsAttestationVerifier, parse_blob
from fido2.server import Fido2Server
from fido2.webauthn import AttestationConveyancePreference, PublicKeyCredentialRpEntity


def as_der(jwt):
    """The same token with its signature in DER, for which python-fido2 takes it: RFC 7518 has r and s."""
    signed, signature = jwt.strip().rsplit(b".", 1)
    raw = base64.urlsafe_b64decode(signature + b"==")
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    return signed + b"." + base64.urlsafe_b64encode(encode_dss_signature(r, s)).rstrip(b"=")


asked = json.load(sys.stdin)
root = x509.load_pem_x509_certificate(asked["root"].encode()).public_bytes(Encoding.DER)
# The first one as it is, too: so that it is noticed when nothing has to be changed any more.
for variant, changed in [("good", bytes), *((variant, as_der) for variant in asked["variants"])]:
    refused = None
    try:
        with urllib.request.urlopen(f"{asked['base']}/{variant}.jwt") as answer:
            blob = parse_blob(changed(answer.read()), root)
        server = Fido2Server(
            PublicKeyCredentialRpEntity(id=asked["rpId"], name="Example"),
            attestation=AttestationConveyancePreference.DIRECT,
            verify_origin=lambda origin: origin == asked["origin"],
            verify_attestation=MdsAttestationVerifier(blob),
        )
        state = {"challenge": asked["challenge"], "user_verification": None}
        server.register_complete(state, asked["credential"])
    except Exception as error:  # Whatever it raises is a refusal: which, is judged by the test.
        refused = f"{type(error).__name__}: {error}"
    print(json.dumps({"variant": variant, "refused": refused}))
