"""Chromium by WebDriver, through Debian's chromedriver."""

import base64
import json
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from reading import read_on

# Nothing of these goes anywhere, or asks anything at a first start.
SWITCHES = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--password-store=basic",
    "--window-position=0,0",
    "--window-size=1200,900",
]

# For anything that is asked of it, in seconds: where a processor is emulated it takes its time.
PATIENCE = 300


class Chromium:
    """A session."""

    name = "Chromium"
    themes = ("dark", "light")
    # It leaves a window open that says why a ceremony has ended.
    leaves_windows = True
    asks_for_pin = ("Enter the PIN",)
    wrong_pin = ("Incorrect PIN",)
    sets_first_pin = "Set up a new PIN"
    asks_for_attestation = None
    # And what chooses the first one.
    asks_for_account = ("Choose a passkey", "Return")

    def __init__(self, headless, switches=(), binary="/usr/bin/chromium"):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if match := re.search(r"successfully on port (\d+)", line):
                self.url = f"http://127.0.0.1:{match.group(1)}"
                break
        else:
            sys.exit("chromedriver did not start")
        read_on(self.driver.stdout)
        # The headless shell is so by itself, and goes by a name of its own.
        is_shell = binary.endswith("-headless-shell")
        shown = ["--headless=new"] if headless and not is_shell else []
        arguments = [*SWITCHES, f"--user-data-dir={tempfile.mkdtemp()}", *shown, *switches]
        options = {"binary": binary, "args": arguments, "browserStartupTimeout": PATIENCE * 1000}
        wanted = {"goog:chromeOptions": options}
        wanted |= {"browserName": "chrome-headless-shell"} if is_shell else {}
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.version = session["capabilities"]["browserVersion"]
        self.debugger = session["capabilities"]["goog:chromeOptions"]["debuggerAddress"]
        self.url += f"/session/{session['sessionId']}"
        self.ask("POST", "/timeouts", {"script": PATIENCE * 1000})

    def ask(self, method, path, body=None):
        """One command of WebDriver."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"chromedriver refuses {path}: {error.read().decode()[:300]}") from error

    def go(self, url):
        """Opens a page."""
        self.ask("POST", "/url", {"url": url})

    def run(self, function, *arguments):
        """Calls a function of the page, and returns what it or its promise comes to, or raises what it throws."""
        called = f"(async () => ({function})(...arguments[0]))()"
        told = "(found) => done({ found: found ?? null }), (error) => done({ error: String(error) })"
        script = f"const done = arguments[1]; {called}.then({told});"
        answer = self.ask("POST", "/execute/async", {"script": script, "args": [arguments]})
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["found"]

    def press(self, keys):
        """Presses keys of the keyboard, one after the other."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def look(self, width, theme):
        """Shows pages in a window so wide, in a theme."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        wanted = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        for command, parameters in [("setDeviceMetricsOverride", size), ("setEmulatedMedia", wanted)]:
            self.ask("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": parameters})

    def shoot(self, file):
        """Keeps a picture of all of a page."""
        whole = {"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}}
        file.write_bytes(base64.b64decode(self.ask("POST", "/goog/cdp/execute", whole)["data"]))

    def close(self):
        """Ends the session and the driver."""
        self.ask("DELETE", "")
        self.driver.terminate()
        self.driver.wait()
