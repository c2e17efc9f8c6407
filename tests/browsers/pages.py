"""keyrig's own site by its pages alone: what its users and administrators do there, and how the pages are."""

import base64
import hashlib
import hmac
import json
import struct
import subprocess
import tempfile
import time
import urllib.request

from looking import ENTER, ESCAPE, HOSTILE, SPACE, Looking, expect
from own import PASSWORD, Own

ROOT, ALICE, BOB, HELPER = "root@pam", "alice@pve", "bob@pve", "helper@pve"
ANOTHER_PASSWORD = "another battery, another horse"
# Pages, and what is there once each of them is shown.
PAGES = {
    "account": "#sessions li",
    "users": "#user-list li",
    "groups": "#group-list li",
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


def may(site, header):
    """What a program may that sends this header."""
    name, _, value = header.partition(": ")
    request = urllib.request.Request(f"{site}api2/json/access/permissions", headers={name: value})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


class Pages(Looking):
    """A browser at a site whose administrator is root@pam."""

    scripts = ("page.js", "pages.js")

    def __init__(self, browser, keys, keyrig, kept):
        super().__init__(browser, kept, "page")
        self.keys, self.keyrig, self.tokens = keys, keyrig, 0
        self.site = Own(keyrig, [ALICE, BOB], administrators=[ROOT])
        self.keys.run("touch-policy", "auto")

    def close(self):
        """Ends the site."""
        self.site.close()

    def page(self, url=None):
        """A page from its beginning."""
        self.browser.go(url or self.site.url)
        self.load()

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
        expect(self.do("pressAtFactor", ALICE, "a", "Delete", PASSWORD), "is deleted")
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

    def access(self):
        """A group whose members may see everything, a token for programs, and another's factor by another name."""
        expect(self.enter(ROOT), "in")
        self.do("open", "groups", "#add-group")
        expect(self.do("send", "add-group", {"name": "ops", "comment": HOSTILE}, PASSWORD), "Added the group ops")
        expect(self.do("roles", "ops", ["PVEAuditor"], PASSWORD), "has the roles PVEAuditor")
        self.do("open", "users", PAGES["users"])
        expect(self.do("press", ALICE, "Groups", PASSWORD, "ops"), f"{ALICE} is in ops")
        expect(self.do("pressAtFactor", ALICE, "b", "Rename", PASSWORD, "spare"), "is called spare now")
        self.do("open", "account", PAGES["account"])
        header = self.do("addToken", "ci", HOSTILE, PASSWORD)
        self.do("dismiss")
        if self.do("shows", header.rpartition("=")[2]):
            raise AssertionError("the secret of a token stays on the page")
        token = may(self.site.url, header)
        self.also("leave")
        expect(self.enter(ALICE), "factor")
        self.keys.run("finger", "b")
        expect(self.also("useKey", "use-webauthn")["said"], "in")
        who = self.do("isIn")
        self.do("open", "groups", PAGES["groups"])
        self.also("leave")
        return f"{who}; the token may {token or 'what any user may'}"

    def limited(self):
        """Who administers users and nothing else: the pages that there are, and what can be done to somebody."""
        other = Own(self.keyrig, [ALICE, HELPER])
        command = [self.keyrig, "rp", "acl", "modify", "/", "--users", HELPER, "--roles", "PVEUserAdmin"]
        subprocess.run([*command, "--state", other.state], check=True, capture_output=True, close_fds=False)
        self.page(other.url)
        expect(self.also("enter", HELPER, PASSWORD), "in")
        self.do("open", "users", PAGES["users"])
        expect(self.do("press", ALICE, "Unlock", PASSWORD), f"{ALICE} was not locked")
        self.do("user", ALICE)
        found = self.do("mayDo", ALICE)
        self.also("leave")
        other.close()
        return found

    def by_keyboard(self):
        """In and out with Tab, Enter, Space and Escape: Tab comes to everything, and what has the focus is seen."""
        self.page()
        self.do("start")
        self.tab_to("Password")
        self.browser.press(PASSWORD + ENTER)
        expect(self.do("isIn"), ROOT)
        for page in PAGES:
            # It is there after the login.
            if page != "account":
                self.tab_to_page(page)
            self.do("beginAgain")
            self.tab_everywhere()
        self.tab_to_page("users")
        self.tab_to(ALICE)
        self.browser.press(ENTER)
        self.do("isUnfolded", ALICE)
        self.tab_to(f"Comment: {ALICE}")
        self.browser.press(SPACE)
        self.in_dialog("ask", "by keyboard" + ENTER)
        self.in_dialog("confirm", PASSWORD + ENTER)
        expect(self.do("said"), f"The comment on {ALICE} is changed")
        self.tab_to(f"Delete the user: {ALICE}")
        self.browser.press(SPACE)
        self.in_dialog("ask", ESCAPE)
        expect(self.do("focused")["called"], f"Delete the user: {ALICE}")
        self.tab_to_page("events")
        self.tab_to("Report: ")
        self.browser.press(ENTER)
        self.in_dialog("report", ESCAPE)
        expect(self.do("focused")["called"], "Report: ")
        self.tab_to_page("account")
        self.keys.run("finger", "a")
        self.tab_to("Security key")
        self.browser.press(SPACE)
        expect(self.do("said"), "Added primary")
        self.do("beginAgain")
        self.tab_to("Delete: primary")
        self.browser.press(SPACE)
        self.in_dialog("ask", ENTER)
        expect(self.do("said"), "primary is deleted")
        self.do("beginAgain")
        self.tab_to("Log out")
        self.browser.press(ENTER)
        self.do("start")
        return "done"

    def tab_to_page(self, page):
        """Opens a page by its link."""
        self.do("beginAgain")
        self.tab_to("My account" if page == "account" else page.capitalize())
        self.browser.press(ENTER)
        self.do("isOpen", page, PAGES[page])

    def in_dialog(self, name, keys):
        """Answers a dialog: it takes the focus, and keeps it."""
        expect(self.do("opened"), name)
        if not self.do("focused")["inDialog"]:
            raise AssertionError(f"{name} has not the focus")
        self.browser.press(keys)
        self.do("isClosed", name)

    def visit(self, act):
        """Shows every page and every dialog, and does something at each; what came of it."""
        self.page()
        self.do("start")
        found = [act("login")]
        self.enter(ALICE)
        found.append(act("second-factor"))
        expect(self.enter(ROOT), "in")

        def dialog():
            found.append(act(f"dialog-{self.do('opened')}"))
            self.do("dismiss")

        for page, there in PAGES.items():
            self.do("open", page, there)
            if page == "users":
                self.do("user", ALICE)
            found.append(act(page))
            if page == "account":
                self.tokens += 1
                self.do("addToken", f"token-{self.tokens}", HOSTILE, PASSWORD)
                dialog()
            elif page == "users":
                for text in ("Comment", "Change role"):
                    self.do("begin", ALICE, text)
                    dialog()
            elif page == "events":
                self.do("openReport")
                dialog()
        self.also("leave")
        return found

    def hostile(self):
        """A name that is none is text on every page: no markup, and nothing that turns a line around."""
        expect(self.enter(ALICE), "factor")
        self.keys.run("finger", "a")
        expect(self.also("useKey", "use-webauthn")["said"], "in")
        expect(self.do("rename", HOSTILE, PASSWORD), "is called <img src=x onerror=alert(1)><b>\\u{202e}gnp")
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
        """What axe-core finds on each page and in each dialog, and what is too wide; pictures of all are kept."""
        return "; ".join(problem for found in self.visit(self.look) for problem in found) or "nothing"

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
    "its pages: a group, a token, and a factor of another": Pages.access,
    "its pages: who administers users alone": Pages.limited,
    "its pages: by keyboard alone": Pages.by_keyboard,
    "its pages: a hostile name": Pages.hostile,
    "its pages: what axe-core finds, or is too wide": Pages.audited,
    "its pages: what stays of who was in": Pages.nothing_stays,
    "its pages: at a wrong address": Pages.explained,
}


def run(browser, keys, keyrig, kept):
    """Runs the flows and prints what was found."""
    pages = Pages(browser, keys, keyrig, kept)
    pages.follow(FLOWS)
    pages.close()
