//! The array with one blob was made by Python's `cryptography` and `zlib` out of CTAP 2.3 §6.10.3.

use keyrig_ctap::{Response as Answer, Status};

use super::*;
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::testing::*;

const BLOB: &[u8] = b"keyrig keyrig keyrig keyrig keyrig keyrig";
const SERIALIZED: &str = "81a301581c29f7030fec70d0cbeb8c1636fa8a8800d100a4af762f61c4c9d19290024c404142434445464748494a4b031829913c2e\
                          dc2121b5d99819a06eb7203900";
/// CTAP 2.3 §6.10.1: the initial serialized large-blob array.
const INITIAL: &str = "8076be8b528d0075f7aae98d6fa57a6d3c";

fn blob_key() -> LargeBlobKey {
    core::array::from_fn(|index| u8::try_from(index).unwrap())
}

fn info_with_room(room: u64, max_msg_size: u64) -> get_info::Response {
    let mut info = info();
    info.options.push(("largeBlobs".to_owned(), true));
    info.max_serialized_large_blob_array = Some(room);
    info.max_msg_size = Some(max_msg_size);
    info
}

/// A key that keeps an array, as CTAP 2.3 §6.10.2 has it, and checks tokens by [`TOKEN`] if it is `guarded`.
fn keeping(
    array: Vec<u8>,
    info: get_info::Response,
    guarded: bool,
) -> (Key<Scripted>, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
    let stored = std::sync::Arc::new(std::sync::Mutex::new(array));
    let shared = std::sync::Arc::clone(&stored);
    let (mut pending, mut expected) = (Vec::new(), 0);
    let key = key("A", info, move |request| {
        let Message::LargeBlobs(request) = request else { panic!("it was asked {request:?}") };
        let offset = usize::try_from(request.offset.unwrap()).unwrap();
        let mut stored = shared.lock().unwrap();
        if let Some(length) = request.get {
            let end = (offset + usize::try_from(length).unwrap()).min(stored.len());
            return Reply::Now(ok(Answer::LargeBlobs(Response { config: stored[offset..end].to_vec() })));
        }
        let fragment = request.set.clone().unwrap();
        if guarded {
            let mut message = vec![0xff; 32];
            message.extend([0x0c, 0x00]);
            message.extend(u32::try_from(offset).unwrap().to_le_bytes());
            message.extend(Sha256::digest(&fragment));
            let param = PinUvAuthProtocol::Two.authenticate(&TOKEN, &message);
            assert_eq!((request.pin_uv_auth.param.as_ref(), request.pin_uv_auth.protocol), (Some(&param), Some(2)));
        } else {
            assert_eq!(request.pin_uv_auth.param, None);
        }
        if offset == 0 {
            pending.clear();
            expected = usize::try_from(request.length.unwrap()).unwrap();
        } else {
            assert_eq!((request.length, offset), (None, pending.len()));
        }
        pending.extend(fragment);
        if pending.len() == expected {
            *stored = pending.clone();
        }
        Reply::Now(ok(Answer::Done))
    });
    (key.0, stored)
}

#[tokio::test]
async fn a_blob_that_others_wrote_is_read() {
    let never = Cancel::never();
    for max_msg_size in [1200, 64 + 61, 64 + 7, 10] {
        let (mut key, _) = keeping(unhex(SERIALIZED), info_with_room(1024, max_msg_size), false);
        assert_eq!(key.large_blob(&blob_key(), &never).await.unwrap().as_deref(), Some(BLOB), "{max_msg_size}");
        assert_eq!(key.large_blob(&[9; 32], &never).await.unwrap(), None, "another credential's");
    }
    let (mut key, _) = keeping(unhex(INITIAL), info_with_room(1024, 1200), false);
    assert_eq!(key.large_blob(&blob_key(), &never).await.unwrap(), None);
}

#[tokio::test]
async fn blobs_are_written_replaced_and_deleted_and_others_stay() {
    let never = Cancel::never();
    let token = PinUvAuthToken::new(PinUvAuthProtocol::Two, zeroize::Zeroizing::new(TOKEN.to_vec()));
    for guarded in [false, true] {
        let token = guarded.then_some(&token);
        // Fragments of 40 bytes.
        let (mut key, stored) = keeping(unhex(SERIALIZED), info_with_room(1024, 64 + 40), guarded);
        let mine = [7; 32];
        key.write_large_blob(&mine, b"first", token, &never).await.unwrap();
        key.write_large_blob(&mine, b"second, and a longer one", token, &never).await.unwrap();
        assert_eq!(key.large_blob(&mine, &never).await.unwrap().as_deref(), Some(&b"second, and a longer one"[..]));
        assert_eq!(key.large_blob(&blob_key(), &never).await.unwrap().as_deref(), Some(BLOB));
        assert_eq!(stored.lock().unwrap()[0], 0x82, "an array of two");
        key.delete_large_blob(&mine, token, &never).await.unwrap();
        assert_eq!(hex::encode(&*stored.lock().unwrap()), SERIALIZED);
        let before = key.exchanges().len();
        key.delete_large_blob(&mine, token, &never).await.unwrap();
        assert!(key.exchanges()[before..].iter().all(|exchange| exchange.request[2] == 1), "nothing but reads");
    }
}

/// CTAP 2.3 §6.10.2: what was torn while it was written counts as empty, and is replaced.
#[tokio::test]
async fn a_torn_array_is_begun_anew() {
    let never = Cancel::never();
    for torn in ["", "80", "8076be8b528d0075f7aae98d6fa57a6d3d", &SERIALIZED[2..], "00".repeat(17).as_str()] {
        let (mut key, stored) = keeping(unhex(torn), info_with_room(1024, 1200), false);
        assert_eq!(key.large_blob(&blob_key(), &never).await.unwrap(), None);
        key.write_large_blob(&blob_key(), BLOB, None, &never).await.unwrap();
        assert_eq!(stored.lock().unwrap()[0], 0x81);
        assert_eq!(key.large_blob(&blob_key(), &never).await.unwrap().as_deref(), Some(BLOB));
    }
}

#[tokio::test]
async fn what_does_not_fit_is_not_sent() {
    let never = Cancel::never();
    let (mut key, stored) = keeping(unhex(INITIAL), info_with_room(100, 1200), false);
    let noise: Vec<u8> = (0..32).flat_map(|round: u8| Sha256::digest([round])).collect();
    let error = key.write_large_blob(&blob_key(), &noise, None, &never).await.unwrap_err();
    assert_eq!(error, Unsuitable::LargeBlobTooLong { room: 100 }.into());
    assert_eq!(hex::encode(&*stored.lock().unwrap()), INITIAL);
    let (mut key, _) = crate::testing::key("A", info(), |request| panic!("it was asked {request:?}"));
    assert_eq!(key.large_blob(&blob_key(), &never).await, Err(Unsuitable::LargeBlob.into()));
}

#[test]
fn the_initial_array_is_the_specifications() {
    assert_eq!(hex::encode(serialize(&[])), INITIAL);
    assert_eq!(elements(&unhex(INITIAL)), Vec::<Vec<u8>>::new());
    assert_eq!(hex::encode(serialize(&elements(&unhex(SERIALIZED)))), SERIALIZED);
}

/// The writer of the element claims the size: nothing is inflated beyond it, nor what claims more than there is.
#[test]
fn elements_that_lie_about_their_size_are_nobodys() {
    let honest = elements(&unhex(SERIALIZED)).remove(0);
    assert_eq!(open(&honest, &blob_key()).as_deref(), Some(BLOB));
    // The same compressed text, authenticated with a size of 5.
    let short =
        unhex("a301581c29f7030fec70d0cbeb8c163637ab13b700179ed7659832dc9d33fbaf024c404142434445464748494a4b0305");
    assert_eq!(open(&short, &blob_key()), None);
    for nonsense in ["", "80", "a0", "a10100", "f6", "a301400240030 0", "a3014002400300"] {
        assert_eq!(open(&hex::decode(nonsense.replace(' ', "")).unwrap(), &blob_key()), None, "{nonsense}");
    }
}

#[tokio::test]
async fn a_key_whose_array_has_no_end_is_given_up() {
    let (mut key, _) = key("A", info_with_room(1024, 60_000), |_| {
        Reply::Now(ok(Answer::LargeBlobs(Response { config: vec![0; 60_000 - 64] })))
    });
    let error = key.large_blob(&blob_key(), &Cancel::never()).await.unwrap_err();
    let (command, refused) = (Command::LargeBlobs, InvalidResponse::LargeBlobArray);
    assert_eq!(error, Cause::InvalidResponse { command, error: refused });
    let (mut key, _) =
        crate::testing::key("A", info_with_room(1024, 1200), |_| Reply::Now(status(Status::InvalidParameter)));
    let error = key.large_blob(&blob_key(), &Cancel::never()).await.unwrap_err();
    assert_eq!(error, Cause::Status { command: Command::LargeBlobs, status: Status::InvalidParameter });
}
