"""Security keys made of software, and a browser's rules, for tests of WebAuthn logins: the pytest plugin of keyrig.

The fixture ``keyrig`` is a rack of keys (:class:`Keyrig`), ``relying_party`` a site (:class:`RelyingParty`).
"""

from pytest_keyrig.client import Browser, Ceremony, Client, Credential, Options
from pytest_keyrig.errors import KeyrigError, Refused
from pytest_keyrig.key import Key
from pytest_keyrig.rack import Keyrig
from pytest_keyrig.relying_party import RelyingParty, Session, User

__all__ = [
    "Browser",
    "Ceremony",
    "Client",
    "Credential",
    "Key",
    "Keyrig",
    "KeyrigError",
    "Options",
    "Refused",
    "RelyingParty",
    "Session",
    "User",
]
