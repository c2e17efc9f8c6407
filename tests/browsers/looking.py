"""Pages of keyrig's in a browser: worked by scripts beside this file, looked at, and audited."""

import json
import pathlib

from own import script, tools

WIDTHS = (390, 1280)
# Markup, what turns text around, and what is not seen.
HOSTILE = '<img src=x onerror=alert(1)><b>\u202egnp.exe\u200b"&amp;'

TAB, ENTER, ESCAPE, SPACE = "\ue004", "\ue007", "\ue00c", " "
# A field for a date has a stop for each of its parts.
MOST_TABS = 150


def expect(found, *words):
    """What was found has to have these words."""
    lacking = [word for word in words if word not in str(found)]
    if lacking:
        raise AssertionError(f"{found!r} lacks {lacking}")
    return found


class Looking:
    """A browser at pages that are worked by these scripts; pictures of them are kept."""

    scripts = ()

    def __init__(self, browser, kept, about):
        self.browser, self.kept, self.about = browser, pathlib.Path(kept), about

    def load(self):
        """Gives the page what it is worked by."""
        self.browser.run(f"() => {{ {tools(*self.scripts)} }}")

    def do(self, name, *arguments):
        """Does something at the page."""
        return self.browser.run(f"(...given) => window.at.{name}(...given)", *arguments)

    def follow(self, flows):
        """Does each flow and prints what was found; one that goes wrong is told with its page, with a picture kept."""
        for title, flow in flows.items():
            try:
                found = flow(self)
            except Exception as error:
                raise RuntimeError(f"{title}: {error}\nThe page then: {self.state()}") from error
            print(json.dumps({"flow": title, "found": found}), flush=True)

    def state(self):
        """What there is to be seen at the page."""
        try:
            self.browser.shoot(self.kept / f"{self.browser.name.lower()}-{self.about}-failed.png")
            self.load()
            return self.do("state")
        except Exception as error:
            return f"not to be seen: {error}"

    def look(self, name, widths=WIDTHS, themes=None):
        """What axe-core finds in each of these ways to look, and what is wider than the window; pictures are kept."""
        self.browser.run(f"() => {{ {script('../node_modules/axe-core/axe.min.js')} }}")
        found = []
        for width in widths:
            for theme in themes or self.browser.themes:
                self.browser.look(width, theme)
                picture = f"{self.browser.name.lower()}-{self.about}-{name}-{width}-{theme}.png"
                self.browser.shoot(self.kept / picture)
                problems = [*self.do("audit")]
                if (pixels := self.do("tooWide")) > 0:
                    problems.append(f"{pixels} pixels too wide")
                found.extend(f"{name} at {width}, {theme}: {problem}" for problem in problems)
        return found

    def tab_to(self, called):
        """Presses Tab until what is called so has the focus."""
        way = []
        for _ in range(MOST_TABS):
            at = self.do("focused")["called"]
            if at.startswith(called):
                return
            way.append(at)
            self.browser.press(TAB)
        raise AssertionError(f"Tab does not come to {called!r}, but to {way}")

    def tab_everywhere(self):
        """Tab comes to everything that can be worked, and is caught nowhere."""
        left = self.do("leftToReach", True)
        for _ in range(MOST_TABS):
            if not left:
                return
            self.browser.press(TAB)
            self.do("focused")
            left = self.do("leftToReach", False)
        raise AssertionError(f"Tab does not come to {left}")
