//! PINs at a key that is spoken to message by message.

use keyrig_ctap::Request as Message;
use keyrig_ctap::client_pin::{Permissions, Request};
use keyrig_ctap::entities::PinUvAuth;
use keyrig_test_platform::{Platform, get_key_agreement};

/// Sends a message to a key, and returns the answer.
pub(crate) type Send<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;

fn encoded(request: Request) -> Vec<u8> {
    Message::ClientPin(request).encode()
}

fn agree(send: Send<'_>) -> Platform {
    Platform::agree(&send(&encoded(get_key_agreement())))
}

/// setPIN.
pub(crate) fn set_pin(send: Send<'_>, pin: &str) -> Vec<u8> {
    encoded(agree(send).set_pin(pin))
}

/// changePIN.
pub(crate) fn change_pin(send: Send<'_>, old: &str, new: &str) -> Vec<u8> {
    encoded(agree(send).change_pin(old, new))
}

/// getPinUvAuthTokenUsingPinWithPermissions.
pub(crate) fn get_token(send: Send<'_>, pin: &str, permissions: Permissions) -> Vec<u8> {
    encoded(agree(send).get_token(pin, permissions, None))
}

/// getPinUvAuthTokenUsingUvWithPermissions.
pub(crate) fn get_token_by_uv(send: Send<'_>, permissions: Permissions) -> Vec<u8> {
    encoded(agree(send).get_token_by_uv(permissions, None))
}

/// A token, and by it a `pinUvAuthParam` for `message`.
pub(crate) fn authorize(send: Send<'_>, pin: &str, permissions: Permissions, message: &[u8]) -> PinUvAuth {
    let platform = agree(send);
    let answer = send(&encoded(platform.get_token(pin, permissions, None)));
    platform.token(&answer).authorize(message)
}
