"""Keys at keyrig's datagram endpoints, for python-fido2, and its control socket KEYRIG_SOCKET."""

import json
import os
import socket
import time

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

REPORT_SIZE = 64
# A key that is silent for so long has failed.
PATIENCE = 1.0


class Refused(Exception):
    pass


def ask(command, **members):
    """What `keyrig key` does: a line to the control socket, and one back."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["KEYRIG_SOCKET"])
        control.sendall(json.dumps({"command": command, **members}).encode() + b"\n")
        answer = json.loads(control.makefile().readline())
    if "error" in answer:
        raise Refused(answer["error"]["message"])
    return answer


class Patient(CtapHidConnection):
    """A connection that is read for so long and no longer."""

    def __init__(self):
        self.until = time.monotonic() + PATIENCE

    def left(self):
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Datagrams(Patient):
    def __init__(self, endpoint):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(endpoint.removeprefix("unix:"))

    def write_packet(self, data):
        self.socket.send(data)

    def read_packet(self):
        self.socket.settimeout(self.left())
        return self.socket.recv(REPORT_SIZE)

    def close(self):
        self.socket.close()


def opened(connection):
    descriptor = HidDescriptor("key", 0, 0, REPORT_SIZE, REPORT_SIZE, "keyrig", None)
    return CtapHidDevice(descriptor, connection)
