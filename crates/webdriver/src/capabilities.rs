//! Capabilities: those that are asked for and concern virtual authenticators are answered here, as no driver knows what is here
//! (WebAuthn Level 3 §11.1).

use keyrig_authenticator::profile::VirtualAuthenticator;
use serde_json::{Map, Value, json};

use crate::error::{Code, WebDriverError};
use crate::mode::Mode;

const VIRTUAL_AUTHENTICATORS: &str = "webauthn:virtualAuthenticators";
const EXTENSION: &str = "webauthn:extension:";

/// The member by which a session says how its pages get their keys.
const OURS: &str = "keyrig:webauthn";

/// The capability by which a session has WebDriver BiDi, and its address.
pub const BIDI: &str = "webSocketUrl";

/// The capabilities that are addresses of the driver or the browser itself.
const ADDRESSES: [&str; 2] = [BIDI, "se:cdp"];

/// When a document gets the script that is its `navigator.credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Before its own scripts.
    Before,
    /// Behind them, when a command has led there.
    Behind,
}

/// Takes what concerns virtual authenticators out of the capabilities that are asked for.
///
/// # Errors
/// *invalid argument* for a value that is none, *session not created* if there is none that has all that is asked for.
pub fn take(body: &mut Value) -> Result<(), WebDriverError> {
    let Some(capabilities) = body.get_mut("capabilities").and_then(Value::as_object_mut) else { return Ok(()) };
    let always = capabilities.get_mut("alwaysMatch").and_then(Value::as_object_mut).map(take_of).transpose()?;
    if let Some(Some(missing)) = always {
        return Err(not_created(&missing));
    }
    let Some(first) = capabilities.get_mut("firstMatch").and_then(Value::as_array_mut) else { return Ok(()) };
    let mut missing = None;
    let mut matching = Vec::new();
    for mut one in core::mem::take(first) {
        match one.as_object_mut().map(take_of).transpose()? {
            Some(Some(name)) => missing = missing.or(Some(name)),
            _ => matching.push(one),
        }
    }
    if let (true, Some(missing)) = (matching.is_empty(), missing) {
        return Err(not_created(&missing));
    }
    *first = matching;
    Ok(())
}

/// Takes them out of one object, and returns the first that is wanted and is not to be had.
fn take_of(capabilities: &mut Map<String, Value>) -> Result<Option<String>, WebDriverError> {
    let concerned = |name: &&String| **name == VIRTUAL_AUTHENTICATORS || name.starts_with(EXTENSION);
    let names: Vec<_> = capabilities.keys().filter(concerned).cloned().collect();
    let mut missing = None;
    for name in names {
        match capabilities.remove(&name) {
            Some(Value::Bool(wanted)) => {
                if wanted && !has(&name) {
                    missing = missing.or(Some(name));
                }
            }
            // As for any capability, null is not there (WebDriver §7.2).
            Some(Value::Null) | None => {}
            Some(_) => {
                let name: String = name.chars().take(100).collect();
                return Err(WebDriverError::argument(format!("the capability {name} is true or false")));
            }
        }
    }
    Ok(missing)
}

fn has(name: &str) -> bool {
    name == VIRTUAL_AUTHENTICATORS
        || name.strip_prefix(EXTENSION).is_some_and(|extension| VirtualAuthenticator::EXTENSIONS.contains(&extension))
}

fn not_created(name: &str) -> WebDriverError {
    let name: String = name.chars().take(100).collect();
    WebDriverError::new(
        Code::SessionNotCreated,
        format!("{name} is not to be had: the extensions are {}", VirtualAuthenticator::EXTENSIONS.join(", ")),
    )
}

/// Asks for WebDriver BiDi where Firefox is asked for without it: nothing else runs a script before those of a document there. Whether it
/// did.
pub fn want_bidi(body: &mut Value) -> bool {
    let is_of_firefox = |capabilities: &Map<String, Value>| {
        let name = capabilities.get("browserName").and_then(Value::as_str);
        name.is_some_and(|name| name.eq_ignore_ascii_case("firefox"))
    };
    let Some(capabilities) = body.get_mut("capabilities").and_then(Value::as_object_mut) else { return false };
    let (always, first): (Vec<_>, Vec<_>) = capabilities.iter_mut().partition(|(name, _)| *name == "alwaysMatch");
    let mut always: Vec<_> = always.into_iter().filter_map(|(_, one)| one.as_object_mut()).collect();
    let first = first.into_iter().filter(|(name, _)| *name == "firstMatch").filter_map(|(_, all)| all.as_array_mut());
    let mut first: Vec<_> = first.flatten().filter_map(Value::as_object_mut).collect();
    if always.iter().chain(&first).any(|one| one.contains_key(BIDI)) {
        return false;
    }
    let mut of_firefox: Vec<_> = always.iter_mut().chain(&mut first).filter(|one| is_of_firefox(one)).collect();
    for one in &mut of_firefox {
        one.insert(BIDI.to_owned(), true.into());
    }
    !of_firefox.is_empty()
}

/// Tells in the capabilities of a session what is here, and which of its addresses do not lead through here.
pub fn tell(capabilities: &mut Map<String, Value>, mode: Mode, script: Option<Script>) {
    let direct: Vec<_> =
        ADDRESSES.into_iter().filter(|name| capabilities.get(*name).is_some_and(Value::is_string)).collect();
    let mut ours = json!({"mode": mode.to_string(), "direct": direct});
    if let (Some(script), Some(ours)) = (script, ours.as_object_mut()) {
        let when = if script == Script::Before { "before" } else { "behind" };
        ours.insert("script".to_owned(), when.into());
    }
    capabilities.insert(OURS.to_owned(), ours);
    if mode == Mode::Driver {
        return;
    }
    capabilities.retain(|name, _| !name.starts_with(EXTENSION));
    capabilities.insert(VIRTUAL_AUTHENTICATORS.to_owned(), true.into());
    for extension in VirtualAuthenticator::EXTENSIONS {
        capabilities.insert(format!("{EXTENSION}{extension}"), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drivers_do_not_know_does_not_reach_them() {
        let mut body = json!({"capabilities": {
            "alwaysMatch": {"webauthn:virtualAuthenticators": true, "webauthn:extension:largeBlob": true, "browserName": "firefox"},
            "firstMatch": [{"webauthn:extension:uvm": true}, {"webauthn:extension:uvm": false, "moz:x": 1}],
        }});
        take(&mut body).unwrap();
        let left = json!({"capabilities": {"alwaysMatch": {"browserName": "firefox"}, "firstMatch": [{"moz:x": 1}]}});
        assert_eq!(body, left);
    }

    #[test]
    fn what_is_not_to_be_had_is_no_session() {
        for capabilities in [
            json!({"alwaysMatch": {"webauthn:extension:uvm": true}}),
            json!({"firstMatch": [{"webauthn:extension:uvm": true}, {"webauthn:extension:devicePubKey": true}]}),
        ] {
            let error = take(&mut json!({"capabilities": capabilities})).unwrap_err();
            assert_eq!(error.code, Code::SessionNotCreated);
            assert!(error.message.starts_with("webauthn:extension:uvm is not to be had"), "{error}");
        }
        let error = take(&mut json!({"capabilities": {"alwaysMatch": {"webauthn:virtualAuthenticators": "yes"}}}));
        assert_eq!(error.unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn what_is_no_new_session_is_the_drivers() {
        for body in
            [json!(null), json!([]), json!({}), json!({"capabilities": 1}), json!({"capabilities": {"firstMatch": []}})]
        {
            let mut taken = body.clone();
            take(&mut taken).unwrap();
            assert_eq!(taken, body);
        }
    }

    #[test]
    fn a_session_says_what_it_has() {
        let mut capabilities = Map::new();
        capabilities.insert("webSocketUrl".to_owned(), "ws://127.0.0.1:1/session/x".into());
        capabilities.insert("webauthn:extension:uvm".to_owned(), true.into());
        tell(&mut capabilities, Mode::Hid, None);
        assert_eq!(capabilities[OURS], json!({"mode": "hid", "direct": ["webSocketUrl"]}));
        assert_eq!(capabilities[VIRTUAL_AUTHENTICATORS], true);
        assert_eq!(capabilities["webauthn:extension:prf"], true);
        assert!(!capabilities.contains_key("webauthn:extension:uvm"));
        let mut of_driver = Map::new();
        tell(&mut of_driver, Mode::Driver, None);
        assert_eq!(of_driver.keys().collect::<Vec<_>>(), [OURS]);
        for (script, when) in [(Script::Before, "before"), (Script::Behind, "behind")] {
            let mut of_pages = Map::new();
            tell(&mut of_pages, Mode::Page, Some(script));
            assert_eq!(of_pages[OURS], json!({"mode": "page", "direct": [], "script": when}));
        }
    }

    #[test]
    fn bidi_is_asked_for_where_firefox_is_and_nobody_said_whether() {
        for (asked, expected) in [
            (
                json!({"alwaysMatch": {"browserName": "firefox"}}),
                Some(json!({"alwaysMatch": {"browserName": "firefox", "webSocketUrl": true}})),
            ),
            (
                json!({"firstMatch": [{"browserName": "Firefox"}, {"browserName": "chrome"}]}),
                Some(
                    json!({"firstMatch": [{"browserName": "Firefox", "webSocketUrl": true}, {"browserName": "chrome"}]}),
                ),
            ),
            (json!({"alwaysMatch": {"browserName": "firefox", "webSocketUrl": false}}), None),
            (json!({"alwaysMatch": {"browserName": "firefox"}, "firstMatch": [{"webSocketUrl": true}]}), None),
            (json!({"alwaysMatch": {"browserName": "chrome"}}), None),
            (json!({"firstMatch": [1], "alwaysMatch": []}), None),
        ] {
            let mut body = json!({"capabilities": asked});
            assert_eq!(want_bidi(&mut body), expected.is_some(), "{asked}");
            assert_eq!(body["capabilities"], expected.unwrap_or(asked));
        }
        assert!(!want_bidi(&mut json!(null)));
    }
}
