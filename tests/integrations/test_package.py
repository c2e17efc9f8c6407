"""What scripts/package makes: what is in it, what Debian's linter says, and that it runs from there."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from conftest import TREE, bare, run

USUAL = {
    "bin/keyrig",
    "bin/keyrig-chromedriver",
    "bin/keyrig-geckodriver",
    "lib/systemd/user/keyrig.service",
    "share/bash-completion/completions/keyrig",
    "share/doc/keyrig/examples/70-keyrig.rules",
    "share/doc/keyrig/examples/lost-key.toml",
    "share/fish/vendor_completions.d/keyrig.fish",
}


@pytest.fixture(scope="module")
def packages(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a program that is there, without Rust."""
    into = tmp_path_factory.mktemp("packages")
    environment = bare(KEYRIG_PROGRAM=str(program), LEVEL="1")
    run([TREE / "scripts/package", "--into", into], env=environment)
    return into


@pytest.fixture(scope="module")
def deb(packages: Path) -> Path:
    (deb,) = packages.glob("*.deb")
    return deb


def test_the_tarball_has_all_under_one_directory_and_runs_from_there(packages: Path, tmp_path: Path) -> None:
    (tarball,) = packages.glob("*.tar.gz")
    with tarfile.open(tarball) as file:
        members = {member.name: member for member in file.getmembers()}
        file.extractall(tmp_path, filter="data")
    top = tarball.name.removesuffix(".tar.gz")
    assert {name.split("/")[0] for name in members} == {top}
    for name in {
        *USUAL,
        "share/man/man1/keyrig-exec.1",
        "share/zsh/site-functions/_keyrig",
        "share/doc/keyrig/LICENSE-MIT",
    }:
        assert f"{top}/{name}" in members, name
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    said = run([tmp_path / top / "bin/keyrig", "demo"], env={**bare(), "HOME": str(tmp_path)}).stdout
    assert "log in with the backup" in said


def test_the_readme_of_a_package_links_to_nothing_that_is_not_in_it(packages: Path, deb: Path, tmp_path: Path) -> None:
    run(["dpkg-deb", "--extract", deb, tmp_path])
    (tarball,) = packages.glob("*.tar.gz")
    run(["tar", "-xzf", tarball, "-C", tmp_path])
    readmes = sorted(tmp_path.rglob("share/doc/keyrig/README.md"))
    assert len(readmes) == 2  # noqa: PLR2004
    for readme in readmes:
        text = readme.read_text()
        assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
        assert "The book is made by `mdbook build docs`" in text
        assert "for key in (a, b):" in text


def test_its_help_is_what_stands_at_its_head() -> None:
    said = run([TREE / "scripts/package", "--help"], env=bare()).stdout
    assert said.startswith("Makes packages of keyrig: scripts/package [--into DIRECTORY]")
    assert "  oci       an image" in said and said.endswith("hard it is compressed, 1 to 9.\n")


def test_debians_linter_finds_nothing(deb: Path) -> None:
    # A machine's administrator is who runs tests here and there.
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", deb], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_deb_starts_and_enables_nothing_and_names_what_it_needs(deb: Path, tmp_path: Path) -> None:
    run(["dpkg-deb", "--extract", deb, tmp_path])
    run(["dpkg-deb", "--control", deb, tmp_path / "control"])
    assert {file.name for file in (tmp_path / "control").iterdir()} == {"control", "md5sums"}
    control = (tmp_path / "control/control").read_text()
    assert "libc6 (>= " in control and "libgcc-s1" in control, control
    files = {str(file.relative_to(tmp_path / "usr")) for file in (tmp_path / "usr").rglob("*") if not file.is_dir()}
    assert {*USUAL, "share/man/man1/keyrig-exec.1.gz", "share/zsh/vendor-completions/_keyrig"} <= files
    assert not list(tmp_path.rglob("*.wants")) and not list(tmp_path.rglob("*.preset"))
    assert not (tmp_path / "etc").exists(), "a rule for udev would be in force"


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man")
def test_man_shows_the_pages_and_finds_nothing_wrong_with_them(deb: Path, tmp_path: Path) -> None:
    run(["dpkg-deb", "--extract", deb, tmp_path])
    pages = sorted((tmp_path / "usr/share/man/man1").iterdir())
    assert len(pages) > 60  # noqa: PLR2004
    environment = {
        **bare(),
        "MANROFFSEQ": "",
        "MANWIDTH": "80",
        "LC_ALL": "C.UTF-8",
        "MANPATH": str(tmp_path / "usr/share/man"),
    }
    for page in ("keyrig", "keyrig-exec", "keyrig-chromedriver", "keyrig-rp-serve"):
        shown = run(["man", "--warnings", page], env=environment)
        assert "SYNOPSIS" in shown.stdout and shown.stderr == "", (page, shown.stderr)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_finds_nothing_wrong_with_the_unit_and_its_command_is_one(program: Path, tmp_path: Path) -> None:
    unit = (TREE / "scripts/packaging/keyrig.service").read_text()
    # There is no such program here where systemd looks.
    assert "\nExecStart=keyrig serve" in unit
    (tmp_path / "keyrig.service").write_text(unit.replace("ExecStart=keyrig", f"ExecStart={program}"))
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = run(
        ["systemd-analyze", "--user", "--man=no", "verify", tmp_path / "keyrig.service"], env={**bare(), **runtime}
    )
    assert done.stderr == ""
