"""JSON over HTTP, a connection for each request, which its caller can end."""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from pytest_keyrig.errors import KeyrigError, Refused

# A failed test shows its own lines, not the way from there to the error.
__tracebackhide__ = True

# Seconds that an answer may take beyond what it was asked to wait for.
PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    json: Any


class Service:
    """A server that is asked in JSON, and how its failure to answer is told."""

    def __init__(
        self, url: str, why_silent: Callable[[], str | None] = lambda: None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise KeyrigError(f"{url!r} is not the address of a server: http://HOST:PORT is")
        self._connection_type = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._address = parts.netloc.rpartition("@")[2]
        self._path = parts.path
        self._why_silent = why_silent
        self._headers = dict(headers or {})

    def carrying(self, headers: Mapping[str, str]) -> "Service":
        """The same, asked with these headers."""
        return Service(self.url, self._why_silent, headers)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        waiting: float = 0.0,
        opened: Callable[[HTTPConnection], None] = lambda connection: None,
    ) -> Answer:
        """Sends a request and awaits its answer, for ``waiting`` seconds if it is asked to wait for something.

        Raises KeyrigError or Refused for any answer that is not a success.
        """
        connection = self._connection_type(self._address, timeout=waiting + PATIENCE)
        text = None if body is None else json.dumps(body, default=_plain).encode()
        sent = {"Accept": "application/json", **self._headers}
        if text is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.connect()
            opened(connection)
            connection.request(method, self._path + path, body=text, headers=sent)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            why = self._why_silent() or f"{type(error).__name__}: {error}"
            raise KeyrigError(f"{method} {self.url}{path} was not answered: {why}", "no-answer") from error
        finally:
            connection.close()
        try:
            answer = json.loads(content) if content else None
        except ValueError as error:
            begins = content[:200].decode(errors="replace")
            raise KeyrigError(
                f"{method} {self.url}{path} was answered with status {response.status} and no JSON: {begins!r}",
                "no-json",
            ) from error
        if not 200 <= response.status < 300:  # noqa: PLR2004
            raise _failure(f"{method} {self.url}{path}", response.status, answer)
        return Answer(response.status, response.headers, answer)


def end(connection: HTTPConnection) -> None:
    """Ends a request from another thread than the one that waits for its answer."""
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _failure(asked: str, status: int, answer: object) -> KeyrigError:
    # A rack says {"error": {..}}, a relying party what is in it.
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if not isinstance(error, dict) or "code" not in error:
        return KeyrigError(f"{asked} was answered with status {status}: {answer!r}", "unexpected-answer")
    if "refused_by" in error:
        return Refused(error)
    return KeyrigError(str(error.get("message", error)), str(error["code"]))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    instead = (
        ": WebAuthn's JSON has base64url in its place" if isinstance(value, bytes | bytearray | memoryview) else ""
    )
    raise TypeError(f"JSON has no {type(value).__name__}, and {value!r} is one{instead}")
