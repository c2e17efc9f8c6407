"""Load on a site by keys of software, with Locust, distributed as its README says."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CACHE, TREE, as_its_readme_says, bare, run

PACKAGE = TREE / "integrations/locust"
USERS, WORKERS = 4, 2


@pytest.fixture(scope="module")
def installed(without_network: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The program is the one that is there: the other package's environment shows that its wheel can be installed.
    return as_its_readme_says("locust", tmp_path_factory.mktemp("locust"), without_network, "./integrations/wheel")


@pytest.fixture
def site() -> Iterator[str]:
    command = [sys.executable, TREE / "tests/integrations/many_users.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().decode().strip()
        process.stdin.close()


def test_the_readme_shows_the_example_as_it_is_run() -> None:
    example = (PACKAGE / "examples/locustfile.py").read_text()
    assert f"```python\n{example}```" in (PACKAGE / "README.md").read_text()
    assert len(example.splitlines()) <= 25  # noqa: PLR2004


def test_two_workers_log_in_without_a_failure(installed: Path, program: Path, site: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    locust = [installed / "bin/locust", "-f", PACKAGE / "examples/locustfile.py", "--loglevel", "WARNING"]
    counts = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2"]
    load = ["--headless", "-u", str(USERS), "-r", str(USERS), "-t", "4s", "-H", site, "--json"]
    under = [program, "exec", "--quiet", "--plug", "none", "--touch", "every", "--"]
    worker = [*under, *locust, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": bare()}
    workers = [subprocess.Popen(worker, **piped) for _ in range(WORKERS)]
    try:
        told = run([*locust, *counts, *load], env=bare(), timeout=60).stdout
        said = [process.communicate(timeout=30)[0].decode() for process in workers]
    finally:
        for process in workers:
            process.kill()
            process.wait()
    assert [process.returncode for process in workers] == [0] * WORKERS, said
    rows = {(row["method"], row["name"]): row for row in json.loads(told)}
    assert [row["num_failures"] for row in rows.values()] == [0] * len(rows), told
    assert rows["POST", "/register"]["num_requests"] == USERS
    assert rows["key", "create"]["num_requests"] == USERS
    assert rows["POST", "/login"]["num_requests"] > USERS
    assert rows["key", "get"]["num_requests"] >= rows["POST", "/login"]["num_requests"]


@pytest.mark.parametrize(
    ("under", "words"),
    [
        ([], "KEYRIG_URL is not set: run 'keyrig exec --plug none --touch every -- locust"),
        (["exec", "--quiet", "--plug", "none", "--"], "the rack's touch policy is auto"),
        (["exec", "--quiet", "--plug", "none", "--touch", "every", "--"], "unknown-profile: no profile is called"),
    ],
)
def test_what_is_missing_is_told(installed: Path, program: Path, under: list[str], words: str) -> None:
    script = "from locust_keyrig import Key; Key(None, 'yubikey-9' if 'every' in __import__('sys').argv else 'keyrig')"
    command = [installed / "bin/python", "-c", script, *under]
    done = subprocess.run(
        [*([program, *under] if under else []), *command], env=bare(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert words in done.stderr, done.stderr


def test_types_are_right() -> None:
    mypy = [CACHE / "venv/bin/mypy", "--strict", "--cache-dir", os.devnull, "src/locust_keyrig"]
    run(mypy, cwd=PACKAGE)
