"""Runs flows in a browser, within `keyrig exec` with keys a, b, u and v, and prints what was found in lines of JSON.

run.py BROWSER PART KEYRIG PICTURES [SWITCH...]: chromium, headless-shell or firefox; headless, screen, window, pages or
panel; the program whose `key` command works the keys; where pictures are kept; switches of the browser.
"""

import json
import os
import sys
import tempfile

import pages
import panel
from chromium import Chromium
from firefox import Firefox
from flows import USERS, Flows
from keys import Keys
from own import Own
from screen import Screen
from sites import Npm, PyPI

NAMES = {"chromium": "chromium", "headless-shell": "chromium-headless-shell"}

HEADLESS = {
    "register a and b": Flows.register,
    "log in, both known, finger on a": lambda flows: flows.log_in("ab", "a"),
    "log in, both known, finger on b": lambda flows: flows.log_in("ab", "b"),
    "log in, only a known, finger on a": lambda flows: flows.log_in("a", "a"),
    "log in, only b known, finger on b": lambda flows: flows.log_in("b", "b"),
    "both wait, touch b": Flows.touch_b,
    "both wait, unplug a, touch b": Flows.unplug_one,
    "both wait, unplug both, plug both in, touch a": Flows.unplug_both,
    "no hints": Flows.without_hints,
    "a passkey on a key that verifies its user itself": Flows.built_in_uv,
    "a U2F-only key alone": Flows.u2f,
    "a site on PyPI's webauthn": lambda flows: flows.at_site(PyPI),
    "a site on npm's @simplewebauthn/server": lambda flows: flows.at_site(Npm),
}
SCREEN = {
    "register a and b": Flows.register,
    "register a again": Flows.register_again,
    "both wait, deny at a, touch b": Flows.deny,
    "log in, only a known, finger on b": Flows.wrong_finger,
    "a passkey on a, wrong PIN, then right": Flows.passkey,
    "log in by the passkey": Flows.passkey_login,
    "PRF": Flows.prf,
    "large blob": Flows.large_blob,
    "attestation: direct": Flows.direct,
    "a U2F-only key alone, register again": Flows.u2f_again,
    "a U2F-only key alone, a credential of another": Flows.u2f_unknown,
    "a passkey on b, which has no PIN": Flows.first_pin,
    "two accounts on b": Flows.several_accounts,
}
# Windows in another view, too.
WINDOW = {title: SCREEN[title] for title in ("a passkey on a, wrong PIN, then right", "log in by the passkey")}
PARTS = {"headless": HEADLESS, "screen": SCREEN, "window": WINDOW}


def main():
    name, part, keyrig, pictures, *switches = sys.argv[1:]
    os.environ["HOME"] = tempfile.mkdtemp()
    keys = Keys(keyrig)
    if part != "panel":
        for key in "uv":
            keys.run("unplug", key)
    screen = None if part in ("headless", "pages", "panel") else Screen(pictures)
    if name == "firefox":
        browser = Firefox(screen is None, switches)
    else:
        browser = Chromium(screen is None, switches, f"/usr/bin/{NAMES[name]}")
    print(json.dumps({"version": browser.version}), flush=True)
    if part == "pages":
        pages.run(browser, keys, keyrig, pictures)
    elif part == "panel":
        panel.run(browser, keys, pictures)
    else:
        site = Own(keyrig, USERS.values())
        flows = Flows(browser, keys, site, screen)
        for title, flow in PARTS[part].items():
            print(json.dumps({"flow": title, "found": flow(flows)}), flush=True)
        site.close()
    browser.close()
    if screen:
        screen.close()


main()
