"""What goes wrong, in keyrig's words."""

from collections.abc import Mapping
from typing import Any


class KeyrigError(Exception):
    """keyrig could not do what it was asked for.

    ``code`` is stable (``keyrig explain CODE`` tells of those of a browser's client), ``message`` is for people.
    """

    def __init__(self, message: str, code: str = "keyrig") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message


class Refused(KeyrigError):
    """A ceremony or a login was refused.

    - ``refused_by``: ``client`` (the browser), ``authenticator`` (a key), ``relying_party`` (the site of the fixture).
    - ``name`` and ``message``: of the exception that a page catches; a relying party has no name.
    - ``reason``: the cause, which a browser keeps to itself; ``what_to_do``: what would mend it, if that is known.
    - ``details``: the answer as it came, with ``report`` or ``report_id`` of a relying party.
    """

    def __init__(self, details: Mapping[str, Any]) -> None:
        reason = str(details.get("reason", ""))
        super().__init__(str(details.get("message", reason)), str(details.get("code", "")))
        self.details = dict(details)
        self.name: str | None = details.get("name")
        self.refused_by = str(details.get("refused_by", ""))
        self.reason = reason
        self.what_to_do: str | None = details.get("what_to_do")

    def __reduce__(self) -> tuple[type["Refused"], tuple[dict[str, Any]]]:
        return (Refused, (self.details,))

    def __str__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        lines = [f"{name}{self.message}", f"refused by the {self.refused_by.replace('_', ' ')}: {self.code}"]
        if self.reason != self.message:
            lines[1] += f": {self.reason}"
        if self.what_to_do:
            lines.append(f"what to do: {self.what_to_do}")
        return "\n".join(lines)
