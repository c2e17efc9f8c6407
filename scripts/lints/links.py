#!/usr/bin/env python3
"""Follows the links in all Markdown of the tree: to files that are not there, and to headings that no page has.

Pages of the book link to pages of the book alone, or to documents that such a page is: there the book leads to the
page. Addresses elsewhere are not looked at: nothing here needs a network.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
IS_ANOTHER = re.compile(r"\AThis page is \[[^\]]+\]\(([^)]+)\)\.\n")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The fragments of a page's headings, as GitHub and mdBook make them."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


@cache
def documents(book: Path) -> frozenset[Path]:
    """What is a page of the book, and stands elsewhere."""
    found = ((page, IS_ANOTHER.match(page.read_text())) for page in book.rglob("*.md"))
    return frozenset((page.parent / match[1]).resolve() for page, match in found if match)


def broken(page: Path) -> list[str]:
    text = page.read_text()
    links = LINK.findall(CODE.sub("", FENCE.sub("", text)))
    problems = []
    book = next((folder for folder in page.resolve().parents if (folder / "SUMMARY.md").exists()), None)
    for target in (inline or reference for inline, reference in links):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, fragment = target.partition("#")
        to = (page.parent / unquote(path)).resolve() if path else page.resolve()
        if not to.exists():
            problems.append(f"{page}: {target}: there is no {path}")
        elif book and not to.is_relative_to(book) and to not in documents(book):
            problems.append(f"{page}: {target}: {path} is no page of the book")
        elif fragment and to.suffix == ".md" and fragment not in anchors(to.read_text()):
            problems.append(f"{page}: {target}: no heading of {path or page} is #{fragment}")
    return problems


def main() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        capture_output=True,
        text=True,
        check=True,
    )
    pages = [Path(name) for name in listed.stdout.split("\0") if name and Path(name).exists()]
    problems = [problem for page in pages for problem in broken(page)]
    print("".join(f"{problem}\n" for problem in problems), end="")
    sys.exit(1 if problems or not pages else 0)


if __name__ == "__main__":
    main()
