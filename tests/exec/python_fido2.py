"""Uses keys by python-fido2's own backend for Linux, and prints what came of it."""

import os
import subprocess
import sys

from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.hid import CtapHidDevice
from fido2.server import Fido2Server

keyrig = sys.argv[1]


class Interaction(UserInteraction):
    """Nobody is asked for anything."""


devices = list(CtapHidDevice.list_devices())
print([(device.descriptor.path, device.product_name) for device in devices])
server = Fido2Server({"id": "example.com", "name": "Example"})
options, state = server.register_begin({"id": b"1", "name": "alice"}, user_verification="discouraged")
client = Fido2Client(devices[0], DefaultClientDataCollector("https://example.com"), Interaction())
made = client.make_credential(options["publicKey"])
registered = server.register_complete(state, made)
options, state = server.authenticate_begin([registered.credential_data], user_verification="discouraged")
used = client.get_assertion(options["publicKey"]).get_response(0)
server.authenticate_complete(state, [registered.credential_data], used)
print("registered and logged in")
subprocess.run(
    [keyrig, "key", "unplug", os.environ.get("KEY", "a")], check=True, stdout=subprocess.DEVNULL, close_fds=False
)
try:
    devices[0].ping(b"x")
    print("answered")
except OSError as error:
    print(f"OSError {error.errno}")
print([device.descriptor.path for device in CtapHidDevice.list_devices()])
