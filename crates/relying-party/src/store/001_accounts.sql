-- Moments are milliseconds since 1970. Identifiers that are secrets (of sessions, logins, challenges) are stored as SHA-256.

CREATE TABLE realms (
    name TEXT PRIMARY KEY,
    -- 'pam' or 'pve'. Both keep passwords in local_passwords; a directory's realm will keep none.
    kind TEXT NOT NULL,
    comment TEXT NOT NULL,
    -- 'none', 'oath', 'any' or 'webauthn'
    requirement TEXT NOT NULL,
    oath_digits INTEGER,
    oath_step INTEGER
) STRICT;

INSERT INTO realms VALUES
    ('pam', 'pam', 'Accounts of the machine', 'none', NULL, NULL),
    ('pve', 'pve', 'Accounts of the cluster', 'none', NULL, NULL);

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    realm TEXT NOT NULL REFERENCES realms (name),
    -- WebAuthn's user handle.
    handle BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    comment TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_login INTEGER,
    -- In a row, of any second factor.
    failures INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER,
    totp_failures INTEGER NOT NULL DEFAULT 0,
    totp_locked INTEGER NOT NULL DEFAULT 0,
    UNIQUE (realm, name)
) STRICT;

CREATE TABLE local_passwords (
    user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- A PHC string.
    hash TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

CREATE TABLE factors (
    id TEXT PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'webauthn', 'totp' or 'recovery'
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER,
    enabled INTEGER NOT NULL
) STRICT;
CREATE INDEX factors_of_user ON factors (user);
-- Recovery keys are one set.
CREATE UNIQUE INDEX one_recovery_set ON factors (user) WHERE kind = 'recovery';

-- The credential record of WebAuthn Level 3, section 4.
CREATE TABLE webauthn_credentials (
    factor TEXT PRIMARY KEY REFERENCES factors (id) ON DELETE CASCADE,
    -- Registered once over all users (section 7.1).
    credential_id BLOB NOT NULL UNIQUE,
    -- COSE_Key.
    public_key BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    uv_initialized INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL,
    backup_state INTEGER NOT NULL,
    -- A JSON list, in the order in which the authenticator gave it.
    transports TEXT NOT NULL,
    -- What the credential is bound to, should the settings change.
    rp_id TEXT NOT NULL,
    -- The handle it was registered with: the user's, unless the policy makes a new one for each registration.
    user_handle BLOB NOT NULL,
    aaguid BLOB NOT NULL,
    attestation_format TEXT NOT NULL,
    -- Client data and attestation object of the registration, to look at again.
    client_data BLOB NOT NULL,
    attestation_object BLOB NOT NULL
) STRICT;
CREATE INDEX credentials_of_handle ON webauthn_credentials (user_handle);

CREATE TABLE totp (
    factor TEXT PRIMARY KEY REFERENCES factors (id) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    -- 'SHA1', 'SHA256' or 'SHA512'
    algorithm TEXT NOT NULL,
    digits INTEGER NOT NULL,
    step INTEGER NOT NULL,
    -- The time step of the latest code that was accepted: it and those before are used up.
    last_step INTEGER,
    -- By how many steps that code was away from the clock here.
    drift INTEGER
) STRICT;

CREATE TABLE recovery_sets (
    factor TEXT PRIMARY KEY REFERENCES factors (id) ON DELETE CASCADE,
    secret BLOB NOT NULL
) STRICT;

CREATE TABLE recovery_keys (
    factor TEXT NOT NULL REFERENCES recovery_sets (factor) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    -- HMAC-SHA-256 under the set's secret.
    hash BLOB NOT NULL,
    used INTEGER,
    PRIMARY KEY (factor, number)
) STRICT, WITHOUT ROWID;

-- Logins whose first step was done.
CREATE TABLE logins (
    id BLOB PRIMARY KEY,
    -- No user: a passkey will say who it is.
    user INTEGER REFERENCES users (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_of_user ON logins (user, expires);
CREATE INDEX logins_by_expiry ON logins (expires);

CREATE TABLE challenges (
    id BLOB PRIMARY KEY,
    -- 'login', 'passkey', 'registration' or 'totp'
    purpose TEXT NOT NULL,
    user INTEGER REFERENCES users (id) ON DELETE CASCADE,
    -- The session or login that it was made for.
    session BLOB NOT NULL,
    expires INTEGER NOT NULL,
    -- What its end needs to know, JSON.
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_of_session ON challenges (session, expires);
CREATE INDEX challenges_by_expiry ON challenges (expires);

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'full', or 'enrolment': good for adding the factor that the realm requires, and for nothing else.
    kind TEXT NOT NULL,
    csrf_token TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- When the password was last given again.
    confirmed INTEGER,
    confirmation_failures INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user);
CREATE INDEX sessions_by_expiry ON sessions (expires);

-- The log of security events. Names are written out, as users come and go.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    -- Whom it concerns.
    user TEXT,
    -- Who did it.
    actor TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- The identifier that a refused user is told, and what it stands for, JSON.
    report_id TEXT UNIQUE,
    report TEXT
) STRICT;
CREATE INDEX events_of_user ON events (user, id);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
