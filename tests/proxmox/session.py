"""What automation written for Proxmox VE does, by proxmoxer and by curl, at the site whose address comes as HOST:PORT
and whose CA is the file that comes after it, for root@pam with the password that comes on standard input. Prints what
was done, a line each; any other end than the expected one is an exception."""

import base64
import hashlib
import hmac
import json
import struct
import subprocess
import sys
import time

from proxmoxer import ProxmoxAPI
from proxmoxer.backends.https import ProxmoxHTTPAuth
from proxmoxer.core import AuthenticationError, ResourceException

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
RECOVERY_KEYS = 10


def code(at):
    """The code of SECRET at a moment (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(SECRET), struct.pack(">Q", int(at) // 30), hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def refused(call, kind, words):
    try:
        call()
    except kind as error:
        assert words in str(error), error
        return
    raise AssertionError(f"{words}: it was not refused")


port = sys.argv[1].rsplit(":", 1)[1]
ca = sys.argv[2]
password = sys.stdin.readline().rstrip("\n")


def log_in(**how):
    return ProxmoxAPI("localhost", port=port, user="root@pam", verify_ssl=ca, **how)


# A password, factors and users.
pve = log_in(password=password)
assert pve.version.get()["release"] == "9.0"
assert {realm["realm"] for realm in pve.access.domains.get()} == {"pam", "pve"}
refused(lambda: log_in(password="wrong"), AuthenticationError, "Couldn't authenticate user")
pve.access.users.post(userid="ci@pve", password="a password of ci", comment="by automation")
pve.access.acl.put(path="/", users="ci@pve", roles="PVEAuditor")
assert pve.access.users("ci@pve").get()["comment"] == "by automation"
refused(lambda: pve.access.users("nobody@pve").get(), ResourceException, "no such user ('nobody@pve')")
refused(lambda: pve.access.users.post(userid="x"), ResourceException, "Parameter verification failed.")
print("password, users, roles")

# A second factor.
now = time.time()
uri = f"otpauth://totp/cluster:root%40pam?secret={SECRET}&issuer=cluster"
added = pve.access.tfa("root@pam").post(type="totp", description="phone", totp=uri, value=code(now), password=password)
assert [entry["id"] for entry in pve.access.tfa("root@pam").get()] == [added["id"]]
refused(lambda: log_in(password=password), AuthenticationError, "missing Two Factor Authentication")
refused(lambda: log_in(password=password, otp=code(now)), AuthenticationError, "missing Two Factor Authentication")
two_factors = log_in(password=password, otp=code(now + 30))
assert two_factors.access.permissions.get()["/"]["User.Modify"] == 1
print("TOTP: refused without a code and with a used one, let in by the next")

# A ticket is renewed by itself.
ProxmoxHTTPAuth.renew_age = 0
before = two_factors.get_tokens()[0]
two_factors.version.get()
assert two_factors.get_tokens()[0] != before
ProxmoxHTTPAuth.renew_age = 3600
print("renewal")

# A token for programs.
made = two_factors.access.users("root@pam").token("ci").post(privsep=0)
token = {"token_name": "ci", "token_value": made["value"]}
program = log_in(**token)
program.access.users("ci@pve").put(comment="by a token")
refused(lambda: program.access.tfa("root@pam").post(type="recovery"), ResourceException, "403")
two_factors.access.users("root@pam").token("ci").delete()
refused(log_in(**token).version.get, ResourceException, "401")
print("API token: users yes, factors no")

# Recovery keys, one of which takes the place of the phone.
keys = two_factors.access.tfa("root@pam").post(type="recovery", description="paper")["recovery"]
assert len(keys) == RECOVERY_KEYS


def by_recovery_key():
    """proxmoxer has a way for it, and no argument."""
    base_url = f"https://localhost:{port}/api2/json"
    return ProxmoxHTTPAuth("root@pam", password, otp=keys[0], otptype="recovery", base_url=base_url, verify_ssl=ca)


assert by_recovery_key().get_tokens()[0].startswith("PVE:root@pam:")
refused(by_recovery_key, AuthenticationError, "missing Two Factor Authentication")
print("recovery key: once")


# As guides write it.
def curl(*arguments):
    done = subprocess.run(
        ["curl", "--silent", "--cacert", ca, *arguments], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout


api = f"https://localhost:{port}/api2/json"
answer = curl("-d", "username=ci@pve", "--data-urlencode", "password=a password of ci", f"{api}/access/ticket")
ticket = json.loads(answer)["data"]
cookie = ("--cookie", f"PVEAuthCookie={ticket['ticket']}")
assert json.loads(curl(*cookie, f"{api}/version"))["data"]["release"] == "9.0"
head = curl("--include", *cookie, "-X", "PUT", "-d", "comment=x", f"{api}/access/users/ci@pve").splitlines()[0]
assert head == "HTTP/1.1 401 Permission denied - invalid csrf token", head
header = ("-H", f"CSRFPreventionToken:{ticket['CSRFPreventionToken']}")
head = curl("--include", *cookie, *header, "-X", "PUT", "-d", "comment=x", f"{api}/access/users/ci@pve").splitlines()[0]
assert head.startswith("HTTP/1.1 403 Permission check failed"), head
head = curl("--include", f"{api}/access/users").splitlines()[0]
assert head == "HTTP/1.1 401 No ticket", head
print("curl: cookie, token, reason phrases")
