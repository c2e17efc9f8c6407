"""A rack of security keys, for one test."""

import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from pytest_keyrig import program, trace
from pytest_keyrig.client import Browser, Client
from pytest_keyrig.errors import KeyrigError
from pytest_keyrig.http import Answer, Service
from pytest_keyrig.key import Key
from pytest_keyrig.trace import Trace

# A failed test shows its own lines, not the way from there to the error.
__tracebackhide__ = True


class Keyrig:
    """A rack of security keys: empty at first, and gone with its test.

    Of a rack that was there before it (``around``: the names of its keys), the test sees its own keys alone.
    """

    def __init__(self, service: Service, token: str, trace: Trace | None, around: Collection[str] = ()) -> None:
        self.url = service.url
        self.token = token
        self._service = service.carrying({"Authorization": f"Bearer {token}"})
        self._trace = trace
        self._around = frozenset(around)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        waiting: float = 0.0,
        opened: Callable[[HTTPConnection], None] = lambda connection: None,
    ) -> Answer:
        """Any request of the HTTP interface, which ``/v1/openapi.json`` describes: ``ask("GET", "keys").json``.

        ``waiting``: for how many seconds the request itself asks to wait.
        """
        return self._service.ask(method, f"/v1/{path}", body, waiting=waiting, opened=opened)

    def key(  # noqa: PLR0913
        self,
        profile: str = "keyrig",
        *,
        name: str | None = None,
        pin: str | None = None,
        snapshot: str | None = None,
        plugged: bool = True,
        quirks: Sequence[str] = (),
        enterprise_rps: Sequence[str] = (),
    ) -> Key:
        """Makes a key, and plugs it in. ``keyrig profiles`` lists the profiles, and with ``--quirks`` the quirks.

        ``enterprise_rps``: RP IDs to which it gives enterprise attestations, beside those of its profile.
        Without a name it has that of its profile, and a number if that is taken.
        """
        if name is None:
            taken = {one["name"] for one in self.ask("GET", "keys").json["keys"]}
            names = (profile if number == 1 else f"{profile}-{number}" for number in range(1, len(taken) + 2))
            name = next(one for one in names if one not in taken)
        self.check_name(name)
        body = {"name": name, "profile": profile, "plugged": plugged, "quirks": list(quirks)}
        body |= {"enterprise_rps": list(enterprise_rps)} if enterprise_rps else {}
        body |= {"pin": pin} if pin is not None else {}
        body |= {"snapshot": snapshot} if snapshot is not None else {}
        self.ask("POST", "keys", body)
        return Key(self, name, profile)

    def check_name(self, name: str) -> None:
        """Raises KeyrigError (``key-exists``) for the name of a key that the rack had before the test."""
        if name in self._around:
            raise KeyrigError(
                f"a key {name} is there already, of the rack at {self.url}, which is around this test: "
                "give another name, or none",
                "key-exists",
            )

    def keys(self) -> list[Key]:
        """The test's keys, in the order in which they came."""
        states = self.ask("GET", "keys").json["keys"]
        return [Key(self, one["name"], one["profile"]) for one in states if one["name"] not in self._around]

    def client(  # noqa: PLR0913
        self,
        origin: str,
        *,
        pin: str | None = None,
        browser: Browser = "chromium",
        on: Sequence[Key] | None = None,
        top_origin: str | None = None,
        ancestors: Sequence[str] = (),
        user_name: str | None = None,
        user_id: str | None = None,
    ) -> Client:
        """A page at this address, as a browser has it.

        - ``pin``: what is typed when a PIN is asked for.
        - ``on``: the keys that are asked; without it, all that are plugged in.
        - ``top_origin``, ``ancestors``: of a frame, the page at the top, and those between, the nearest first.
        - ``user_name``, ``user_id`` (base64url): who signs in, if the site leaves that open.
        """
        page: dict[str, Any] = {"origin": origin, "browser": browser}
        page |= {"pin": pin} if pin is not None else {}
        page |= {"on": [key.name for key in on]} if on is not None else {}
        page |= {"top_origin": top_origin} if top_origin is not None else {}
        page |= {"ancestors": list(ancestors)} if ancestors else {}
        page |= {"user_name": user_name} if user_name is not None else {}
        page |= {"user_id": user_id} if user_id is not None else {}
        return Client(self, page)

    def finger(self, key: Key | None) -> None:
        """Puts the finger over a key; with None over the first that is plugged in, where it is from the start."""
        self.ask("PUT", "finger", {"key": key.name} if key else {})

    def touch_policy(self, policy: str) -> None:
        """What the finger does: ``auto``, ``manual``, ``deny``, ``every`` or ``after=MILLISECONDS``."""
        self.ask("PUT", "touch-policy", {"policy": policy})

    def events(self, after: int = 0, timeout: float = 0.0) -> list[dict[str, Any]]:
        """What happened behind the event of this number; if nothing has, waits until something does."""
        path = f"events?after={after}&timeout_ms={round(timeout * 1000)}"
        events: list[dict[str, Any]] = self.ask("GET", path, waiting=timeout).json["events"]
        return events

    def trace(self) -> list[dict[str, Any]]:
        """What keys were asked and answered up to now, as ``--trace FILE.jsonl`` writes it: secrets are masked."""
        return trace.read(self.trace_file())

    def trace_text(self) -> str:
        """The same for people, an exchange a line."""
        return trace.show(self.trace_file())

    def explain(self) -> str:
        """Of each ceremony that failed, who said no, and what browsers do then."""
        return trace.show(self.trace_file(), "--explain")

    def trace_file(self) -> Path:
        """The same for programs: a file for ``keyrig trace``, which is gone with the test."""
        if self._trace is None:
            words = f"the rack at {self.url} was not started by this test: whoever started it has --trace"
            raise KeyrigError(words, "no-trace")
        return self._trace.up_to_now(lambda note: self.ask("POST", "notes", {"note": json.dumps(note)}))


@contextmanager
def own(directory: Path) -> Iterator[Keyrig]:
    """A rack of a program of its own, which ends with it; sockets and files are in the directory."""
    token = secrets.token_urlsafe(32)
    command: list[str | os.PathLike[str]] = [program.find(), "serve", "--json", "--usbip", "none", "--http", "0"]
    transcript = Trace(directory)
    try:
        command += ["--control", f"unix:{directory / 'control'}", "--trace", transcript.pipe]
        command += ["--exit-on-stdin-end", "--exit-with-parent"]
        server = program.Server("keyrig serve", command, directory, {"KEYRIG_TOKEN": token})
        try:
            service = Service(server.announced["http"]["url"], server.ended)
            keyrig = Keyrig(service, token, transcript)
            # A rack starts with a key, of this name.
            Key(keyrig, "keyrig", "keyrig").remove()
            yield keyrig
        finally:
            server.stop()
    finally:
        transcript.close()


@contextmanager
def shared(url: str, token: str) -> Iterator[Keyrig]:
    """The rack of somebody else, as 'keyrig exec' has one. Its keys are out meanwhile, and back in afterwards."""
    before = Keyrig(Service(url), token, None).ask("GET", "keys").json
    keyrig = Keyrig(Service(url), token, None, [one["name"] for one in before["keys"]])
    there = [Key(keyrig, one["name"], one["profile"]) for one in before["keys"] if one["plugged"]]
    finger = next((one["name"] for one in before["keys"] if one["under_finger"]), None)
    try:
        for key in there:
            key.unplug()
        keyrig.finger(None)
        yield keyrig
    finally:
        made = keyrig.keys()
        for key in made:
            key.remove()
        for key in there:
            key.plug()
        keyrig.finger(next((key for key in there if key.name == finger), None))
        keyrig.touch_policy(before["touch"])
