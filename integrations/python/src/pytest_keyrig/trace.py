"""What the keys of a rack were asked and answered, up to now."""

import json
import os
import secrets
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from pytest_keyrig import program
from pytest_keyrig.errors import KeyrigError

# Seconds within which what was heard is written.
WRITTEN = 20.0


class Trace:
    """The transcript of a rack, which is written a little later than it happens: so a word is given, and waited for.

    The rack writes into ``pipe``; what comes is kept in ``file``, but for such words.
    """

    def __init__(self, directory: Path) -> None:
        self.pipe = directory / "trace.pipe.jsonl"
        self.file = directory / "trace.jsonl"
        os.mkfifo(self.pipe, 0o600)
        self._changed = Condition()
        self._words: set[str] = set()
        self._ended = False
        # Both ends are opened here, so that neither the rack nor the thread waits for the other.
        self._read = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._held = os.open(self.pipe, os.O_WRONLY)
        os.set_blocking(self._read, True)
        self._thread = Thread(target=self._keep, name="keyrig trace", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        with os.fdopen(self._read, "rb") as pipe, self.file.open("wb", buffering=0) as file:
            for line in pipe:
                word = _word(line)
                if word is None:
                    file.write(line)
                    continue
                with self._changed:
                    self._words.add(word)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def up_to_now(self, say: Callable[[dict[str, Any]], object]) -> Path:
        """The file, with all that was heard before this was asked. ``say`` has the rack note something."""
        word = f"{PREFIX}{secrets.token_hex(8)}"
        say({"note": "answered", "id": word, "at_unix_ms": 0, "status": 200})
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended or word in self._words, WRITTEN) or self._ended:
                raise KeyrigError("the rack does not write its trace any more", "no-trace")
            self._words.discard(word)
        return self.file

    def close(self) -> None:
        """When the rack has ended: the rest of it is kept."""
        with suppress(OSError):
            os.close(self._held)
        self._thread.join()


PREFIX = "pytest-keyrig-"


def _word(line: bytes) -> str | None:
    if PREFIX.encode() not in line:
        return None
    event = json.loads(line)
    said = str(event.get("id"))
    return said if event.get("event") == "observed" and said.startswith(PREFIX) else None


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def show(file: Path, *how: str) -> str:
    """As 'keyrig trace' shows it."""
    shown = subprocess.run([program.find(), "trace", file, *how], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        raise KeyrigError(f"keyrig trace failed: {shown.stderr.strip()}", "no-trace")
    return shown.stdout
