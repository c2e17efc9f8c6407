//! A FIDO2 security key as a pure state machine.
