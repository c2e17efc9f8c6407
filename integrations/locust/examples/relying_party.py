"""Logins at 'keyrig rp serve': users that an administrator made, each with a password and a key of its own.

ROOT_PASSWORD is that of the administrator, root@pam.
"""

import os

from locust import HttpUser, constant, task
from locust_keyrig import Key

PASSWORD = "correct horse battery staple"


class Session:
    """A session of a user of the site, whose token goes with what changes something."""

    def __init__(self, http):
        self.http = http

    def post(self, path, body):
        with self.http.post(path, json=body, catch_response=True) as response:
            answer = response.json()
            if not response.ok:
                response.failure(f"{answer.get('code')}: {answer.get('reason')}")
                raise RuntimeError(f"{path}: {answer}")
        if answer and answer.get("session"):
            self.http.headers["X-CSRF-Token"] = answer["session"]["csrf_token"]
        return answer


class Employee(HttpUser):
    wait_time = constant(0)

    def on_start(self):
        self.key = Key(self)
        site = Session(self.client)
        site.post("/api/login", {"user": "root@pam", "password": os.environ["ROOT_PASSWORD"]})
        site.post("/api/session/confirm", {"password": os.environ["ROOT_PASSWORD"]})
        user = f"{self.key.name}@pve"
        site.post("/api/users", {"user": user, "role": "user", "password": PASSWORD})
        site.post("/api/login", {"user": user, "password": PASSWORD})
        site.post("/api/session/confirm", {"password": PASSWORD})
        asked = site.post("/api/factors/webauthn/begin", {})
        made = self.key.create(self.host, asked["options"])
        site.post("/api/factors/webauthn", {"challenge": asked["challenge"], "description": "key", "credential": made})
        self.user, self.site = user, site

    @task
    def log_in(self):
        self.client.cookies.clear()
        answer = self.site.post("/api/login", {"user": self.user, "password": PASSWORD})
        asked = answer["factors"]["webauthn"]
        credential = self.key.get(self.host, asked["options"])
        body = {"login": answer["login"], "challenge": asked["challenge"], "credential": credential}
        self.site.post("/api/login/webauthn", body)

    def on_stop(self):
        self.key.remove()
