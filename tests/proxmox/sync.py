"""What automation does to sync a realm of a directory, by proxmoxer, at the site whose address comes as HOST:PORT and
whose CA is the file that comes after it, for root@pam with the password that comes on standard input. The realm is
corp. Prints what was done, a line each; any other end than the expected one is an exception."""

import sys

from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from proxmoxer.tools import Tasks

port = sys.argv[1].rsplit(":", 1)[1]
ca = sys.argv[2]
password = sys.stdin.readline().rstrip("\n")
pve = ProxmoxAPI("localhost", port=port, user="root@pam", password=password, verify_ssl=ca)


def synced(client, **how):
    """Begins a sync, waits for its task, and gives what became of it and its log."""
    upid = client.access.domains("corp").sync.post(**how)
    status = Tasks.blocking_status(client, upid, polling_interval=0.1)
    decoded = Tasks.decode_upid(upid)
    assert all(status[name] == decoded[name] for name in decoded if name != "comment"), (status, decoded)
    log = client.nodes(decoded["node"]).tasks(upid).log.get(limit=0)
    return status, Tasks.decode_log(log).splitlines()


def users():
    return sorted(user["userid"] for user in pve.access.users.get() if user["userid"].endswith("@corp"))


status, log = synced(pve, scope="both", **{"dry-run": 1})
assert (status["type"], status["exitstatus"]) == ("auth-realm-sync-test", "OK"), status
assert log[0] == "(dry test run) starting sync for realm corp", log
assert log[-1] == "TASK OK", log
assert users() == []
print("dry run: nothing")

status, log = synced(pve, scope="both", **{"enable-new": 0, "remove-vanished": "acl;entry;properties"})
assert (status["type"], status["exitstatus"]) == ("auth-realm-sync", "OK"), status
assert "added the user alice@corp" in log, log
assert users() == ["alice@corp", "bob@corp"]
assert pve.access.users("alice@corp").get()["enable"] == 0
assert pve.access.groups("staff-corp").get()["members"] == ["alice@corp"]
print("sync: users, groups")

made = pve.access.users("root@pam").token("cron").post(privsep=0)
program = ProxmoxAPI(
    "localhost", port=port, user="root@pam", token_name="cron", token_value=made["value"], verify_ssl=ca
)
status, log = synced(program, scope="users")
assert (status["user"], status["tokenid"], status["exitstatus"]) == ("root@pam", "cron", "OK"), status
print("by a token")

try:
    pve.access.domains("corp").sync.post()
except ResourceException as error:
    assert error.errors == {"scope": "Not passed as parameter and not defined in realm default sync options."}, error
    print("refused without a scope")
