"""keyrig's own site by its pages alone: what its users and administrators do there, and how the pages are."""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import tempfile
import time

from own import PASSWORD, Own, tools

ROOT, ALICE, BOB = "root@pam", "alice@pve", "bob@pve"
ANOTHER_PASSWORD = "another battery, another horse"
# Markup, what turns text around, and what is not seen.
HOSTILE = '<img src=x onerror=alert(1)>\u202egnp.exe\u200b"&amp;'
WIDTHS = (390, 1280)
# Pages, and what is there once each of them is shown.
PAGES = {
    "account": "#sessions li",
    "users": "#user-list li",
    "realms": "#realm-list li",
    "events": "#event-list li",
    "audit": "#audit-list li",
}


def code(secret):
    """The code of RFC 6238 for now: SHA-1, six digits, 30 seconds."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time() // 30)), hashlib.sha1).digest()
    start = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def script(name):
    """A script for a page that is beside this file, or where npm's packages were copied to."""
    return (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8")


def expect(found, *words):
    """What was found has to have these words."""
    lacking = [word for word in words if word not in str(found)]
    if lacking:
        raise AssertionError(f"{found!r} lacks {lacking}")
    return found


class Pages:
    """A browser at a site whose administrator is root@pam."""

    def __init__(self, browser, keys, keyrig, kept):
        self.browser, self.keys, self.keyrig, self.kept = browser, keys, keyrig, pathlib.Path(kept)
        self.site = Own(keyrig, [ALICE, BOB], administrators=[ROOT])
        self.keys.run("touch-policy", "auto")

    def close(self):
        """Ends the site."""
        self.site.close()

    def page(self, url=None):
        """A page from its beginning."""
        self.browser.go(url or self.site.url)
        self.browser.run(f"() => {{ {tools()} {script('pages.js')} }}")

    def do(self, name, *arguments):
        """Does something at the page."""
        return self.browser.run(f"(...given) => window.at.{name}(...given)", *arguments)

    def also(self, name, *arguments):
        """Does something at the page that other flows do as well."""
        return self.browser.run(f"(...given) => window.keys.{name}(...given)", *arguments)

    def enter(self, user, password=PASSWORD):
        """Gives a password."""
        self.page()
        return self.also("enter", user, password)

    def open(self, page):
        """An administrator opens a page."""
        expect(self.enter(ROOT), "in")
        self.do("open", page, PAGES[page])

    def add(self, kind, name, password=PASSWORD):
        """Adds what needs nothing typed."""
        expect(self.also("add", kind, name, password)["said"], f"Added {name}.")

    def add_keys(self, password=PASSWORD):
        """Adds both keys."""
        for key in "ab":
            self.keys.run("finger", key)
            self.add("webauthn", key, password)

    def recovery(self):
        """RECOVERY.md, from before it happens to its last step."""
        paper = self.before_it_happens()
        self.codes_are_refused(paper)
        self.one_key_is_lost()
        self.everything_is_lost()
        return "done"

    def before_it_happens(self):
        """Two keys, an app, and recovery keys on paper, which are returned."""
        expect(self.enter(ALICE), "in")
        self.add_keys()
        secret = self.do("addApp", "phone")
        expect(self.do("send", "totp-enrolment", {"code": code(secret)}), "Added phone.")
        self.add("recovery", "paper")
        paper = self.do("paper")
        if self.do("shows", secret) or any(self.do("shows", key) for key in paper):
            raise AssertionError("secrets stay on the page")
        self.also("leave")
        return paper

    def codes_are_refused(self, paper):
        """Eight wrong codes lock them. An administrator lifts that, or a recovery key."""
        for lift in ("administrator", "paper"):
            for _ in range(8):
                self.enter(ALICE)
                expect(self.do("give", "offer-totp", "code", "000000"), "Refused")
            self.enter(ALICE)
            expect(self.do("areLocked"), "True")
            if lift == "administrator":
                self.open("users")
                expect(self.do("press", ALICE, "Unlock", PASSWORD), "is unlocked")
            else:
                expect(self.do("give", "offer-recovery", "key", paper[0]), "in")
            self.also("leave")

    def one_key_is_lost(self):
        """An administrator deletes it, and the other one gets its user in."""
        self.open("users")
        expect(self.do("deleteFactor", ALICE, "a", PASSWORD), "is deleted")
        self.also("leave")
        self.keys.run("finger", "b")
        self.enter(ALICE)
        expect(self.also("useKey", "use-webauthn")["said"], "in")
        self.also("leave")

    def everything_is_lost(self):
        """A user begins anew with a password that was handed over; then the audit and the events are looked at."""
        self.open("users")
        expect(self.do("press", ALICE, "Delete all factors", PASSWORD), "3 factors of alice@pve deleted")
        expect(self.do("press", ALICE, "Set password", PASSWORD, ANOTHER_PASSWORD), "has a new password")
        self.also("leave")
        expect(self.enter(ALICE, ANOTHER_PASSWORD), "in")
        self.add_keys(ANOTHER_PASSWORD)
        self.add("recovery", "paper", ANOTHER_PASSWORD)
        changed = {"password": ANOTHER_PASSWORD, "new_password": PASSWORD, "again": PASSWORD}
        expect(self.do("send", "password-change", changed), "The password is changed")
        self.open("audit")
        if ALICE in (needing := self.do("needing")):
            raise AssertionError(f"{ALICE} needs looking after: {needing}")
        self.do("open", "events", PAGES["events"])
        events = self.do("eventsOf", ALICE)
        expect(events, "password changed", "factor deleted", "unlocked", "recovery key used", "totp locked")
        expect(self.do("lastReport"), "login refused", "Cause")
        self.also("leave")

    def enforcement(self):
        """A realm requires keys, and who has none is offered a key and nothing else."""
        self.open("realms")
        expect(self.do("require", "pve", "webauthn", PASSWORD), "The realm pve requires: a security key")
        expect(self.do("lacking"), BOB)
        self.also("leave")
        self.enter(BOB)
        offered = self.do("offered")
        self.keys.run("finger", "a")
        said = self.also("add", "webauthn", "first", PASSWORD)["said"]
        self.also("leave")
        return f"offered: {offered}; {said}"

    def visit(self, act):
        """Shows every page, and does something at each; what came of it."""
        self.page()
        self.do("start")
        found = [act("login")]
        self.enter(ALICE)
        found.append(act("second-factor"))
        expect(self.enter(ROOT), "in")
        for page, there in PAGES.items():
            self.do("open", page, there)
            if page == "users":
                self.do("user", ALICE)
            found.append(act(page))
        self.also("leave")
        return found

    def hostile(self):
        """A name that is none is text on every page: no markup, and nothing that turns a line around."""
        expect(self.enter(ALICE), "factor")
        self.keys.run("finger", "a")
        expect(self.also("useKey", "use-webauthn")["said"], "in")
        expect(self.do("rename", HOSTILE, PASSWORD), "is called <img src=x onerror=alert(1)>\\u{202e}gnp")
        self.also("leave")
        found = self.visit(lambda _: self.do("markup"))
        return "text" if not any(found) else f"{found}"

    def nothing_stays(self):
        """After somebody was everywhere and left, all that the page holds is what it held before."""
        self.page()
        self.do("start")
        before = self.do("held")
        expect(self.also("enter", ROOT, PASSWORD), "in")
        for page, there in PAGES.items():
            self.do("open", page, there)
        self.also("leave")
        after = self.do("held")
        return "nothing" if before == after else after

    def audited(self):
        """What axe-core finds on each page, and what is wider than the window; pictures of all are kept."""
        found = []
        looks = [(width, theme) for width in WIDTHS for theme in ("dark", "light")]

        def look(page):
            self.browser.run(f"() => {{ {script('../node_modules/axe-core/axe.min.js')} }}")
            for width, theme in looks:
                self.browser.look(width, theme)
                self.browser.shoot(self.kept / f"{self.browser.name.lower()}-page-{page}-{width}-{theme}.png")
                problems = [*self.do("audit")]
                if (pixels := self.do("tooWide")) > 0:
                    problems.append(f"{pixels} pixels too wide")
                found.extend(f"{page} at {width}, {theme}: {problem}" for problem in problems)

        self.visit(look)
        return "; ".join(found) or "nothing"

    def explained(self):
        """Before a key is asked the page says what is wrong with its address and the settings."""
        self.page(self.site.url.replace("localhost", "127.0.0.1"))
        expect(self.do("trouble"), "IP address")
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
            config.write('rp_id = "pve.example.com"\norigins = ["https://pve.example.com:8006"]\n')
            config.flush()
            other = Own(self.keyrig, [], ["--config", config.name], administrators=[ROOT])
            self.page(other.url)
            expect(self.do("trouble"), other.url.rstrip("/"), "RP ID pve.example.com", "https://pve.example.com:8006")
            other.close()
        return "explained"


FLOWS = {
    "its pages: RECOVERY.md, from the first to the last step": Pages.recovery,
    "its pages: a realm comes to require keys": Pages.enforcement,
    "its pages: a hostile name": Pages.hostile,
    "its pages: what axe-core finds, or is too wide": Pages.audited,
    "its pages: what stays of who was in": Pages.nothing_stays,
    "its pages: at a wrong address": Pages.explained,
}


def run(browser, keys, keyrig, kept):
    """Runs the flows and prints what was found."""
    pages = Pages(browser, keys, keyrig, kept)
    for title, flow in FLOWS.items():
        print(json.dumps({"flow": title, "found": flow(pages)}), flush=True)
    pages.close()
