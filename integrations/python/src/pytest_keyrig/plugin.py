"""What pytest sees: fixtures, markers, and the trace of a test that failed."""

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_keyrig import program, rack, relying_party
from pytest_keyrig.errors import KeyrigError
from pytest_keyrig.rack import Keyrig
from pytest_keyrig.relying_party import RelyingParty

# Lines of the trace that a failed test shows: the last.
SHOWN = 120

MARKERS = {
    "keyrig": "keyrig(touch=POLICY): what the finger does: auto, manual, deny, every or after=MILLISECONDS",
    "relying_party": "relying_party(config=TOML): the settings of the relying party, as 'keyrig rp serve' has them",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("keyrig").addoption(
        "--keyrig-traces",
        metavar="DIR",
        type=Path,
        default=os.environ.get("KEYRIG_TRACES") or None,
        help="keep what keys were asked in tests that failed, as files of 'keyrig trace' (or set KEYRIG_TRACES)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS.values():
        config.addinivalue_line("markers", line)


def pytest_report_header() -> str:
    try:
        return f"keyrig: {program.find()}"
    except KeyrigError as error:
        return f"keyrig: {error}"


@contextmanager
def _directory() -> Iterator[Path]:
    # Not pytest's own: the path of a socket has at most 108 bytes.
    with tempfile.TemporaryDirectory(prefix="keyrig-") as directory:
        yield Path(directory)


def _marked(request: pytest.FixtureRequest, name: str, member: str) -> str | None:
    """What the nearest marker of this name says."""
    marker = request.node.get_closest_marker(name)
    if marker is None:
        return None
    if marker.args or set(marker.kwargs) != {member} or not isinstance(marker.kwargs[member], str):
        pytest.fail(f"the marker {name} is written {MARKERS[name].partition(':')[0]}", pytrace=False)
    return str(marker.kwargs[member])


@contextmanager
def _in_its_words() -> Iterator[None]:
    """What keyrig says when it cannot begin or end is told without the way there."""
    try:
        yield
    except KeyrigError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None


@contextmanager
def _rack(config: pytest.Config) -> Iterator[Keyrig]:
    url, token = os.environ.get("KEYRIG_URL"), os.environ.get("KEYRIG_TOKEN")
    if url and token:
        if hasattr(config, "workerinput"):
            raise KeyrigError(
                "KEYRIG_URL names one rack, as under 'keyrig exec', and workers cannot share its keys: "
                "run pytest without -n there, or elsewhere, where each test has a rack of its own"
            )
        with rack.shared(url, token) as keyrig:
            yield keyrig
    else:
        with _directory() as directory, rack.own(directory) as keyrig:
            yield keyrig


@pytest.fixture
def keyrig(request: pytest.FixtureRequest) -> Iterator[Keyrig]:
    """A rack of security keys for this test, empty at first.

    Under ``keyrig exec`` it is the rack there, whose keys a browser in the test finds; else a program of its own.
    """
    touch = _marked(request, "keyrig", "touch")
    with _in_its_words(), _rack(request.config) as keyrig:
        if touch is not None:
            keyrig.touch_policy(touch)
        yield keyrig


@pytest.fixture(name="relying_party")
def _site(request: pytest.FixtureRequest) -> Iterator[RelyingParty]:
    """A site to log in to by password and security keys, for this test."""
    config = _marked(request, "relying_party", "config")
    with _in_its_words(), _directory() as directory, relying_party.serve(directory, config) as site:
        yield site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    keyrig = getattr(item, "funcargs", {}).get("keyrig")
    if report.failed and report.when != "teardown" and isinstance(keyrig, Keyrig):
        try:
            report.sections.append(("what the keys were asked", _told(item, keyrig)))
        except (KeyrigError, OSError) as error:
            report.sections.append(("what the keys were asked is not to be had", str(error)))
    return report


def _told(item: pytest.Item, keyrig: Keyrig) -> str:
    lines = keyrig.trace_text().splitlines()
    left_out = [f"… {len(lines) - SHOWN} lines before"] if len(lines) > SHOWN else []
    told = [*left_out, *lines[-SHOWN:], *keyrig.explain().splitlines()]
    directory = item.config.getoption("--keyrig-traces")
    if directory:
        kept = Path(directory)
        kept.mkdir(parents=True, exist_ok=True)
        kept /= f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', item.nodeid)[-200:]}.jsonl"
        shutil.copyfile(keyrig.trace_file(), kept)
        told.append(f"kept as {kept}")
    return "\n".join(told)
