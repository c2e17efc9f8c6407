"""keyrig's relying party: a site to log in to, for one test."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_keyrig import program
from pytest_keyrig.client import Client
from pytest_keyrig.errors import KeyrigError, Refused
from pytest_keyrig.http import Service

# A failed test shows its own lines, not the way from there to the error.
__tracebackhide__ = True


class RelyingParty:
    """A site at ``origin``, which knows users, passwords and second factors, and tells why it refuses.

    ``password`` is that of its administrator, ``root@pam``.
    """

    def __init__(self, service: Service, password: str) -> None:
        self.url = service.url
        self.origin = service.url
        self.password = password
        self._service = service
        self._administrator = Session(service, "root@pam", password)

    def user(self, name: str = "alice", *, realm: str = "pve", role: str = "user") -> "User":
        """Makes a user, with a password that is made up."""
        password = secrets.token_urlsafe(16)
        body = {"user": f"{name}@{realm}", "role": role, "password": password}
        self._administrator.request("POST", "/api/users", body)
        return User(self._service, f"{name}@{realm}", password)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Any request of the site's own interface, as its administrator: ``request("GET", "/api/events")``."""
        return self._administrator.request(method, path, body)


class User:
    """A user of the relying party."""

    def __init__(self, service: Service, name: str, password: str) -> None:
        self._service = service
        self.name = name
        self.password = password

    def log_in(self, page: Client | None = None) -> "Session":
        """Logs in by password, and on the page with a key if the site asks for one. Raises Refused."""
        return Session(self._service, self.name, self.password, page)


class Session:
    """A session of a user.

    ``state`` is ``logged_in``, or ``enrolment_required`` if the realm asks for a factor that the user lacks: then it is
    for ``register``, and a full one afterwards.
    """

    def __init__(self, service: Service, user: str, password: str, page: Client | None = None) -> None:
        self._service = service
        self._password = password
        self._cookie = self._csrf_token = ""
        answer = self.request("POST", "/api/login", {"user": user, "password": password})
        if answer["state"] == "second_factor":
            asked = answer["factors"]["webauthn"]
            if not page or not asked:
                raise ValueError(f"{user} has a second factor, and is to give it: {answer['factors']}")
            body = {"login": answer["login"], "challenge": asked["challenge"], "credential": page.get(asked["options"])}
            answer = self.request("POST", "/api/login/webauthn", body)
        self.state = str(answer["state"])
        self._begin(answer["session"])

    def _begin(self, session: dict[str, Any]) -> None:
        self.user = str(session["user"])
        self._csrf_token = str(session["csrf_token"])

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Any request of the site's own interface, in this session. The password is given again where that is asked."""
        try:
            return self._send(method, path, body)
        except Refused as refusal:
            if refusal.code != "confirmation_required":
                raise
        self._send("POST", "/api/session/confirm", {"password": self._password})
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: object) -> Any:
        headers = {"Cookie": self._cookie, "X-CSRF-Token": self._csrf_token}
        carried = {name: value for name, value in headers.items() if value}
        answer = self._service.carrying(carried).ask(method, path, body)
        for morsel in SimpleCookie(answer.headers["Set-Cookie"] or "").values():
            self._cookie = f"{morsel.key}={morsel.value}"
        return answer.json

    def register(self, page: Client, description: str | None = None, *, passkey: bool = False) -> dict[str, Any]:
        """Registers a key on the page, and returns the factor. Its description is the key's name if none is given.

        Raises Refused.
        """
        asked = self.request("POST", "/api/factors/webauthn/begin", {"passkey": True} if passkey else {})
        credential = page.create(asked["options"])
        body = {
            "challenge": asked["challenge"],
            "description": description if description is not None else ", ".join(credential.touched),
            "credential": credential,
        }
        answer = self.request("POST", "/api/factors/webauthn", body)
        if answer.get("session"):
            self.state = "logged_in"
            self._begin(answer["session"])
        factor: dict[str, Any] = answer["factor"]
        return factor

    def factors(self) -> list[dict[str, Any]]:
        """The user's factors."""
        factors: list[dict[str, Any]] = self.request("GET", "/api/factors")
        return factors

    def delete_factor(self, factor: dict[str, Any]) -> None:
        """Deletes one of them, as if its key was lost."""
        self.request("DELETE", f"/api/factors/{quote(str(factor['id']), safe='')}")


@contextmanager
def serve(directory: Path, config: str | None) -> Iterator[RelyingParty]:
    """A relying party of a program of its own, with these settings in TOML."""
    password = secrets.token_urlsafe(16)
    given = directory / "password"
    given.write_text(password)
    try:
        found = program.find()
    except KeyrigError as error:
        words = f"the fixture relying_party starts a program of its own, also where KEYRIG_URL names a rack: {error}"
        raise KeyrigError(words, error.code) from None
    command: list[str | os.PathLike[str]] = [found, "rp", "serve", "--json", "--explain"]
    command += ["--listen", "localhost:0", "--state", directory / "site", "--initial-password", given]
    command += ["--exit-on-stdin-end", "--exit-with-parent"]
    if config is not None:
        settings = directory / "site.toml"
        settings.write_text(config)
        command += ["--config", settings]
    server = program.Server("keyrig rp serve", command, directory, {})
    try:
        yield RelyingParty(Service(server.announced["url"], server.ended), password)
    finally:
        server.stop()
