-- The key under which tickets are made: all processes that serve this database have the same. One row at most.
CREATE TABLE ticket_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL
) STRICT;

-- Tokens for programs: USER@REALM!NAME.
CREATE TABLE api_tokens (
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- SHA-256.
    secret BLOB NOT NULL,
    comment TEXT NOT NULL,
    -- Whether it may do only what any user may.
    privilege_separated INTEGER NOT NULL,
    expires INTEGER,
    created INTEGER NOT NULL,
    PRIMARY KEY (user, name)
) STRICT, WITHOUT ROWID;
