//! A refusal in the words of others: the text that a page sees in a browser, and a name for programs.

use std::borrow::Cow;

use keyrig_ctap::Status;

use crate::app_id::AppIdRefusal;
use crate::browser::Browser;
use crate::channel::ChannelError;
use crate::error::{Cause, ClientError, DomException, ExtensionMisuse, KeyFailure, Refusal, Unsuitable};
use crate::json::InvalidJson;
use crate::page::ALLOW;
use crate::pin::PinProblem;
use crate::related_origins::Unrelated;
use crate::rp_id::RpIdRefusal;

mod options;

const NOT_A_SUFFIX: &str =
    "The relying party ID is not a registrable domain suffix of, nor equal to the current domain.";
const NOT_A_SUFFIX_AFTER_A_FETCH: &str = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, an \
     attempt to fetch the .well-known/webauthn resource of the claimed RP ID failed.";
const WRONG_CONTENT_TYPE: &str = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, the \
     .well-known/webauthn resource of the claimed RP ID had the wrong content-type. (It should be application/json.)";
const NOT_LISTED: &str = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, fetching \
     the .well-known/webauthn resource of the claimed RP ID was successful, but no listed origin matched the caller.";
const NOT_LISTED_WITHIN_THE_LIMIT: &str = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, fetching \
     the .well-known/webauthn resource of the claimed RP ID was successful, but no listed origin matched the caller. Note that a \
     match may have been found but the limit on the number of eTLD+1 labels was reached, causing some entries to be ignored.";
const NO_JSON: &str = "The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, fetching \
     the .well-known/webauthn resource of the claimed RP ID resulted in a JSON parse error.";
const CREATE: &str = "publickey-credentials-create";
const NO_CREATE: &str = "The 'publickey-credentials-create' feature is not enabled in this document. Permissions Policy may be used to \
     delegate Web Authentication capabilities to cross-origin child frames.";
const NO_GET: &str = "The 'publickey-credentials-get' feature is not enabled in this document. Permissions Policy may be used to \
     delegate Web Authentication capabilities to cross-origin child frames.";
const INVALID_DOMAIN: &str = "This is an invalid domain.";

impl ClientError {
    /// The exception's message in a browser, as observed in Chromium 156 and Firefox 153, and of Safari as WebKit's source has
    /// it; `None` where nobody has looked.
    #[must_use]
    pub fn observed_message(&self, browser: Browser) -> Option<Cow<'static, str>> {
        if let Refusal::InsecureContext { called, .. } = &self.reason {
            return options::no_credentials(browser, (*called)?);
        }
        if let Refusal::InvalidJson(InvalidJson::Base64Url { member, parser, .. }) = &self.reason {
            return options::no_base64url(browser, member, *parser);
        }
        let fixed = match browser {
            Browser::Chromium => self.in_chromium(),
            Browser::Firefox => self.in_firefox(),
            Browser::Safari => self.in_safari(),
        };
        fixed.map(Cow::Borrowed)
    }

    fn in_chromium(&self) -> Option<&'static str> {
        Some(match (&self.reason, self.name) {
            (Refusal::RpId(RpIdRefusal::IpAddress(_)) | Refusal::AppId(_), _) => INVALID_DOMAIN,
            (Refusal::RpId(RpIdRefusal::NotADomain(_)), _) => NOT_A_SUFFIX,
            (Refusal::RpId(RpIdRefusal::PublicSuffix { .. } | RpIdRefusal::Foreign { .. }), _) => {
                NOT_A_SUFFIX_AFTER_A_FETCH
            }
            (Refusal::RpId(RpIdRefusal::Unrelated { unrelated, .. }), _) => of_unrelated(unrelated),
            (Refusal::NotPermitted { feature: CREATE }, _) => NO_CREATE,
            (Refusal::NotPermitted { .. }, _) => NO_GET,
            (Refusal::CertificateError { .. }, _) => "WebAuthn is not supported on sites with TLS certificate errors.",
            (Refusal::NoUserActivation, _) => {
                "A user activation is required to create a credential in a cross-origin iframe."
            }
            (Refusal::UserHandleTooLong { .. }, _) => "User handle exceeds 64 bytes.",
            (Refusal::Extension(misuse), _) => return of_misuse(misuse),
            (Refusal::ListTooLong { list: ALLOW, .. }, _) => {
                "The `allowCredentials` attribute exceeds the maximum allowed size (64)."
            }
            (Refusal::ListTooLong { .. }, _) => {
                "The `excludeCredentials` attribute exceeds the maximum allowed size (64)."
            }
            (Refusal::NoPublicKeyParameters, _) => "Required parameters missing in `options.publicKey`.",
            (Refusal::RpId(RpIdRefusal::OpaqueOrigin), _) => {
                "The current origin is an opaque origin and hence not allowed to access 'PublicKeyCredential' objects."
            }
            (Refusal::Replaced, _) => return None,
            (_, DomException::InvalidStateError) => {
                "The user attempted to register an authenticator that contains one of the credentials already registered \
                 with the relying party."
            }
            (_, DomException::NotAllowedError) => {
                "The operation either timed out or was not allowed. See: \
                 https://www.w3.org/TR/webauthn-2/#sctn-privacy-considerations-client."
            }
            (_, DomException::AbortError) => "signal is aborted without reason",
            _ => return None,
        })
    }

    fn in_firefox(&self) -> Option<&'static str> {
        Some(match self.name {
            _ if matches!(self.reason, Refusal::UserHandleTooLong { .. }) => "user.id is too long",
            DomException::NotSupportedError => "Operation is not supported",
            DomException::AbortError => "The operation was aborted. ",
            _ if matches!(self.reason, Refusal::NotPermitted { .. } | Refusal::NoUserActivation) => {
                "CredentialsContainer request is not allowed."
            }
            DomException::SecurityError => "The operation is insecure.",
            DomException::InvalidStateError => {
                "An attempt was made to use an object that is not, or is no longer, usable"
            }
            DomException::NotAllowedError => {
                "The request is not allowed by the user agent or the platform in the current context, possibly because the \
                 user denied permission."
            }
            _ => return None,
        })
    }

    fn in_safari(&self) -> Option<&'static str> {
        Some(match &self.reason {
            Refusal::RpId(RpIdRefusal::IpAddress(_)) => "The effective domain of the document is not a valid domain.",
            Refusal::RpId(_) => {
                "The provided RP ID is not a registrable domain suffix of the effective domain of the document."
            }
            Refusal::InFrameOfAnotherOrigin { .. } | Refusal::NotPermitted { .. } => {
                "The origin of the document is not the same as its ancestors."
            }
            Refusal::UserHandleTooLong { .. } | Refusal::UserHandleEmpty => {
                "The length options.user.id must be between 1-64 bytes."
            }
            Refusal::UnknownParameters(_) | Refusal::NoPublicKeyParameters => {
                "options.pubKeyCredParams contains unsupported PublicKeyCredentialType value."
            }
            Refusal::AppId(AppIdRefusal::Empty) => "Empty appid in create request.",
            Refusal::AppId(_) => "The origin of the document is not authorized for the provided App ID.",
            Refusal::Extension(ExtensionMisuse::LargeBlobAtCreation) => {
                "Read and write may not be present in largeBlob for registration."
            }
            Refusal::Extension(ExtensionMisuse::LargeBlobSupportAtRequest) => {
                "Support should not be present in largeBlob for assertion."
            }
            Refusal::Extension(ExtensionMisuse::LargeBlobReadAndWrite) => {
                "Both read and write may not be present together in largeBlob."
            }
            Refusal::Aborted => "Aborted by AbortSignal.",
            _ => return None,
        })
    }

    /// What helps: the likeliest thing.
    #[must_use]
    pub fn what_to_do(&self) -> &'static str {
        match &self.reason {
            Refusal::InsecureContext { .. } => "serve the page, and all pages that it is a frame in, over https",
            Refusal::RpId(RpIdRefusal::OpaqueOrigin) => "give the page an origin that is not opaque",
            Refusal::RpId(RpIdRefusal::IpAddress(_)) => "reach the site by a domain",
            Refusal::NotPermitted { .. } => {
                "give the frame allow=\"publickey-credentials-create; publickey-credentials-get\""
            }
            Refusal::CertificateError { .. } => "use a certificate that the browser trusts",
            Refusal::NoUserActivation => "call create() when the user clicks",
            Refusal::InFrameOfAnotherOrigin { .. } => "register keys on a page at the top of its window",
            Refusal::UserHandleEmpty | Refusal::UserHandleTooLong { .. } => "send a user.id of 1 to 64 bytes",
            Refusal::RpId(RpIdRefusal::Unrelated { .. }) => {
                "list the page's origin in the RP ID's .well-known/webauthn"
            }
            Refusal::RpId(_) => "set the RP ID to the page's domain, or to one above it that the site owns",
            Refusal::InvalidJson(invalid) => of_options(invalid),
            Refusal::NoKeys => "plug a key in",
            Refusal::TimedOut(_) => "touch a key in time, or have the finger do it",
            Refusal::NoSuchAccount { .. } => {
                "choose a user whom the key has an account of, or touch the key that has it"
            }
            Refusal::AccountNamesUntold { accounts: 1 } => "choose by user handle",
            Refusal::AccountNamesUntold { .. } => "choose by user handle, or give the key's PIN",
            Refusal::Key(KeyFailure { cause, .. }) => help(cause),
            Refusal::EveryKey(_) => "mend what the reason says of the key that was to be used, or plug in another",
            Refusal::ListTooLong { .. } => "send fewer: those of this user",
            Refusal::NoPublicKeyParameters | Refusal::UnknownParameters(_) => {
                "send pubKeyCredParams of type \"public-key\", with alg -7 and -257"
            }
            Refusal::AppId(_) => "send the AppID that keys were registered under, of the page's own site and in https",
            Refusal::Extension(_) => "ask for the extension as the reason says, or leave it out",
            Refusal::Replaced => "begin the conditional ceremony again, after the other one",
            Refusal::ConditionalCreation => "leave mediation out: a key makes a credential when it is touched",
            Refusal::SilentMediation => "leave mediation out, or make it \"conditional\"",
            Refusal::Aborted => "look for who called abort(): a timeout of the page's own, or its leaving",
            Refusal::NoAccountChosen => "choose one of the accounts, or send allowCredentials",
        }
    }

    /// The cause as a word for programs, which stays the same where texts are bettered: `rp-id-foreign`,
    /// `credential-excluded`.
    #[must_use]
    pub fn code(&self) -> String {
        let code = match &self.reason {
            Refusal::InsecureContext { .. } => "insecure-context",
            Refusal::RpId(RpIdRefusal::OpaqueOrigin) => "origin-opaque",
            Refusal::RpId(RpIdRefusal::IpAddress(_)) => "origin-ip-address",
            Refusal::RpId(RpIdRefusal::NotADomain(_)) => "rp-id-not-a-domain",
            Refusal::RpId(RpIdRefusal::PublicSuffix { .. }) => "rp-id-public-suffix",
            Refusal::RpId(RpIdRefusal::Foreign { .. }) => "rp-id-foreign",
            Refusal::RpId(RpIdRefusal::Unrelated { .. }) => "rp-id-unrelated",
            Refusal::CertificateError { .. } => "certificate-error",
            Refusal::NotPermitted { .. } => "not-permitted",
            Refusal::NoUserActivation => "no-user-activation",
            Refusal::InFrameOfAnotherOrigin { .. } => "in-frame-of-another-origin",
            Refusal::UserHandleEmpty => "user-handle-empty",
            Refusal::UnknownParameters(_) => "public-key-parameters-unknown",
            Refusal::InvalidJson(InvalidJson::Syntax(_)) => "options-no-json",
            Refusal::InvalidJson(InvalidJson::Missing { .. }) => "options-incomplete",
            Refusal::InvalidJson(InvalidJson::WrongType { .. }) => "options-wrong-type",
            Refusal::InvalidJson(InvalidJson::Base64Url { .. }) => "options-no-base64url",
            Refusal::UserHandleTooLong { .. } => "user-handle-too-long",
            Refusal::ListTooLong { .. } => "list-too-long",
            Refusal::NoPublicKeyParameters => "no-public-key-parameters",
            Refusal::AppId(_) => "app-id-not-allowed",
            Refusal::Extension(_) => "extension-misused",
            Refusal::NoKeys => "no-key-plugged-in",
            Refusal::Key(failure) => return of_key(failure),
            Refusal::EveryKey(_) => "no-key-left",
            Refusal::TimedOut(_) => "timed-out",
            Refusal::Replaced => "replaced",
            Refusal::ConditionalCreation => "conditional-creation",
            Refusal::SilentMediation => "silent-mediation",
            Refusal::Aborted => "aborted",
            Refusal::NoAccountChosen => "no-account-chosen",
            Refusal::NoSuchAccount { .. } => "no-such-account",
            Refusal::AccountNamesUntold { .. } => "account-names-untold",
        };
        code.to_owned()
    }
}

/// Chromium's words for an extension that is asked for as it cannot be.
fn of_misuse(misuse: &ExtensionMisuse) -> Option<&'static str> {
    Some(match misuse {
        ExtensionMisuse::AppIdAtCreation => {
            "The 'appid' extension is only valid when requesting an assertion for a pre-existing credential that was registered \
             using the legacy FIDO U2F API."
        }
        ExtensionMisuse::EvalByCredentialAtCreation => {
            "The 'evalByCredential' field cannot be set when creating a credential."
        }
        ExtensionMisuse::LargeBlobSupportAtRequest => {
            "The 'largeBlob' extension's 'support' parameter is only valid when creating a credential"
        }
        ExtensionMisuse::LargeBlobReadAndWrite => {
            "Only one of the 'largeBlob' extension's 'read' and 'write' parameters is allowed at a time"
        }
        ExtensionMisuse::LargeBlobWriteNeedsOneCredential => {
            "The 'largeBlob' extension's 'write' parameter can only be used with a single credential present on 'allowCredentials'"
        }
        // At creation it names the one of read and write that is there.
        _ => return None,
    })
}

/// Chromium's words for what came of looking for related origins.
fn of_unrelated(unrelated: &Unrelated) -> &'static str {
    match unrelated {
        Unrelated::NotFetched { .. } => NOT_A_SUFFIX_AFTER_A_FETCH,
        Unrelated::ContentType { .. } => WRONG_CONTENT_TYPE,
        Unrelated::Malformed { .. } => NO_JSON,
        Unrelated::NotListed { .. } => NOT_LISTED,
        Unrelated::TooManyLabels { .. } => NOT_LISTED_WITHIN_THE_LIMIT,
    }
}

/// Who sends options is the site's server, and who passes them on a script of its page.
fn of_options(invalid: &InvalidJson) -> &'static str {
    match invalid {
        InvalidJson::Syntax(_) => "have the site's server send options in JSON, and its page pass them on as they are",
        InvalidJson::Missing { .. } => "have the site's server send the member, which WebAuthn requires",
        InvalidJson::WrongType { .. } => "have the site's server send the member as WebAuthn has it",
        InvalidJson::Base64Url { .. } => {
            "have the site's server encode bytes once, in base64url without padding: it made these options wrongly"
        }
    }
}

fn help(cause: &Cause) -> &'static str {
    match cause {
        Cause::Status { status: Status::CredentialExcluded, .. } | Cause::Unsuitable(Unsuitable::Excluded) => {
            "use another key: this one is registered with the site"
        }
        Cause::Status { status: Status::NoCredentials | Status::InvalidCredential, .. }
        | Cause::Unsuitable(Unsuitable::Credential) => "use the key that was registered",
        Cause::Status { status: Status::KeyStoreFull, .. } => "delete a credential from the key",
        Cause::Status { status: Status::ChannelBusy, .. } => "wait for the program that uses the key",
        Cause::Status { status: Status::PinAuthBlocked, .. } | Cause::Pin(PinProblem::PowerCycleNeeded) => {
            "unplug the key and plug it in again"
        }
        Cause::Status { status: Status::PinBlocked, .. } | Cause::Pin(PinProblem::Blocked) => {
            "reset the key, which deletes its credentials"
        }
        Cause::Channel(ChannelError::Unplugged) => "plug the key in again",
        Cause::Channel(ChannelError::Removed) => "use another key, or create this one again",
        Cause::Pin(PinProblem::NotGiven) => "give the key's PIN: a key that has none is given it",
        Cause::Pin(PinProblem::Mistake(_)) => "give another PIN",
        Cause::Unsuitable(Unsuitable::UserVerification | Unsuitable::NoPin) => "set a PIN on the key, and give it",
        Cause::Status { status: Status::OperationDenied, .. } => "touch the key in time, and do not refuse",
        Cause::Status { status: Status::UserActionTimeout | Status::ActionTimeout, .. } => "touch the key in time",
        Cause::Status { status: Status::PinInvalid, .. } => "give the key's PIN: it was another one",
        Cause::Status { status: Status::PuatRequired, .. } => "give the key's PIN",
        Cause::Status { .. } => "keyrig explain says what keys mean by this code",
        Cause::Channel(_) => "unplug the key and plug it in again",
        Cause::Pin(_) => "give a PIN that the key takes",
        Cause::Unsuitable(_) => "use a key that can do it, or have the site ask for less",
        Cause::U2f { .. } => "keyrig explain says what keys mean by this code",
        Cause::InvalidResponse { .. } | Cause::InvalidU2fResponse(_) => {
            "use another key, or switch off the fault that this one has: browsers throw such an answer away"
        }
    }
}

fn of_key(failure: &KeyFailure) -> String {
    let code = match &failure.cause {
        Cause::Status { status, .. } => return of_status(*status),
        Cause::Channel(_) => "key-unreachable",
        Cause::Unsuitable(Unsuitable::Credential) => "no-credentials",
        Cause::Unsuitable(Unsuitable::Excluded) => "credential-excluded",
        Cause::Unsuitable(Unsuitable::UserVerification | Unsuitable::NoPin) => "user-verification-impossible",
        Cause::Unsuitable(_) => "key-unsuitable",
        Cause::Pin(PinProblem::NotGiven) => "pin-not-given",
        Cause::Pin(PinProblem::Mistake(_)) => "pin-invalid",
        Cause::Pin(PinProblem::PowerCycleNeeded) => "pin-auth-blocked",
        Cause::Pin(PinProblem::Blocked) => "pin-blocked",
        Cause::Pin(_) => "pin-unusable",
        Cause::U2f { .. } => "u2f-refused",
        Cause::InvalidResponse { .. } | Cause::InvalidU2fResponse(_) => "answer-invalid",
    };
    code.to_owned()
}

/// `CTAP2_ERR_NO_CREDENTIALS` is `no-credentials`, as the specification has it.
fn of_status(status: Status) -> String {
    let spelled = status.to_string();
    let name = spelled.split_once("_ERR_").map_or(spelled.as_str(), |(_, name)| name);
    name.to_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use keyrig_ctap::Command;

    use super::*;

    fn of_a(cause: impl Into<Cause>) -> Refusal {
        Refusal::Key(KeyFailure { key: "a".to_owned(), cause: cause.into() })
    }

    fn status(status: Status) -> Refusal {
        of_a(Cause::Status { command: Command::GetAssertion, status })
    }

    /// The texts are those of observations of both browsers.
    #[test]
    fn browsers_have_words_of_their_own() {
        use DomException::{AbortError, InvalidStateError, NotAllowedError, SecurityError, TypeError};
        let foreign = || RpIdRefusal::Foreign { rp_id: "a.example".to_owned(), domain: "b.example".to_owned() }.into();
        for (refusal, name, chromium, firefox) in [
            (foreign(), SecurityError, Some("claimed RP ID failed."), Some("The operation is insecure.")),
            (
                RpIdRefusal::NotADomain("a:1".to_owned()).into(),
                SecurityError,
                Some("nor equal to the current domain."),
                Some("The operation is insecure."),
            ),
            (
                RpIdRefusal::IpAddress("192.0.2.1".to_owned()).into(),
                SecurityError,
                Some("This is an invalid domain."),
                Some("The operation is insecure."),
            ),
            (
                status(Status::NoCredentials),
                NotAllowedError,
                Some("#sctn-privacy-considerations-client."),
                Some("user denied permission."),
            ),
            (
                status(Status::CredentialExcluded),
                InvalidStateError,
                Some("registered with the relying party."),
                Some("no longer, usable"),
            ),
            (
                Refusal::Aborted,
                AbortError,
                Some("signal is aborted without reason"),
                Some("The operation was aborted. "),
            ),
            (
                Refusal::UserHandleTooLong { length: 65 },
                TypeError,
                Some("User handle exceeds 64 bytes."),
                Some("user.id is too long"),
            ),
            (
                RpIdRefusal::OpaqueOrigin.into(),
                NotAllowedError,
                Some("not allowed to access 'PublicKeyCredential' objects."),
                Some("user denied permission."),
            ),
            (Refusal::InvalidJson(InvalidJson::Syntax(String::new())), DomException::SyntaxError, None, None),
        ] {
            let error = refusal.named(name);
            for (browser, expected) in [(Browser::Chromium, chromium), (Browser::Firefox, firefox)] {
                let message = error.observed_message(browser);
                assert_eq!(message.is_some(), expected.is_some(), "{browser} {error}");
                let message = message.unwrap_or_default();
                assert!(message.ends_with(expected.unwrap_or_default()), "{browser} {message:?}");
            }
        }
    }

    #[test]
    fn a_reason_spells_browsers_as_they_do() {
        for browser in Browser::ALL {
            for reason in [
                Refusal::CertificateError { browser },
                Refusal::InFrameOfAnotherOrigin { browser },
                Refusal::ListTooLong { list: "allowCredentials", length: 65, browser, most: 64 },
            ] {
                let text = reason.to_string();
                assert!(text.contains(browser.title()) && !text.contains(&browser.to_string()), "{text}");
            }
        }
    }

    #[test]
    fn codes_are_kebab_words() {
        for (refusal, expected) in [
            (status(Status::NoCredentials), "no-credentials"),
            (of_a(Unsuitable::Credential), "no-credentials"),
            (status(Status::PuatRequired), "puat-required"),
            (status(Status::OtherError), "other"),
            (status(Status::from(0xf3)), "status-0xf3"),
            (of_a(PinProblem::NotGiven), "pin-not-given"),
            (Refusal::NoKeys, "no-key-plugged-in"),
            (RpIdRefusal::OpaqueOrigin.into(), "origin-opaque"),
        ] {
            assert_eq!(refusal.named(DomException::NotAllowedError).code(), expected);
        }
    }
}
