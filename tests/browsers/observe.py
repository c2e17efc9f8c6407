"""Has what pages ask of navigator.credentials noted by the rack of the `keyrig exec` around this process."""

import itertools
import json
import os
import threading
import urllib.request

import websocket

# What Chromium hands notes out of a page by; the script takes it from the page before that could see it.
BINDING = "keyrigNote"


def rack(method, path, body=None):
    """One request to the rack."""
    headers = {"Authorization": f"Bearer {os.environ['KEYRIG_TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['KEYRIG_URL']}/v1/{path}", method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


class Notes:
    """Posts notes, and knows which ceremonies they were about."""

    def __init__(self):
        self.posted, self.changed = [], threading.Condition()

    def post(self, note):
        """A note that a page has made."""
        rack("POST", "notes", {"note": note})
        with self.changed:
            self.posted.append(json.loads(note))
            self.changed.notify_all()

    def wait(self, is_wanted):
        """Waits until such a note was posted."""
        with self.changed:
            if not self.changed.wait_for(lambda: any(map(is_wanted, self.posted)), timeout=60):
                raise RuntimeError(f"no such note came, but {self.posted}")


class Socket:
    """A WebSocket that answers commands by their number, and hands on what comes unasked."""

    def __init__(self, url, heard):
        self.socket = websocket.create_connection(url, timeout=None, suppress_origin=True)
        self.numbers, self.heard = itertools.count(1), heard
        self.answers, self.changed = {}, threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, method, parameters, **more):
        """Sends a command, and returns its number."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters, **more}))
        return number

    def ask(self, method, parameters, **more):
        """Sends a command, and returns what it comes to."""
        number = self.send(method, parameters, **more)
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers, timeout=60):
                raise RuntimeError(f"{method} was not answered")
            answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method} is refused: {answer}")
        return answer["result"]

    def read(self):
        """Reads until the browser goes."""
        try:
            while message := self.socket.recv():
                message = json.loads(message)
                if "id" not in message:
                    self.heard(message)
                    continue
                with self.changed:
                    self.answers[message["id"]] = message
                    self.changed.notify_all()
        except (websocket.WebSocketException, OSError):
            return


def chromium(browser):
    """Observes every page of a Chromium, by CDP: in frames of other sites too, each of which is a target of its own."""
    notes, script = Notes(), rack("GET", "observe.js")
    take = f"const note = globalThis.{BINDING}; delete globalThis.{BINDING};"
    source = f"(() => {{ {take} if (note) ({script.strip()})(note); }})()"
    with urllib.request.urlopen(f"http://{browser.debugger}/json/version", timeout=60) as answer:
        url = json.load(answer)["webSocketDebuggerUrl"]

    attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}

    def heard(event):
        method, parameters = event["method"], event["params"]
        if method == "Runtime.bindingCalled" and parameters["name"] == BINDING:
            notes.post(parameters["payload"])
        if method == "Target.attachedToTarget":
            session = parameters["sessionId"]
            if parameters["targetInfo"]["type"] in ("page", "iframe"):
                for command, of in [
                    ("Page.enable", {}),
                    ("Runtime.enable", {}),
                    ("Runtime.addBinding", {"name": BINDING}),
                    ("Page.addScriptToEvaluateOnNewDocument", {"source": source}),
                    ("Target.setAutoAttach", attach),
                ]:
                    socket.send(command, of, sessionId=session)
            socket.send("Runtime.runIfWaitingForDebugger", {}, sessionId=session)

    socket = Socket(url, heard)
    socket.ask("Target.setAutoAttach", attach)
    return notes


def firefox(browser):
    """Observes every page of a Firefox, by WebDriver BiDi."""
    notes, script = Notes(), rack("GET", "observe.js")
    browser.ask("session.subscribe", events=["script.message"])
    channel = {"type": "channel", "value": {"channel": BINDING}}
    browser.ask("script.addPreloadScript", functionDeclaration=script.strip(), arguments=[channel])

    def heard(event):
        if event["method"] == "script.message" and event["params"]["channel"] == BINDING:
            notes.post(event["params"]["data"]["value"])

    browser.heard = heard
    return notes
