-- What a role gives is a bit for each privilege that something here takes, where it was one of three ranks: 1 Group.Allocate,
-- 2 Permissions.Modify, 4 Realm.Allocate, 8 Realm.AllocateUser, 16 Sys.Audit, 32 Sys.Modify, 64 Sys.Syslog, 128 User.Modify.
CREATE TEMP TABLE administrators AS
    SELECT id FROM users WHERE enabled = 1 AND id IN (SELECT user FROM granted WHERE grants = 2);
UPDATE roles SET grants = CASE name
    WHEN 'Administrator' THEN 255
    WHEN 'PVEAdmin' THEN 1 | 8 | 16 | 64 | 128
    WHEN 'PVEAuditor' THEN 16
    WHEN 'PVESysAdmin' THEN 16 | 64
    WHEN 'PVEUserAdmin' THEN 1 | 8 | 128
    ELSE
        1 * (instr(',' || privileges || ',', ',Group.Allocate,') > 0)
        | 2 * (instr(',' || privileges || ',', ',Permissions.Modify,') > 0)
        | 4 * (instr(',' || privileges || ',', ',Realm.Allocate,') > 0)
        | 8 * (instr(',' || privileges || ',', ',Realm.AllocateUser,') > 0)
        | 16 * (instr(',' || privileges || ',', ',Sys.Audit,') > 0)
        | 32 * (instr(',' || privileges || ',', ',Sys.Modify,') > 0)
        | 64 * (instr(',' || privileges || ',', ',Sys.Syslog,') > 0)
        | 128 * (instr(',' || privileges || ',', ',User.Modify,') > 0)
    END;

-- Who was an administrator by a role that gives less now stays one, where nobody else would be.
UPDATE users SET role = 'administrator' WHERE id IN (SELECT id FROM administrators) AND NOT EXISTS (
    SELECT 1 FROM users WHERE enabled = 1 AND expires IS NULL AND standing IS NULL
        AND (role = 'administrator' OR id IN (SELECT user FROM granted WHERE grants & 2)));
DROP TABLE administrators;

-- Which roles a token for programs has at / of its own: it may what these and its user's allow both, if it is separated.
CREATE TABLE token_roles (
    role TEXT NOT NULL REFERENCES roles (name),
    user INTEGER NOT NULL,
    token TEXT NOT NULL,
    PRIMARY KEY (user, token, role),
    FOREIGN KEY (user, token) REFERENCES api_tokens (user, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE VIEW granted_to_token AS
    SELECT token_roles.user AS user, token_roles.token AS token, max(roles.grants & 1) | max(roles.grants & 2)
        | max(roles.grants & 4) | max(roles.grants & 8) | max(roles.grants & 16) | max(roles.grants & 32)
        | max(roles.grants & 64) | max(roles.grants & 128) AS grants
    FROM token_roles JOIN roles ON roles.name = token_roles.role GROUP BY token_roles.user, token_roles.token;
