"""Keys in the browser of Playwright's tests: the package as its README says, in front of a site on PyPI's webauthn."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CACHE, TREE, bare, run
from test_book import FRONTEND, do_what_it_says

PACKAGE = TREE / "integrations/playwright"
CONFIG = """export default {{
  timeout: 60_000,
  reporter: 'list',
  use: {{ launchOptions: {{ executablePath: '{chromium}' }} }},
}};
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("there is no Chromium")
    return found


@pytest.fixture(scope="module")
def project(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the commands of the README put into it. What comes from npm is there already."""
    directory = tmp_path_factory.mktemp("playwright")
    (directory / "package.json").write_text('{"private": true}')
    (directory / "playwright.config.mjs").write_text(CONFIG.format(chromium=chromium))
    commands = (PACKAGE / "README.md").read_text().split("```\n")[1].splitlines()
    assert len(commands) == 2, commands  # noqa: PLR2004
    here = {"./integrations/playwright": PACKAGE, "@playwright/test": CACHE / "node_modules/@playwright/test"}
    offline = {"npm_config_offline": "true", "npm_config_cache": str(directory / "cache"), "HOME": str(directory)}
    for command in commands:
        words = [str(here.get(word, word)) for word in command.split()]
        run(words, cwd=directory, env={**os.environ, **offline, "npm_config_ignore_scripts": "true"})
    for spec in (*PACKAGE.glob("example/*.js"), *PACKAGE.glob("test/*.js")):
        shutil.copy(spec, directory)
    return directory


@pytest.fixture
def site() -> Iterator[str]:
    command = [sys.executable, TREE / "tests/integrations/page_site.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().decode().strip()
        process.stdin.close()


def playwright(project: Path, site: str, keyrig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**bare(), "HOME": str(project), "KEYRIG": str(keyrig), "SITE": site}
    command = [shutil.which("node") or "node", CACHE / "node_modules/@playwright/test/cli.js", "test", *words]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=180
    )


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["two-keys"], 2),
        (["keyrig.spec", "shows", "--grep-invert", "@fails|@denied|@none|@pin", "--workers", "2"], 8),
    ],
    ids=["example", "own tests"],
)
def test_they_pass_in_chromium(project: Path, site: str, program: Path, words: list[str], passed: int) -> None:
    done = playwright(project, site, program, *words)
    assert done.returncode == 0 and f"{passed} passed" in done.stdout, done.stdout + done.stderr


def test_the_example_and_the_own_tests_pass_by_the_page_script(
    project: Path, chromium: str, site: str, program: Path
) -> None:
    """In Chromium, which finds no key itself. Other engines get the same script, in Playwright's builds."""
    config = CONFIG.format(chromium=chromium).replace("use: {", "use: { webauthn: 'page',")
    (project / "page.config.mjs").write_text(config)
    words = ["two-keys", "keyrig.spec", "--grep-invert", "@fails|@denied|@none|@pin", "--config", "page.config.mjs"]
    done = playwright(project, site, program, *words)
    assert done.returncode == 0 and "8 passed" in done.stdout, done.stdout + done.stderr


def test_a_test_that_fails_has_what_the_keys_were_asked(project: Path, site: str, program: Path) -> None:
    done = playwright(project, site, program, "keyrig.spec", "--grep", "@fails", "--reporter", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    [suite] = json.loads(done.stdout)["suites"]
    [result] = suite["specs"][0]["tests"][0]["results"]
    [attached] = [one for one in result["attachments"] if one["name"] == "what the keys were asked"]
    text = base64.b64decode(attached["body"]).decode()
    assert re.search(r"asked +authenticatorMakeCredential +localhost +CTAP2_OK", text), text


def test_a_test_that_fails_has_who_said_no_where_reporters_cut_the_rest_off(
    project: Path, site: str, program: Path
) -> None:
    """And nothing of what went wrong, as it was to, in a test before it."""
    done = playwright(project, site, program, "keyrig.spec", "--grep", "@denied", "--workers", "1")
    assert done.returncode == 1 and "1 passed" in done.stdout, done.stdout + done.stderr
    shown = done.stdout.split("what the keys were asked (text/plain)")[1].split("...")[0]
    assert re.match(
        r"[ \u2500]+create\(\) for localhost failed: key lost blinked .* its user refused", " ".join(shown.split())
    )
    assert "key first" not in shown, shown


def test_a_test_in_which_no_key_is_asked_says_so_first(project: Path, site: str, program: Path) -> None:
    done = playwright(project, site, program, "keyrig.spec", "--grep", "@none")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "In this test no key was asked for a credential:" in done.stdout


def test_who_waits_for_a_pin_in_a_window_that_is_not_shown_is_told(project: Path, site: str, program: Path) -> None:
    done = playwright(project, site, program, "keyrig.spec", "--grep", "@pin", "--reporter", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    [suite] = json.loads(done.stdout)["suites"]
    [result] = suite["specs"][0]["tests"][0]["results"]
    [attached] = [one for one in result["attachments"] if one["name"] == "what the keys were asked"]
    text = base64.b64decode(attached["body"]).decode()
    assert "answered getPINRetries, and was asked nothing more" in " ".join(text.split()), text
    assert "A headless browser has no such window" in " ".join(text.split()), text


def test_under_another_keyrig_exec_they_say_that_it_is_to_be_left_out(project: Path, site: str, program: Path) -> None:
    environment = {**bare(), "HOME": str(project), "KEYRIG": str(program), "SITE": site}
    cli = [shutil.which("node") or "node", CACHE / "node_modules/@playwright/test/cli.js", "test", "two-keys"]
    command = [program, "exec", "--quiet", "--", *cli]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "KeyrigError: these tests run under a 'keyrig exec'" in done.stdout, done.stdout


@pytest.mark.parametrize("policy", ["proxmox-9", "strict-l3"])
def test_the_tutorial_comes_to_green_as_it_is_typed(
    project: Path, chromium: str, program: Path, tmp_path: Path, policy: str
) -> None:
    """With the packages that are there, at a free port; under another policy with what the page says of such."""
    (tmp_path / "node_modules").symlink_to(project / "node_modules")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = FRONTEND.read_text()
    [confirmed] = re.findall(r"^```js\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    click = "  await page.getByRole('button', { name: 'Security key' }).click();\n"
    assert text.count(click) == 1
    if policy != "proxmox-9":
        text = text.replace(click, click + confirmed).replace("proxmox-9", policy)
    page = tmp_path / "frontend.md"
    page.write_text(text.replace("8006", str(port)).replace("/usr/bin/chromium", chromium))
    path = f"{program.parent}:/usr/bin:/bin"
    do_what_it_says(page, tmp_path, {**bare(), "HOME": str(tmp_path), "PATH": path, "npm_config_offline": "true"})


def test_a_browser_that_is_not_there_is_told_with_how_to_get_one(project: Path, site: str, program: Path) -> None:
    config = CONFIG.format(chromium="/nowhere/chromium")
    (project / "nowhere.config.mjs").write_text(config)
    done = playwright(project, site, program, "two-keys", "--config", "nowhere.config.mjs")
    assert done.returncode == 1
    assert "there is no browser at /nowhere/chromium: 'npx playwright install chromium' fetches" in done.stdout


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        ("browserName: 'firefox'", "there is no browser at /nowhere/firefox: 'npx playwright install firefox' fetches"),
        ("browserName: 'webkit', webauthn: 'hid'", "'page', or in Chromium 'hid': this project has hid, and webkit"),
    ],
)
def test_a_browser_that_finds_no_keys_as_on_usb_has_the_script_alone(
    project: Path, site: str, program: Path, browser: str, words: str
) -> None:
    config = CONFIG.format(chromium="/nowhere/firefox").replace("use: {", f"use: {{ {browser},")
    (project / "other.config.mjs").write_text(config)
    done = playwright(project, site, program, "two-keys", "--config", "other.config.mjs")
    assert done.returncode == 1
    assert words in done.stdout


def test_a_program_that_is_not_there_is_told(project: Path, site: str) -> None:
    done = playwright(project, site, Path("/nowhere/keyrig"), "two-keys")
    assert done.returncode == 1
    assert "/nowhere/keyrig cannot be run (put keyrig on PATH, or name it in KEYRIG)" in done.stdout


def test_types_are_right(project: Path) -> None:
    """The compiler's word, also on mistakes that it has to see."""
    (project / "node_modules/@types").mkdir(exist_ok=True)
    link = project / "node_modules/@types/node"
    if not link.exists():
        link.symlink_to(CACHE / "node_modules/@types/node")
    how = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "types.ts"]
    shutil.copy(PACKAGE / "test/types.ts", project)
    run([CACHE / "node_modules/.bin/tsc", *how], cwd=project)


def test_the_readme_shows_the_example_as_it_is_run() -> None:
    example = (PACKAGE / "example/two-keys.spec.js").read_text()
    assert f"```js\n{example}```" in (PACKAGE / "README.md").read_text()
    assert len(example.splitlines()) <= 25  # noqa: PLR2004
