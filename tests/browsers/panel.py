"""The panel of the rack around this process, in a browser: who gets in, what is seen there, and what is done there."""

import base64
import concurrent.futures
import json
import os
import pathlib
import urllib.error
import urllib.request

WIDTHS = (390, 1280)
SITE = "login.example.com"
# Markup, what turns text around, and what is not seen.
HOSTILE = '<img src=x onerror=alert(1)><b>\u202egnp.exe\u200b"&amp;'


def script(name):
    """A script for a page that is beside this file, or where npm's packages were copied to."""
    return (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8")


def expect(found, *words):
    """What was found has to have these words."""
    lacking = [word for word in words if word not in str(found)]
    if lacking:
        raise AssertionError(f"{found!r} lacks {lacking}")
    return found


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

    def create(self, *keys, user="alice", resident=False):
        """Begins to register a credential at some keys."""
        options = {
            "rp": {"id": SITE, "name": HOSTILE},
            "user": {"id": base64.urlsafe_b64encode(user.encode()[:60]).decode().rstrip("="), "name": user},
            "challenge": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
            "timeout": 600_000,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"residentKey": "required" if resident else "discouraged"},
        }
        options["user"]["displayName"] = user
        body = {"origin": f"https://{SITE}", "options": options, "on": list(keys)}
        # Chromium would ask for a PIN before a key stores anything.
        body |= {"browser": "firefox"} if resident else {}
        return self.pool.submit(self.ask, "POST", "/v1/client/create", body)


class Panel:
    """A browser at the panel."""

    def __init__(self, browser, keys, kept):
        self.browser, self.keys, self.kept = browser, keys, pathlib.Path(kept)
        self.service = Service()
        self.is_chromium = browser.name == "Chromium"

    def page(self, url):
        """A page from its beginning, and whether one is in."""
        # An address that differs in its fragment alone is no other page.
        self.browser.go("about:blank")
        self.browser.go(url)
        self.tools()
        return self.do("inside")

    def tools(self):
        """What is done at the panel."""
        self.browser.run(f"() => {{ {script('panel.js')} }}")

    def do(self, name, *arguments):
        """Does something at the page."""
        return self.browser.run(f"(...given) => window.at.{name}(...given)", *arguments)

    def look(self, name, found, widths=WIDTHS, themes=("dark", "light")):
        """Audits what is seen, in these ways of looking at it, and keeps pictures."""
        if not self.is_chromium:
            return
        self.browser.run(f"() => {{ {script('../node_modules/axe-core/axe.min.js')} }}")
        for width in widths:
            for theme in themes:
                self.browser.look(width, theme)
                self.browser.shoot(self.kept / f"chromium-panel-{name}-{width}-{theme}.png")
                problems = [*self.do("audit")]
                if (pixels := self.do("tooWide")) > 0:
                    problems.append(f"{pixels} pixels too wide")
                found.extend(f"{name} at {width}, {theme}: {problem}" for problem in problems)

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
                self.browser.press("\ue007")
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
        refused = expect(self.do("said"), "does not wait for a touch")
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

    def audited(self):
        """What axe-core finds before one is in, with everything open, and while keys wait; pictures are kept."""
        if not self.is_chromium:
            return "not looked at"
        found = []
        self.look("inside", found)
        self.do("close")
        ceremonies = [self.service.create(*names) for names in ("ab", "v")]
        for key in "abv":
            self.do("asks", key, SITE)
        self.look("waiting", found)
        # With a denied, its ceremony is over at b too.
        for key in "av":
            self.do("press", key, "Deny")
        for ceremony in ceremonies:
            expect(ceremony.result(), "NotAllowedError")
        self.do("forget")
        expect(self.page(self.service.url + "/"), "outside")
        self.look("outside", found)
        expect(self.do("give", self.service.token), "in, at /")
        return "; ".join(found) or "nothing"

    def many(self):
        """A hundred keys beside those that are there, all of which blink; one is touched."""
        names = [f"key-{number}" for number in range(100)]
        for name in names:
            self.service.ask("POST", "/v1/keys", {"name": name, "profile": "keyrig"})
        ceremony = self.service.create(*names)
        self.do("asking", len(names))
        found = []
        self.look("hundred", found, widths=[1280], themes=["dark"])
        expect(self.do("asks", "key-77", SITE), "to register")
        self.do("touch", "key-77")
        expect(ceremony.result(), "attestationObject")
        self.do("resting")
        for name in names:
            self.service.ask("DELETE", f"/v1/keys/{name}")
        self.do("gone", names[-1])
        return "; ".join(found) or "all blink, and none does any more"


FLOWS = {
    "the panel: opened by a code, and by it again": Panel.entered,
    "the panel: touched": Panel.touched,
    "the panel: refused, and explained there": Panel.refused,
    "the panel: unplugged, added and removed": Panel.unplugged,
    "the panel: hostile names": Panel.hostile,
    "the panel: what axe-core finds, or is too wide": Panel.audited,
    "the panel: a hundred keys": Panel.many,
}


def run(browser, keys, kept):
    """Runs the flows and prints what was found."""
    panel = Panel(browser, keys, kept)
    for title, flow in FLOWS.items():
        print(json.dumps({"flow": title, "found": flow(panel)}), flush=True)
    panel.service.pool.shutdown()
