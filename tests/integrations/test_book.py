"""README and the book: commands are run from their text, examples against a site, and includes are followed."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import CACHE, TREE, bare, run

README = TREE / "README.md"
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


def do_what_it_says(page: Path, directory: Path, environment: dict[str, str]) -> None:
    """Runs the page's commands in one shell. `…` in what is said stands for anything, also lines."""
    blocks = commands(page)
    # By itself a command that is to fail does not end a shell by succeeding.
    blocks = [(re.sub(r"^(! .*)$", r"\1 || exit 99", text, flags=re.MULTILINE), said) for text, said in blocks]
    script = "set -euo pipefail\n" + "".join(
        f"{text}\nprintf '\\n%s\\n' '== {n}'\n" for n, (text, _) in enumerate(blocks)
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
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


# This one's are run in an environment of Node, by test_playwright.py.
FRONTEND = BOOK / "tutorials/frontend.md"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page) and page != FRONTEND], ids=name)
def test_commands_do_what_the_page_says(page: Path, environment: Path, tmp_path: Path) -> None:
    """In a directory that is the home too, and has nothing but the environment of Python that pages make as `env`."""
    (tmp_path / "env").symlink_to(environment)
    path = f"{environment / 'bin'}:/usr/bin:/bin"
    do_what_it_says(page, tmp_path, {**bare(), "PATH": path, "HOME": str(tmp_path)})


def test_a_newcomer_with_a_checkout_and_an_empty_home_can_type_what_the_readme_says(
    without_network: dict[str, str], tmp_path: Path
) -> None:
    checkout, installed = tmp_path / "keyrig", tmp_path / "installed"
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    for file in filter(None, listed.split("\0")):
        if (TREE / file).is_file():
            (checkout / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TREE / file, checkout / file)
    home = tmp_path / "home"
    home.mkdir()
    path = f"{installed}/bin:{without_network['PATH']}"
    newcomer = {**without_network, "HOME": str(home), "PATH": path, "CARGO_INSTALL_ROOT": str(installed)}
    do_what_it_says(README, checkout, newcomer)
    assert (installed / "bin/keyrig").exists(), "the README does not install it"


def test_the_readme_is_short_and_shows_the_example_that_is_run() -> None:
    text = README.read_text()
    lines = text.splitlines()
    assert len(lines) <= 130  # noqa: PLR2004
    assert "Linux" in lines[4], "its fifth line says the platforms"
    example = (TREE / "integrations/python/examples/test_two_keys.py").read_text()
    assert f"```python\n{example}```" in text


@pytest.mark.parametrize(
    ("language", "command", "said"),
    [
        ("go", ["go", "test", "-v"], "--- PASS: TestASecondKeyReplacesALostOne"),
        ("php", ["phpunit", "--bootstrap", "Keyrig.php", "LoginTest.php"], "OK (2 tests"),
    ],
    ids=["go", "php"],
)
def test_examples_pass_against_a_site_on_webauthn(
    program: Path, tmp_path: Path, language: str, command: list[str], said: str
) -> None:
    """In a directory that has what the page shows, and nothing else."""
    page = (BOOK / f"languages/{language}.md").read_text()
    for file in INCLUDE.findall(page):
        shutil.copy(BOOK / "languages" / file, tmp_path)
    environment = {**bare(), "HOME": str(tmp_path)}
    if language == "go":
        run(["go", "mod", "init", "example.com/login"], cwd=tmp_path, env=environment)
        assert run(["gofmt", "-l", "."], cwd=tmp_path).stdout == ""
    site = [CACHE / "venv/bin/python", TREE / "tests/service/site.py"]
    under = [program, "exec", "--quiet", "--plug", "none", "--key", "a=keyrig", "--key", "b=yubikey-5.7", "--"]
    done = run([*under, *site, *command], cwd=tmp_path, env=environment)
    assert said in done.stdout, done.stdout


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


# A page that is another document: which, and that.
IS_ANOTHER = re.compile(r"\AThis page is \[([^\]]+)\]\(([^)]+)\)\.\n\n\{\{#include \2\}\}\n\Z")


def test_a_page_that_is_another_document_leads_there_and_no_link_leads_to_such_a_page() -> None:
    """Who reads without mdBook sees what a page says of itself, and not what it includes."""
    others = {}
    for page in PAGES:
        text = page.read_text()
        if not re.sub(r"\{\{#include [^}]+\.md\}\}", "", text).strip() or text.startswith("This page is ["):
            found = IS_ANOTHER.match(text)
            assert found, page
            others[page] = (page.parent / found[2]).resolve()
            assert others[page] == TREE / found[1], page
    assert len(others) == sum(1 for page in PAGES if re.search(r"\{\{#include [^}]+\.md\}\}", page.read_text()))
    documents = [TREE / file for file in run(["git", "ls-files", "*.md"]).stdout.split()]
    led_astray = []
    for document in {*documents, *PAGES} - {BOOK / "SUMMARY.md", *others}:
        text = document.read_text()
        for link in re.findall(r"\]\(([^)#:\s]+\.md)(?:#[^)\s]*)?\)", text):
            to = (document.parent / link).resolve()
            led_astray += [f"{document.relative_to(TREE)}: {link}"] if to in others or not to.is_file() else []
    assert led_astray == []


# What a test is written with in a language, copied once; all else in docs/examples are tests.
HELPERS = ("Keyrig.java", "Keyrig.php", "Keyrig.cs", "keyrig_test.go", "keyrig.mjs")


def test_examples_that_are_shown_are_of_twenty_five_lines_and_no_line_is_cut() -> None:
    examples = [file for file in (TREE / "docs/examples").rglob("*") if file.is_file()]
    assert {example.name for example in examples} > set(HELPERS)
    examples += [BOOK / shown for shown in INCLUDE.findall((BOOK / "index.md").read_text())]
    for example in examples:
        lines = example.read_text().expandtabs(4).splitlines()
        assert len(lines) <= (160 if example.name in HELPERS else 25), example
        assert max(map(len, lines)) <= 100, example  # noqa: PLR2004


@pytest.fixture(scope="module")
def book(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As mdBook makes it, with pages of reference of what the program says."""
    built = tmp_path_factory.mktemp("book")
    path = f"{CACHE / 'venv/bin'}:/usr/bin:/bin"
    environment = {**bare(), "PATH": path, "HOME": str(built), "KEYRIG_PROGRAM": str(program)}
    done = run(["mdbook", "build", "--dest-dir", built / "html", "docs"], env={**os.environ, **environment})
    assert "WARN" not in done.stderr and "ERROR" not in done.stderr, done.stderr
    return built / "html"


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.names.add(value)


def test_a_link_to_a_document_that_is_a_page_leads_to_that_page(book: Path) -> None:
    scale = Page((book / "how-to/scale.html").read_text())
    assert "load.html" in scale.links
    text = (book / "how-to/load.html").read_text()
    assert "This page is" not in text and "<h1" in text


def test_no_link_of_the_book_as_it_is_built_leads_nowhere(book: Path) -> None:
    pages = {file: Page(file.read_text()) for file in book.rglob("*.html") if file.name != "toc.html"}
    assert len(pages) > len(PAGES)
    broken = []
    for file, page in pages.items():
        # All pages in one: links in it are to pages that are not itself, which the others' are already.
        if file.name in ("print.html", "404.html"):
            continue
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, fragment = link.partition("#")
            to = (file.parent / unquote(path)).resolve() if path else file
            is_there = to.exists() and (not fragment or to.suffix != ".html" or unquote(fragment) in pages[to].names)
            broken += [] if is_there else [f"{file.relative_to(book)}: {link}"]
    assert broken == []


def test_no_dash_of_the_book_is_one_that_an_option_would_be_copied_with(book: Path) -> None:
    """One of typography's, where an option begins."""
    pages = [file for file in book.rglob("*.html") if file.name != "print.html"]
    wrong = [
        (file.name, found) for file in pages for found in re.findall(r"[\u2013\u2014][A-Za-z].{0,20}", file.read_text())
    ]
    assert wrong == []


def test_the_page_on_proxmox_ve_has_its_rows_without_the_tests_that_hold_them(book: Path) -> None:
    text = (book / "reference/proxmox.html").read_text()
    assert text.count("<td>different</td>") > 20 and "<th>alike</th>" in text  # noqa: PLR2004
    assert "held by" not in text and "a_challenge_is_good_for_one_answer" not in text and "last column" not in text


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("command-line", ["keyrig rp user tfa delete", "keyrig exec"]),
        ("http", ["POST /v1/client/create", "DELETE /v1/page-tokens", "<code>ancestors</code>"]),
        ("relying-party-http", ['<a href="#loginrequest">', "<code>password</code>", "/access/domains/{realm}/sync"]),
        ("scenario-language", ["meanwhile", "refused-by"]),
        ("codes", ["rp-id-foreign", "vhci-no-module", "authentication_failed", "puat-required"]),
        ("faults", ["bad-signature", "ctap-slow"]),
        ("quirks", ["no-touch-probe"]),
    ],
)
def test_a_page_of_reference_is_made_of_what_the_program_says(book: Path, page: str, said: list[str]) -> None:
    text = (book / f"reference/{page}.html").read_text()
    assert "<!-- keyrig:" not in text
    for words in said:
        assert words in text, words


@pytest.fixture(scope="module")
def chromium() -> str:
    return shutil.which("chromium") or shutil.which("chromium-browser") or pytest.skip("there is no Chromium")


def in_chromium(script: str, *arguments: str | os.PathLike[str]) -> object:
    node = {**os.environ, "NODE_PATH": str(CACHE / "node_modules")}
    return json.loads(run(["node", TREE / "tests/integrations" / script, *arguments], env=node).stdout)


def test_axe_finds_nothing_on_the_first_page_of_the_book(book: Path, chromium: str) -> None:
    assert in_chromium("book.cjs", book / "index.html", chromium) == []


def test_no_code_and_no_table_of_the_book_is_wider_than_its_column(book: Path, chromium: str) -> None:
    """At 1280 px, where no option is broken behind its dashes either. No page is wider than a telephone."""
    pages = [file for file in sorted(book.rglob("*.html")) if file.name not in ("print.html", "404.html", "toc.html")]
    assert in_chromium("wide.cjs", chromium, *pages) == []


def test_the_first_page_shows_four_ways() -> None:
    assert len(INCLUDE.findall((BOOK / "index.md").read_text())) == 4  # noqa: PLR2004


def test_selenium_with_keyrigs_driver_passes_as_the_page_shows_it(program: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromedriver")
    if not chromium:
        pytest.skip("there is no chromedriver")
    shutil.copy(TREE / "docs/examples/test_selenium.py", tmp_path)
    # A machine's administrator has no sandbox.
    (tmp_path / "conftest.py").write_text(
        "import selenium.webdriver\n"
        "class Options(selenium.webdriver.ChromeOptions):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.add_argument('--no-sandbox')\n"
        "selenium.webdriver.ChromeOptions = Options\n"
    )
    site = [sys.executable, TREE / "tests/integrations/page_site.py"]
    with subprocess.Popen(site, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        url = process.stdout.readline().decode().strip()
        environment = {**bare(), "HOME": str(tmp_path), "SITE": url, "PATH": f"{program.parent}:/usr/bin:/bin"}
        done = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"], cwd=tmp_path, env=environment)
        process.stdin.close()
    assert "1 passed" in done.stdout


def test_selenium_in_javascript_passes_as_the_page_shows_it(program: Path, tmp_path: Path) -> None:
    installed = TREE / ".cache/drivers/node_modules"
    if not shutil.which("chromedriver") or not installed.exists():
        pytest.skip("there is no chromedriver, or tests/drivers/install was not run")
    example = (TREE / "docs/examples/selenium.test.mjs").read_text()
    # A machine's administrator has no sandbox.
    (tmp_path / "selenium.test.mjs").write_text(example.replace("'--headless=new'", "'--headless=new', '--no-sandbox'"))
    (tmp_path / "node_modules").symlink_to(installed.resolve())
    site = [sys.executable, TREE / "tests/integrations/page_site.py"]
    with subprocess.Popen(site, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        url = process.stdout.readline().decode().strip()
        environment = {
            **bare(),
            "HOME": str(tmp_path),
            "SITE": url,
            "DRIVER": str(program.parent / "keyrig-chromedriver"),
        }
        node = shutil.which("node") or "node"
        done = run([node, "--test", "selenium.test.mjs"], cwd=tmp_path, env=environment)
        process.stdin.close()
    assert "pass 1" in done.stdout
