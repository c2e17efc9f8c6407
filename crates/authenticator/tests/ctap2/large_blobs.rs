//! authenticatorLargeBlobs (CTAP 2.3 §6.10).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::support::codec::{GET_INFO, Parameters, RESET, body, boolean, bytes, int, map, status};
use crate::support::platform::{Token, permission};
use crate::support::{Driver, Event, Fate, altered, built_in};

const LARGE_BLOBS: u8 = 0x0C;
const PIN: &str = "1234";

/// maxMsgSize less 64.
const MAX_FRAGMENT: usize = 1280 - 64;

/// §6.10.1.
const INITIAL: &str = "8076be8b528d0075f7aae98d6fa57a6d3c";

/// A serialized large-blob array of `length` bytes in all. What is in it is not the authenticator's business.
pub(crate) fn array(length: usize) -> Vec<u8> {
    let content: Vec<u8> = (0..length - 16).map(|index| u8::try_from(index % 251).unwrap()).collect();
    [&content[..], &Sha256::digest(&content)[..16]].concat()
}

fn get(offset: i64, length: i64) -> Parameters {
    Parameters(BTreeMap::from([(1, int(length)), (3, int(offset))]))
}

/// A fragment; the whole length with the first.
pub(crate) fn set(offset: usize, fragment: &[u8], length: Option<usize>) -> Parameters {
    let number = |number: usize| int(number.try_into().unwrap());
    let request = Parameters(BTreeMap::from([(2, bytes(fragment)), (3, number(offset))]));
    match length {
        Some(length) => request.with(4, number(length)),
        None => request,
    }
}

/// §6.10.2: 32×0xff || h'0c00' || uint32LittleEndian(offset) || SHA-256(contents of set byte string).
pub(crate) fn written_by(request: Parameters, token: &Token) -> Parameters {
    let offset: u64 = request.0[&3].clone().extract_unsigned().unwrap();
    let offset = u32::try_from(offset).unwrap();
    let message = [&[0xFF; 32][..], &[0x0C, 0x00], &offset.to_le_bytes(), &Sha256::digest(request.hash(2))].concat();
    let param = token.authenticate(&message);
    request.with(5, bytes(&param)).with(6, int(token.protocol))
}

impl Driver {
    fn blobs(&mut self, request: &Parameters) -> u8 {
        self.status(&request.message(LARGE_BLOBS))
    }

    fn read(&mut self, offset: i64, length: i64) -> Vec<u8> {
        let body = body(&self.send(&get(offset, length).message(LARGE_BLOBS)));
        assert_eq!(body.keys().collect::<Vec<_>>(), [&1]);
        body[&1].clone().extract_byte_string().unwrap()
    }

    /// The whole array, as a platform reads it: until less comes than was asked for.
    fn read_all(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let fragment = self.read(whole.len().try_into().unwrap(), MAX_FRAGMENT.try_into().unwrap());
            whole.extend_from_slice(&fragment);
            if fragment.len() < MAX_FRAGMENT {
                return whole;
            }
        }
    }

    /// Writes a whole array in fragments of at most `size` bytes.
    fn write_all(&mut self, array: &[u8], size: usize, token: Option<&Token>) -> u8 {
        for (index, fragment) in array.chunks(size).enumerate() {
            let mut request = set(index * size, fragment, (index == 0).then_some(array.len()));
            if let Some(token) = token {
                request = written_by(request, token);
            }
            let status = self.blobs(&request);
            if status != status::OK || (index + 1) * size >= array.len() {
                return status;
            }
        }
        unreachable!("an array is not empty")
    }
}

#[test]
fn a_new_key_has_the_initial_array() {
    for name in ["keyrig", "yubikey-5.7"] {
        let mut key = Driver::of(built_in(name));
        assert_eq!(hex::encode(key.read_all()), INITIAL);
        assert_eq!(body(&key.send(&[GET_INFO]))[&0x0B], int(4096));
        assert_eq!(key.seen, []);
    }
}

#[test]
fn an_array_is_written_in_fragments_and_read_back() {
    for (length, size) in [(17, 17), (18, 1), (MAX_FRAGMENT, MAX_FRAGMENT), (4096, MAX_FRAGMENT), (4096, 1000)] {
        let mut key = Driver::new();
        assert_eq!(key.write_all(&array(length), size, None), status::OK, "{length} bytes by {size}");
        assert_eq!(key.seen, [Event::Commit], "by the last fragment, and without a touch");
        assert_eq!(key.read_all(), array(length));
        let mut key = key.restarted();
        assert_eq!(key.read_all(), array(length));
    }
}

#[test]
fn reading_gives_what_is_there_and_no_more() {
    let mut key = Driver::new();
    assert_eq!(key.write_all(&array(100), 100, None), status::OK);
    for (offset, length, expected) in [(0, 100, 100), (0, 10, 10), (90, 10, 10), (90, 50, 10), (100, 10, 0), (5, 0, 0)]
    {
        let start = usize::try_from(offset).unwrap();
        assert_eq!(key.read(offset, length), array(100)[start..start + expected]);
    }
    let max = i64::try_from(MAX_FRAGMENT).unwrap();
    for (request, expected) in [
        (get(101, 10), status::INVALID_PARAMETER),
        (get(i64::MAX, 10), status::INVALID_PARAMETER),
        (get(0, max + 1), status::INVALID_LENGTH),
        (get(0, i64::MAX), status::INVALID_LENGTH),
        (get(0, 10).with(4, int(100)), status::INVALID_PARAMETER),
        (get(0, 10).with(5, bytes(&[0; 32])), status::INVALID_PARAMETER),
        (get(0, 10).with(6, int(2)), status::INVALID_PARAMETER),
        (get(0, 10).with(2, bytes(&[0])), status::INVALID_PARAMETER),
        (get(0, 10).without(3), status::INVALID_PARAMETER),
        (get(0, 10).without(1), status::INVALID_PARAMETER),
    ] {
        assert_eq!(key.blobs(&request), expected, "{request:?}");
    }
    assert_eq!(key.read(0, max), array(100));
}

#[test]
fn a_fragment_that_is_wrong_has_the_status_for_it_and_the_array_stays() {
    let whole = array(100);
    for (request, expected) in [
        (set(0, &whole[..50], None), status::INVALID_PARAMETER),
        (set(0, &whole[..16], Some(16)), status::INVALID_PARAMETER),
        (set(0, &[], Some(0)), status::INVALID_PARAMETER),
        (set(0, &whole[..50], Some(4097)), status::LARGE_BLOB_STORAGE_FULL),
        (set(0, &[0; MAX_FRAGMENT + 1], Some(4096)), status::INVALID_LENGTH),
        (set(0, &whole[..50], Some(49)), status::INVALID_PARAMETER),
        (set(50, &whole[50..], None), status::INVALID_SEQ),
        (set(50, &whole[50..], Some(100)), status::INVALID_PARAMETER),
        (set(0, &whole[..50], Some(100)).without(3), status::INVALID_PARAMETER),
        (set(0, &[0; 17], Some(17)), status::INTEGRITY_FAILURE),
    ] {
        let mut key = Driver::new();
        assert_eq!(key.blobs(&request), expected, "{request:?}");
        assert_eq!(hex::encode(key.read_all()), INITIAL);
        assert_eq!(key.write_all(&whole, 60, None), status::OK, "after {request:?}");
    }
}

#[test]
fn fragments_come_one_after_the_other_and_the_first_begins_anew() {
    let whole = array(100);
    let mut key = Driver::new();
    assert_eq!(key.blobs(&set(0, &whole[..40], Some(100))), status::OK);
    for (offset, fragment) in [(39, &whole[39..]), (41, &whole[41..]), (100, &[][..])] {
        assert_eq!(key.blobs(&set(offset, fragment, None)), status::INVALID_SEQ);
    }
    assert_eq!(key.blobs(&set(40, &[&whole[40..], &[0][..]].concat(), None)), status::INVALID_PARAMETER, "too much");
    assert_eq!(hex::encode(key.read_all()), INITIAL, "reading goes on meanwhile, and reads the old one");
    assert_eq!(key.blobs(&set(40, &whole[40..80], None)), status::OK, "what was refused is not in it");
    // Begun anew, with another length.
    let other = array(30);
    assert_eq!(key.blobs(&set(0, &other[..20], Some(30))), status::OK);
    assert_eq!(key.blobs(&set(80, &whole[80..], None)), status::INVALID_SEQ);
    assert_eq!(key.blobs(&set(20, &other[20..], None)), status::OK);
    assert_eq!(key.read_all(), other);
    assert_eq!(key.blobs(&set(30, &[1], None)), status::INVALID_SEQ, "it is whole");
}

#[test]
fn an_array_whose_hash_is_wrong_is_not_stored_and_has_to_be_begun_anew() {
    let mut key = Driver::new();
    assert_eq!(key.write_all(&array(50), 50, None), status::OK);
    let mut broken = array(100);
    broken[99] ^= 1;
    assert_eq!(key.write_all(&broken, 60, None), status::INTEGRITY_FAILURE);
    assert_eq!(key.read_all(), array(50));
    assert_eq!(key.blobs(&set(60, &array(100)[60..], None)), status::INVALID_SEQ);
}

#[test]
fn power_takes_an_array_that_is_not_whole() {
    let whole = array(100);
    let mut key = Driver::new();
    assert_eq!(key.blobs(&set(0, &whole[..40], Some(100))), status::OK);
    key.power_up();
    assert_eq!(key.blobs(&set(40, &whole[40..], None)), status::INVALID_SEQ);
}

/// §6.10.2: once the key is protected, every fragment needs a token with lbw.
#[test]
fn a_protected_key_wants_a_token_for_every_fragment() {
    let whole = array(100);
    for protocol in [1, 2] {
        let mut key = Driver::new();
        key.set_pin(PIN);
        let token = key.token(protocol, PIN, permission::LBW, None).unwrap();
        let first = set(0, &whole[..60], Some(100));
        assert_eq!(key.blobs(&first), status::PUAT_REQUIRED);
        let good = written_by(first, &token);
        assert_eq!(key.blobs(&good.clone().without(6)), status::MISSING_PARAMETER);
        assert_eq!(key.blobs(&good.clone().with(6, int(3))), status::INVALID_PARAMETER);
        assert_eq!(key.blobs(&good.clone().with(2, bytes(&whole[1..61]))), status::PIN_AUTH_INVALID);
        assert_eq!(key.blobs(&good.clone().with(5, bytes(&[]))), status::PIN_AUTH_INVALID);
        assert_eq!(key.blobs(&good), status::OK);
        let second = set(60, &whole[60..], None);
        assert_eq!(key.blobs(&second), status::PUAT_REQUIRED);
        // What is right for one offset is not for another.
        let misplaced = written_by(set(0, &whole[60..], None), &token).with(3, int(60));
        assert_eq!(key.blobs(&misplaced), status::PIN_AUTH_INVALID);
        assert_eq!(key.blobs(&written_by(second, &token)), status::OK);
        assert_eq!(key.read_all(), whole, "reading needs no token");

        let wrong = key.token(protocol, PIN, permission::CM | permission::ACFG, None).unwrap();
        assert_eq!(key.write_all(&whole, 60, Some(&wrong)), status::PIN_AUTH_INVALID);
    }
}

#[test]
fn a_reset_brings_the_initial_array_back() {
    let mut key = Driver::new();
    assert_eq!(key.write_all(&array(100), 100, None), status::OK);
    assert_eq!(key.blobs(&set(0, &array(90)[..40], Some(90))), status::OK);
    key.power_up();
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(hex::encode(key.read_all()), INITIAL);
    assert_eq!(key.blobs(&set(40, &array(90)[40..], None)), status::INVALID_SEQ);
}

#[test]
fn an_array_that_could_not_be_made_durable_is_not_there() {
    let mut key = Driver::new();
    key.fate = Fate::FailsAt(0);
    assert_eq!(key.write_all(&array(100), 60, None), status::OTHER);
    assert_eq!(hex::encode(key.read_all()), INITIAL);
    for (fate, expected) in [(Fate::KilledBefore(0), hex::decode(INITIAL).unwrap()), (Fate::KilledAfter(0), array(100))]
    {
        let mut key = Driver::new();
        assert_eq!(key.blobs(&set(0, &array(100)[..60], Some(100))), status::OK);
        key.fate = fate;
        assert_eq!(key.try_send(&set(60, &array(100)[60..], None).message(LARGE_BLOBS)), None);
        assert_eq!(key.restarted().read_all(), expected, "{fate:?}");
    }
}

/// §12.3: a key of 32 bytes for a discoverable credential, the same at every login, and not for others.
#[test]
fn a_credential_that_asked_for_it_has_a_key_for_the_array() {
    let site = "example.com";
    let wanted = || map([("largeBlobKey", boolean(true))]);
    let mut key = Driver::new();
    let one = key.create(&Parameters::discoverable(site, "one").with(6, wanted()));
    let two = key.create(&Parameters::discoverable(site, "two").with(6, wanted()));
    let without = key.create(&Parameters::discoverable(site, "three"));
    assert_eq!(one.large_blob_key.as_ref().map(Vec::len), Some(32));
    assert_ne!(one.large_blob_key, two.large_blob_key);
    assert_eq!(one.data.extensions, None, "its output is a member of the answer");
    for created in [&one, &two, &without] {
        let get = Parameters::allow(site, &[&created.id]);
        assert_eq!(key.assertion(&get, &created.public_key).large_blob_key, None, "it was not asked for");
        let asserted = key.assertion(&get.with(4, wanted()), &created.public_key);
        assert_eq!(asserted.large_blob_key, created.large_blob_key);
    }
    let mut key = key.restarted();
    let get = Parameters::allow(site, &[&one.id]).with(4, wanted());
    assert_eq!(key.assertion(&get, &one.public_key).large_blob_key, one.large_blob_key);
    for (request, expected) in [
        (Parameters::make_credential(site, "u").with(6, wanted()), status::INVALID_OPTION),
        (Parameters::discoverable(site, "u").with(6, map([("largeBlobKey", boolean(false))])), status::INVALID_OPTION),
    ] {
        assert_eq!(key.status(&request.create()), expected);
    }
    let get = Parameters::get_assertion(site).with(4, map([("largeBlobKey", boolean(false))]));
    assert_eq!(key.status(&get.get()), status::INVALID_OPTION);
}

#[test]
fn capacity_is_the_profiles() {
    let mut key =
        Driver::of(altered(&[("max_serialized_large_blob_array = 4096", "max_serialized_large_blob_array = 1024")]));
    assert_eq!(key.write_all(&array(1025), 500, None), status::LARGE_BLOB_STORAGE_FULL);
    assert_eq!(key.write_all(&array(1024), 500, None), status::OK);
}

#[test]
fn a_key_without_large_blobs_does_not_know_the_command() {
    for profile in [built_in("yubikey-5.4"), altered(&[("largeBlobs = true", "")])] {
        let mut key = Driver::of(profile);
        assert_eq!(key.send(&get(0, 10).message(LARGE_BLOBS)), [status::INVALID_COMMAND]);
        assert_eq!(key.send(&[LARGE_BLOBS]), [status::INVALID_COMMAND], "whatever follows");
        assert!(!body(&key.send(&[GET_INFO])).contains_key(&0x0B));
    }
}
