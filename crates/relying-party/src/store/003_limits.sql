-- Of those without a user, the address that a login was begun from; empty where that is not known.
ALTER TABLE logins ADD COLUMN client TEXT;
CREATE INDEX logins_of_client ON logins (client, expires);

CREATE INDEX challenges_of_user ON challenges (user, expires);

-- Events are deleted when there are too many, and never otherwise: whoever does that says so in the same transaction.
CREATE TABLE event_retention (is_at_work INTEGER PRIMARY KEY) STRICT;
DROP TRIGGER events_are_never_deleted;
CREATE TRIGGER events_are_deleted_by_retention_only BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM event_retention)
BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE INDEX events_of_user_by_sort ON events (user, actor = 'nobody', id);
CREATE INDEX events_by_sort ON events (actor = 'nobody', id);
