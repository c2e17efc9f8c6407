//! udev's announcement of a device, as libudev reads it: a header of filters, then properties (systemd,
//! `src/libsystemd/sd-device/device-monitor.c`).

use super::tree::{Plugged, Tree};

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is there.
    Add,
    /// It is gone.
    Remove,
}

const PREFIX: &[u8; 8] = b"libudev\0";
const MAGIC: u32 = 0xfeed_cafe;
const HEADER_SIZE: u32 = 40;

/// The announcement of a key at this node.
pub(super) fn message(action: Action, tree: &Tree, number: u32, plugged: &Plugged, sequence: u64) -> Vec<u8> {
    let (major, minor) = tree.device(number);
    let action = match action {
        Action::Add => "add",
        Action::Remove => "remove",
    };
    let properties = [
        format!("ACTION={action}"),
        format!("DEVPATH={}", plugged.path),
        "SUBSYSTEM=hidraw".to_owned(),
        format!("DEVNAME=/dev/hidraw{number}"),
        format!("SEQNUM={sequence}"),
        format!("MAJOR={major}"),
        format!("MINOR={minor}"),
        "USEC_INITIALIZED=1000000".to_owned(),
        "ID_FIDO_TOKEN=1".to_owned(),
        "ID_SECURITY_TOKEN=1".to_owned(),
        "TAGS=:security-device:uaccess:".to_owned(),
        "CURRENT_TAGS=:security-device:uaccess:".to_owned(),
    ];
    let properties: Vec<u8> = properties.iter().flat_map(|property| [property.as_bytes(), b"\0"].concat()).collect();
    let length = u32::try_from(properties.len()).unwrap_or_default();
    let [high, low] = halves(bloom("security-device") | bloom("uaccess"));
    let mut message = PREFIX.to_vec();
    message.extend(MAGIC.to_be_bytes());
    for size in [HEADER_SIZE, HEADER_SIZE, length] {
        message.extend(size.to_ne_bytes());
    }
    // No device type has hash 0, which a filter by subsystem alone does not look at.
    for filter in [murmur2(b"hidraw"), 0, high, low] {
        message.extend(filter.to_be_bytes());
    }
    message.extend(properties);
    message
}

/// The bits that a tag sets in the filter of tags.
fn bloom(tag: &str) -> u64 {
    let hash = murmur2(tag.as_bytes());
    [0, 6, 12, 18].into_iter().fold(0, |bits, shift| bits | 1 << ((hash >> shift) & 63))
}

fn halves(bits: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

/// MurmurHash2 with seed 0.
fn murmur2(bytes: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    let mut hash = u32::try_from(bytes.len()).unwrap_or_default();
    let (chunks, rest) = bytes.as_chunks::<4>();
    for chunk in chunks {
        let mut word = u32::from_le_bytes(*chunk).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation of MurmurHash2 with seed 0.
    #[test]
    fn names_are_hashed_as_udev_hashes_them() {
        for (name, hash) in [
            ("hidraw", 0xc2ca_f397),
            ("uaccess", 0xe88e_d0cc),
            ("usb", 0x0577_c5e5),
            ("block", 0xf003_1db7),
            ("security-device", 0xb7aa_9f16),
        ] {
            assert_eq!(murmur2(name.as_bytes()), hash, "{name}");
        }
    }
}
