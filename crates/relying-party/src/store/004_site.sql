-- What the site was last served as: commands see the database and no settings. One row at most.
CREATE TABLE site (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    rp_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    oath_realm_excludes_webauthn INTEGER NOT NULL
) STRICT;
