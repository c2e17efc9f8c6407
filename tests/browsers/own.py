"""keyrig's own site, and what is done at a page."""

import json
import pathlib
import subprocess
import tempfile

PASSWORD = "correct horse battery staple"


class Own:
    """`keyrig rp serve`, with users and administrators who have a password and nothing else."""

    def __init__(self, keyrig, users, options=(), administrators=()):
        self.state = tempfile.mkdtemp()
        for user in [*users, *administrators]:
            role = "administrator" if user in administrators else "user"
            command = [keyrig, "rp", "user", "add", user, "--role", role, "--password", "-", "--state", self.state]
            subprocess.run(command, check=True, input=PASSWORD, text=True, capture_output=True, close_fds=False)
        command = [keyrig, "rp", "serve", "--json", "--explain", "--listen", "localhost:0", "--state", self.state]
        command += options
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, close_fds=False)
        self.url = json.loads(self.server.stdout.readline())["url"] + "/"

    def close(self):
        """Ends it."""
        self.server.terminate()
        self.server.wait()


def script(name):
    """A script for a page that is beside this file, or where npm's packages were copied to."""
    return (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8")


def tools(*names):
    """What is done at a page, as a script for it: what every page has, and these."""
    return "\n".join(script(name) for name in ("looking.js", *names))
