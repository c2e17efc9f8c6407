"""Registers a machine's one key, a, at keyrig's own site in Chromium's headless shell, and logs in with it.

guest.py KEYRIG: the program whose `key` command works the key. Prints what the page said.
"""

import os
import sys
import tempfile

from chromium import Chromium
from flows import USERS, Flows
from keys import Keys
from own import Own


def main():
    """Registers and logs in."""
    (keyrig,) = sys.argv[1:]
    os.environ["HOME"] = tempfile.mkdtemp()
    site = Own(keyrig, [USERS["a"]])
    browser = Chromium(True, binary="/usr/bin/chromium-headless-shell")
    flows = Flows(browser, Keys(keyrig), site)
    print(flows.enter("a"), flows.add("a", "a"), sep="\n")
    flows.leave()
    print(flows.log_in("a", "a"))
    browser.close()
    site.close()


main()
