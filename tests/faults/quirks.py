"""Has python-fido2 meet keys with known bugs, and the same keys without, and prints what it said of both, as JSON.

Standard input is rows of JSON: {"quirk", "profile", "doing"}. KEYRIG_SOCKET is the control socket of the rack, whose
keys are at datagram endpoints NAME.ctaphid in the directory KEYRIG_KEYS.
"""

import contextlib
import json
import os
import sys
import time

from datagrams import Datagrams, Refused, ask, opened
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import STATUS, CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.ctap2.pin import ClientPin
from fido2.hid import CTAPHID, TYPE_INIT

# How long a key is waited for that is to answer, and one that never does, seconds.
LONGEST = 30.0
SHORTEST = 3.0
PIN = "12345678"
RP = {"id": "example.com", "name": "Example"}
OTHER_RP = {"id": "example.org", "name": "Another"}
USER = {"id": b"1", "name": "alice", "displayName": "Alice"}
ES256 = {"type": "public-key", "alg": -7}
RS256 = {"type": "public-key", "alg": -257}
HASH = b"\0" * 32
SITE = "https://example.com"


class Connection(Datagrams):
    """Sees whether the key asks for a touch: by keepalives with UPNEEDED (CTAP 2.3 section 11.2.9.1.7)."""

    touches = 0

    def __init__(self, endpoint):
        super().__init__(endpoint)
        self.be_patient(LONGEST)

    def read_packet(self):
        packet = super().read_packet()
        self.touches += packet[4] == TYPE_INIT | CTAPHID.KEEPALIVE and packet[7] == STATUS.UPNEEDED
        return packet

    def be_patient(self, seconds):
        self.until = time.monotonic() + seconds


class Owner(UserInteraction):
    def request_pin(self, permissions, rp_id):
        return PIN


class Site:
    """A key, and what there is to do with it."""

    def __init__(self, key):
        self.key = key
        self.connection = Connection(f"{os.environ['KEYRIG_KEYS']}/{key}.ctaphid")
        self.device = opened(self.connection)

    @property
    def ctap(self):
        return Ctap2(self.device)

    def client(self, extensions=()):
        return Fido2Client(self.device, DefaultClientDataCollector(SITE), Owner(), extensions=extensions)

    def set_pin(self):
        ClientPin(self.ctap).set_pin(PIN)

    def token(self, permission=None, rp=None):
        client_pin = ClientPin(self.ctap)
        return client_pin.protocol, client_pin.get_pin_token(PIN, permission, rp)

    def made(self, **changes):
        request = {"client_data_hash": HASH, "rp": RP, "user": USER, "key_params": [ES256], **changes}
        return self.ctap.make_credential(**request)

    def passkey(self, **changes):
        return self.made(options={"rk": True}, **changes)

    def signed(self, *credentials, **more):
        allowed = [{"type": "public-key", "id": credential.credential_id} for credential in credentials]
        return self.ctap.get_assertion(RP["id"], HASH, allowed or None, **more)

    def create(self, client_extensions=(), verification="discouraged", **more):
        options = {"rp": RP, "user": USER, "challenge": HASH, "pubKeyCredParams": [ES256]}
        options |= {"authenticatorSelection": {"userVerification": verification}}
        made = self.client(client_extensions).make_credential(options | more)
        return made.response.attestation_object.auth_data.credential_data

    def get(self, *ids, client_extensions=(), **more):
        options = {"rpId": RP["id"], "challenge": HASH, "userVerification": "discouraged"}
        options |= {"allowCredentials": [{"type": "public-key", "id": id} for id in ids]}
        return self.client(client_extensions).get_assertion(options | more).get_response(0).response

    def begin(self):
        """From here on it is about what the key is known to do otherwise."""
        self.connection.touches = 0


def chosen(site):
    site.begin()
    site.client().selection()
    return "chosen"


def half_of_the_parameter(site):
    site.set_pin()
    protocol, token = site.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, RP["id"])
    site.begin()
    param = protocol.authenticate(token, HASH)[:16]
    site.made(pin_uv_param=param, pin_uv_protocol=protocol.VERSION)
    return "made"


def registered(site):
    site.begin()
    return f"extensions {sorted(site.made().auth_data.extensions or {})}"


def registered_with_a_pin(site):
    site.set_pin()
    site.begin()
    site.create(verification="required")
    return "made"


def registered_in_vain(site):
    """The key's clock jumps ahead when it is asked: it has waited long enough for the touch."""
    client = site.client()
    ask("touch-policy", policy="manual")
    ask("switch-fault-on", key=site.key, fault="clock-jump,command=authenticatorMakeCredential")
    site.begin()
    options = {"rp": RP, "user": USER, "challenge": HASH, "pubKeyCredParams": [ES256]}
    try:
        client.make_credential(options | {"authenticatorSelection": {"userVerification": "discouraged"}})
    finally:
        ask("touch-policy", policy="every")
    return "made"


def touched_before(site):
    ask("touch-policy", policy="manual")
    with contextlib.suppress(Refused):
        # It does not wait for one.
        ask("touch", key=site.key)
    ask("touch-policy", policy="every")
    site.begin()
    site.made()
    return "made"


def logged_in_without_a_credential(site):
    site.begin()
    site.get(b"unknown")
    return "signed"


def listed(site):
    site.set_pin()
    protocol, token = site.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, RP["id"])
    param = protocol.authenticate(token, HASH)
    site.passkey(user=USER | {"name": "\u20ac" * 30}, pin_uv_param=param, pin_uv_protocol=protocol.VERSION)
    management = CredentialManagement(site.ctap, *site.token(ClientPin.PERMISSION.CREDENTIAL_MGMT))
    site.begin()
    rp = management.enumerate_rps()[0]
    user = management.enumerate_creds(rp[CredentialManagement.RESULT.RP_ID_HASH])[0][CredentialManagement.RESULT.USER]
    return f"name of {len(user['name'])}"


def listed_in_vain(site):
    site.set_pin()
    management = CredentialManagement(site.ctap, *site.token(ClientPin.PERMISSION.CREDENTIAL_MGMT))
    site.begin()
    return f"{len(management.enumerate_rps())} relying parties"


def signed(site):
    credential = site.made().auth_data.credential_data
    site.begin()
    answer = site.signed(credential)
    return f"flags {answer.auth_data.flags:#04x}, credential {'named' if answer.credential else 'not named'}"


def signed_with_a_passkey(site):
    site.passkey()
    site.begin()
    return f"of the user {sorted(site.signed().user)}"


def signed_with_two_allowed(site):
    credentials = [site.made().auth_data.credential_data for _ in range(2)]
    site.begin()
    site.signed(*credentials)
    return "signed"


def excluded_elsewhere(site):
    other = site.passkey(rp=OTHER_RP).auth_data.credential_data
    site.begin()
    site.made(exclude_list=[{"type": "public-key", "id": other.credential_id}])
    return "made"


def two_algorithms(site):
    site.begin()
    site.create(pubKeyCredParams=[ES256, RS256])
    return "made"


def unknown_extension(site):
    site.begin()
    site.made(extensions={"unheardOf": True})
    return "made"


def unknown_option(site):
    site.begin()
    site.made(options={"unheardOf": False})
    return "made"


def empty_display_name(site):
    """Not by Fido2Client, which sends an empty array in its place."""
    site.begin()
    site.made(user=USER | {"displayName": ""})
    return "made"


def no_display_name(site):
    site.begin()
    site.made(user={"id": b"1", "name": "alice"})
    return "made"


def logged_in(site):
    credential = site.create()
    site.begin()
    site.get(credential.credential_id)
    return "signed"


def always_verifies(site):
    """Has the key always want user verification, after a credential was made."""
    credential = site.made().auth_data.credential_data
    site.set_pin()
    Config(site.ctap, *site.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG)).toggle_always_uv()
    site.begin()
    return credential


def signed_without_a_pin(site):
    site.signed(always_verifies(site))
    return "signed"


def preflight_without_a_pin(site):
    site.signed(always_verifies(site), options={"up": False})
    return "signed"


def derived(site):
    extensions = [HmacSecretExtension(allow_hmac_secret=True)]
    credential = site.create(extensions, extensions={"hmacCreateSecret": True})
    site.begin()
    salts = {"hmacGetSecret": {"salt1": HASH}}
    answer = site.get(credential.credential_id, client_extensions=extensions, extensions=salts)
    signed = bytes(answer.authenticator_data) + answer.client_data.hash
    credential.public_key.verify(signed, answer.signature)
    return "verified"


def retries(site):
    site.begin()
    site.connection.be_patient(SHORTEST)
    return f"{ClientPin(site.ctap).get_pin_retries()} tries"


def three_fingers_of_somebody_else(site):
    ask("uv-policy", key=site.key, policy="never")
    client_pin = ClientPin(site.ctap)
    site.begin()
    for _ in range(2):
        with contextlib.suppress(CtapError):
            client_pin.get_uv_token(ClientPin.PERMISSION.CREDENTIAL_MGMT)
    client_pin.get_uv_token(ClientPin.PERMISSION.CREDENTIAL_MGMT)
    return "verified"


def looked_up_over_u2f(site):
    credential = site.made().auth_data.credential_data
    site.begin()
    Ctap1(site.device).authenticate(HASH, HASH, credential.credential_id, check_only=True)
    return "known"


DOING = {
    "makeCredential": registered,
    "makeCredential with a display name that is left out": no_display_name,
    "makeCredential with a passkey of another relying party in the exclude list": excluded_elsewhere,
    "makeCredential with an unknown extension": unknown_extension,
    "makeCredential with an unknown option": unknown_option,
    "makeCredential with half of pinUvAuthParam": half_of_the_parameter,
    "makeCredential after a touch": touched_before,
    "getAssertion": signed,
    "getAssertion of a passkey": signed_with_a_passkey,
    "getAssertion with two credentials allowed": signed_with_two_allowed,
    "getAssertion without a PIN": signed_without_a_pin,
    "getAssertion without a PIN and a touch": preflight_without_a_pin,
    "CTAP1/U2F authentication": looked_up_over_u2f,
    "three tokens by a finger that it does not know": three_fingers_of_somebody_else,
    "getPINRetries": retries,
    "choosing a key": chosen,
    "registration with a PIN": registered_with_a_pin,
    "registration that nobody touches for": registered_in_vain,
    "registration with ES256 or RS256": two_algorithms,
    "makeCredential with an empty display name": empty_display_name,
    "login": logged_in,
    "login with an unknown credential": logged_in_without_a_credential,
    "login with hmac-secret": derived,
    "listing credentials": listed,
    "listing credentials of a new key": listed_in_vain,
}


def said(row, key, quirks):
    """What there is to say of a key, and whether it asked for a touch."""
    ask("create", name=key, profile=row["profile"], quirks=quirks)
    site = Site(key)
    try:
        words = DOING[row["doing"]](site)
    except Exception as error:  # Whatever it says.
        words = f"{type(error).__name__}: {error}"
    finally:
        site.connection.close()
        ask("switch-faults-off", key=key)
        ask("remove", key=key)
    touch = "a touch" if site.connection.touches else "no touch"
    return f"{words} ({touch})"


def main():
    for line in sys.stdin:
        row = json.loads(line)
        told = {"with": said(row, "with", [row["quirk"]]), "without": said(row, "without", [])}
        print(json.dumps({**row, **told}), flush=True)


main()
