//! authenticatorReset.

use keyrig_client::channel::Channel;
use keyrig_client::pin::Pin;
use keyrig_client::{Key, Status};
use keyrig_ctap::get_info::OptionId;
use keyrig_rack::Rack;
use serde_json::json;

use crate::{creation, never, page, request, status};

/// A reset right after power-up: PIN and credentials are gone.
async fn reset<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    keys[0].set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let selection = json!({"userVerification": "required", "residentKey": "required"});
    let client = page().with_pin(Pin::new("1234"));
    let made = client.create(&creation(selection, json!({})), keys, never()).await.expect("a credential");
    keys[0].reset(&never()).await.expect("within ten seconds");
    assert_eq!(keys[0].get_info(&never()).await.expect("getInfo").option(OptionId::ClientPin), Some(false));
    let options = request(&[&made.id.to_string()], "discouraged", json!({}));
    let error = page().get(&options, keys, never()).await.expect_err("it is gone");
    assert_eq!(error.reason, status("a", keyrig_ctap::Command::GetAssertion, Status::NoCredentials));
}
over_both!(reset, reset_in_process, reset_over_usb_ip, "keyrig", ["a"]);
