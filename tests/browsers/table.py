#!/usr/bin/env python3
"""Makes FOUND.md from what the tests have found in target/browsers."""

import json
import os
import pathlib

COLUMNS = {
    "Chromium": ["chromium-headless", "chromium-screen", "chromium-pages", "chromium-panel"],
    "Chromium's headless shell": ["headless-shell-headless"],
    "Firefox": ["firefox-headless", "firefox-screen", "firefox-pages", "firefox-panel"],
}

HEAD = """# What browsers do with two keys

Found by `scripts/test browsers`, which fails where a cell is not so any more: Debian's browsers under `keyrig exec`,
with two keys that a browser has in front of it, a (`keyrig`) and b (`yubikey-5.7`), at keyrig's own site where
nothing else is said. *in* is a login that the site has verified, before it the key whose credential it was. A window
in a cell stays open until somebody closes it; then the page hears what stands before it. Pictures of windows are in
`target/browsers` after a run. An empty cell was not looked at: the headless shell has no windows. Pages and dialogs are
audited at 390 and 1280 pixels, dark and light; their pictures are there too. The panel's rows are of ceremonies of
keyrig's own client.

"""


def main():
    tree = pathlib.Path(__file__).parents[2]
    kept = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", tree / "target"), "browsers")
    flows, versions = {}, {}
    for column, names in COLUMNS.items():
        for name in names:
            for line in (kept / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
                said = json.loads(line)
                if "version" in said:
                    versions[column] = said["version"]
                else:
                    flows.setdefault(said["flow"], {})[column] = said["found"]
    rows = [["flow", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    rows += [[flow, *(found.get(column, "") for column in COLUMNS)] for flow, found in flows.items()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- |", "|---|").replace(" --- |", "---|")
    told = ", ".join(f"{column} {version}" for column, version in versions.items())
    (tree / "tests/browsers/FOUND.md").write_text(f"{HEAD}{table}\nLast made with {told}.\n", encoding="utf-8")


main()
