"""Does in a browser what rows of the catalogue of misconfigurations say that comes of asking a key, and prints what the
page is told: a line of JSON for each. Within `keyrig exec`, on a screen of its own.

misconfigured_keys.py BROWSER CATALOGUE KEYRIG PICTURES [SWITCH...]: chromium or firefox; the folder with the rows; the
program that puts keys into the rack around this process; where pictures are kept; the browser's switches. Each row has
a key of its own, which was enrolled, as the row says, by keyrig's own client or by U2F. A window that the browser
leaves open is closed, as a person would.
"""

import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

from keys import Keys
from misconfigured import World, arguments, begin, chosen, encoded, say, told
from screen import Screen

# The page waits as long as a person takes, in milliseconds.
PATIENCE = 120_000

# What Chromium leaves open where it does not go on.
ENDS = ("Try a different", "Something went wrong", "Set up a new PIN", "enough space", "be used with this site")


# How an answer to U2F's registration begins.
REGISTERED = b"\x05"


class Enrolment:
    """Keys, and what they were enrolled with."""

    def __init__(self, keyrig):
        self.keyrig, self.keys = keyrig, Keys(keyrig)

    def put(self, name, row):
        """Puts the key of a row into the rack, and returns the id that it was enrolled with, if it was."""
        key, before = row.get("key", {}), row.get("before")
        pin = ["--pin-file", "-"] if "pin" in key else []
        self.keys.run("create", name, "--profile", key.get("profile", "keyrig"), *pin, text=key.get("pin"))
        self.keys.run("finger", name)
        self.keys.run("touch-policy", "auto")
        enrolled = None
        if before:
            enrolled = u2f(before["app_id"]) if "app_id" in before else self.enrol(name, row)
        for fault in key.get("faults", []):
            self.keys.run("fault", "on", name, fault)
        return enrolled

    def enrol(self, name, row):
        """As a page did before."""
        before, pin = row["before"], row.get("key", {}).get("pin")
        site = row["site"] | before.get("site", {})
        residence = "required" if before.get("passkey") else "discouraged"
        options = {
            "rp": {"id": site["rp_id"], "name": "site"},
            "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
            "challenge": encoded(bytes(32)),
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {
                "residentKey": residence,
                "userVerification": "preferred" if pin else "discouraged",
            },
        }
        command = [self.keyrig, "client", "create", "--on", name, "--origin", before["address"]]
        if pin:
            file = pathlib.Path(tempfile.mkdtemp(), "pin")
            file.write_text(pin, encoding="utf-8")
            command += ["--pin-file", str(file)]
        made = subprocess.run(
            command, check=True, capture_output=True, input=json.dumps(options), text=True, close_fds=False
        )
        return json.loads(made.stdout)["id"]


def u2f(app_id):
    """Registers a key under an AppID as U2F did (U2F Raw Message Formats, section 4), and returns its key handle."""
    node = next(node for node in sorted(pathlib.Path("/dev").glob("hidraw*")) if os.access(node, os.R_OK | os.W_OK))
    device = os.open(node, os.O_RDWR)

    def transact(channel, command, content):
        packets = [struct.pack(">IBH", channel, command | 0x80, len(content)) + content[:57]]
        rest = content[57:]
        for number, at in enumerate(range(0, len(rest), 59)):
            packets.append(struct.pack(">IB", channel, number) + rest[at : at + 59])
        for packet in packets:
            os.write(device, b"\0" + packet.ljust(64, b"\0"))
        answer, length = b"", None
        while length is None or len(answer) < length:
            packet = os.read(device, 64)
            if length is None:
                answered, length = struct.unpack(">BH", packet[4:7])
                assert answered == command | 0x80, packet
                answer = packet[7:]
            else:
                answer += packet[5:]
        return answer[:length]

    # CTAPHID_INIT tells the channel behind the nonce; CTAPHID_MSG carries U2F.
    (channel,) = struct.unpack(">I", transact(0xFFFFFFFF, 0x06, bytes(8))[8:12])
    data = bytes(32) + hashlib.sha256(app_id.encode()).digest()
    request = b"\0\x01\0\0\0" + struct.pack(">H", len(data)) + data + b"\0\0"
    # A key that was asked is touched, and says so when it is asked again.
    for _ in range(100):
        answer = transact(channel, 0x03, request)
        if answer[-2:] == b"\x90\0":
            break
    os.close(device)
    assert answer[:1] == REGISTERED, answer
    return encoded(answer[67 : 67 + answer[66]])


def windows(browser, screen, row, picture):
    """Does what a person does in windows of the browser's own."""
    if "pin" in row.get("key", {}):
        screen.wait(f"{picture}-pin", *browser.asks_for_pin)
        screen.type(row["key"]["pin"])
    if browser.leaves_windows and row["expected"][browser.name.lower()].get("name"):
        screen.wait(picture, *ENDS)
        screen.press("Escape")


def main():
    name, catalogue, keyrig, pictures, *switches = sys.argv[1:]
    os.environ["HOME"] = tempfile.mkdtemp()
    rows = chosen(catalogue, name, "real_with_key")
    enrolment = Enrolment(keyrig)
    # A rack begins with a key.
    enrolment.keys.run("unplug", "spare")
    world, screen = World(), Screen(pictures)
    browser = world.browser(name, False, switches, True)
    for which, row in rows.items():
        key = "row-{}-{}".format(*which)
        enrolled = enrolment.put(key, row)
        begin(world, browser, row, arguments(row, enrolled, PATIENCE))
        windows(browser, screen, row, f"{name}-{key}")
        say(which, browser, told(browser))
        enrolment.keys.run("remove", key)
    browser.close()
    screen.close()


main()
