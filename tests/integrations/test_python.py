"""The pytest plugin and the wheel with the program, as somebody has them who followed the README."""

import os
import subprocess
from pathlib import Path

from conftest import CACHE, TREE, bare, run

PACKAGE = TREE / "integrations/python"


def test_the_program_is_beside_python_and_needs_nothing(environment: Path) -> None:
    assert run([environment / "bin/keyrig", "--version"], env=bare()).stdout.startswith("keyrig ")
    listed = run([environment / "bin/pip", "list", "--format", "freeze"], env=bare()).stdout.split()
    names = {line.partition("==")[0].lower().replace("_", "-") for line in listed}
    # pytest's own are the only ones that come along.
    assert names - {"pip", "setuptools"} == {
        *("keyrig", "pytest-keyrig"),
        *("pytest", "iniconfig", "packaging", "pluggy", "pygments"),
    }


def test_the_example_of_the_readme_passes_against_a_site_on_webauthn(
    environment: Path, without_network: dict[str, str]
) -> None:
    run([environment / "bin/pip", "install", "webauthn", "requests", "pytest-xdist"], env=without_network)
    site, example = TREE / "tests/service/site.py", PACKAGE / "examples/test_two_keys.py"
    command = [environment / "bin/python", site, environment / "bin/pytest", "-p", "no:cacheprovider", example]
    done = run(command, env=bare())
    assert "2 passed" in done.stdout, done.stdout


def test_the_example_fails_if_the_site_is_for_another_origin(environment: Path, tmp_path: Path) -> None:
    site = (TREE / "tests/service/site.py").read_text()
    other = tmp_path / "site.py"
    other.write_text(site.replace('"https://login.example.com"', '"https://www.example.com"'))
    example = PACKAGE / "examples/test_two_keys.py"
    command = [environment / "bin/python", other, environment / "bin/pytest", "-p", "no:cacheprovider", example]
    done = subprocess.run(command, env=bare(), capture_output=True, text=True, check=False, timeout=60)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "403" in done.stdout


def test_its_own_tests_pass(environment: Path, without_network: dict[str, str]) -> None:
    run([environment / "bin/pip", "install", "webauthn", "requests", "pytest-xdist"], env=without_network)
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    tests = [environment / "bin/pytest", "-p", "no:cacheprovider", "-q", "-n", "2", PACKAGE / "tests"]
    done = run(tests, env={**bare(), "PATH": path}, cwd=PACKAGE)
    print(done.stdout)
    assert " passed" in done.stdout


def test_types_are_right() -> None:
    mypy = [CACHE / "venv/bin/mypy", "--strict", "--cache-dir", os.devnull, "src/pytest_keyrig", "tests"]
    run(mypy, cwd=PACKAGE, env={**os.environ, "MYPYPATH": "src"})


def test_the_versions_are_those_of_the_workspace() -> None:
    cargo = (TREE / "Cargo.toml").read_text()
    version = cargo.split("[workspace.package]")[1].split('version = "')[1].split('"')[0]
    assert f'version = "{version}"' in (PACKAGE / "pyproject.toml").read_text()
