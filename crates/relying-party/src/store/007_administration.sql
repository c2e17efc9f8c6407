-- What Proxmox VE keeps of a user beside.
ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN firstname TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN lastname TEXT NOT NULL DEFAULT '';
-- From when on the user cannot log in; empty: never.
ALTER TABLE users ADD COLUMN expires INTEGER;

CREATE TABLE user_groups (
    name TEXT PRIMARY KEY,
    comment TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_name TEXT NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
    PRIMARY KEY (user, group_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of_group ON group_members (group_name);

-- Roles beside those that are built in, whose grants are fixed: Administrator, PVEAuditor, NoAccess.
CREATE TABLE roles (
    name TEXT PRIMARY KEY,
    -- Names with commas between, in order.
    privileges TEXT NOT NULL,
    -- What they come to: 0 what any user may, 1 an auditor, 2 an administrator.
    grants INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO roles VALUES ('Administrator', '', 2), ('PVEAuditor', '', 1), ('NoAccess', '', 0);

-- Who has which role at /, beside the role that a user has as such.
CREATE TABLE acl (
    role TEXT NOT NULL REFERENCES roles (name),
    user INTEGER REFERENCES users (id) ON DELETE CASCADE,
    group_name TEXT REFERENCES user_groups (name) ON DELETE CASCADE,
    CHECK ((user IS NULL) <> (group_name IS NULL)),
    UNIQUE (user, role),
    UNIQUE (group_name, role)
) STRICT;

CREATE VIEW granted AS
    SELECT acl.user AS user, roles.grants AS grants FROM acl JOIN roles ON roles.name = acl.role
        WHERE acl.user IS NOT NULL
    UNION ALL
    SELECT group_members.user, roles.grants FROM group_members
        JOIN acl ON acl.group_name = group_members.group_name JOIN roles ON roles.name = acl.role;
