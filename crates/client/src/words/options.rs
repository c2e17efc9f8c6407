//! What browsers say to a script whose options they do not read, or that calls what is not there: as observed in Chromium 156 and Firefox
//! 153. Safari's words nobody has looked up.

use std::borrow::Cow;

use crate::browser::Browser;
use crate::json::Parser;

/// Of bytes that are not base64url. A list's entries have no number, and of `prf` it is not said which of its inputs it is.
pub(super) fn no_base64url(browser: Browser, member: &str, parser: Parser) -> Option<Cow<'static, str>> {
    // What a page hands over has its options in there, and a parser is given these alone.
    let member = member.strip_prefix("publicKey.").unwrap_or(member);
    let called = parser.name();
    let said = match browser {
        Browser::Chromium => {
            let which = match member.split_once('[') {
                Some((list @ ("excludeCredentials" | "allowCredentials"), _)) => {
                    format!("'{list}' contains PublicKeyCredentialDescriptorJSON with invalid base64url data in 'id'")
                }
                _ => format!("'{}' contains invalid base64url data", of_prf(member)),
            };
            format!("Failed to execute '{called}' on 'PublicKeyCredential': {which}")
        }
        Browser::Firefox => {
            let which = match member {
                "challenge" => "challenge",
                "user.id" => "user ID",
                "extensions.largeBlob.write" => "large blob inputs",
                _ if member.starts_with("excludeCredentials[") => "excluded credential ID",
                _ if member.starts_with("allowCredentials[") => "allowed credential ID",
                _ if member.starts_with("extensions.prf.") => "prf inputs",
                _ => return None,
            };
            format!("PublicKeyCredential.{called}: could not decode {which} as urlsafe base64")
        }
        Browser::Safari => return None,
    };
    Some(said.into())
}

fn of_prf(member: &str) -> &str {
    let inputs = ["extensions.prf.evalByCredential", "extensions.prf.eval"];
    inputs.into_iter().find(|inputs| member.starts_with(inputs)).unwrap_or(member)
}

/// Of `navigator.credentials`, which only secure contexts have.
pub(super) fn no_credentials(browser: Browser, called: &str) -> Option<Cow<'static, str>> {
    let said = match browser {
        Browser::Chromium => format!("Cannot read properties of undefined (reading '{called}')"),
        Browser::Firefox => format!("can't access property \"{called}\", navigator.credentials is undefined"),
        Browser::Safari => return None,
    };
    Some(said.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::client::Client;
    use crate::error::{ClientError, DomException};
    use crate::json::{CreationOptions, InvalidJson, RequestOptions};

    const STANDARD: &str = "q83v+RI/Rnia";
    const PADDED: &str = "q83vEjRWeJo=";

    fn told(error: InvalidJson, browser: Browser) -> Option<String> {
        let error = ClientError::from(error);
        assert_eq!((error.name, error.code().as_str()), (DomException::EncodingError, "options-no-base64url"));
        let helps = error.what_to_do();
        assert!(helps.contains("the site's server") && helps.contains("base64url"), "{helps}");
        error.observed_message(browser).map(Cow::into_owned)
    }

    fn created(options: &Value, browser: Browser) -> Option<String> {
        CreationOptions::from_value_in(options, browser).err().map(|error| told(error, browser).unwrap())
    }

    fn requested(options: &Value, browser: Browser) -> Option<String> {
        RequestOptions::from_value_in(options, browser).err().map(|error| told(error, browser).unwrap())
    }

    fn creation(bytes: &str, at: &str) -> Value {
        let mut options = json!({
            "rp": {"id": "login.example.com", "name": "site"},
            "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
            "challenge": "AAAA",
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "excludeCredentials": [{"type": "public-key", "id": "AAAA"}, {"type": "public-key", "id": "AAAA"}],
            "extensions": {"prf": {"eval": {"first": "AAAA"}}},
        });
        *options.pointer_mut(at).unwrap() = bytes.into();
        options
    }

    fn request(bytes: &str, at: &str) -> Value {
        let mut options = json!({
            "challenge": "AAAA",
            "allowCredentials": [{"type": "public-key", "id": "AAAA"}],
            "extensions": {
                "largeBlob": {"write": "AAAA"},
                "prf": {
                    "eval": {"first": "AAAA", "second": "AAAA"},
                    "evalByCredential": {"AAAA": {"first": "AAAA"}},
                },
            },
        });
        *options.pointer_mut(at).unwrap() = bytes.into();
        options
    }

    /// Each was thrown by the two browsers at options like these.
    #[test]
    fn bytes_that_are_no_base64url_are_named_as_browsers_do() {
        let in_id = "contains PublicKeyCredentialDescriptorJSON with invalid base64url data in 'id'";
        for (at, chromium, firefox) in [
            ("/challenge", "'challenge' contains invalid base64url data".to_owned(), "challenge"),
            ("/user/id", "'user.id' contains invalid base64url data".to_owned(), "user ID"),
            ("/excludeCredentials/1/id", format!("'excludeCredentials' {in_id}"), "excluded credential ID"),
            (
                "/extensions/prf/eval/first",
                "'extensions.prf.eval' contains invalid base64url data".to_owned(),
                "prf inputs",
            ),
        ] {
            let chromium =
                format!("Failed to execute 'parseCreationOptionsFromJSON' on 'PublicKeyCredential': {chromium}");
            let firefox = format!(
                "PublicKeyCredential.parseCreationOptionsFromJSON: could not decode {firefox} as urlsafe base64"
            );
            assert_eq!(created(&creation(STANDARD, at), Browser::Chromium), Some(chromium.clone()));
            assert_eq!(created(&creation(STANDARD, at), Browser::Firefox), Some(firefox.clone()));
            assert_eq!(created(&creation(PADDED, at), Browser::Chromium), Some(chromium), "padding");
            assert_eq!(created(&creation(PADDED, at), Browser::Firefox), None, "padding");
            assert_eq!(created(&creation("AAAAA", at), Browser::Firefox), Some(firefox), "a length that no bytes have");
        }
        for (at, chromium, firefox) in [
            ("/challenge", "'challenge' contains invalid base64url data".to_owned(), "challenge"),
            ("/allowCredentials/0/id", format!("'allowCredentials' {in_id}"), "allowed credential ID"),
            (
                "/extensions/largeBlob/write",
                "'extensions.largeBlob.write' contains invalid base64url data".to_owned(),
                "large blob inputs",
            ),
            (
                "/extensions/prf/eval/second",
                "'extensions.prf.eval' contains invalid base64url data".to_owned(),
                "prf inputs",
            ),
            (
                "/extensions/prf/evalByCredential/AAAA/first",
                "'extensions.prf.evalByCredential' contains invalid base64url data".to_owned(),
                "prf inputs",
            ),
        ] {
            let chromium =
                format!("Failed to execute 'parseRequestOptionsFromJSON' on 'PublicKeyCredential': {chromium}");
            let firefox = format!(
                "PublicKeyCredential.parseRequestOptionsFromJSON: could not decode {firefox} as urlsafe base64"
            );
            assert_eq!(requested(&request(STANDARD, at), Browser::Chromium), Some(chromium.clone()));
            assert_eq!(requested(&request(STANDARD, at), Browser::Firefox), Some(firefox));
            let handed_over = json!({ "publicKey": request(STANDARD, at) });
            assert_eq!(requested(&handed_over, Browser::Chromium), Some(chromium));
        }
    }

    /// Each was given to `parseRequestOptionsFromJSON` of both.
    #[test]
    fn browsers_take_for_base64url_what_they_do() {
        for (text, chromium, firefox) in [
            ("AAA", true, true),
            ("AAB", true, true),
            ("AB", true, true),
            ("", true, true),
            ("AB==", false, true),
            ("AAB=", false, true),
            (PADDED, false, true),
            ("AB=", false, false),
            ("AB===", false, false),
            ("AAAA=", false, false),
            ("AAAA====", false, false),
            ("AAAA==", false, false),
            ("=", false, false),
            ("====", false, false),
            ("A===", false, false),
            ("A", false, false),
            ("AB==AB==", false, false),
            ("AB=A", false, false),
            ("AA AA", false, false),
            (" AAAA", false, false),
            ("AA\nAA", false, false),
            ("AA.A", false, false),
            (STANDARD, false, false),
            ("ÄA", false, false),
        ] {
            let options = json!({ "challenge": text });
            for (browser, is_taken) in [(Browser::Chromium, chromium), (Browser::Firefox, firefox)] {
                assert_eq!(requested(&options, browser).is_none(), is_taken, "{browser}: {text:?}");
            }
            assert_eq!(RequestOptions::from_value(&options).is_ok(), chromium, "{text:?}");
        }
    }

    /// As both browsers were observed to, of options in which all of it is wrong.
    #[test]
    fn what_is_missing_counts_first_and_then_bytes_in_their_order() {
        let all = json!({
            "rp": {"id": "login.example.com", "name": "site"},
            "challenge": STANDARD,
            "user": {"id": STANDARD, "name": "alice", "displayName": "Alice"},
            "excludeCredentials": [{"type": "public-key", "id": STANDARD}],
            "extensions": {"prf": {"eval": {"first": STANDARD}}, "largeBlob": {"write": STANDARD}},
        });
        let refused = |options: &Value| CreationOptions::from_value(options).unwrap_err();
        assert_eq!(refused(&all), InvalidJson::Missing { member: "pubKeyCredParams".to_owned() });
        let mut options = all;
        options["pubKeyCredParams"] = json!([{"type": "public-key", "alg": -7}]);
        for (at, mended) in [
            ("user.id", "/user/id"),
            ("challenge", "/challenge"),
            ("excludeCredentials[0].id", "/excludeCredentials/0/id"),
        ] {
            assert!(matches!(refused(&options), InvalidJson::Base64Url { member, .. } if member == at), "{at}");
            *options.pointer_mut(mended).unwrap() = "AAAA".into();
        }
        for (at, mended) in [
            ("extensions.largeBlob.write", "/extensions/largeBlob/write"),
            ("extensions.prf.eval.first", "/extensions/prf/eval/first"),
        ] {
            assert!(matches!(refused(&options), InvalidJson::Base64Url { member, .. } if member == at), "{at}");
            *options.pointer_mut(mended).unwrap() = "AAAA".into();
        }
        assert!(CreationOptions::from_value(&options).is_ok());
    }

    #[test]
    fn a_reason_tells_padding_from_the_other_alphabet() {
        for (bytes, reason) in [
            (PADDED, "challenge is padded with =: use the alphabet with - and _, without padding"),
            (
                STANDARD,
                "challenge has + or /, as base64 has and base64url has not: use the alphabet with - and _, without padding",
            ),
            ("AA AA", "challenge contains invalid base64url data: use the alphabet with - and _, without padding"),
        ] {
            let error = CreationOptions::from_value(&creation(bytes, "/challenge")).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
    }

    /// A script that calls what is not there, in plain http.
    #[tokio::test]
    async fn outside_of_a_secure_context_a_script_is_told_what_is_undefined() {
        use crate::channel::Cancel;
        use crate::key::Key;
        use crate::testing::Scripted;
        let keys: &mut [Key<Scripted>] = &mut [];
        for (browser, created, got) in [
            (
                Browser::Chromium,
                "Cannot read properties of undefined (reading 'create')",
                "Cannot read properties of undefined (reading 'get')",
            ),
            (
                Browser::Firefox,
                "can't access property \"create\", navigator.credentials is undefined",
                "can't access property \"get\", navigator.credentials is undefined",
            ),
        ] {
            let page = Client::new("http://login.example.com".parse().unwrap()).in_browser(browser);
            let creation = CreationOptions::from_value(&creation("AAAA", "/challenge")).unwrap();
            let error = page.create(&creation, keys, Cancel::never()).await.unwrap_err();
            assert_eq!(error.observed_message(browser).as_deref(), Some(created));
            let request = RequestOptions::from_value(&json!({"challenge": "AAAA"})).unwrap();
            let error = page.get(&request, keys, Cancel::never()).await.unwrap_err();
            assert_eq!(error.observed_message(browser).as_deref(), Some(got));
            assert_eq!(error.name, DomException::TypeError);
        }
    }
}
