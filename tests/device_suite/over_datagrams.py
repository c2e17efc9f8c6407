"""python-fido2 over keyrig's datagram endpoint: KEYRIG_CTAPHID is unix:PATH or udp:ADDRESS:PORT."""

import os
import socket

import backend
from fido2.hid.base import CtapHidConnection, HidDescriptor

ENDPOINT = os.environ["KEYRIG_CTAPHID"]
REPORT_SIZE = 64
# Longer than a key waits for a touch. A key that is silent for so long has failed.
PATIENCE = 40
# A key that is plugged in answers INIT at once, touched or not.
ENUMERATION_PATIENCE = 2


class Connection(CtapHidConnection):
    def __init__(self, patience):
        scheme, _, address = ENDPOINT.partition(":")
        if scheme == "unix":
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.connect((host, int(port)))
        self.socket.settimeout(patience)

    def write_packet(self, data):
        assert len(data) == REPORT_SIZE, f"a report of {len(data)} bytes"
        self.socket.send(data)

    def read_packet(self):
        report = self.socket.recv(REPORT_SIZE + 1)
        if not report:
            raise OSError("the key is gone")
        assert len(report) == REPORT_SIZE, f"a report of {len(report)} bytes"
        return report

    def close(self):
        self.socket.close()


def list_descriptors():
    # What a device node's being there is elsewhere: whether somebody answers.
    connection = Connection(ENUMERATION_PATIENCE)
    nonce = os.urandom(8)
    try:
        connection.write_packet((b"\xff\xff\xff\xff\x86\x00\x08" + nonce).ljust(REPORT_SIZE, b"\0"))
        answer = connection.read_packet()
    except OSError:
        return []
    finally:
        connection.close()
    assert answer[:7] == b"\xff\xff\xff\xff\x86\x00\x11" and answer[7:15] == nonce, answer.hex()
    return [HidDescriptor(ENDPOINT, 0, 0, REPORT_SIZE, REPORT_SIZE, "keyrig", None)]


backend.install(list_descriptors, lambda descriptor: Connection(PATIENCE))
