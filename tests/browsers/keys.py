"""Works the keys of the `keyrig exec` around this process."""

import subprocess

ATTEMPTS = 100


class Keys:
    """The keys, by the `key` command of the program under test."""

    def __init__(self, keyrig):
        self.keyrig = keyrig

    def run(self, *arguments, text=None):
        """Runs `keyrig key`, and returns what it prints."""
        command = [self.keyrig, "key", *arguments]
        # The program under test may be open as a descriptor, where an ordinary user cannot reach its file.
        # A browser that has given a key up may be about to cancel: whoever asks meanwhile is told that it is busy, and
        # asks again, as platforms do.
        for _ in range(ATTEMPTS):
            done = subprocess.run(command, check=False, capture_output=True, text=True, input=text, close_fds=False)
            if "CHANNEL_BUSY" not in done.stderr:
                break
        if done.returncode != 0:
            message = f"{' '.join(command)}: {done.stderr}"
            raise RuntimeError(message)
        return done.stdout

    def wait(self, *names):
        """Waits until each of these keys waits for a touch."""
        for name in names:
            self.run("wait", name, "--timeout", "60")
