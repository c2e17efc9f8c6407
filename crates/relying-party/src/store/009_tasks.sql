-- What goes on after a call was answered, such as the sync of a realm: the parts of Proxmox VE's UPID, of which the number is the last.
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    process INTEGER NOT NULL,
    -- Seconds since 1970.
    begun INTEGER NOT NULL,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    -- With the name of the token, if it was begun by one.
    user TEXT NOT NULL,
    -- 'OK' or what went wrong; none until it ends.
    outcome TEXT,
    log TEXT NOT NULL
) STRICT;
