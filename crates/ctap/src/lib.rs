//! The vocabulary of CTAP: canonical CBOR, CTAP2 messages, COSE keys, attestation statements, CTAPHID.
