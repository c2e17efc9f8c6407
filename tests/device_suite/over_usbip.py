"""python-fido2 over USB/IP, by a client that nobody here wrote: KEYRIG_USBIP is ADDRESS:PORT."""

import os

import backend
import usbip.host
from fido2.hid.base import CtapHidConnection, HidDescriptor, parse_report_descriptor
from usbip.classes.host.hid import HIDDriver
from usbip.transport import USBIP

HOST, PORT = os.environ["KEYRIG_USBIP"].rsplit(":", 1)
REPORT_SIZE = 64


class Connection(CtapHidConnection):
    def __init__(self, descriptor):
        self.driver = HIDDriver(usbip.host.open(busid=descriptor.path, transport=USBIP(HOST, int(PORT))))
        # What a kernel and python-fido2 would make of it.
        assert parse_report_descriptor(self.driver.report_descriptor()) == (REPORT_SIZE, REPORT_SIZE)
        self.driver.set_idle()

    def write_packet(self, data):
        self.driver.output_report(data)

    def read_packet(self):
        return self.driver.read_report(REPORT_SIZE)

    def close(self):
        self.driver.close()


def list_descriptors():
    return [
        HidDescriptor(device["busid"], device["idVendor"], device["idProduct"], REPORT_SIZE, REPORT_SIZE, None, None)
        for device in usbip.host.list_devices(USBIP(HOST, int(PORT)))
    ]


backend.install(list_descriptors, Connection)
