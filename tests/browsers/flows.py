"""What is done with keys in browsers. Each flow returns what was found, in words that are compared with the table."""

import contextlib
import re

from own import PASSWORD, tools

# What is typed.
PIN = "123456"

# The credentials of these users are on the key of that name, on both, or on none yet.
USERS = {"a": "a@pve", "b": "b@pve", "ab": "ab@pve", "p": "p@pve"}


class Flows:
    """A browser in front of two keys, a and b, and what was registered with it."""

    def __init__(self, browser, keys, site, screen=None):
        self.browser, self.keys, self.site, self.screen = browser, keys, site, screen
        self.known = {}

    def page(self, url=None):
        """A page with nothing left of what was there."""
        self.browser.go(url or self.site.url)
        self.browser.run(f"() => {{ {tools('page.js')} }}")

    def do(self, name, *arguments):
        """Does something at the page."""
        return self.browser.run(f"(...given) => window.keys.{name}(...given)", *arguments)

    def begin(self, name, *arguments):
        """Begins something at the page that goes on while the keys are worked."""
        self.browser.run("(...given) => window.keys.begin(...given)", name, *arguments)

    def finish(self):
        """Waits for what was begun."""
        return self.browser.run("() => window.keys.finish()")

    def found(self, told):
        """What the page says, with the key's name for the credential's."""
        if isinstance(told, str):
            return told
        # Its message differs between versions, and its name does not.
        said = re.sub(r"^The browser says (\w+):.*", r"\1", told["said"])
        key = next((key for key, ids in self.known.items() if told["credential"] in ids), None)
        return said if key is None else f"{key}: {said}"

    def policy(self, policy, finger="a"):
        """What the finger does, and where."""
        # In this order: a key that waits under the finger would be touched.
        self.keys.run("finger", finger)
        self.keys.run("touch-policy", policy)

    def enter(self, user):
        """Gives the password at keyrig's own site."""
        self.page()
        return self.do("enter", USERS[user], PASSWORD)

    def leave(self):
        """Logs out."""
        self.do("leave")

    def add(self, key, user):
        """Registers a key for a user who is in."""
        self.policy("auto", key)
        told = self.do("add", "webauthn", key, PASSWORD)
        self.known.setdefault(key, set()).add(told["credential"])
        return told["said"]

    # Without a window of the browser's own.

    def register(self):
        """Registers a, then b, for one user, and each for another user."""
        said = []
        for user, keys in [("ab", "ab"), ("a", "a"), ("b", "b")]:
            said.append(self.enter(user))
            for key in keys:
                said.append(self.add(key, user))
            self.leave()
        return "all added" if set(said) == {"in", "Added a.", "Added b."} else "; ".join(said)

    def log_in(self, user, finger):
        """Logs in with the password and the key under the finger."""
        self.policy("auto", finger)
        if (said := self.enter(user)) != "second factor":
            return said
        found = self.found(self.do("useKey", "use-webauthn"))
        if found.endswith(": in"):
            self.leave()
        return found

    def while_both_wait(self, act):
        """Both keys wait for a touch, then something is done: returns what came of it."""
        self.policy("manual")
        self.enter("ab")
        self.begin("useKey", "use-webauthn")
        self.keys.wait("a", "b")
        act()
        return self.found(self.finish())

    def touch_b(self):
        """Both wait, and b is touched."""
        return self.left(self.while_both_wait(lambda: self.policy("auto", "b")))

    def unplug_one(self):
        """Both wait, a is unplugged, b is touched."""

        def act():
            self.keys.run("unplug", "a")
            self.policy("auto", "b")

        found = self.left(self.while_both_wait(act))
        self.keys.run("plug", "a")
        return found

    def unplug_both(self):
        """Both wait and are unplugged; then they are plugged in again, and a is touched."""

        def act():
            for key in "ab":
                self.keys.run("unplug", key)
            self.policy("auto", "a")
            for key in "ab":
                self.keys.run("plug", key)

        return self.left(self.while_both_wait(act))

    def left(self, found):
        """Logs out who is in."""
        if ": in" in found:
            self.leave()
        return found

    @contextlib.contextmanager
    def alone(self, other):
        """A page, and another key than a and b alone."""
        for key in "ab":
            self.keys.run("unplug", key)
        self.keys.run("plug", other)
        self.policy("auto", other)
        self.page()
        yield
        self.keys.run("unplug", other)
        for key in "ab":
            self.keys.run("plug", key)

    def built_in_uv(self):
        """A passkey on a key that verifies its user itself: nothing is typed."""
        verified = {"residentKey": "required", "userVerification": "required"}
        with self.alone("v"):
            made = self.do("create", {"user": "verified", "selection": verified})
            used = self.do("get", {"publicKey": {"userVerification": "required"}})
        return f"create: {made['said']}, get: {used['said']}, user: {used.get('user')}"

    def u2f(self):
        """A key from before CTAP2."""
        with self.alone("u"):
            made = self.do("create", {})
            used = self.do("get", {}, [made["credential"]])
        return f"create: {made['said']}, get: {used['said']}"

    def without_hints(self):
        """The page does not say that it wants a security key."""
        self.policy("auto", "a")
        self.page()
        made = self.do("create", {"publicKey": {"hints": []}})
        used = self.do("get", {"publicKey": {"hints": []}}, [made["credential"]])
        return f"create: {made['said']}, get: {used['said']}"

    def at_site(self, kind):
        """At a site that is on another's server library."""
        self.policy("auto", "a")
        site = kind()
        self.browser.go(site.url)
        said = [self.browser.run("() => register()"), self.browser.run("() => logIn()")]
        site.close()
        return "; ".join(said)

    # With windows of the browser's own.

    def ended(self, name, *texts):
        """Waits for the end. A window that stays open and says why is closed, and its words are told."""
        if self.browser.leaves_windows:
            window = f', window: "{self.screen.wait(self.picture(name), *texts)}"'
            self.screen.press("Escape")
        else:
            window = ""
        return f"{self.left(self.found(self.finish()))}{window}"

    def picture(self, name):
        """What a picture is called."""
        return f"{self.browser.name.lower()}-{name}"

    def register_again(self):
        """a is registered a second time."""
        self.policy("auto", "a")
        self.enter("ab")
        self.do("useKey", "use-webauthn")
        self.begin("add", "webauthn", "again", PASSWORD)
        found = self.ended("again", "Try a different device", "Something went wrong")
        self.leave()
        return found

    def deny(self):
        """Both wait, and the user refuses at a, and touches b."""
        self.policy("manual")
        self.enter("ab")
        self.begin("useKey", "use-webauthn")
        self.keys.wait("a", "b")
        self.keys.run("deny", "a")
        if not self.browser.leaves_windows:
            self.policy("auto", "b")
        return self.ended("deny", "Something went wrong", "Try a different")

    def wrong_finger(self):
        """Only a is known, and b is touched."""
        self.policy("auto", "b")
        self.enter("a")
        self.begin("useKey", "use-webauthn")
        return self.ended("wrong-finger", "Try a different security key", "Something went wrong")

    def u2f_again(self):
        """A key from before CTAP2 is registered a second time."""
        with self.alone("u"):
            made = self.do("create", {})
            self.begin("create", {}, [made["credential"]])
            return self.ended("u2f-again", "Try a different device", "Something went wrong")

    def u2f_unknown(self):
        """A key from before CTAP2 is asked for a credential that it has not."""
        with self.alone("u"):
            self.begin("get", {}, ["A" * 86])
            return self.ended("u2f-unknown", "Try a different security key", "Something went wrong")

    def type_pins(self, name, *pins):
        """Types PINs as they are asked for: the first, then others after wrong ones."""
        for number, pin in enumerate(pins):
            texts = self.browser.wrong_pin if number else self.browser.asks_for_pin
            self.screen.wait(self.picture(f"{name}-{number}"), *texts)
            self.screen.type(pin)

    def passkey(self):
        """A passkey on a, which has a PIN: a wrong PIN, then the right one."""
        self.keys.run("pin", "set", "a", "--pin-file", "-", text=PIN)
        self.policy("auto", "a")
        self.enter("p")
        self.begin("add", "passkey", "passkey", PASSWORD)
        self.type_pins("pin", "000000", PIN)
        told = self.finish()
        self.known.setdefault("a", set()).add(told["credential"])
        self.leave()
        return told["said"]

    def passkey_login(self):
        """A login with that passkey, without a password."""
        self.policy("auto", "a")
        self.page()
        self.begin("useKey", "passkey")
        self.type_pins("passkey", PIN)
        return self.left(self.found(self.finish()))

    def prf(self):
        """PRF when a credential is made and when it is used, with the PIN."""
        self.policy("auto", "a")
        self.page()
        salt = {"extensions": {"prf": {"eval": {"first": "c2FsdA=="}}}}
        verified = {"selection": {"residentKey": "required", "userVerification": "required"}}
        self.begin("create", salt | verified | {"user": "prf"})
        self.type_pins("prf-create", PIN)
        made = self.finish()
        self.begin("get", salt | {"publicKey": {"userVerification": "required"}}, [made["credential"]])
        self.type_pins("prf-get", PIN)
        used = self.finish()

        def secret(told):
            return told.get("extensions", {}).get("prf", {}).get("results", {}).get("first")

        if not secret(used):
            return f"{made['said']}, {used['said']}: no secret"
        if not secret(made):
            return "at get"
        return "at create and get, the same" if secret(made) == secret(used) else "at create and get, another"

    def large_blob(self):
        """A large blob is written and read."""
        self.policy("auto", "a")
        self.page()
        verified = {"residentKey": "required", "userVerification": "required"}
        self.begin(
            "create", {"user": "blob", "selection": verified, "extensions": {"largeBlob": {"support": "preferred"}}}
        )
        self.type_pins("blob-create", PIN)
        made = self.finish()
        if not made["extensions"].get("largeBlob", {}).get("supported"):
            return f"{made['said']}, not supported"
        said = []
        for wanted in [{"write": "YmxvYg=="}, {"read": True}]:
            options = {"publicKey": {"userVerification": "required"}, "extensions": {"largeBlob": wanted}}
            self.begin("get", options, [made["credential"]])
            self.type_pins("blob", PIN)
            said.append(self.finish().get("extensions", {}).get("largeBlob", {}))
        written, read = said
        return "written and read" if written.get("written") and read.get("blob") == "YmxvYg==" else f"{said}"

    def direct(self):
        """The page wants an attestation."""
        self.policy("auto", "a")
        self.page()
        self.begin("create", {"publicKey": {"attestation": "direct"}})
        asked = ""
        if self.browser.asks_for_attestation:
            window = self.screen.wait(self.picture("direct"), self.browser.asks_for_attestation)
            asked = f', window: "{window}", allowed'
            self.screen.press("alt+a")
        made = self.finish()
        return f"{made['said']}, {made.get('format')}{asked}"

    def first_pin(self):
        """A passkey on b, which has no PIN, with user verification; then b forgets all."""
        self.policy("auto", "b")
        self.page()
        verified = {"residentKey": "required", "userVerification": "required"}
        self.begin("create", {"user": "new", "selection": verified})
        window = ""
        if self.browser.sets_first_pin:
            said = self.screen.wait(self.picture("first-pin"), self.browser.sets_first_pin)
            window = f', window: "{said}"'
            self.screen.type(PIN, "Tab")
            self.screen.type(PIN)
        made = self.finish()["said"]
        self.keys.run("reset", "b")
        return f"{made}{window}"

    def several_accounts(self):
        """A login without names, with two accounts on b."""
        self.keys.run("pin", "set", "b", "--pin-file", "-", text=PIN)
        self.policy("auto", "b")
        for user in ["first", "second"]:
            self.page()
            verified = {"residentKey": "required", "userVerification": "required"}
            self.begin("create", {"user": user, "selection": verified})
            self.type_pins("account", PIN)
            self.finish()
        self.page()
        self.begin("get", {"publicKey": {"userVerification": "required"}})
        self.type_pins("accounts", PIN)
        window, key = self.browser.asks_for_account
        self.screen.wait(self.picture("choice"), window)
        self.screen.press(key)
        user = self.finish().get("user")
        return f'{"one of them" if user in ("first", "second") else user}, window: "{window}"'
