"""A screen of its own for windows that only a person could use: what they say, typing into them, pictures of them."""

import os
import pathlib
import subprocess
import time


class Screen:
    """Xvfb, with pictures of it kept in a directory."""

    def __init__(self, pictures):
        self.pictures = pathlib.Path(pictures)
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x900x24", "-nolisten", "tcp"]
        self.server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        # To the end of the line: the server ends if nobody reads that.
        with os.fdopen(reading) as said:
            os.environ["DISPLAY"] = ":" + said.readline().strip()
        # There is no session to speak to.
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"
        os.environ["NO_AT_BRIDGE"] = "1"

    def picture(self, name):
        """Keeps a picture of the screen, and returns where."""
        path = self.pictures / f"{name}.png"
        subprocess.run(["import", "-silent", "-window", "root", path], check=True)
        return path

    def wait(self, name, *texts):
        """Waits until the screen shows one of these texts, keeps a picture of that, and returns which.

        What draws windows tells nobody, so it is looked at again and again.
        """
        seen, deadline = None, time.monotonic() + 60
        while time.monotonic() < deadline:
            path = self.picture(name)
            if (content := path.read_bytes()) == seen:
                continue
            seen = content
            shown = self.read(path)
            if found := next((text for text in texts if text in shown), None):
                return found
        raise TimeoutError(f"the screen does not show {texts} but: {shown}")

    @staticmethod
    def read(path):
        """The text on a picture, which is read best in grey and large."""
        grey = subprocess.run(
            ["convert", path, "-crop", "1200x600+0+0", "-colorspace", "Gray", "-resize", "200%", "png:-"],
            check=True,
            capture_output=True,
        ).stdout
        read = subprocess.run(
            ["tesseract", "-", "-", "--psm", "11"], check=True, capture_output=True, input=grey
        ).stdout
        return " ".join(read.decode().split())

    def press(self, key):
        """Presses a key of the keyboard."""
        subprocess.run(["xdotool", "key", key], check=True)

    def type(self, text, end="Return"):
        """Types a text, and a key behind it."""
        subprocess.run(["xdotool", "type", text], check=True)
        self.press(end)

    def close(self):
        """Ends the screen."""
        self.server.terminate()
        self.server.wait()
