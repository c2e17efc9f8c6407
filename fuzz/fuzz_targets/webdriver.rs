//! Bodies of WebDriver's commands about virtual authenticators, of new sessions, and paths.
//!
//! What must hold: no panic; what is found good is a key that can be made, and tells again what it was given; capabilities that were taken
//! out of are not there any more.

#![no_main]

use keyrig_webdriver::configuration::Configuration;
use keyrig_webdriver::credential::{self, NewCredential, Properties};
use keyrig_webdriver::route::Route;
use keyrig_webdriver::{Mode, capabilities};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    if let Ok(path) = str::from_utf8(input) {
        for method in ["GET", "POST", "DELETE"] {
            let _ = Route::read(&method.parse().unwrap(), path);
        }
        let _ = credential::credential_id(path);
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(input) else { return };
    if let Some(parameters) = body.as_object() {
        for mode in [Mode::Hid, Mode::Page] {
            if let Ok(read) = Configuration::read(parameters, mode) {
                read.authenticator.profile().unwrap();
            }
        }
        if let Ok(read) = NewCredential::read(parameters) {
            let told = credential::parameters(&read.credential, read.large_blob.as_deref());
            let again = NewCredential::read(told.as_object().unwrap()).unwrap();
            assert_eq!(again.credential, read.credential);
            assert_eq!(again.large_blob, read.large_blob);
        }
        let _ = Properties::read(parameters);
        let _ = credential::is_user_verified(parameters);
    }
    capabilities::want_bidi(&mut body);
    assert!(!capabilities::want_bidi(&mut body), "nobody asks for it twice");
    if capabilities::take(&mut body).is_ok() {
        let left = body["capabilities"]["alwaysMatch"].as_object();
        assert!(left.is_none_or(|left| !left.keys().any(|name| name.starts_with("webauthn:extension:"))));
    }
});
