//! A WebAuthn relying party to rehearse on.
