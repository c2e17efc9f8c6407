"""Has python-fido2 meet faults, each switched on for one thing that it does, and prints what it said: a line of JSON.

Standard input is rows of JSON: {"by", "doing", "fault"}. The key called key is at the datagram endpoint KEYRIG_CTAPHID
and, by PyPI's usbip, at the USB/IP server KEYRIG_USBIP; KEYRIG_SOCKET is the control socket.
"""

import contextlib
import io
import json
import logging
import os
import socket
import struct
import sys
import time
from typing import ClassVar

import usbip.host
from datagrams import PATIENCE, REPORT_SIZE, Datagrams, Patient, ask, opened
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import STATUS
from fido2.ctap2 import Ctap2
from fido2.ctap2.extensions import HmacSecretExtension
from usbip.classes.host.hid import HIDDriver
from usbip.transport import USBIP

# Each fault that makes something late makes it later than this, and nothing else is.
LATE = 0.4
RP = {"id": "example.com", "name": "Example"}
USER = {"id": b"1", "name": "alice"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = b"\0" * 32


def usbip_server():
    host, port = os.environ["KEYRIG_USBIP"].rsplit(":", 1)
    return host, int(port)


class UsbIp(Patient):
    def __init__(self):
        super().__init__()
        self.driver = HIDDriver(usbip.host.open(busid="1-1", transport=USBIP(*usbip_server())))
        self.driver.set_idle()

    def write_packet(self, data):
        self.driver.output_report(data)

    def read_packet(self):
        self.left()
        return self.driver.read_report(REPORT_SIZE)

    def close(self):
        self.driver.close()


def made(ctap, keepalives=None, **options):
    def keepalive(status):
        keepalives.append(STATUS(status).name)

    return ctap.make_credential(
        HASH, RP, USER, ES256, on_keepalive=None if keepalives is None else keepalive, **options
    )


def flags(data):
    return f"{data.flags:#04x}"


class Doing:
    """What is done: `before` without the fault, and `now` with it, which returns words."""

    def before(self, connect):
        self.connection = connect()
        self.device = opened(self.connection)

    def close(self):
        with contextlib.suppress(Exception):
            self.connection.close()


class Open(Doing):
    def before(self, connect):
        self.connect = connect

    def now(self):
        self.connection = self.connect()
        opened(self.connection)
        return "opened"


class GetInfo(Doing):
    def now(self):
        return f"members {sorted(Ctap2(self.device).send_cbor(Ctap2.CMD.GET_INFO))}"


class WithCtap(Doing):
    def before(self, connect):
        super().before(connect)
        self.ctap = Ctap2(self.device)


class Register(WithCtap):
    def now(self):
        keepalives = []
        data = made(self.ctap, keepalives).auth_data
        return f"keepalives {keepalives}, flags {flags(data)}"


class RegisterPasskey(WithCtap):
    def now(self):
        return flags(made(self.ctap, options={"rk": True}).auth_data)


class Login(WithCtap):
    options: ClassVar = None

    def before(self, connect):
        super().before(connect)
        self.credential = made(self.ctap).auth_data.credential_data

    def now(self):
        allowed = [{"type": "public-key", "id": self.credential.credential_id}]
        signed = self.ctap.get_assertion(RP["id"], HASH, allowed, options=self.options)
        signed.verify(HASH, self.credential.public_key)
        return f"flags {flags(signed.auth_data)}"


class Preflight(Login):
    options: ClassVar = {"up": False}


class User(UserInteraction):
    pass


class Secret(Doing):
    def before(self, connect):
        super().before(connect)
        extensions = [HmacSecretExtension(allow_hmac_secret=True)]
        collector = DefaultClientDataCollector("https://example.com")
        self.client = Fido2Client(self.device, collector, User(), extensions=extensions)
        options = {"rp": RP, "user": USER, "challenge": HASH, "pubKeyCredParams": ES256}
        options |= {"authenticatorSelection": {"userVerification": "discouraged"}}
        options |= {"extensions": {"hmacCreateSecret": True}}
        credential = self.client.make_credential(options).response.attestation_object.auth_data.credential_data
        self.allowed = [{"type": "public-key", "id": credential.credential_id}]
        self.secret = self.derive()

    def derive(self):
        options = {"challenge": HASH, "rpId": RP["id"], "allowCredentials": self.allowed}
        options |= {"userVerification": "discouraged"}
        options |= {"extensions": {"hmacGetSecret": {"salt1": HASH}}}
        results = self.client.get_assertion(options).get_response(0).client_extension_results
        return bytes(results.hmac_get_secret.output1)

    def now(self):
        return "the same secret" if self.derive() == self.secret else "another secret"


class Unlink(Doing):
    """A host that wants a transfer back, without a library: USB/IP as the kernel documents it."""

    def before(self, connect):
        self.stream = socket.create_connection(usbip_server(), PATIENCE)
        self.stream.sendall(struct.pack(">HHI32s", 0x0111, 0x8003, 0, b"1-1"))
        record = self.read(8 + 312)
        bus, device = struct.unpack_from(">II", record, 8 + 256 + 32)
        self.id = bus << 16 | device
        # SET_CONFIGURATION 1.
        self.submit(1, 0, 0, 0, bytes([0, 9, 1, 0, 0, 0, 0, 0]))
        self.read(48)

    def read(self, count):
        data = b""
        while len(data) < count:
            data += self.stream.recv(count - len(data)) or self.fail()
        return data

    def fail(self):
        raise EOFError("the server hung up")

    def submit(self, number, direction, endpoint, length, setup=bytes(8)):
        self.stream.sendall(struct.pack(">10I8s", 1, number, self.id, direction, endpoint, 0, length, 0, 0, 0, setup))

    def now(self):
        # The IN endpoint is number 4.
        self.submit(2, 1, 4, REPORT_SIZE)
        self.stream.sendall(struct.pack(">6I24s", 2, 3, self.id, 0, 0, 2, bytes(24)))
        command, number, *_ = struct.unpack_from(">II", self.read(48))
        return f"reply {command} to {number}"

    def close(self):
        self.stream.close()


CLIENTS = {"python-fido2": lambda: Datagrams(os.environ["KEYRIG_CTAPHID"]), "PyPI's usbip": UsbIp, "a raw host": None}
DOING = {
    "opening it": Open,
    "getInfo": GetInfo,
    "makeCredential": Register,
    "makeCredential of a passkey": RegisterPasskey,
    "getAssertion": Login,
    "getAssertion without a touch": Preflight,
    "hmac-secret twice": Secret,
    "an unlink": Unlink,
}


def notice(row, log):
    doing = DOING[row["doing"]]()
    try:
        doing.before(CLIENTS[row["by"]])
        ask("switch-fault-on", key="key", fault=row["fault"])
        log.truncate(0)
        log.seek(0)
        if hasattr(doing, "connection"):
            doing.connection.until = time.monotonic() + PATIENCE
        began = time.monotonic()
        try:
            said = doing.now()
        except Exception as error:  # Whatever it says.
            said = f"{type(error).__name__}: {error}"
        late = " (late)" if time.monotonic() - began > LATE else ""
        faults = ask("list-faults", key="key")["faults"]
        return {"said": f"{said}{late} {log.getvalue()}".strip(), "happened": faults[0]["happened"]}
    finally:
        ask("switch-faults-off", key="key")
        doing.close()


def main():
    # Of the USB/IP client, which waits for ever.
    socket.setdefaulttimeout(PATIENCE)
    log = io.StringIO()
    logging.basicConfig(stream=log, level=logging.WARNING, format="%(message)s")
    for line in sys.stdin:
        row = json.loads(line)
        print(json.dumps({**row, **notice(row, log)}), flush=True)


main()
