-- Whether the credential was registered to log in alone: discoverable, and with user verification.
ALTER TABLE webauthn_credentials ADD COLUMN passkey INTEGER NOT NULL DEFAULT 0;
