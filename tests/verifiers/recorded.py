"""Tells the ceremonies that PyPI's `webauthn` keeps in its own tests, recorded from authenticators, and its verdicts.

Its tests are run, and what they ask of it is written down, a line of JSON for each: what tests/tests/verifiers.rs says
of the input of verifiers, and beside it `roots` (PEM, those that were trusted), `time` (seconds since 1970, where the
test sets one), `publicKey` and `signCount` of a login, and `refused`. The argument is the directory of its source
distribution.
"""

import base64
import calendar
import functools
import json
import sys
import types
import unittest
from datetime import UTC
from pathlib import Path
from unittest import mock

import webauthn
from OpenSSL.crypto import X509Store
from webauthn.helpers import bytes_to_base64url

sys.path.insert(0, sys.argv[1])
told = set()
context = {"roots": [], "time": None, "case": None}


class Store(X509Store):
    """A store of roots that says at which time certificates have to be valid."""

    def set_time(self, vfy_time):
        context["time"] = calendar.timegm(vfy_time.replace(tzinfo=UTC).timetuple())
        super().set_time(vfy_time)


def patch_validate_certificate_chain_x509store_getter(test):
    """What tests import of a module that is not distributed: the store goes to the test, and to what it tests."""

    @functools.wraps(test)
    def patched(self, *arguments):
        store = Store()
        module = sys.modules["webauthn.helpers.validate_certificate_chain"]
        with mock.patch.object(module, "_generate_new_cert_store", lambda: store):
            return test(self, *arguments, store)

    return patched


helper = types.ModuleType("tests.helpers.x509store")
helper.patch_validate_certificate_chain_x509store_getter = patch_validate_certificate_chain_x509store_getter
sys.modules["tests.helpers"] = types.ModuleType("tests.helpers")
sys.modules["tests.helpers.x509store"] = helper

for name, module in list(sys.modules.items()):
    if name.startswith("webauthn.registration.formats.") and hasattr(module, "validate_certificate_chain"):

        def watched(*, x5c, pem_root_certs_bytes=None, original=module.validate_certificate_chain):
            context["roots"] = [root.decode() for root in pem_root_certs_bytes or []]
            return original(x5c=x5c, pem_root_certs_bytes=pem_root_certs_bytes)

        module.validate_certificate_chain = watched


def credential_of(value):
    """A credential as JSON, whatever it was handed over as; None if it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def tell(ceremony, arguments, refused):
    credential = credential_of(arguments["credential"])
    origins = arguments["expected_origin"]
    line = {
        "credential": credential,
        "challenge": bytes_to_base64url(arguments["expected_challenge"]),
        "origins": [origins] if isinstance(origins, str) else list(origins),
        "rpId": arguments["expected_rp_id"],
        "userVerification": bool(arguments.get("require_user_verification", False)),
        "roots": context["roots"],
        "time": context["time"],
        "refused": refused,
    } | ceremony
    known = json.dumps(line, sort_keys=True)
    if credential is not None and known not in told:
        told.add(known)
        case = context["case"]
        print(json.dumps({"name": f"{case} {len(told)}"} | line))


def watch(name, more):
    original = getattr(webauthn, name)

    @functools.wraps(original)
    def watched(**arguments):
        context.update(roots=[])
        try:
            verified = original(**arguments)
        except Exception as error:
            tell(more(arguments, None), arguments, f"{type(error).__name__}: {error}")
            raise
        tell(more(arguments, verified), arguments, None)
        return verified

    setattr(webauthn, name, watched)


def of_registration(arguments, _verified):
    algorithms = arguments.get("supported_pub_key_algs")
    return {"algorithms": None if algorithms is None else [int(algorithm) for algorithm in algorithms]}


def of_authentication(arguments, _verified):
    return {
        "publicKey": base64.b64encode(arguments["credential_public_key"]).decode(),
        "signCount": arguments["credential_current_sign_count"],
    }


watch("verify_registration_response", of_registration)
watch("verify_authentication_response", of_authentication)


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        context.update(case=test.id().split(".")[-1], time=None)


modules = sorted(Path(sys.argv[1], "tests").glob("test_verify_*_response*.py"))
suite = unittest.defaultTestLoader.loadTestsFromNames(f"tests.{module.stem}" for module in modules)
result = Result()
suite.run(result)
failed = [f"{test.id()}: {trace.splitlines()[-1]}" for test, trace in result.failures + result.errors]
if failed or not result.testsRun:
    sys.exit(f"{len(failed)} of {result.testsRun} of its own tests fail:\n" + "\n".join(failed))
