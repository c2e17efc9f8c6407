"""Firefox by WebDriver BiDi, which it speaks by itself."""

import base64
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import websocket
from reading import read_on

# Nothing of these goes anywhere, or asks anything at a first start.
PREFERENCES = {
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
}

# The preference for how pages are to look, whatever the system does.
SCHEME = "layout.css.prefers-color-scheme.content-override"
SCHEMES = {"dark": 0, "light": 1}
LOOKS_SO = """(theme) => {
  const wanted = matchMedia(`(prefers-color-scheme: ${theme})`);
  const changed = new Promise((resolve) => wanted.addEventListener('change', resolve, { once: true }));
  return wanted.matches || changed.then(() => true);
}"""

# For anything that is asked of it, in seconds: where much else is done it takes its time.
PATIENCE = 300


class Firefox:
    """A session."""

    name = "Firefox"
    themes = ("dark", "light")
    leaves_windows = False
    asks_for_pin = ("enter the PIN", "Enter the PIN", "PIN for")
    wrong_pin = ("Incorrect PIN",)
    # It has no window for that.
    sets_first_pin = None
    asks_for_attestation = "is requesting extended information"
    # And what chooses the first one.
    asks_for_account = ("Multiple accounts found", "alt+0")

    def __init__(self, headless, switches=(), preferences=None, capabilities=None):
        profile = tempfile.mkdtemp()
        settings = PREFERENCES | (preferences or {})
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
        pathlib.Path(profile, "user.js").write_text("".join(lines), encoding="utf-8")
        shown = ["--headless"] if headless else []
        # WebDriver BiDi sets no theme: that is a preference, which its driver may set as the browser itself.
        driven = ["--remote-debugging-port=0", "--remote-allow-system-access"]
        command = ["firefox-esr", *shown, *driven, "--profile", profile, *switches]
        log = pathlib.Path(profile, "log")
        with log.open("w") as file:
            self.firefox = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=file, text=True)
        said = []
        for line in self.firefox.stderr:
            said.append(line)
            if match := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                break
        else:
            sys.exit(f"Firefox did not start: {said}")
        read_on(self.firefox.stderr)
        self.socket = websocket.create_connection(f"{match.group(1)}/session", timeout=PATIENCE, suppress_origin=True)
        self.numbers = itertools.count(1)
        self.heard = lambda event: None
        self.version = self.begin(capabilities or {})
        # A page that may use keys has the focus, which the window of the start has not.
        self.context = self.ask("browsingContext.create", type="window")["context"]
        self.ask("browsingContext.activate", context=self.context)

    def begin(self, capabilities):
        """Begins the session, and returns the version."""
        session = self.ask("session.new", capabilities={"alwaysMatch": capabilities})
        return session["capabilities"]["browserVersion"]

    def ask(self, method, **parameters):
        """One command of WebDriver BiDi."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") != number:
                self.heard(answer)
                continue
            if answer["type"] == "error":
                raise RuntimeError(f"Firefox refuses {method}: {answer['message'][:300]}")
            return answer["result"]

    def go(self, url):
        """Opens a page."""
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")
        self.ask("browsingContext.activate", context=self.context)

    def run(self, function, *arguments):
        """Calls a function of the page, and returns what it or its promise comes to, or raises what it throws."""
        text = json.dumps(json.dumps(arguments))
        answer = self.ask(
            "script.callFunction",
            functionDeclaration=f"async () => JSON.stringify((await ({function})(...JSON.parse({text}))) ?? null)",
            awaitPromise=True,
            userActivation=True,
            target={"context": self.context},
        )
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def press(self, keys):
        """Presses keys of the keyboard, one after the other."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self.ask("input.performActions", context=self.context, actions=actions)

    def look(self, width, theme):
        """Shows pages in a window so wide, in a theme."""
        size = {"width": width, "height": 900}
        self.ask("browsingContext.setViewport", context=self.context, viewport=size, devicePixelRatio=1)
        windows = self.ask("browsingContext.getTree", **{"moz:scope": "chrome"})["contexts"]
        self.ask(
            "script.callFunction",
            functionDeclaration=f"() => Services.prefs.setIntPref({json.dumps(SCHEME)}, {SCHEMES[theme]})",
            awaitPromise=False,
            target={"context": windows[0]["context"]},
        )
        self.run(LOOKS_SO, theme)

    def shoot(self, file):
        """Keeps a picture of all of a page."""
        shot = self.ask("browsingContext.captureScreenshot", context=self.context, origin="document")
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        """Ends Firefox."""
        self.ask("browser.close")
        self.firefox.wait()
