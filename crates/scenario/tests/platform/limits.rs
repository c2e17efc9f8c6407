//! Limits at their edges: messages of 510 and 896 bytes, lists of one id, and ids as long as a message holds.

use keyrig_authenticator::Profile;
use keyrig_client::channel::Channel;
use keyrig_client::{DomException, Key, RefusedBy};
use keyrig_ctap::entities::CredentialDescriptor;
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_rack::{KeySpecification, Options, Rack};
use serde_json::json;

use crate::{creation, name, never, page, request};

/// As many strangers' ids as make a list that no single request holds, and one of the key's own behind them.
async fn long_lists<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let options = creation(json!({"userVerification": "discouraged"}), json!({}));
    let made = page().create(&options, keys, never()).await.expect("a credential");
    let strangers: Vec<Vec<u8>> = (0..20).map(|number| vec![number; 94]).collect();
    let descriptors = |own: Option<&[u8]>| {
        strangers.iter().map(Vec::as_slice).chain(own).map(|id| CredentialDescriptor::public_key(id.to_vec())).collect()
    };
    let mut again = options.clone();
    again.exclude_credentials = descriptors(None);
    page().create(&again, keys, never()).await.expect("of these it has none");
    again.exclude_credentials = descriptors(Some(&made.id.0));
    let error = page().create(&again, keys, never()).await.expect_err("excluded");
    assert_eq!((error.name, error.refused_by()), (DomException::InvalidStateError, RefusedBy::Authenticator));
    let mut login = request(&[], "discouraged", json!({}));
    login.allow_credentials = descriptors(Some(&made.id.0));
    let signed = page().get(&login, keys, never()).await.expect("an assertion");
    assert_eq!(signed.id, made.id);
}
over_both!(long_lists, lists_of_one_in_process, lists_of_one_over_usb_ip, "crescendo", ["a"]);
over_both!(long_lists, small_messages_in_process, small_messages_over_usb_ip, "swissbit-ishield-2", ["a"]);

/// A key that states the longest ids and messages: an id that a request still holds is asked for, a longer one is nobody's.
#[tokio::test]
async fn the_longest_id_is_what_a_message_still_holds() {
    let text = include_str!("../../../authenticator/profiles/keyrig.toml")
        .replace("max_msg_size = 1280", "max_msg_size = 7609")
        .replace("max_credential_id_length = 128", "max_credential_id_length = 7600");
    let profile = Profile::parse("long", &text).expect("a profile");
    let rack =
        Rack::start(Options::default(), vec![KeySpecification { name: name("a"), profile }]).await.expect("a rack");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("bound");
    tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), keyrig_usb::Limits::default()));
    let mut keys = [Key::new("a", keyrig_ways::usb_ip(server, "1-1").await.expect("exported"))];
    let options = creation(json!({"userVerification": "discouraged"}), json!({}));
    let made = page().create(&options, &mut keys, never()).await.expect("a credential");
    for length in [7000, 7440, 7600] {
        let mut login = request(&[], "discouraged", json!({}));
        login.allow_credentials = [vec![7; length], made.id.0.clone()].map(CredentialDescriptor::public_key).into();
        let signed = page().get(&login, &mut keys, never()).await.unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(signed.id, made.id, "{length}");
        let sent = keys[0].exchanges().iter().map(|exchange| exchange.request.len()).max().expect("something");
        assert!(sent <= MAX_MESSAGE_SIZE, "{length}: {sent}");
    }
}
