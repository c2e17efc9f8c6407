"""Security keys made of software for load tests of WebAuthn logins with Locust: a key of its own for each user."""

import json
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

# Locust first, which changes what requests stands on.
import locust
import requests

__all__ = ["Credential", "Key", "Refused"]

# Seconds that a ceremony takes at most: the client's own limit, and some.
LONGEST = 630.0

# Options of a site: JSON as text or as a mapping, with or without {"publicKey": ..} around them.
Options = Mapping[str, Any] | str | bytes
# What a page sends to its site: PublicKeyCredential.toJSON().
Credential = dict[str, Any]


class Refused(Exception):
    """keyrig refused a ceremony, or a key. ``code`` is stable, ``details`` is the answer as it came."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        self.details = dict(details)
        self.code = str(details.get("code", ""))
        super().__init__(f"{self.code}: {details.get('reason') or details.get('message')}")


class Key:
    """A security key for a user of Locust, in the rack of ``keyrig exec`` (``KEYRIG_URL`` and ``KEYRIG_TOKEN``).

    The rack's touch policy has to be ``every``, so that each key is touched. Ceremonies are rows of Locust's statistics
    beside the site's, of type ``key``.
    """

    def __init__(self, user: locust.User, profile: str = "keyrig", pin: str | None = None) -> None:
        try:
            self._url, token = os.environ["KEYRIG_URL"], os.environ["KEYRIG_TOKEN"]
        except KeyError as missing:
            raise RuntimeError(
                f"{missing.args[0]} is not set: run 'keyrig exec --plug none --touch every -- locust …'"
            ) from None
        self._user = user
        self._pin = pin
        self._session = requests.Session()
        # What the machine says of proxies is for the site.
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.name = f"user-{uuid.uuid4().hex[:16]}"
        made = {"name": self.name, "profile": profile} | ({"pin": pin} if pin is not None else {})
        state = self._ask("POST", "keys", made)
        if state["touch"] != "every":
            self.remove()
            raise RuntimeError(
                f"the rack's touch policy is {state['touch']}, by which one key is touched and others wait: "
                "run 'keyrig exec --plug none --touch every -- locust …'"
            )

    def create(self, origin: str, options: Options) -> Credential:
        """``navigator.credentials.create()`` on a page of this origin: registers the key."""
        return self._ceremony("create", origin, options)

    def get(self, origin: str, options: Options) -> Credential:
        """``navigator.credentials.get()`` on a page of this origin: logs in with the key."""
        return self._ceremony("get", origin, options)

    def remove(self) -> None:
        """Takes the key out of the rack, with all that it keeps."""
        self._ask("DELETE", f"keys/{self.name}")
        self._session.close()

    def _ceremony(self, name: str, origin: str, options: Options) -> Credential:
        read = json.loads(options) if isinstance(options, str | bytes) else options
        body = {"origin": origin, "options": read, "on": [self.name]} | ({"pin": self._pin} if self._pin else {})
        began, error, credential = time.perf_counter(), None, None
        try:
            credential = self._ask("POST", f"client/{name}", body)
            return credential
        except Exception as raised:
            error = raised
            raise
        finally:
            self._user.environment.events.request.fire(
                request_type="key",
                name=name,
                response_time=(time.perf_counter() - began) * 1000,
                response_length=len(json.dumps(credential)) if credential else 0,
                exception=error,
                context={},
            )

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._session.request(method, f"{self._url}/v1/{path}", json=body, timeout=LONGEST)
        answer: dict[str, Any] = response.json()
        if not response.ok:
            raise Refused(answer["error"])
        return answer
