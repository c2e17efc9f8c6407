#!/usr/bin/env python3
"""Makes FOUND.md from what the tests have found in target/drivers."""

import json
import os
import pathlib

COLUMNS = ["chromedriver", "keyrig-chromedriver", "keyrig-geckodriver", "page script in WebKit"]

HEAD = """# Selenium's virtual authenticators, and keys in their place

Found by `scripts/test browsers`, which fails where a cell is not so any more: one suite by Selenium's standard calls,
written against Chromium's own virtual authenticators, in front of Debian's chromedriver, of keyrig in its place, and of
Debian's WebKit, where a script is `navigator.credentials`, as it has none. The path of the driver is all that differs.
Flags are those of authenticator data. *left open* is a ceremony that had not ended five seconds after its timeout.

"""

WHY = """
Where they differ, and why:

- *left open*: with keys on USB Chromium has windows of its own, and one that says why a ceremony has ended stays open
  until somebody closes it; then the page hears what Chromium's virtual authenticators say at once. A test that wants to
  hear it gives `signal` beside `publicKey`. Nobody touches a key whose user does not consent, and Firefox waits on.
- `internal` is no USB key: hid mode refuses it by name, and the page script serves it.
- A key that neither verifies its user nor has a PIN: Chromium asks it for no passkey, and Firefox does. Firefox also
  makes a credential for `userVerification: "required"` there.
- Errors: chromedriver says *unknown error* of a private key that is none, and of a credential that is there already.
  WebAuthn Level 3 §11.5 wants *invalid argument* for the first.
- *user verified again*: after a user whom the key did not know Firefox refuses the next login too. Why was not found.
- Firefox looks for the credentials of an allow list by asking for a signature without a touch, which counts: so its
  count is one more.
"""


def cell(result):
    """What came of a case, in words."""
    shown = {str: str, type(None): lambda _: "none"}
    return "; ".join(f"{what}: {shown.get(type(value), json.dumps)(value)}" for what, value in sorted(result.items()))


def main():
    """Makes the page."""
    tree = pathlib.Path(__file__).parents[2]
    kept = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", tree / "target"), "drivers")
    cases = {}
    for column in COLUMNS:
        for line in (kept / f"{column}.jsonl").read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            cases.setdefault(said["case"], {})[column] = cell(said["result"])
    rows = [["case", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    rows += [[case, *(found.get(column, "") for column in COLUMNS)] for case, found in cases.items()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- |", "|---|").replace(" --- |", "---|")
    (tree / "tests/drivers/FOUND.md").write_text(f"{HEAD}{table}{WHY}", encoding="utf-8")


main()
