"""A page in a browser: options in, credential out, or who refused and why."""

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

from pytest_keyrig import http
from pytest_keyrig.errors import KeyrigError

if TYPE_CHECKING:
    from pytest_keyrig.rack import Keyrig

# A failed test shows its own lines, not the way from there to the error.
__tracebackhide__ = True

# The options of a site: JSON as text or as a mapping, with or without {"publicKey": ..} around them.
Options = Mapping[str, Any] | str | bytes
Browser = Literal["chromium", "firefox", "safari"]

# Seconds that a ceremony takes at most (the client's own limit).
LONGEST = 600.0


class Credential(dict[str, Any]):
    """What a page sends to its site: ``PublicKeyCredential.toJSON()``, as a dict.

    - ``text``: the same as text.
    - ``blinked``: the names of the keys that asked for a touch; ``touched``: of those of them that were touched.
    """

    def __init__(self, credential: Mapping[str, Any], blinked: Sequence[str], touched: Sequence[str]) -> None:
        super().__init__(credential)
        self.blinked = list(blinked)
        self.touched = list(touched)

    @property
    def text(self) -> str:
        return json.dumps(self)


class Client:
    """A page at an origin, as ``Keyrig.client`` opens one."""

    def __init__(self, keyrig: "Keyrig", page: dict[str, Any]) -> None:
        self._keyrig = keyrig
        self._page = page
        self.origin = str(page["origin"])

    def create(self, options: Options) -> Credential:
        """``navigator.credentials.create()``: registers a key. Raises Refused as a page's promise rejects."""
        return self.start_create(options).result()

    def get(self, options: Options) -> Credential:
        """``navigator.credentials.get()``: logs in with a key. Raises Refused as a page's promise rejects."""
        return self.start_get(options).result()

    def start_create(self, options: Options) -> "Ceremony":
        """The same as ``create``, without waiting for its end: for a test that touches keys by itself."""
        return Ceremony(self._keyrig, "create", {**self._page, "options": _read(options)})

    def start_get(self, options: Options) -> "Ceremony":
        """The same as ``get``, without waiting for its end: for a test that touches keys by itself."""
        return Ceremony(self._keyrig, "get", {**self._page, "options": _read(options)})


class Ceremony:
    """A ceremony that has begun."""

    def __init__(self, keyrig: "Keyrig", name: str, body: dict[str, Any]) -> None:
        self._keyrig = keyrig
        self._connection: HTTPConnection | None = None
        self._cancelled = False
        self._sent = Event()
        self._credential: Credential | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(name, body), name=f"keyrig {name}", daemon=True)
        self._thread.start()

    def _opened(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._sent.set()

    def _run(self, name: str, body: dict[str, Any]) -> None:
        try:
            answer = self._keyrig.ask("POST", f"client/{name}", body, waiting=LONGEST, opened=self._opened)
            names = ((answer.headers[header] or "").split(",") for header in ("Keyrig-Blinked", "Keyrig-Touched"))
            blinked, touched = ([name.strip() for name in some if name.strip()] for some in names)
            self._credential = Credential(answer.json, blinked, touched)
        except BaseException as error:
            self._error = error
        finally:
            self._sent.set()

    def done(self) -> bool:
        """Whether it is over."""
        return not self._thread.is_alive()

    def result(self, timeout: float | None = None) -> Credential:
        """Waits for its end, for as long as the options say, or for fewer seconds. Raises Refused, or TimeoutError."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the ceremony is not over after {timeout} s: no key was touched?")
        if self._cancelled:
            raise KeyrigError("the ceremony was cancelled by the test", "cancelled")
        if self._error:
            raise self._error
        assert self._credential is not None
        return self._credential

    def cancel(self) -> None:
        """Closes the page: keys that wait get CANCEL."""
        self._sent.wait()
        self._cancelled = True
        if self._connection:
            http.end(self._connection)
        self._thread.join()


def _read(options: Options) -> Mapping[str, Any]:
    read: object = options
    if isinstance(options, str | bytes | bytearray):
        try:
            read = json.loads(options)
        except ValueError as error:
            raise TypeError(f"the options are text, and no JSON: {error}: {options[:200]!r}") from None
    if not isinstance(read, Mapping):
        raise TypeError(
            f"the options are a {type(read).__name__}: give JSON, as text or as a mapping "
            "(PyPI's webauthn makes text of its objects by webauthn.options_to_json)"
        )
    return read
