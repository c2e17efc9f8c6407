-- What a realm's directory is asked by, JSON. Realms whose passwords are in local_passwords have none.
CREATE TABLE directories (
    realm TEXT PRIMARY KEY REFERENCES realms (name) ON DELETE CASCADE,
    settings TEXT NOT NULL
) STRICT;

-- What keeps the user out, as the realm's directory said last: 'disabled' or 'vanished'.
ALTER TABLE users ADD COLUMN standing TEXT;

-- The realm whose directory the group comes from; none if it was made by hand.
ALTER TABLE user_groups ADD COLUMN realm TEXT REFERENCES realms (name) ON DELETE CASCADE;

-- For realms that do not tell Alice from alice.
CREATE INDEX users_in_any_case ON users (realm, name COLLATE NOCASE);
