"""What automation does to add, change and delete realms of a directory, by proxmoxer, at the site whose address comes
as HOST:PORT and whose CA is the file that comes after it, for root@pam with the password that comes on standard input.
Then come the port of LDAPS of a directory, the file of its CA, whom to bind as, and the password of that. Prints what
was done, a line each; any other end than the expected one is an exception."""

import sys

from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from proxmoxer.tools import Tasks

address, ca, directory_port, directory_ca, bind_dn, bind_password = sys.argv[1:]
port = address.rsplit(":", 1)[1]
password = sys.stdin.readline().rstrip("\n")
pve = ProxmoxAPI("localhost", port=port, user="root@pam", password=password, verify_ssl=ca)


def refused(call, words, **errors):
    """What the answer said was wrong, by parameter."""
    try:
        call()
    except ResourceException as error:
        assert words in str(error), error
        assert set(error.errors or {}) == set(errors), error
        assert all(reason in error.errors[name] for name, reason in errors.items()), error
        return
    raise AssertionError(f"{words}: it was not refused")


def names():
    return {realm["realm"] for realm in pve.access.domains.get()}


def users():
    return {user["userid"] for user in pve.access.users.get()}


def corp():
    return pve.access.domains("corp")


of_corp = {
    "realm": "corp",
    "type": "ldap",
    "comment": "the company",
    "server1": "localhost",
    "port": directory_port,
    "mode": "ldaps",
    "verify": 1,
    "capath": directory_ca,
    "base_dn": "dc=example,dc=com",
    "user_attr": "uid",
    "user_classes": "inetOrgPerson",
    "bind_dn": bind_dn,
    "password": bind_password,
    "tfa": "type=oath,digits=6,step=30",
    "sync-defaults-options": "scope=users",
}
wrong_password = {**of_corp, "password": "not the reader's", "check-connection": 1}
refused(lambda: pve.access.domains.post(**wrong_password), "the bind as cn=reader,dc=example,dc=com was refused")
assert names() == {"pam", "pve"}
assert pve.access.domains.post(**of_corp, **{"check-connection": 1}) is None
assert names() == {"pam", "pve", "corp"}
print("added, as the directory takes the password")

told = corp().get()
assert "realm" not in told and "password" not in told, told
kept = {name: value for name, value in of_corp.items() if name not in ("realm", "password")}
assert {name: str(told[name]) for name in kept} == {name: str(value) for name, value in kept.items()}, told
print("told, without the password")

digest = told["digest"]
corp().put(comment="", delete="tfa", filter="(uid=alice)", digest=digest)
told = corp().get()
assert "comment" not in told and "tfa" not in told and told["filter"] == "(uid=alice)", told
refused(lambda: corp().put(comment="x", digest=digest), "detected modified configuration")
refused(lambda: corp().put(port=0), "Parameter verification failed.", port="1 to 65535")
refused(lambda: corp().put(server1="127.0.0.1"), "Parameter verification failed.", password="give it again")
refused(lambda: corp().put(port=1, **{"check-connection": 1}), "cannot be reached")
assert corp().get() == told
print("changed; what cannot be changes nothing")

Tasks.blocking_status(pve, corp().sync.post(), polling_interval=0.1)
assert users() == {"root@pam", "alice@corp"}
print("synced")

refused(lambda: pve.access.domains("pam").delete(), "is always there")
refused(lambda: pve.access.domains.post(realm="test", type="pve"), "unable to create builtin type 'pve'")
corp().delete()
assert names() == {"pam", "pve"}
assert users() == {"root@pam"}
refused(corp().get, "domain 'corp' does not exist")
print("deleted with its user")
