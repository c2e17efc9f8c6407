use super::*;
use crate::testing::info as without_pin;

use Requirement::{Discouraged, Preferred, Required};

fn info(options: &[(&str, bool)]) -> get_info::Response {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    get_info::Response { options, ..without_pin() }
}

const REFUSED: Result<Method, Unsuitable> = Err(Unsuitable::UserVerification);

/// Keys as they are sold, against what a page may want: required, preferred, discouraged; with somebody to ask for a PIN.
#[test]
fn a_registration_verifies_the_user_where_the_page_or_the_key_wants_it() {
    use Method::{BuiltIn, Nothing, Pin, UvOption};
    for (key, expected) in [
        // No PIN and no way to one.
        (&[][..], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        // None set: it is set for a page that requires it, and for no other.
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
            let registration = Registration { wanted, discoverable: false, u2f_possible: false };
            assert_eq!(for_make_credential(&info(key), &registration, true), expected, "{key:?} {wanted:?}");
        }
    }
}

/// CTAP 2.3 §6.1.2 step 8: makeCredUvNotRqd is about credentials that are not discoverable.
#[test]
fn a_discoverable_credential_needs_the_pin_all_the_same() {
    let key = info(&[("clientPin", true), ("makeCredUvNotRqd", true)]);
    let registration = Registration { wanted: Discouraged, discoverable: true, u2f_possible: false };
    assert_eq!(for_make_credential(&key, &registration, true), Ok(Method::Pin));
}

#[test]
fn u2f_is_a_way_around_the_pin_unless_the_page_or_the_key_insists() {
    for (key, wanted, expected) in [
        (&[("clientPin", true)][..], Discouraged, Method::Nothing),
        (&[("clientPin", true)], Preferred, Method::Pin),
        (&[("clientPin", true)], Required, Method::Pin),
        (&[("clientPin", true), ("alwaysUv", true)], Discouraged, Method::Pin),
    ] {
        let registration = Registration { wanted, discoverable: false, u2f_possible: true };
        assert_eq!(for_make_credential(&info(key), &registration, true), Ok(expected), "{key:?} {wanted:?}");
    }
}

#[test]
fn a_login_verifies_the_user_where_the_page_or_the_key_wants_it() {
    use Method::{BuiltIn, Nothing, Pin, UvOption};
    for (key, expected) in [
        (&[][..], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        // What was made without a PIN can't be used with one: none is set.
        (&[("clientPin", false)], [REFUSED, Ok(Nothing), Ok(Nothing)]),
        (&[("clientPin", true)], [Ok(Pin), Ok(Pin), Ok(Nothing)]),
        (&[("clientPin", true), ("alwaysUv", true)], [Ok(Pin), Ok(Pin), Ok(Pin)]),
        (&[("uv", true)], [Ok(UvOption), Ok(UvOption), Ok(Nothing)]),
        (&[("uv", true), ("alwaysUv", true)], [Ok(UvOption), Ok(UvOption), Ok(UvOption)]),
        (&[("uv", true), ("pinUvAuthToken", true)], [Ok(BuiltIn), Ok(BuiltIn), Ok(Nothing)]),
    ] {
        for (wanted, expected) in [Required, Preferred, Discouraged].into_iter().zip(expected) {
            assert_eq!(for_get_assertion(&info(key), wanted, true), expected, "{key:?} {wanted:?}");
        }
    }
}

/// Without a dialog for it, a PIN is as good as not there: the key says for itself that it wants it.
#[test]
fn with_nobody_to_ask_there_is_no_pin() {
    for key in [&[("clientPin", false)][..], &[("clientPin", true)], &[("clientPin", true), ("alwaysUv", true)]] {
        for (wanted, expected) in
            [(Required, REFUSED), (Preferred, Ok(Method::Nothing)), (Discouraged, Ok(Method::Nothing))]
        {
            let registration = Registration { wanted, discoverable: false, u2f_possible: false };
            assert_eq!(for_make_credential(&info(key), &registration, false), expected, "{key:?} {wanted:?}");
            assert_eq!(for_get_assertion(&info(key), wanted, false), expected, "{key:?} {wanted:?}");
        }
    }
}
