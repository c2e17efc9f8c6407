"""What schemathesis is told of a relying party: who asks, and what there is to be asked about.

The site is at SITE, and PASSWORD is root@pam's. Whoever asks is an administrator who was made for it: another one
whenever the session of the last one is over, as some requests are for that. root@pam, and the realm that these are of,
are left alone.
"""

import itertools
import os
import time

import requests
import schemathesis

SITE, PASSWORD = os.environ["SITE"], os.environ["PASSWORD"]
ALICE = {"user": "alice@pve", "role": "user", "password": PASSWORD}
CLIENT_ERROR = 400
LASTS = 240
numbers = itertools.count()


class Administrator:
    """A session in which the password was given again."""

    def __init__(self, user):
        self.browser = requests.Session()
        session = self.call("post", "/api/login", {"user": user, "password": PASSWORD}).json()["session"]
        self.headers = {"X-CSRF-Token": session["csrf_token"]}
        self.browser.headers.update(self.headers)
        self.confirmed = -LASTS
        self.confirm()

    def confirm(self):
        """The password is good for changes for five minutes."""
        if time.monotonic() - self.confirmed >= LASTS:
            self.call("post", "/api/session/confirm", {"password": PASSWORD}).raise_for_status()
            self.confirmed = time.monotonic()

    def add(self, user):
        self.confirm()
        return self.call("post", "/api/users", user)

    def call(self, method, path, body=None):
        return self.browser.request(method, SITE + path, json=body, timeout=40)

    def listed(self, path, member):
        """What members are called in a list; None if there is none."""
        found = [one[member] for one in self.call("get", path).json() if one[member]]
        return found[-1] if found else None


root = Administrator("root@pam")
root.add(ALICE).raise_for_status()
# A report to be looked up.
requests.post(SITE + "/api/login", json={"user": ALICE["user"], "password": "wrong"}, timeout=40)


asking = {}


def administrator():
    """Whoever asks."""
    if "now" not in asking or not asking["now"].call("get", "/api/session").ok:
        user = f"judge{next(numbers)}@pam"
        root.add({**ALICE, "user": user, "role": "administrator"}).raise_for_status()
        asking["now"] = Administrator(user)
    asking["now"].confirm()
    return asking["now"]


@schemathesis.auth(refresh_interval=None)
class Asking:
    def get(self, _case, _context):
        return administrator()

    def set(self, case, who, _context):
        case.cookies = {**(case.cookies or {}), **who.browser.cookies.get_dict()}
        case.headers = {**(case.headers or {}), **who.headers}


def there_is(path):
    """What a part of a path can be for there to be something."""
    listed = {
        "/api/factors/{id}": ("/api/factors", "id"),
        "/api/sessions/{id}": ("/api/sessions", "id"),
        "/api/users/{user}/sessions/{id}": ("/api/users/alice@pve/sessions", "id"),
        "/api/reports/{id}": ("/api/events", "report_id"),
    }
    found = {"user": ALICE["user"], "realm": "pve"}
    if path in listed:
        found["id"] = administrator().listed(*listed[path])
    return found


@schemathesis.hook
def before_call(_, case, *__):
    """Of what fits its schema, about half is about something that is there."""
    is_right = case.meta is not None and case.meta.generation.mode.value == "positive"
    if is_right and case.path_parameters and len(str(case.path_parameters)) % 2 == 0:
        there = there_is(case.path)
        case.path_parameters = {name: there.get(name) or value for name, value in case.path_parameters.items()}
    if case.path_parameters and case.path_parameters.get("realm") == "pam":
        case.path_parameters["realm"] = "pve"
    if case.path_parameters and str(case.path_parameters.get("user")).endswith("@pam"):
        case.path_parameters["user"] = ALICE["user"]
    if is_right and case.path == "/api/users" and case.method == "POST" and len(case.body["user"]) % 2 == 0:
        case.body["user"] = case.body["user"].rpartition("@")[0] + "@pve"


@schemathesis.hook
def after_call(_, case, response):
    """Who was deleted is there again."""
    if case.method == "DELETE" and case.path == "/api/users/{user}" and response.status_code < CLIENT_ERROR:
        root.add(ALICE).raise_for_status()
