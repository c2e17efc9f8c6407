#!/usr/bin/env python3
"""Logins per second at 'keyrig rp serve', by one master and two workers of Locust, and whose the processors' time was.

measure.py [SECONDS [USERS]], with keyrig and locust on PATH.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

WORKERS = 2
EXAMPLE = Path(__file__).parent / "examples/relying_party.py"


class Started:
    """A process that ends with the measurement at the latest."""

    def __init__(self, stack: ExitStack, whose: str, command: list[str | Path], **environment: str) -> None:
        self.whose = whose
        self._told = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=self._told
        )
        stack.callback(self._end)

    def _end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def announced(self) -> dict:
        """What a server of keyrig says when it listens."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit(f"{self.whose} did not start: {self.words()}")

    def ended(self, *, terminated: bool = False) -> float:
        """Waits for its end, and tells how many seconds of a processor it took."""
        if terminated:
            self.process.terminate()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0 and not terminated:
            sys.exit(f"{self.whose} ended with status {self.process.returncode}: {self.words()}")
        return usage.ru_utime + usage.ru_stime

    def words(self) -> str:
        self._told.seek(0)
        return self._told.read().decode(errors="replace")


def main(seconds: int = 30, users: int = 20) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        password, token = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        (directory / "password").write_text(password)
        serve = ["keyrig", "rp", "serve", "--json", "--listen", "localhost:0", "--state", directory / "site"]
        site = Started(stack, "the site", [*serve, "--initial-password", directory / "password"])
        url = site.announced()["url"]
        rack = ["keyrig", "serve", "--json", "--usbip", "none", "--http", "0", "--touch", "every"]
        controls = [f"unix:{directory}/{number}" for number in range(WORKERS)]
        racks = [Started(stack, "keys", [*rack, "--control", one], KEYRIG_TOKEN=token) for one in controls]

        locust = ["locust", "-f", EXAMPLE, "--loglevel", "WARNING"]
        how = ["--headless", "-u", str(users), "-r", str(users), "-t", f"{seconds}s", "-H", url, "--json"]
        count = ["--master", "--master-bind-host", "127.0.0.1", "--expect-workers", str(WORKERS)]
        master = Started(stack, "the master", [*locust, *count, *how])
        workers = [
            Started(
                stack,
                "workers",
                [*locust, "--worker"],
                ROOT_PASSWORD=password,
                KEYRIG_TOKEN=token,
                KEYRIG_URL=one.announced()["http"]["url"],
            )
            for one in racks
        ]
        assert master.process.stdout
        told = json.loads(master.process.stdout.read() or "[]")
        took = {master.whose: master.ended(), "workers": sum(one.ended() for one in workers)}
        took["keys"] = sum(one.ended(terminated=True) for one in racks)
        took["the site"] = site.ended(terminated=True)
    rows = {(row["method"], row["name"]): row for row in told}
    logins, keys = rows["POST", "/api/login/webauthn"], rows["key", "get"]
    # The first second and the last were not whole ones.
    each = sorted(logins["num_reqs_per_sec"].items(), key=lambda second: int(second[0]))[1:-1]
    print(f"{sum(count for _, count in each) / len(each):.1f} logins a second, over {len(each)} s with {users} users")
    print(f"{keys['total_response_time'] / keys['num_requests']:.1f} ms of each at the key")
    whole = sum(took.values())
    for whose, time in took.items():
        print(f"{time:6.1f} s of processor, {100 * time / whole:3.0f} %: {whose}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
