"""The panel of the rack around this process, in a browser: who gets in, what is seen there, and what is done there."""

import base64
import concurrent.futures
import json
import os
import urllib.error
import urllib.request

from looking import ENTER, HOSTILE, Looking, expect

SITE, OTHER_SITE = "login.example.com", "shop.example.net"
# The most that the panel may be told of a key that blinks, till it rests, and the most changes of the document by that.
MOST_TOLD, MOST_CHANGED = 24, 160


class Service:
    """The rack over HTTP, and ceremonies of a browser's client there."""

    def __init__(self):
        self.url, self.token = os.environ["KEYRIG_URL"], os.environ["KEYRIG_TOKEN"]
        self.pool = concurrent.futures.ThreadPoolExecutor(4)

    def ask(self, method, path, body=None):
        """Asks it, and returns what it answers."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def link(self):
        """An address that opens the panel once."""
        return self.url + self.ask("POST", "/v1/panel/codes", {})["path"]

    def create(self, *keys, user="alice", resident=False, site=SITE):
        """Begins to register a credential at some keys."""
        options = {
            "rp": {"id": site, "name": HOSTILE},
            "user": {"id": base64.urlsafe_b64encode(user.encode()[:60]).decode().rstrip("="), "name": user},
            "challenge": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
            "timeout": 600_000,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"residentKey": "required" if resident else "discouraged"},
        }
        options["user"]["displayName"] = user
        body = {"origin": f"https://{site}", "options": options, "on": list(keys)}
        # Chromium would ask for a PIN before a key stores anything.
        body |= {"browser": "firefox"} if resident else {}
        return self.pool.submit(self.ask, "POST", "/v1/client/create", body)


class Panel(Looking):
    """A browser at the panel."""

    scripts = ("panel.js",)

    def __init__(self, browser, keys, kept):
        super().__init__(browser, kept, "panel")
        self.keys, self.service = keys, Service()

    def page(self, url):
        """A page from its beginning, and whether one is in."""
        # An address that differs in its fragment alone is no other page.
        self.browser.go("about:blank")
        self.browser.go(url)
        self.load()
        return self.do("inside")

    def entered(self):
        """By a code, once; by the token; and not without."""
        link = self.service.link()
        first = expect(self.page(link), "in, at /")
        expect(self.page(self.service.url + "/"), "in, at /")
        self.do("forget")
        second = expect(self.page(link), "outside", "opens the panel no more")
        expect(self.do("give", "wrong"), "outside", "not the one of this keyrig")
        expect(self.do("give", self.service.token), "in, at /")
        return f"{first}; {second.split(':')[0]}; by the token: in"

    def touched(self):
        """Both blink for a site: one is clicked; then the other has Enter pressed on it."""
        self.do("policy", "manual")
        found = []
        for name, by in (("a", "a click"), ("b", "Enter")):
            ceremony = self.service.create("a", "b")
            for key in "ab":
                expect(self.do("asks", key, SITE), "to register")
            if by == "a click":
                self.do("touch", name)
            else:
                expect(self.do("focus", name), f"it waits for a touch to register at {SITE}")
                self.browser.press(ENTER)
            expect(ceremony.result(), "attestationObject")
            for key in "ab":
                self.do("rests", key)
            found.append(f"{name} by {by}")
        expect(self.do("row", "authenticatorMakeCredential"), SITE)
        expect(self.do("openRow", "authenticatorMakeCredential"), SITE)
        self.do("close")
        return ", ".join(found)

    def refused(self):
        """A ceremony is denied, and another is answered wrongly on purpose: the panel says who, and why."""
        found = []
        ceremony = self.service.create("a")
        self.do("asks", "a", SITE)
        self.do("press", "a", "Deny")
        expect(ceremony.result(), "NotAllowedError")
        found.append(expect(self.do("refused", "CTAP2_ERR_OPERATION_DENIED"), SITE, "refused by the user"))
        self.do("open", "a")
        fault = ("ctap-status", "0x2E", "authenticatorMakeCredential", ",times=1")
        expect(self.do("faultOn", "a", *fault), "did not happen yet")
        ceremony = self.service.create("a")
        self.do("asks", "a", SITE)
        self.do("touch", "a")
        expect(ceremony.result(), "error")
        found.append(expect(self.do("refused", "CTAP2_ERR_NO_CREDENTIALS"), "refused by a key"))
        self.do("faults", "a", "happened once")
        self.do("faultOff", "a")
        self.do("close")
        return "by the user, then by a key with a fault"

    def unplugged(self):
        """A key is pulled out and put back in; one is added, and taken away."""
        self.do("press", "a", "Unplug")
        self.do("isOut", "a", True)
        expect(self.keys.run("list"), "unplugged")
        self.do("press", "a", "Plug in")
        self.do("isOut", "a", False)
        kind = self.do("add", "added", "yubikey-bio-5.7")
        expect(self.keys.run("list"), "added")
        self.do("touch", "added")
        refused = self.do("says", "does not wait for a touch")
        return f"out, in, added: {kind}, {self.do('remove', 'added')}; {refused}"

    def hostile(self):
        """Names of others are text, wherever they are shown."""
        ceremony = self.service.create("b", user=HOSTILE, resident=True)
        self.do("asks", "b", SITE)
        self.do("touch", "b")
        ceremony.result()
        self.do("open", "b")
        expect(self.do("holds", "b", SITE), "<img src=x onerror=alert(1)><b>\\u{202e}gnp")
        expect(self.do("openRow", "authenticatorMakeCredential"), "<img src=x")
        markup = self.do("markup")
        return "text" if markup == 0 else f"{markup} that is none"

    def at_once(self):
        """Two sites ask a key each: both are told apart while they wait, and when they are refused."""
        ceremonies = [self.service.create("a"), self.service.create("b", site=OTHER_SITE)]
        for key, site in (("a", SITE), ("b", OTHER_SITE)):
            expect(self.do("asks", key, site), f"to register at {site}")
        found = []
        for key, site, ceremony in (("b", OTHER_SITE, ceremonies[1]), ("a", SITE, ceremonies[0])):
            self.do("press", key, "Deny")
            expect(ceremony.result(), "NotAllowedError")
            self.do("refused", f"for {site}")
            found.append(f"{', '.join(self.do('refusedKeys'))} for {site}")
        return "; ".join(found)

    def pin(self):
        """A key's first PIN is set, and changed; a wrong one costs a try, and none stays in the page."""
        self.service.ask("POST", "/v1/keys", {"name": "p", "profile": "keyrig"})
        self.do("isOut", "p", False)
        expect(self.do("pin", "p", "Set a PIN", "", "first-pin", "other-pin"), "nothing was changed")
        expect(self.do("pin", "p", "Set a PIN", "", "first-pin", "first-pin"), "is set")
        found = [self.do("pinState", "p", "8 tries left")]
        expect(self.do("pin", "p", "Change the PIN", "wrong-pin", "next-pin", "next-pin"), "PIN")
        found.append(self.do("pinState", "p", "7 tries left"))
        expect(self.do("pin", "p", "Change the PIN", "first-pin", "next-pin", "next-pin"), "is changed")
        found.append(self.do("pinState", "p", "8 tries left"))
        staying = [pin for pin in ("first-pin", "other-pin", "wrong-pin", "next-pin") if self.do("shows", pin)]
        self.service.ask("DELETE", "/v1/keys/p")
        self.do("gone", "p")
        return f"{'; '.join(found)}; what stays: {', '.join(staying) or 'nothing'}"

    def audited(self):
        """What axe-core finds before one is in, with everything open, in each dialog, and while keys wait."""
        found = self.look("inside")
        for key, text in ((None, "Add a key"), ("a", "Reset"), ("a", "Set a PIN")):
            found += self.look(f"dialog-{self.do('openDialog', key, text)}")
            self.do("dismiss")
        self.do("close")
        ceremonies = [self.service.create(*names) for names in ("ab", "v")]
        for key in "abv":
            self.do("asks", key, SITE)
        found += self.look("waiting")
        # With a denied, its ceremony is over at b too.
        for key in "av":
            self.do("press", key, "Deny")
        for ceremony in ceremonies:
            expect(ceremony.result(), "NotAllowedError")
        self.do("forget")
        expect(self.page(self.service.url + "/"), "outside")
        found += self.look("outside")
        expect(self.do("give", self.service.token), "in, at /")
        return "; ".join(found) or "nothing"

    def many(self):
        """A hundred keys beside those that are there blink, and one is touched. What that takes is counted."""
        names = [f"key-{number}" for number in range(100)]
        for name in names:
            self.service.ask("POST", "/v1/keys", {"name": name, "profile": "keyrig"})
        self.do("isOut", names[-1], False)
        found = []
        for asked in (names[:1], names):
            self.do("count")
            ceremony = self.service.create(*asked)
            self.do("asking", len(asked))
            self.do("touch", asked[-1])
            expect(ceremony.result(), "attestationObject")
            self.do("resting")
            counted = self.do("count")
            each = {name: number / len(asked) for name, number in counted.items()}
            kept = self.kept / f"{self.browser.name.lower()}-panel-counted-{len(asked)}.json"
            kept.write_text(json.dumps(counted), encoding="utf-8")
            if each["told"] > MOST_TOLD or each["changed"] > MOST_CHANGED:
                raise AssertionError(f"{len(asked)} keys blink: {counted}")
            found.append(f"{len(asked)}")
        ceremony = self.service.create(*names)
        self.do("asking", len(names))
        problems = self.look("hundred", widths=[1280], themes=self.browser.themes[:1])
        self.do("press", "key-77", "Deny")
        expect(ceremony.result(), "NotAllowedError")
        self.do("resting")
        for name in names:
            self.service.ask("DELETE", f"/v1/keys/{name}")
        self.do("gone", names[-1])
        each = f"at most {MOST_TOLD} events and {MOST_CHANGED} changes of the document a key"
        return "; ".join(problems) or f"all blink, and none does any more; {each}, of {' and '.join(found)} that blink"


FLOWS = {
    "the panel: opened by a code, and by it again": Panel.entered,
    "the panel: touched": Panel.touched,
    "the panel: refused, and explained there": Panel.refused,
    "the panel: unplugged, added and removed": Panel.unplugged,
    "the panel: two ceremonies at once": Panel.at_once,
    "the panel: a PIN": Panel.pin,
    "the panel: hostile names": Panel.hostile,
    "the panel: what axe-core finds, or is too wide": Panel.audited,
    "the panel: a hundred keys": Panel.many,
}


def run(browser, keys, kept):
    """Runs the flows and prints what was found."""
    panel = Panel(browser, keys, kept)
    panel.follow(FLOWS)
    panel.service.pool.shutdown()
