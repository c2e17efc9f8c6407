-- What a role gives is a bit for each privilege that something here takes, where it was one of three ranks: 1 Group.Allocate,
-- 2 Permissions.Modify, 4 Realm.Allocate, 8 Realm.AllocateUser, 16 Sys.Audit, 32 Sys.Modify, 64 Sys.Syslog, 128 User.Modify.
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
