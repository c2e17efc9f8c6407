"""A security key of a rack."""

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pytest_keyrig.rack import Keyrig

# A failed test shows its own lines, not the way from there to the error.
__tracebackhide__ = True


class Key:
    """A security key, as ``Keyrig.key`` makes one.

    What waits (``touch``, ``deny``, ``verify``, ``wait``) does so for ``timeout`` seconds, and raises KeyrigError
    (``timed-out``) then. With 0 it does not wait: the key waits for it already, or KeyrigError (``not-waiting``).
    """

    def __init__(self, keyrig: "Keyrig", name: str, profile: str) -> None:
        self._keyrig = keyrig
        self.name = name
        self.profile = profile

    def __repr__(self) -> str:
        return f"<Key {self.name}: {self.profile}>"

    def _ask(self, method: str, what: str = "", body: object = None, waiting: float = 0.0) -> Any:
        path = f"keys/{quote(self.name, safe='')}{what}"
        return self._keyrig.ask(method, path, body, waiting=waiting).json

    def _gesture(self, what: str, timeout: float, **more: object) -> None:
        body = {"wait": timeout > 0, **more}
        if timeout > 0:
            body["timeout_ms"] = round(timeout * 1000)
        self._ask("POST", what, body, timeout)

    def touch(self, timeout: float = 30.0) -> None:
        """Touches it as soon as it waits for that. For the policy ``manual``, and keys that the finger is not over."""
        self._gesture("/touch", timeout)

    def deny(self, timeout: float = 30.0) -> None:
        """Refuses at it as soon as it waits."""
        self._gesture("/deny", timeout)

    def verify(self, *, miss: bool = False, timeout: float = 30.0) -> None:
        """Touches a key that verifies its user itself, as the one whom it knows, or with ``miss`` as somebody else."""
        self._gesture("/verify", timeout, miss=miss)

    def wait(self, what: Literal["touch", "plugged", "attached"] = "touch", timeout: float = 30.0) -> None:
        """Waits until it asks for a touch, is plugged in, or a USB host has it."""
        self._ask("POST", "/wait", {"for": what, "timeout_ms": round(timeout * 1000)}, timeout)

    def plug(self) -> None:
        """Puts it back in."""
        self._ask("POST", "/plug")

    def unplug(self) -> None:
        """Pulls it out."""
        self._ask("POST", "/unplug")

    def power_cycle(self) -> None:
        """Pulls it out and puts it back in."""
        self._ask("POST", "/power-cycle")

    def reset(self) -> None:
        """Has it forget everything, without a touch."""
        self._ask("POST", "/reset")

    def remove(self) -> None:
        """Takes it out of the rack, with all that it keeps."""
        self._ask("DELETE")

    def state(self) -> dict[str, Any]:
        """How the rack lists it: whether it is plugged in, under the finger, for what it waits."""
        states = self._keyrig.ask("GET", "keys").json["keys"]
        found: dict[str, Any] = next((one for one in states if one["name"] == self.name), {})
        return found

    def snapshot(self) -> str:
        """All that it keeps, as text. Private keys are in it, unencrypted."""
        return str(self._ask("GET", "/snapshot")["snapshot"])

    def restore(self, snapshot: str) -> None:
        """Has it keep what a snapshot of a key of its profile holds, and nothing else."""
        self._ask("PUT", "/snapshot", {"snapshot": snapshot})

    def clone(self, name: str) -> "Key":
        """A second key that keeps what this one does, counters included, as an attacker's copy has them."""
        self._keyrig.check_name(name)
        self._ask("POST", "/clone", {"name": name})
        return Key(self._keyrig, name, self.profile)

    def set_pin(self, pin: str) -> None:
        """Sets its first PIN."""
        self._ask("POST", "/pin", {"pin": pin})

    def pin(self) -> dict[str, Any]:
        """Whether it has a PIN, and how many tries are left."""
        state: dict[str, Any] = self._ask("GET", "/pin")
        return state

    def credentials(self) -> list[dict[str, Any]]:
        """The credentials that it stores: discoverable ones, and imported ones."""
        listed: list[dict[str, Any]] = self._ask("GET", "/credentials")["credentials"]
        return listed

    def fault(self, fault: str) -> None:
        """Switches a fault on: something that goes wrong on purpose, written as ``keyrig faults`` says."""
        self._ask("POST", "/faults", {"fault": fault})

    def no_faults(self) -> None:
        """Switches all of its faults off."""
        self._ask("DELETE", "/faults", {})
