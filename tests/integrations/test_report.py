"""The page of 'keyrig run --html' in a browser."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import CACHE, TREE, run

# Its second step goes wrong: the key has its credential.
WRONG = """
[[key]]
name = "a"

[[step]]
register = "a"

[[step]]
name = "a login that nobody refuses"
login = "a"
expect = { refused-by = "authenticator", code = "no-credentials" }
"""


@pytest.fixture(scope="module")
def found(program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What there is to see on a page of a scenario that passes, of one with a matrix, and of one that fails."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "goes-wrong.toml").write_text(WRONG)
    names = ["second-key", "wrong-origins"]
    scenarios = [TREE / f"fixtures/scenarios/{name}.toml" for name in names]
    page = folder / "report.html"
    command = [program, "run", *scenarios, folder / "goes-wrong.toml", "--html", page]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "there is no Chromium"
    node = {**os.environ, "NODE_PATH": str(CACHE / "node_modules")}
    return json.loads(run(["node", TREE / "tests/integrations/report.cjs", page, chromium], env=node).stdout)


def test_the_page_asks_nobody_for_anything_and_axe_finds_nothing(found: dict) -> None:
    assert (found["errors"], found["requests"], found["violations"]) == ([], [], [])


def test_what_is_searched_for_is_all_that_is_seen_in_the_matrix_too(found: dict) -> None:
    everything = found["all"]
    assert sorted(everything["rows"]) == ["goes-wrong", "second-key", "wrong-origins"]
    assert found["SECOND-KEY"]["rows"] == ["second-key"]
    # One in front of each browser.
    assert len(found["SECOND-KEY"]["runs"]) == 2  # noqa: PLR2004
    # What was said in a transcript is found as well.
    assert "goes-wrong" in found["authenticatorGetAssertion"]["rows"]
    nothing = found["nobody has this word"]
    assert (nothing["runs"], nothing["rows"]) == ([], [])


def test_what_went_wrong_is_open_and_shown_alone_and_a_cell_of_the_matrix_opens_its_run(found: dict) -> None:
    wrong = found["wrong"]
    assert (wrong["rows"], len(wrong["runs"]), wrong["open"]) == (["goes-wrong"], 1, 1)
    assert found["closed"]["open"] == 0
    assert found["opened"]["open"] == len(found["all"]["runs"])
    assert found["clicked"]["open"] == 1
