use super::*;
use crate::testing::info as without_pin;

use Requirement::{Discouraged, Preferred, Required};

fn info(options: &[(&str, bool)]) -> get_info::Response {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    get_info::Response { options, ..without_pin() }
}

const REFUSED: Result<Method, Unsuitable> = Err(Unsuitable::UserVerification);
const NO_PIN: Result<Method, Unsuitable> = Err(Unsuitable::NoPin);

fn circumstances(browser: Browser, wanted: Requirement) -> Circumstances {
    Circumstances { browser, wanted, discoverable: false, secret: false, can_ask: true }
}

/// Keys as they are sold, against what a page may want: required, preferred, discouraged; with somebody to ask for a PIN.
/// Chromium: `PINUVDispositionForMakeCredential` in `fido_device_authenticator.cc`; what is observed is said in the row.
#[test]
fn in_chromium_a_registration_verifies_the_user_where_the_page_or_the_key_wants_it() {
    use Method::{BuiltIn, Nothing, Pin, UvOption};
    for (key, expected) in [
        // No PIN and no way to one.
        (&[][..], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        // None set: it is set for a page that requires it, and for no other (observed).
        (&[("clientPin", false)], [Ok(Pin), Ok(Nothing), Ok(Nothing)]),
        // Set: a key of CTAP 2.0 makes no credential without it (CTAP 2.3 §6.1.2 step 10).
        (&[("clientPin", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", true), ("makeCredUvNotRqd", true)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (&[("clientPin", true), ("makeCredUvNotRqd", false)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", true), ("alwaysUv", true), ("makeCredUvNotRqd", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", false), ("alwaysUv", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", true), ("noMcGaPermissionsWithClientPin", true)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        // A fingerprint: with tokens and without.
        (&[("uv", true)], [Ok(UvOption), Ok(UvOption), Ok(Nothing)]),
        (&[("uv", true), ("clientPin", true), ("pinUvAuthToken", true)], [Ok(BuiltIn), Ok(BuiltIn), Ok(BuiltIn)]),
        (
            &[("uv", true), ("clientPin", true), ("pinUvAuthToken", true), ("makeCredUvNotRqd", true)],
            [Ok(BuiltIn), Ok(BuiltIn), Ok(Nothing)],
        ),
        (&[("uv", false), ("clientPin", true), ("pinUvAuthToken", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("uv", false)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
    ] {
        for (wanted, expected) in [Required, Preferred, Discouraged].into_iter().zip(expected) {
            let of = circumstances(Browser::Chromium, wanted);
            assert_eq!(for_make_credential(&info(key), of, false), expected, "{key:?} {wanted:?}");
        }
    }
}

/// The same in Firefox: `can_skip_user_verification` of `make_credentials.rs` and `get_pin_uv_auth_param` in authenticator-rs;
/// that a key without a PIN is taken as it is was observed.
#[test]
fn in_firefox_a_registration_verifies_the_user_if_the_key_can() {
    use Method::{BuiltIn, Nothing, Pin, UvOption};
    for (key, expected) in [
        (&[][..], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (&[("clientPin", false)], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (&[("clientPin", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", true), ("makeCredUvNotRqd", true)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (&[("clientPin", true), ("alwaysUv", true), ("makeCredUvNotRqd", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("clientPin", false), ("alwaysUv", true)], [NO_PIN, NO_PIN, NO_PIN]),
        (&[("alwaysUv", true)], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (&[("uv", true)], [Ok(UvOption), Ok(UvOption), Ok(UvOption)]),
        (&[("uv", true), ("clientPin", true), ("pinUvAuthToken", true)], [Ok(BuiltIn), Ok(BuiltIn), Ok(BuiltIn)]),
    ] {
        for (wanted, expected) in [Required, Preferred, Discouraged].into_iter().zip(expected) {
            let of = circumstances(Browser::Firefox, wanted);
            assert_eq!(for_make_credential(&info(key), of, false), expected, "{key:?} {wanted:?}");
        }
    }
}

/// The matrix of discoverable credentials: browser, what the page wants, whether the key has a PIN; to make one, and to find
/// one. Chromium asks for a PIN whatever the page says, and has one set to make one (observed: 4 of 4 cells for a new one with
/// no PIN, and the PIN with `discouraged`); Firefox treats them as any other (observed without a PIN).
#[test]
fn discoverable_credentials_are_where_browsers_differ() {
    use Method::{Nothing, Pin};
    let (none, set) = (&[("rk", true), ("clientPin", false)][..], &[("rk", true), ("clientPin", true)][..]);
    let lenient = &[("rk", true), ("clientPin", true), ("makeCredUvNotRqd", true)][..];
    for (browser, key, to_make, to_find) in [
        (Browser::Chromium, none, [Ok(Pin), Ok(Pin), Ok(Pin)], [REFUSED, REFUSED, REFUSED]),
        (Browser::Chromium, set, [Ok(Pin), Ok(Pin), Ok(Pin)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (Browser::Chromium, lenient, [Ok(Pin), Ok(Pin), Ok(Pin)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (Browser::Firefox, none, [Ok(Nothing), Ok(Nothing), Ok(Nothing)], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (Browser::Firefox, set, [Ok(Pin), Ok(Pin), Ok(Pin)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (Browser::Firefox, lenient, [Ok(Pin), Ok(Pin), Ok(Pin)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
    ] {
        for ((wanted, to_make), to_find) in [Required, Preferred, Discouraged].into_iter().zip(to_make).zip(to_find) {
            let of = Circumstances { discoverable: true, ..circumstances(browser, wanted) };
            assert_eq!(for_make_credential(&info(key), of, false), to_make, "to make: {browser} {key:?} {wanted:?}");
            assert_eq!(for_get_assertion(&info(key), of), to_find, "to find: {browser} {key:?} {wanted:?}");
        }
    }
}

/// Chromium goes by U2F where it may; Firefox does not know the way.
#[test]
fn u2f_is_a_way_around_the_pin_unless_the_page_or_the_key_insists() {
    for (browser, key, wanted, expected) in [
        (Browser::Chromium, &[("clientPin", true)][..], Discouraged, Method::Nothing),
        (Browser::Chromium, &[("clientPin", true)], Preferred, Method::Pin),
        (Browser::Chromium, &[("clientPin", true)], Required, Method::Pin),
        (Browser::Chromium, &[("clientPin", true), ("alwaysUv", true)], Discouraged, Method::Pin),
        (Browser::Firefox, &[("clientPin", true)], Discouraged, Method::Pin),
    ] {
        let method = for_make_credential(&info(key), circumstances(browser, wanted), true);
        assert_eq!(method, Ok(expected), "{browser} {key:?} {wanted:?}");
    }
}

/// `PINUVDispositionForGetAssertion`, and `can_skip_user_verification` of `get_assertion.rs`: with an allow list.
#[test]
fn a_login_verifies_the_user_where_the_page_or_the_key_wants_it() {
    use Method::{BuiltIn, Nothing, Pin, UvOption};
    for (browser, key, expected) in [
        (Browser::Chromium, &[][..], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        // What was made without a PIN cannot be used with one: none is set.
        (Browser::Chromium, &[("clientPin", false)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        (Browser::Chromium, &[("clientPin", true)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (Browser::Chromium, &[("clientPin", true), ("alwaysUv", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (Browser::Chromium, &[("uv", true)], [Ok(UvOption), Ok(UvOption), Ok(Nothing)]),
        (Browser::Chromium, &[("uv", true), ("alwaysUv", true)], [Ok(UvOption), Ok(UvOption), Ok(UvOption)]),
        (Browser::Chromium, &[("uv", true), ("pinUvAuthToken", true)], [Ok(BuiltIn), Ok(BuiltIn), Ok(Nothing)]),
        (Browser::Firefox, &[], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (Browser::Firefox, &[("clientPin", false)], [Ok(Nothing), Ok(Nothing), Ok(Nothing)]),
        (Browser::Firefox, &[("clientPin", true)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (Browser::Firefox, &[("clientPin", true), ("alwaysUv", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (Browser::Firefox, &[("uv", true), ("pinUvAuthToken", true)], [Ok(BuiltIn), Ok(BuiltIn), Ok(Nothing)]),
    ] {
        for (wanted, expected) in [Required, Preferred, Discouraged].into_iter().zip(expected) {
            let method = for_get_assertion(&info(key), circumstances(browser, wanted));
            assert_eq!(method, expected, "{browser} {key:?} {wanted:?}");
        }
    }
}

/// A key has two secrets for a credential, one for those who are verified: Chromium wants that one, and has a PIN set so that
/// it stays the same.
#[test]
fn in_chromium_a_secret_is_worth_a_pin() {
    use Method::{Nothing, Pin};
    for (key, to_make, to_use) in [
        (&[("clientPin", false)][..], [Ok(Pin), Ok(Pin), Ok(Pin)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        (&[("clientPin", true), ("makeCredUvNotRqd", true)], [Ok(Pin), Ok(Pin), Ok(Pin)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[], [REFUSED, Ok(Nothing), Ok(Nothing)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
    ] {
        for ((wanted, to_make), to_use) in [Required, Preferred, Discouraged].into_iter().zip(to_make).zip(to_use) {
            let of = Circumstances { secret: true, ..circumstances(Browser::Chromium, wanted) };
            assert_eq!(for_make_credential(&info(key), of, false), to_make, "to make: {key:?} {wanted:?}");
            assert_eq!(for_get_assertion(&info(key), of), to_use, "to use: {key:?} {wanted:?}");
        }
    }
}

/// Without a dialog for it, a PIN is as good as not there.
#[test]
fn with_nobody_to_ask_chromium_knows_no_pin() {
    let open = &[("clientPin", false)][..];
    for (key, to_make, to_use) in [
        (
            open,
            [REFUSED, Ok(Method::Nothing), Ok(Method::Nothing)],
            [REFUSED, Ok(Method::Nothing), Ok(Method::Nothing)],
        ),
        (&[("clientPin", true)], [REFUSED; 3], [REFUSED, Ok(Method::Nothing), Ok(Method::Nothing)]),
        (&[("clientPin", true), ("alwaysUv", true)], [REFUSED; 3], [REFUSED; 3]),
    ] {
        for ((wanted, to_make), to_use) in [Required, Preferred, Discouraged].into_iter().zip(to_make).zip(to_use) {
            let of = Circumstances { can_ask: false, ..circumstances(Browser::Chromium, wanted) };
            assert_eq!(for_make_credential(&info(key), of, false), to_make, "to make: {key:?} {wanted:?}");
            assert_eq!(for_get_assertion(&info(key), of), to_use, "to use: {key:?} {wanted:?}");
        }
    }
}
