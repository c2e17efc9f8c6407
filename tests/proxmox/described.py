"""What a client made of Proxmox VE's own description of its API says of the answers of the site whose address comes as
HOST:PORT and whose CA is the file that comes after it, for root@pam with the password that comes on standard input.
Each answer is one that the description has, or reading it is an exception. Prints what was read, a line each part."""

import json
import sys

import clientapi_pve
from clientapi_pve import models
from clientapi_pve.models.pve_boolean import PveBoolean

ROOT = "root@pam"
RECOVERY_KEYS = 10
YES, NO = PveBoolean(1), PveBoolean(0)

port = sys.argv[1].rsplit(":", 1)[1]
password = sys.stdin.readline().rstrip("\n")
settings = clientapi_pve.Configuration(host=f"https://localhost:{port}/api2/json", ssl_ca_cert=sys.argv[2])
pve = clientapi_pve.Pve(settings)


def refused(call, status, words):
    """A refusal's reason phrase, and its message, are these words."""
    try:
        call()
    except clientapi_pve.ApiException as error:
        assert (error.status, error.reason) == (status, words), error
        assert f'"message":"{words}\\n"' in error.body, error.body
        return
    raise AssertionError(f"{words}: it was not refused")


ticket = pve.accessTicket.create_ticket(models.AccessTicketCreateTicketRequest(username=ROOT, password=password)).data
pve.api_client.default_headers["Cookie"] = f"PVEAuthCookie={ticket.ticket}"
pve.api_client.default_headers["CSRFPreventionToken"] = ticket.csrf_prevention_token
assert pve.version.version().data.release == "9.0"
below = {entry.subdir for entry in pve.access.get_access().data}
assert {"acl", "domains", "groups", "password", "permissions", "roles", "tfa", "ticket", "users"} <= below, below
print("ticket, version, what is below /access")

users = pve.accessUsers
users.create_user(
    models.AccessUsersCreateUserRequest(userid="ci@pve", password="a password of ci", email="ci@example.com")
)
pve.accessGroups.create_group(models.AccessGroupsCreateGroupRequest(groupid="ops", comment="on call"))
users.update_user("ci@pve", models.AccessUsersUpdateUserRequest(groups="ops", comment="by automation"))
found = users.read_user("ci@pve").data
assert (found.comment, found.email, found.groups, found.enable) == ("by automation", "ci@example.com", ["ops"], YES)
assert {user.userid: user.groups for user in users.get_users(full=YES).data} == {ROOT: "", "ci@pve": "ops"}
assert {user.userid for user in users.get_users().data} == {ROOT, "ci@pve"}
assert [(group.groupid, group.users) for group in pve.accessGroups.get_groups().data] == [("ops", "ci@pve")]
assert pve.accessGroups.read_group("ops").data.members == ["ci@pve"]
refused(lambda: users.read_user("nobody@pve"), 500, "no such user ('nobody@pve')")
print("users and groups")

roles = pve.accessRoles
roles.create_role(models.AccessRolesCreateRoleRequest(roleid="Helpdesk", privs="User.Modify"))
roles.update_role("Helpdesk", models.AccessRolesUpdateRoleRequest(privs="Sys.Audit", append=YES))
role = roles.read_role("Helpdesk").data
assert (role.user_modify, role.sys_audit, role.permissions_modify) == (YES, YES, None)
assert {"Administrator", "NoAccess", "PVEAuditor", "Helpdesk"} <= {role.roleid for role in roles.get_roles().data}
pve.accessAcl.update_acl(models.AccessAclUpdateAclRequest(path="/", roles="Helpdesk", groups="ops"))
rights = {(entry.ugid, entry.roleid, entry.path) for entry in pve.accessAcl.read_acl().data}
assert ("ops", "Helpdesk", "/") in rights, rights
assert pve.access.permissions().data["/"].keys() >= {"Permissions.Modify", "Sys.Audit", "User.Modify"}
pve.accessAcl.update_acl(models.AccessAclUpdateAclRequest(path="/", roles="Helpdesk", groups="ops", delete=YES))
roles.delete_role("Helpdesk")
print("roles and rights")

for realm in pve.accessDomains.get_domains().data:
    assert pve.accessDomains.read_get_domains(realm.realm).data["type"] == realm.type
refused(lambda: pve.accessDomains.read_get_domains("corp"), 500, "domain 'corp' does not exist")
print("realms")

tfa = pve.accessTfa
made = tfa.add_tfa_entry(ROOT, models.AccessTfaAddTfaEntryRequest(type="recovery", password=password)).data
assert (made.id, len(made.recovery)) == ("recovery", RECOVERY_KEYS)
assert [(entry.id, entry.type.value) for entry in tfa.list_user_tfa(ROOT).data] == [("recovery", "recovery")]
assert {user.userid: len(user.entries) for user in tfa.list_tfa().data}[ROOT] == 1
assert tfa.get_tfa_entry("recovery", ROOT).data.created == tfa.list_user_tfa(ROOT).data[0].created
# The description misspells this one, which is no reason to answer so.
raw = users.read_user_tfa_type_without_preload_content(ROOT, multiple=YES).data
assert json.loads(raw)["data"]["types"] == ["recovery"], raw
tfa.update_tfa_entry("recovery", ROOT, models.AccessTfaUpdateTfaEntryRequest(enable=NO, password=password))
assert tfa.get_tfa_entry("recovery", ROOT).data.enable == NO
tfa.delete_tfa("recovery", ROOT, password=password)
assert tfa.list_user_tfa(ROOT).data == []
assert users.unlock_tfa(ROOT).data == NO
print("second factors")

made = users.generate_token(
    "ci", ROOT, models.AccessUsersGenerateTokenRequest(privsep=NO, comment="by automation")
).data
assert made.full_tokenid == "root@pam!ci"
assert [(token.tokenid, token.privsep) for token in users.token_index(ROOT).data] == [("ci", NO)]
users.update_token_info("ci", ROOT, models.AccessUsersUpdateTokenInfoRequest(comment="changed"))
assert users.read_token("ci", ROOT).data.comment == "changed"
program = clientapi_pve.Pve(clientapi_pve.Configuration(host=settings.host, ssl_ca_cert=sys.argv[2]))
program.api_client.default_headers["Authorization"] = f"PVEAPIToken={made.full_tokenid}={made.value}"
assert program.accessUsers.read_user("ci@pve").data.email == "ci@example.com"
users.remove_token("ci", ROOT)
print("API tokens")

pve.access.change_password(
    models.AccessChangePasswordRequest(userid="ci@pve", password="another of ci", confirmation_password=password)
)
users.delete_user("ci@pve")
pve.accessGroups.delete_group("ops")
assert [user.userid for user in users.get_users().data] == [ROOT]
print("a password, and everything is gone")
