-- Proxmox VE's other built-in roles, and what each comes to.
CREATE TEMP TABLE added (name TEXT PRIMARY KEY, grants INTEGER NOT NULL) STRICT;
INSERT INTO added VALUES
    ('PVEAdmin', 2),
    ('PVEDatastoreAdmin', 0),
    ('PVEDatastoreUser', 0),
    ('PVEMappingAdmin', 0),
    ('PVEMappingUser', 0),
    ('PVEPoolAdmin', 0),
    ('PVEPoolUser', 0),
    ('PVESDNAdmin', 0),
    ('PVESDNUser', 0),
    ('PVESysAdmin', 1),
    ('PVETemplateUser', 0),
    ('PVEUserAdmin', 2),
    ('PVEVMAdmin', 0),
    ('PVEVMUser', 0);

-- A role of one's own by such a name goes on by another: nobody may more than before.
INSERT INTO roles SELECT name || '.before', privileges, grants FROM roles WHERE name IN (SELECT name FROM added);
UPDATE acl SET role = role || '.before' WHERE role IN (SELECT name FROM added);
DELETE FROM roles WHERE name IN (SELECT name FROM added);

INSERT INTO roles SELECT name, '', grants FROM added;
DROP TABLE added;
