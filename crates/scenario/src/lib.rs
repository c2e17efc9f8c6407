//! Runs of keys, client and relying party that are judged.
