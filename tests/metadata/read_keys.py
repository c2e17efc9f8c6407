"""Makes a key of every statement of a BLOB, reads it with python-fido2, and registers with it.

Arguments: the BLOB, and what `keyrig profiles --mds` says of it. Prints a line of JSON for each model of FIDO2: its
name, and what is wrong: the key does not say what its statement says, and nobody said that this is withheld; or it does
not work.
"""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "faults"))

from datagrams import Datagrams, ask, opened
from fido2.cose import ES256
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin

# How long a key may take over all that it is asked, seconds.
LONGEST = 30.0
# What is true of a key that somebody has set up, and of no new one.
STATE = {"clientPin", "uv", "bioEnroll", "userVerificationMgmtPreview", "ep"}
# The members of getInfo that are numbers, by their keys.
NUMBERS = {
    0x05: "maxMsgSize",
    0x07: "maxCredentialCountInList",
    0x08: "maxCredentialIdLength",
    0x0D: "minPINLength",
    0x0E: "firmwareVersion",
    0x0F: "maxCredBlobLength",
    0x14: "remainingDiscoverableCredentials",
    0x1D: "maxPINLength",
}
# What the specification has where a statement says nothing, and a key says it.
DEFAULTS = {"maxMsgSize": 1024}
CRED_BLOB = {"maxCredBlobLength": 32}
CANNOT_BE_0 = {"maxCredentialCountInList", "maxCredentialIdLength"}
PIN = "71936284"


class Connection(Datagrams):
    def __init__(self, endpoint):
        super().__init__(endpoint)
        self.until = time.monotonic() + LONGEST


def named(member, value):
    return f"{member}: {value['alg'] if isinstance(value, dict) else value}"


def differences(stated, info, members, withheld):
    """What the key says otherwise than its statement, and is not withheld by name."""
    said = {
        "versions": info.versions,
        "extensions": info.extensions,
        "transports": info.transports,
        "algorithms": [{"type": it["type"], "alg": it["alg"]} for it in info.algorithms],
    }
    for member, values in said.items():
        wanted = []
        for value in stated.get(member, []):
            if not any(line.startswith(named(member, value)) for line in withheld) and value not in wanted:
                wanted.append(value)
        if values != wanted:
            yield f"{member}: {values}, not {wanted}"
    defaults = DEFAULTS | (CRED_BLOB if "credBlob" in info.extensions else {})
    for number, member in NUMBERS.items():
        value, wanted = members.get(number), stated.get(member, defaults.get(member))
        # What cannot be 0 says nothing if it is.
        wanted = None if wanted == 0 and member in CANNOT_BE_0 else wanted
        if value != wanted and not any(line.startswith(f"{member}: ") for line in withheld):
            yield f"{member}: {value}, not {wanted}"
    options = stated.get("options", {})
    for option in sorted(options.keys() | info.options.keys()):
        value, wanted = info.options.get(option), options.get(option)
        is_state = option in STATE and value is False
        if value != wanted and not is_state and not any(line.startswith(f"options: {option}") for line in withheld):
            yield f"options: {option} is {value}, not {wanted}"
    protocols = stated.get("pinUvAuthProtocols", [])
    if info.pin_uv_protocols != protocols and not (protocols == [] and info.pin_uv_protocols == [1]):
        yield f"pinUvAuthProtocols: {info.pin_uv_protocols}, not {protocols}"


def register(ctap):
    """Registers, with a PIN where the key always wants its user verified."""
    hashed, rp, user = bytes(32), {"id": "example.com", "name": "Example"}, {"id": b"a", "name": "a"}
    parameters = [{"type": "public-key", "alg": algorithm} for algorithm in (-7, -8, -35)]
    token, protocol = None, None
    if ctap.info.options.get("alwaysUv"):
        pin = ClientPin(ctap)
        pin.set_pin(PIN)
        uses = ClientPin.PERMISSION.MAKE_CREDENTIAL if ctap.info.options.get("pinUvAuthToken") else None
        token = pin.protocol.authenticate(pin.get_pin_token(PIN, uses, rp["id"]), hashed)
        protocol = pin.protocol.VERSION
    # Whoever touches the key is the one whom it knows.
    options = {"uv": True} if ctap.info.options.get("uv") and not token else None
    made = ctap.make_credential(
        hashed, rp, user, parameters, options=options, pin_uv_param=token, pin_uv_protocol=protocol
    )
    limit = ctap.info.max_cred_id_length
    if limit and len(made.auth_data.credential_data.credential_id) > limit:
        raise ValueError(f"a credential id of {len(made.auth_data.credential_data.credential_id)} bytes")
    public_key = made.auth_data.credential_data.public_key
    if isinstance(public_key, ES256):
        asserted = ctap.get_assertion(
            rp["id"],
            hashed,
            [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}],
            options={"up": False},
        )
        asserted.verify(hashed, public_key)


def check(number, stated, withheld, profile):
    name = f"k{number}"
    ask("create", name=name, profile=profile)
    try:
        connection = Connection(f"unix:{os.environ['KEYRIG_KEYS']}/{name}.ctaphid")
        ctap = Ctap2(opened(connection))
        yield from differences(stated, ctap.info, ctap.send_cbor(Ctap2.CMD.GET_INFO), withheld)
        try:
            register(ctap)
        except Exception as error:  # Whatever it raises is what is wrong with the key.
            yield f"{type(error).__name__}: {error}"
        connection.close()
    finally:
        ask("remove", key=name)


blob, listed = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:])
models = {model["name"]: model for model in listed["profiles"]}
for number, entry in enumerate(blob["entries"]):
    if "aaguid" not in entry:
        continue
    name = f"mds:{entry['aaguid']}"
    model = models.pop(name)
    stated = entry["metadataStatement"].get("authenticatorGetInfo")
    wrong = []
    if model["key"]:
        wrong = list(check(number, stated, model["key"]["withheld"], name))
    print(json.dumps({"name": name, "wrong": wrong, "no_key": model["no_key"]}))
if models:
    sys.exit(f"the BLOB has not {models.keys()}")
