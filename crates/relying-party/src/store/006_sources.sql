-- The address that a request came from; empty where that is not known, and of commands.
ALTER TABLE events ADD COLUMN address TEXT;
CREATE INDEX events_of_kind ON events (kind, id);

ALTER TABLE sessions ADD COLUMN address TEXT;
-- The factor that the session was begun by, if it was by one.
ALTER TABLE sessions ADD COLUMN factor TEXT;
CREATE INDEX sessions_of_factor ON sessions (factor);

-- The types of second factors that a realm can require, with spaces between; empty if the site was not served since there are any.
ALTER TABLE site ADD COLUMN realm_types TEXT NOT NULL DEFAULT '';
