"""Does what `keyrig run` asks a person to do in a browser, in Chromium's headless shell.

person.py KEYRIG URL USER KEY register|log_in: the program whose `key` command touches the key, the site, who is there,
which key it is, and what is done. Prints what the page said.
"""

import os
import sys
import tempfile
from types import SimpleNamespace

from chromium import Chromium
from flows import USERS, Flows
from keys import Keys
from own import PASSWORD


def main():
    """Registers, or logs in."""
    keyrig, url, user, key, what = sys.argv[1:]
    USERS["person"] = user
    os.environ["HOME"] = tempfile.mkdtemp()
    browser = Chromium(True, binary="/usr/bin/chromium-headless-shell")
    flows = Flows(browser, Keys(keyrig), SimpleNamespace(url=f"{url}/"))
    print(flows.enter("person"))
    if what == "register":
        flows.begin("add", "webauthn", key, PASSWORD)
    else:
        flows.begin("useKey", "use-webauthn")
    flows.keys.wait(key)
    flows.keys.run("touch", key)
    print(flows.finish())
    browser.close()


main()
