#!/usr/bin/env python3
"""A preprocessor of mdBook: pages of reference are made of what keyrig says of itself, when the book is built.

A line `<!-- keyrig: NAME -->` becomes what the function of that name makes. The program is the one that KEYRIG_PROGRAM
names, or keyrig on PATH.

A page that is another document of the repository says which, and includes it. Who reads the book where it lies follows
links to that document, in the book they lead to its page.
"""

import html
import json
import os
import posixpath
import pty
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("KEYRIG_PROGRAM") or "keyrig"
MARK = re.compile(r"^<!-- keyrig: ([a-z-]+) -->$", re.MULTILINE)
# An option in a text, with its command and what is given to it, or code that is marked already.
OPTION = re.compile(r"`[^`]*`|(?<![\w-])(?:keyrig (?!with )(?:[a-z]+ )*)?--[a-z][a-z-]*(?: [A-Z]{2,}[A-Z=]*)?")
IS_ANOTHER = re.compile(r"\AThis page is \[[^\]]+\]\(([^)]+)\)\.\n\n")
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def keyrig(*arguments: str) -> str:
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def cell(text: object) -> str:
    plain = html.escape("" if text is None else str(text), quote=False)
    plain = OPTION.sub(lambda found: code(found[0].strip("`")), plain)
    return " ".join(plain.replace("|", "\\|").split())


def table(head: list[str], rows: Iterable[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    return f"`{text}`"


def command_line() -> str:
    """The help of every command."""
    pages = []

    def tell(command: list[str]) -> None:
        said = keyrig(*command, "--help")
        pages.append(f"## {' '.join(['keyrig', *command])}\n\n```text\n{said.rstrip()}\n```\n")
        _, _, listed = said.partition("\nCommands:\n")
        for name in re.findall(r"^  (\S+)", listed.partition("\n\n")[0], re.MULTILINE):
            if name != "help":
                tell([*command, name])

    tell([])
    return "\n".join(pages)


def codes() -> str:
    """What each code stands for, by who says it."""
    who = {
        "client": "Of the browser, or keyrig's client in its place",
        "authenticator": "Of keys",
        "relying_party": "Of the relying party",
        "rack": "Of a rack",
        "service": "Of HTTP",
        "command": "Of the command line",
    }
    listed = json.loads(keyrig("explain", "--list", "--json"))
    parts = []
    for by, heading in who.items():
        rows = [[code(one["code"]), one["text"], one.get("try", "")] for one in listed if one["by"] == by]
        parts.append(f"## {heading}\n\n{table(['code', 'it is about', 'try'], rows)}")
    return "\n".join(parts)


def faults() -> str:
    """What can go wrong on purpose, and who notices."""
    parts = []
    listed = json.loads(keyrig("faults", "--json"))["faults"]
    # Quirks have a page of their own.
    for one in (one for one in listed if one["kind"] == "fault"):
        noticed = table(
            ["who notices", "doing", "with", "and says"],
            [[it["by"], it["doing"], code(it["fault"]), it["says"]] for it in one["noticed"]],
        )
        parts.append(
            f"## {one['name']}\n\n{cell(one['summary'])} {cell(one['wire'])}\n\nAt: {cell(one['place'])}.\n\n{noticed}"
        )
    return "\n".join(parts)


def quirks() -> str:
    """Known bugs of real keys."""
    rows = [
        [code(one["name"]), one["what"], one["keys"], one["known"], one["noticed_by"]]
        for one in json.loads(keyrig("profiles", "--quirks", "--json"))["quirks"]
    ]
    return table(["quirk", "what the key does", "keys that had it", "known from", "noticed by"], rows)


def kind(schema: dict[str, object]) -> str:
    """The type of a value in a schema, in a few words."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return code(schema["const"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = dict.fromkeys(kind(one) for one in schema[several] if one.get("type") != "null")
            return " or ".join(kinds)
    of = schema.get("type", "anything")
    of = " or ".join(one for one in of if one != "null") if isinstance(of, list) else str(of)
    if "enum" in schema:
        return ", ".join(code(one) for one in schema["enum"] if one is not None)
    return f"list of {kind(schema['items'])}" if of == "array" and "items" in schema else of


def members(schema: dict[str, object]) -> str:
    rows = []
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        must = " (required)" if name in required else ""
        rows.append(f"| `{name}`{must} | {kind(one).replace('|', chr(92) + '|')} | {cell(one.get('description'))} |\n")
    if rows:
        return "| member | is | |\n|---|---|---|\n" + "".join(rows)
    values = [one for one in schema.get("oneOf", schema.get("anyOf", [])) if "const" in one]
    return table(["value", ""], [[code(one["const"]), one.get("description", "")] for one in values]) if values else ""


def scenario_language() -> str:
    """The tables of a scenario, as its schema has them."""
    schema = json.loads(keyrig("scenario", "schema"))
    parts = [f"## The file\n\n{members(schema)}"]
    for name, one in schema["$defs"].items():
        about = cell(one.get("description"))
        parts.append(f"## {name}\n\n{about}\n\n{members(one)}")
    return "\n".join(parts)


def described(command: list[str], path: str, environment: dict[str, str]) -> dict[str, object]:
    """The description of an interface, of a program that serves it and prints where on a line of JSON."""
    token = environment.get("KEYRIG_TOKEN")
    serving = subprocess.Popen(
        [PROGRAM, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    with serving:
        said = json.loads(serving.stdout.readline())
        url = said["http"]["url"] if "http" in said else said["url"]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers), timeout=30) as answer:
            found = json.load(answer)
        serving.send_signal(signal.SIGINT)
    return found


def shape(schema: dict[str, object]) -> str:
    """What a body has in it: its members, those of each of its kinds, or its type."""
    for several, between in (("allOf", ""), ("oneOf", "or"), ("anyOf", "or")):
        if any("const" not in one for one in schema.get(several, [])):
            parts = [(cell(one.get("description")), shape(one)) for one in schema[several] if one.get("type") != "null"]
            return f"\n{between}\n\n".join(f"{about}\n\n{text}" if about else text for about, text in parts)
    return members(schema) or f"{kind(schema)}\n"


def body(found: dict[str, object], one: dict[str, object]) -> str:
    """The type of what is in a body, for a table."""
    of = resolved(found, one).get("content", {})
    return " or ".join(kind(form["schema"]) if "schema" in form else code(media) for media, form in of.items())


def interface(found: dict[str, object]) -> str:
    parts = []
    for path, methods in found["paths"].items():
        for method, one in methods.items():
            about = " ".join(filter(None, [one.get("summary"), one.get("description")]))
            parts.append(f"## {method.upper()} {path}".replace("{", "\\{") + f"\n\n{cell(about)}\n")
            for form in resolved(found, one.get("requestBody", {})).get("content", {}).values():
                if "$ref" in form["schema"]:
                    parts.append(f"It is asked with a body, {kind(form['schema'])}.\n")
                else:
                    parts.append(f"It is asked with a body:\n\n{shape(form['schema'])}")
            parts.append("| answer | | body |\n|---|---|---|")
            for status, answer in one.get("responses", {}).items():
                about = cell(resolved(found, answer).get("description"))
                parts.append(f"| {code(status)} | {about} | {body(found, answer)} |")
            parts.append("")
    for name, schema in found.get("components", {}).get("schemas", {}).items():
        parts.append(f"## {name}\n\n{cell(schema.get('description'))}\n\n{shape(schema)}")
    return "\n".join(parts)


def proxmox_calls() -> str:
    """The calls in Proxmox VE's shapes, as the table of routes has them."""
    source = ROOT / "crates/relying-party/src/http/proxmox/mod.rs"
    calls = re.findall(r'^    ([A-Z]+) "(/[^"]*)" =>', source.read_text(), re.MULTILINE)
    paths: dict[str, list[str]] = {}
    for method, path in calls:
        paths.setdefault(path, []).append(code(method))
    return table(["path below /api2/json", "methods"], [[code(path), ", ".join(of)] for path, of in paths.items()])


def resolved(found: dict[str, object], one: dict[str, object]) -> dict[str, object]:
    """What a reference within a description stands for."""
    if "$ref" not in one:
        return one
    for part in str(one["$ref"]).split("/")[1:]:
        found = found[part]
    return found


def http() -> str:
    """What a rack can be asked over HTTP."""
    with tempfile.TemporaryDirectory() as directory:
        serve = ["serve", "--usbip", "none", "--key", "none", "--json", "--control", f"unix:{directory}/control"]
        listening = ["--http", "127.0.0.1:0"]
        token = {"KEYRIG_TOKEN": os.urandom(16).hex()}
        return interface(described([*serve, *listening], "/v1/openapi.json", token))


def relying_party_http() -> str:
    """What a relying party can be asked over HTTP."""
    with tempfile.TemporaryDirectory() as directory:
        serve = ["rp", "serve", "--json", "--listen", "localhost:0", "--state", directory]
        return interface(described(serve, "/api/openapi.json", {}))


SGR = re.compile(r"\x1b\[([0-9;]*)m")
COLUMNS, LINE, WIDTH = 84, 18, 8.4
COLOURS = {"31": "#ff8a80", "32": "#7ee787", "33": "#f2cc60", "1": "#ffffff", "2": "#9aa4ad"}


def demo_recorded() -> str:
    """What a terminal shows of `keyrig demo`, as a drawing that moves unless the reader wants none of it."""
    master, slave = pty.openpty()
    # The size that a terminal of that width says.
    subprocess.run(["stty", "rows", "50", "cols", "80"], stdin=slave, check=True)
    running = subprocess.Popen(
        [PROGRAM, "demo"], stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}
    )
    os.close(slave)
    shown = b""
    try:
        while some := os.read(master, 65536):
            shown += some
    except OSError:  # Linux's way to say that nobody writes there any more
        pass
    os.close(master)
    if running.wait() != 0:
        raise SystemExit(shown.decode())
    lines = ["$ keyrig demo", *shown.decode().replace("\r", "").rstrip("\n").split("\n")]
    drawn = []
    for number, line in enumerate(lines):
        pieces, colour = [], None
        for index, piece in enumerate(SGR.split(line)):
            if index % 2:
                colour = next((COLOURS[one] for one in piece.split(";") if one in COLOURS), None)
            elif piece:
                fill = f' fill="{colour}"' if colour else ""
                pieces.append(f"<tspan{fill}>{html.escape(piece)}</tspan>")
        begin = f"animation-delay:{number * 0.12:.2f}s"
        drawn.append(f'<text x="12" y="{(number + 1) * LINE + 6}" style="{begin}">{"".join(pieces)}</text>')
    height = len(lines) * LINE + 24
    style = (
        "<style>.terminal text{font:14px monospace;white-space:pre;fill:#e6edf3;animation:shown .01s backwards}"
        "@keyframes shown{from{opacity:0}}"
        "@media (prefers-reduced-motion:reduce){.terminal text{animation:none}}</style>"
    )
    size = (
        f'viewBox="0 0 {COLUMNS * WIDTH:.0f} {height}" role="group" aria-label="A terminal in which keyrig demo runs"'
    )
    back = f'<rect width="100%" height="{height}" rx="8" fill="#0d1117"/>'
    drawing = f'<svg class="terminal" xmlns="http://www.w3.org/2000/svg" {size}>{style}{back}{"".join(drawn)}</svg>'
    return f'<div class="recording">{drawing}</div>\n'


MADE = {
    "command-line": command_line,
    "codes": codes,
    "faults": faults,
    "quirks": quirks,
    "scenario-language": scenario_language,
    "http": http,
    "relying-party-http": relying_party_http,
    "proxmox-calls": proxmox_calls,
    "demo": demo_recorded,
}


def without_tests(page: str) -> str:
    """A page whose tables name the tests that hold each row, in their last column: who reads the book needs none."""
    rows = re.sub(r"^(\|.*\|)[^|\n]+\|$", r"\1", page, flags=re.MULTILINE)
    return re.sub(r" The last column\s+names the tests that hold a row\.", "", rows)


def others(pages: Path) -> dict[str, str]:
    """Documents of the repository, each with the page that it is; by their paths from where pages are."""
    found = {}
    for page in pages.rglob("*.md"):
        if is_another := IS_ANOTHER.match(page.read_text()):
            path = page.relative_to(pages).as_posix()
            found[posixpath.normpath(posixpath.join(posixpath.dirname(path), is_another[1]))] = path
    return found


def fill(items: list[dict[str, object]], documents: dict[str, str]) -> None:
    for item in items:
        if isinstance(item, dict) and (chapter := item.get("Chapter")):
            folder = posixpath.dirname(chapter["path"] or "")

            def within(link: re.Match[str], folder: str = folder) -> str:
                page = documents.get(posixpath.normpath(posixpath.join(folder, link[1])))
                return f"]({posixpath.relpath(page, folder or '.')}{link[2] or ''})" if page else link[0]

            content = LINK.sub(within, IS_ANOTHER.sub("", chapter["content"]))
            chapter["content"] = MARK.sub(lambda found: MADE[found[1]](), content)
            if chapter["path"] == "reference/proxmox.md":
                chapter["content"] = without_tests(chapter["content"])
            fill(chapter["sub_items"], documents)


def main() -> None:
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    try:
        fill(book["items"], others(Path(__file__).parent / "src"))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there: install keyrig, or name the program in KEYRIG_PROGRAM")
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
