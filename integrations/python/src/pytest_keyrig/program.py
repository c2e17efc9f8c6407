"""The program keyrig: where it is, and how one that was started ends with its test."""

import json
import os
import select
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_keyrig.errors import KeyrigError

# Seconds within which a server says where it listens, and within which it ends.
START, END = 60.0, 20.0


def find() -> Path:
    """Where keyrig is: what ``KEYRIG`` names, or the one beside this Python, or the one on PATH."""
    named = os.environ.get("KEYRIG")
    if named:
        found = shutil.which(named)
        if not found:
            raise KeyrigError(f"KEYRIG is {named!r}, and no program is there", "no-program")
        return Path(found)
    # A virtual environment that was not activated is not on PATH.
    found = shutil.which("keyrig", path=sysconfig.get_path("scripts")) or shutil.which("keyrig")
    if not found:
        raise KeyrigError(
            "the program keyrig is neither beside this Python nor on PATH: 'pip install keyrig', or name it in KEYRIG",
            "no-program",
        )
    return Path(found)


class Server:
    """A keyrig that serves until it is stopped, or until this process is no more.

    It announces itself by a line of JSON on standard output. What it says on standard error is kept beside it.
    """

    def __init__(
        self, name: str, command: Sequence[str | os.PathLike[str]], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._told = directory / "stderr"
        with self._told.open("wb") as told:
            try:
                # Of a session of its own: an interrupt from the keyboard is for the tests, which then end this.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=told,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
            except OSError as error:
                raise KeyrigError(f"{os.fspath(command[0])} cannot be run: {error}", "no-program") from error
        try:
            self.announced = self._announcement()
        except BaseException:
            self._process.kill()
            self._close()
            raise

    def _announcement(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        output, line = self._process.stdout.fileno(), b""
        until = time.monotonic() + START
        while not line.endswith(b"\n"):
            if not select.select([output], [], [], max(0.0, until - time.monotonic()))[0]:
                raise KeyrigError(f"{self._name} did not say within {START:.0f} s where it listens: {line!r}")
            read = os.read(output, 65536)
            if not read:
                self._end_input()
                self._process.wait(END)
                raise KeyrigError(self.ended() or f"{self._name} says nothing")
            line += read
        try:
            announced = json.loads(line)
        except ValueError:
            announced = None
        if not isinstance(announced, dict):
            raise KeyrigError(f"{self._name} is not the keyrig that this plugin is for: it says {line!r}")
        return announced

    def words(self) -> str:
        """What it said on standard error, and of an error that it told as JSON the message."""
        text = self._told.read_text(errors="replace").strip()
        with suppress(ValueError, TypeError, KeyError):
            text = str(json.loads(text.splitlines()[-1] if text else "")["error"]["message"])
        return text

    def ended(self) -> str | None:
        """How it ended, if it did."""
        status = self._process.poll()
        if status is None:
            return None
        return f"{self._name} has ended with status {status}: {self.words() or 'it said nothing'}"

    def stop(self) -> None:
        """Ends it, and raises KeyrigError if it had ended before, or does not end as it should."""
        before = self.ended()
        self._end_input()
        try:
            status = self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise KeyrigError(f"{self._name} did not end within {END:.0f} s: {self.words()}") from None
        finally:
            self._close()
        if before:
            raise KeyrigError(before)
        if status != 0:
            raise KeyrigError(self.ended() or "")

    def _end_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _close(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
