"""What the tests of integrations/ share: packages that are made once, and environments that have nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent.parent
CACHE = TREE / ".cache/integrations"
# Seconds that a command may take.
LIMIT = 300


def run(command: Sequence[str | os.PathLike[str]], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command, and fails with all that it said."""
    arguments = {"capture_output": True, "text": True, "timeout": LIMIT, "cwd": TREE, **options}
    done = subprocess.run(command, check=False, **arguments)
    if done.returncode != 0:
        words = " ".join(map(os.fspath, command))
        pytest.fail(f"{words} ended with status {done.returncode}:\n{done.stdout}{done.stderr}", pytrace=False)
    return done


def bare(**more: str) -> dict[str, str]:
    """An environment with the system's programs alone: neither Rust nor a virtual environment is on PATH."""
    return {"PATH": "/usr/bin:/bin", "HOME": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1", **more}


@pytest.fixture(scope="session")
def program() -> Path:
    return Path(os.environ["KEYRIG_PROGRAM"])


@pytest.fixture(scope="session")
def without_network(program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a newcomer who has Rust and Python: an empty home, and what is there already.

    Nothing is fetched, and nothing compiled.
    """
    directory = tmp_path_factory.mktemp("newcomer")
    cargo = shutil.which("cargo")
    assert cargo, "there is no cargo"
    home, path = directory / "home", directory / "bin"
    home.mkdir()
    path.mkdir()
    (path / "cargo").symlink_to(TREE / "tests/integrations/cargo")
    built = directory / "keyrig"
    for name in ("keyrig", "keyrig-chromedriver", "keyrig-geckodriver"):
        run(["strip", "-o", directory / name, program.with_name(name)])
    rust = {name: os.environ[name] for name in ("CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN") if name in os.environ}
    rust.setdefault("CARGO_HOME", str(Path.home() / ".cargo"))
    rust.setdefault("RUSTUP_HOME", str(Path.home() / ".rustup"))
    return {
        **rust,
        "HOME": str(home),
        "PATH": f"{path}:{os.environ['PATH']}",
        "CARGO": str(path / "cargo"),
        "KEYRIG_CARGO": cargo,
        "KEYRIG_BUILT": str(built),
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_FIND_LINKS": str(CACHE / "wheels"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def as_its_readme_says(package: str, directory: Path, environment: dict[str, str], *but: str) -> Path:
    """Makes an environment by the two commands of a package's README, but for what is named."""
    readme = (TREE / "integrations" / package / "README.md").read_text()
    commands = readme.split("```\n")[1].splitlines()
    assert len(commands) == 2, commands  # noqa: PLR2004
    for command in commands:
        words = [word for word in command.split() if word not in but]
        run([f"{directory}/{word}" if word.split("/")[0] == "env" else word for word in words], env=environment)
    return directory / "env"


@pytest.fixture(scope="session")
def environment(without_network: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what the commands of the package's README put into it, and nothing else."""
    return as_its_readme_says("python", tmp_path_factory.mktemp("python"), without_network)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true, nothing is skipped: what a test needs is to be installed there."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{why}; with CI=true nothing is skipped"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In the words of cargo, which scripts/test counts."""
    stats = terminalreporter.stats
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    for report in stats.get("skipped", []):
        print(f"SKIPPED {report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}")
    verdict = "FAILED" if failed else "ok"
    print(f"test result: {verdict}. {len(stats.get('passed', []))} passed; {failed} failed", file=sys.stdout)
