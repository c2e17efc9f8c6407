"""The book in docs/: its commands are run from its text, its examples against a site, and includes are followed."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import CACHE, TREE, bare, run

BOOK = TREE / "docs/src"
PAGES = sorted(BOOK.rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INCLUDE = re.compile(r"\{\{#include ([^}]+)\}\}")


def name(page: Path) -> str:
    return str(page.relative_to(BOOK))


def commands(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page that are run, each with what it is to say: the block of text behind it, or nothing."""
    found = [(kind, text) for kind, text in BLOCK.findall(page.read_text()) if kind in ("sh", "text")]
    pairs = zip(found, [*found[1:], ("", "")], strict=False)
    return [(text, said if after == "text" else "") for (kind, text), (after, said) in pairs if kind == "sh"]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_do_what_the_page_says(page: Path, environment: Path, tmp_path: Path) -> None:
    """In one shell, in an empty directory that is the home too. `…` in what is said stands for anything, also lines."""
    blocks = commands(page)
    # By itself a command that is to fail does not end a shell by succeeding.
    blocks = [(re.sub(r"^(! .*)$", r"\1 || exit 99", text, flags=re.MULTILINE), said) for text, said in blocks]
    script = "set -euo pipefail\n" + "".join(
        f"{text}\nprintf '\\n%s\\n' '== {n}'\n" for n, (text, _) in enumerate(blocks)
    )
    path = f"{environment / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**bare(), "PATH": path, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    said = re.split(r"^== \d+\n", done.stdout, flags=re.MULTILINE)
    assert done.returncode == 0 and len(said) == len(blocks) + 1, done.stdout
    for (text, expected), output in zip(blocks, said, strict=False):
        pieces = [piece.strip() for piece in expected.split("…")]
        pattern = ".*".join(r"\s+".join(re.escape(word) for word in piece.split()) for piece in pieces if piece)
        assert re.search(pattern, output, re.DOTALL), f"{text}\nsays\n{output}\nand was to say\n{expected}"


@pytest.mark.parametrize(
    "command",
    [
        ["go", "test", "-count", "1", "docs/examples/login_test.go"],
        ["php", "docs/examples/LoginTest.php"],
    ],
    ids=["go", "php"],
)
def test_examples_pass_against_a_site_on_webauthn(program: Path, tmp_path: Path, command: list[str]) -> None:
    site = [CACHE / "venv/bin/python", TREE / "tests/service/site.py"]
    under = [program, "exec", "--quiet", "--plug", "none", "--key", "a=keyrig", "--key", "b=yubikey-5.7", "--"]
    # Modules are off: a file alone is a package.
    run([*under, *site, *command], env={**bare(), "HOME": str(tmp_path), "GO111MODULE": "off"})


def test_each_page_is_in_the_summary() -> None:
    listed = set(re.findall(r"\]\(([^)]+\.md)\)", (BOOK / "SUMMARY.md").read_text()))
    assert listed == {name(page) for page in PAGES} - {"SUMMARY.md"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_includes_are_there_and_bring_no_links_of_their_own(page: Path) -> None:
    """What is included lies elsewhere, so that what it links to relatively is not there."""
    for included in INCLUDE.findall(page.read_text()):
        file = (page.parent / included).resolve()
        assert file.is_file(), included
        if file.suffix == ".md":
            assert re.findall(r"\]\((?![a-z]+:|#)([^)]*)\)", file.read_text()) == []


def test_examples_that_are_shown_are_of_one_screen() -> None:
    for example in (TREE / "docs/examples").iterdir():
        assert len(example.read_text().splitlines()) <= 100, example  # noqa: PLR2004
