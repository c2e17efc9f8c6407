//! Who refused, and in which words: the DOMException that a page sees, and the cause that a browser keeps to itself.

use core::time::Duration;

use keyrig_ctap::u2f::StatusWord;
use keyrig_ctap::{Command, Status, authenticator_data};
use thiserror::Error;

use crate::account::{Account, UserChoice};
use crate::app_id::AppIdRefusal;
use crate::browser::Browser;
use crate::channel::ChannelError;
use crate::json::InvalidJson;
use crate::pin::PinProblem;
use crate::rp_id::RpIdRefusal;

pub use crate::dom_exception::DomException;

/// Which side of the wire said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedBy {
    /// The browser, by its rules, or because of the user or the page in front of it.
    Client,
    /// A key: by a status, or by falling silent.
    Authenticator,
}

/// A ceremony that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {reason}")]
pub struct ClientError {
    /// What the page sees.
    pub name: DomException,
    /// Why.
    pub reason: Refusal,
}

impl ClientError {
    /// Which side said no. The name does not tell: a `NotAllowedError` comes from either.
    #[must_use]
    pub fn refused_by(&self) -> RefusedBy {
        let by_key = |failure: &KeyFailure| match failure.cause {
            Cause::Status { .. } | Cause::Channel(_) | Cause::U2f { .. } => true,
            // The key was asked, and said so.
            Cause::Unsuitable(Unsuitable::Excluded | Unsuitable::Credential) => true,
            Cause::Pin(problem) => matches!(problem, PinProblem::PowerCycleNeeded | PinProblem::Blocked),
            Cause::Unsuitable(_) | Cause::InvalidResponse { .. } | Cause::InvalidU2fResponse(_) => false,
        };
        match &self.reason {
            Refusal::Key(failure) if by_key(failure) => RefusedBy::Authenticator,
            Refusal::EveryKey(failures) if failures.iter().any(by_key) => RefusedBy::Authenticator,
            _ => RefusedBy::Client,
        }
    }
}

/// Why a ceremony came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The page is outside of a secure context, where scripts find no `navigator.credentials`.
    #[error("{origin} is not a secure context, so its pages have no navigator.credentials: serve them over https")]
    InsecureContext {
        /// The page's origin.
        origin: String,
        /// What the page's script called of `navigator.credentials`, if it was a ceremony.
        called: Option<&'static str>,
    },
    /// The page's TLS certificate is bad, and whoever opened it clicked the warning away.
    #[error(
        "the page came with a bad TLS certificate, and {} has no WebAuthn then: use one that the browser trusts",
        .browser.title()
    )]
    CertificateError {
        /// Which browser.
        browser: Browser,
    },
    /// The page may not use WebAuthn: its Permissions-Policy, or that of a page around it, does not have the feature.
    #[error(
        "the page is not permitted {feature}: a frame in a page of another origin needs allow=\"{feature}\", and every page \
         around it a Permissions-Policy that has it"
    )]
    NotPermitted {
        /// The feature of Permissions Policy (WebAuthn Level 3 §5.10).
        feature: &'static str,
    },
    /// A frame in a page of another origin makes a credential without anybody having clicked in it.
    #[error(
        "the page is a frame in a page of another origin, and nobody has just clicked in it: call create() in a click's handler"
    )]
    NoUserActivation,
    /// The browser makes no credentials in a frame whose origin is not that of all pages around it.
    #[error(
        "the page is a frame in a page of another origin, where {} makes no credentials: open it at the top",
        .browser.title()
    )]
    InFrameOfAnotherOrigin {
        /// Which browser.
        browser: Browser,
    },
    /// The RP ID is not the page's to claim.
    #[error(transparent)]
    RpId(#[from] RpIdRefusal),
    /// The options are not of the form that they must have.
    #[error(transparent)]
    InvalidJson(#[from] InvalidJson),
    /// `user.id` is too long.
    #[error("user.id has {length} bytes: at most 64 fit")]
    UserHandleTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// `user.id` is empty.
    #[error("user.id is empty: it has to have 1 to 64 bytes")]
    UserHandleEmpty,
    /// There are more credentials in a list than the browser takes.
    #[error("{list} has {length} entries: {} takes at most {most}", .browser.title())]
    ListTooLong {
        /// The list.
        list: &'static str,
        /// How many entries it has.
        length: usize,
        /// Which browser.
        browser: Browser,
        /// How many it takes.
        most: usize,
    },
    /// `pubKeyCredParams` has no entry of type `public-key`.
    #[error("pubKeyCredParams has no entry of type \"public-key\"")]
    NoPublicKeyParameters,
    /// `pubKeyCredParams` has an entry of another type than `public-key`.
    #[error("pubKeyCredParams has an entry of type {0:?}, and this browser takes public-key alone")]
    UnknownParameters(String),
    /// The AppID is not the page's to use.
    #[error(transparent)]
    AppId(#[from] AppIdRefusal),
    /// An extension is asked for as it cannot be.
    #[error(transparent)]
    Extension(#[from] ExtensionMisuse),
    /// There is no key that could be asked.
    #[error("no key is plugged in")]
    NoKeys,
    /// A key ended the ceremony, by a touch in most cases.
    #[error(transparent)]
    Key(#[from] KeyFailure),
    /// Each key dropped out, in this order, and none is left to be touched.
    #[error("no key is left: {}", listed(.0, "; "))]
    EveryKey(Vec<KeyFailure>),
    /// Nobody touched a key in time.
    #[error("no key was touched within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// Another ceremony took the keys of a conditional one.
    #[error("another ceremony took the place of this conditional one")]
    Replaced,
    /// A credential was to be made without a touch.
    #[error("no key makes a credential without a touch: conditional creation is for passkey providers")]
    ConditionalCreation,
    /// `mediation: "silent"`.
    #[error("WebAuthn has no silent mediation: leave it out")]
    SilentMediation,
    /// The page's `AbortSignal` ended the ceremony.
    #[error("the page aborted the ceremony")]
    Aborted,
    /// The user chose none of the accounts on the key.
    #[error("none of the accounts on the key was chosen")]
    NoAccountChosen,
    /// The user who was to be chosen has no account on the key.
    #[error("the key has no account with the {wanted}: it has {}", listed(.accounts, ", "))]
    NoSuchAccount {
        /// Who was to be chosen.
        wanted: UserChoice,
        /// The accounts that there are.
        accounts: Vec<Account>,
    },
    /// A user was to be chosen by name, and the key tells none (CTAP 2.3 §6.2, member 0x04): of several accounts to who is not
    /// verified, of a single one to nobody.
    #[error("the key has {}", untold(*.accounts))]
    AccountNamesUntold {
        /// How many accounts there are.
        accounts: usize,
    },
}

fn untold(accounts: usize) -> String {
    match accounts {
        1 => "a single account, and tells no name of one".to_owned(),
        _ => format!("{accounts} accounts and tells no name of them, as it has not verified its user"),
    }
}

fn listed(all: &[impl ToString], separator: &str) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

impl From<InvalidJson> for ClientError {
    fn from(error: InvalidJson) -> Self {
        let name = error.name();
        Refusal::InvalidJson(error).named(name)
    }
}

impl Refusal {
    pub(crate) fn named(self, name: DomException) -> ClientError {
        ClientError { name, reason: self }
    }
}

/// How one key failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key {key:?}: {cause}")]
pub struct KeyFailure {
    /// The key's name.
    pub key: String,
    /// How it failed.
    pub cause: Cause,
}

/// How a key failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Cause {
    /// It answered with a status that is not OK.
    #[error("it answered authenticator{command:?} with {status}{}", advice(*.status))]
    Status {
        /// The command that it refused.
        command: Command,
        /// What it answered.
        status: Status,
    },
    /// No answer came.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// It cannot do what the page wants, by its own account.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// It answered a U2F message with a status word that is not `SW_NO_ERROR`.
    #[error("it answered {operation} with {word}")]
    U2f {
        /// The message's name.
        operation: &'static str,
        /// What it answered.
        word: StatusWord,
    },
    /// Its answer to a U2F message is not what was asked for.
    #[error("its U2F answer is refused: {0}")]
    InvalidU2fResponse(#[from] InvalidU2fResponse),
    /// There is nothing to be done with its PIN, or without it.
    #[error(transparent)]
    Pin(#[from] PinProblem),
    /// Its answer is not what was asked for.
    #[error("its answer to authenticator{command:?} is refused: {error}")]
    InvalidResponse {
        /// The command that it answered.
        command: Command,
        /// What is wrong with the answer.
        error: InvalidResponse,
    },
}

fn advice(status: Status) -> &'static str {
    match status {
        Status::CredentialExcluded => ": it is registered already with this site, use another key",
        Status::NoCredentials | Status::InvalidCredential => {
            ": it has no credential for this RP ID among those that are allowed, use the key that was registered"
        }
        Status::KeyStoreFull => ": delete a credential from it, or ask for one that is not discoverable",
        Status::PuatRequired => ": it has a PIN and wants it",
        Status::PinInvalid => ": the PIN is wrong",
        Status::NotAllowed => ": it does not do that now (it resets only right after it is plugged in)",
        Status::UnauthorizedPermission => ": the token is not good for this",
        Status::PinPolicyViolation => ": it refuses the PIN by its policy, choose a longer one",
        Status::ChannelBusy => ": another program uses it, wait for that one",
        Status::UnsupportedAlgorithm => ": it has none of the algorithms in pubKeyCredParams",
        Status::OperationDenied => ": the user refused, or did not touch it in time",
        Status::UserActionTimeout | Status::ActionTimeout => ": it was not touched in time",
        Status::PinAuthBlocked | Status::UvBlocked => ": unplug it and plug it in again",
        Status::PinBlocked => ": reset it, which deletes its credentials",
        _ => "",
    }
}

/// Why a browser refuses a key's answer to a U2F message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidU2fResponse {
    /// It is no such answer.
    #[error(transparent)]
    Malformed(#[from] keyrig_ctap::u2f::Invalid),
    /// The public key is not an uncompressed point.
    #[error("the public key is not an uncompressed point")]
    PublicKey,
}

/// What a key cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unsuitable {
    /// The page asked for the other `authenticatorAttachment`.
    #[error("the page asks for another authenticatorAttachment")]
    Attachment,
    /// No credential of the list is reached by a transport that this key has.
    #[error("no entry of allowCredentials lists a transport of it")]
    Transport,
    /// None of the credentials that are allowed is on it.
    #[error("it has none of the credentials that are allowed: use the key that was registered")]
    Credential,
    /// A credential of the exclude list is on it, which U2F has no status for: it was touched and has told by knowing it.
    #[error("it is registered already with this site, use another key")]
    Excluded,
    /// None of the algorithms that it lists is in `pubKeyCredParams`.
    #[error("pubKeyCredParams has none of its algorithms")]
    Algorithms,
    /// It speaks U2F only, which signs by ES256 alone.
    #[error("it speaks U2F only, and ES256 is not in pubKeyCredParams")]
    Algorithm,
    /// `residentKey` is required.
    #[error("the page requires a discoverable credential, and it stores none")]
    ResidentKey,
    /// `enforceCredentialProtectionPolicy`.
    #[error("the page requires credential protection, and it has none")]
    CredentialProtection,
    /// It has no credential management.
    #[error("it cannot list or delete its credentials: reset it to delete all of them")]
    CredentialManagement,
    /// It has no sensor for fingerprints.
    #[error("it knows no fingerprints")]
    Fingerprints,
    /// It has no authenticatorConfig.
    #[error("it cannot be configured")]
    Configuration,
    /// It has no large blobs, or `largeBlob` needs what the request does not ask for.
    #[error("it stores no large blob with this credential")]
    LargeBlob,
    /// The large-blob array would be too long.
    #[error("the large blob does not fit: its large-blob array takes {room} bytes in all")]
    LargeBlobTooLong {
        /// What it takes, bytes.
        room: u64,
    },
    /// Built-in user verification is blocked, and there is no PIN instead.
    #[error("it accepts no finger after too many unknown ones, and has no PIN: unplug it and plug it in again")]
    UserVerificationBlocked,
    /// The page requires user verification, or the browser does, as the credential is discoverable.
    #[error("user verification is required, and it has neither a fingerprint enrolled nor a PIN to ask for")]
    UserVerification,
    /// It always verifies the user, and cannot.
    #[error("it always verifies its user, and has no PIN: set one")]
    NoPin,
}

/// Why a browser refuses a key's answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidResponse {
    /// It is not a CTAP2 response to the command; the status says what is wrong.
    #[error("it cannot be decoded ({0})")]
    Undecodable(Status),
    /// The authenticator data in it cannot be decoded.
    #[error(transparent)]
    AuthenticatorData(#[from] authenticator_data::Invalid),
    /// The authenticator data has no attested credential data.
    #[error("the authenticator data has no attested credential data")]
    NoAttestedCredentialData,
    /// The authenticator data is for another RP ID.
    #[error("the authenticator data has the hash of another RP ID")]
    RpIdHash,
    /// The new credential's public key does not say for which algorithm it is.
    #[error("the credential's public key has no algorithm")]
    Algorithm,
    /// It names the user, whom it has not verified.
    #[error("it names the user without having verified them")]
    UserNames,
    /// It does not say whose the credential is, which it was not told either.
    #[error("it does not say whose the credential is")]
    NoUser,
    /// An assertion with attested credential data.
    #[error("the authenticator data of an assertion has attested credential data")]
    UnexpectedAttestedCredentialData,
    /// The output of an extension that was not asked for.
    #[error("it has the output of an extension that was not asked for: {0:?}")]
    UnsolicitedExtension(String),
    /// The credential is protected less than it was asked for.
    #[error("the credential is protected less than was asked for")]
    CredentialProtection,
    /// An enterprise attestation that was not asked for.
    #[error("it has an enterprise attestation, which was not asked for")]
    EnterpriseAttestation,
    /// A large blob was asked for, and its key is not there.
    #[error("a large blob was asked for, and it has no largeBlobKey")]
    NoLargeBlobKey,
    /// The credential is not one of the allow list, or it is not said which one it is.
    #[error("it is signed by a credential that was not allowed")]
    Credential,
    /// A member is not there that has to be.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The key agreement key is not on its curve.
    #[error("its key agreement key is not a point on P-256")]
    KeyAgreement,
    /// The large-blob array is longer than any key's.
    #[error("its large-blob array has no end")]
    LargeBlobArray,
    /// The token has a length that it may not have.
    #[error("its pinUvAuthToken has a length that its protocol does not allow")]
    TokenLength,
    /// It counts more credentials than a browser shows.
    #[error("it counts {0} credentials")]
    TooManyCredentials(u64),
}

/// An extension that is asked for as it cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtensionMisuse {
    /// `appid` at registration.
    #[error("the 'appid' extension is only valid for get(): at create() it is 'appidExclude'")]
    AppIdAtCreation,
    /// `prf.evalByCredential` at registration, where there is no credential yet.
    #[error("prf.evalByCredential is only valid for get()")]
    EvalByCredentialAtCreation,
    /// `prf.evalByCredential` with an empty allow list.
    #[error("prf.evalByCredential needs allowCredentials: without, nothing says which credential it will be")]
    EvalByCredentialWithoutAllowList,
    /// `prf.evalByCredential` names what is not in the allow list.
    #[error("prf.evalByCredential has the key {0:?}, which is not a credential id of allowCredentials in base64url")]
    EvalByUnknownCredential(String),
    /// `largeBlob.read` or `write` at registration.
    #[error("largeBlob.read and largeBlob.write are only valid for get()")]
    LargeBlobAtCreation,
    /// `largeBlob.support` at authentication.
    #[error("largeBlob.support is only valid for create()")]
    LargeBlobSupportAtRequest,
    /// Both at once.
    #[error("largeBlob.read and largeBlob.write exclude each other")]
    LargeBlobReadAndWrite,
    /// `largeBlob.write` without exactly one allowed credential.
    #[error("largeBlob.write needs exactly one entry in allowCredentials")]
    LargeBlobWriteNeedsOneCredential,
}

impl ExtensionMisuse {
    pub(crate) fn refusal(self, browser: Browser) -> ClientError {
        let name = match self {
            Self::EvalByUnknownCredential(_) => DomException::SyntaxError,
            Self::LargeBlobAtCreation | Self::LargeBlobSupportAtRequest | Self::LargeBlobReadAndWrite
                if browser == Browser::Safari =>
            {
                DomException::NotAllowedError
            }
            _ => DomException::NotSupportedError,
        };
        Refusal::Extension(self).named(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_where_and_what_to_do() {
        let failure = |key: &str, cause| KeyFailure { key: key.to_owned(), cause };
        let excluded = Cause::Status { command: Command::MakeCredential, status: Status::CredentialExcluded };
        let gone = failure("spare", ChannelError::Unplugged.into());
        let unsuitable = failure("old", Unsuitable::ResidentKey.into());
        for (refusal, name, sentence) in [
            (
                Refusal::Key(failure("blue", excluded)),
                DomException::InvalidStateError,
                "InvalidStateError: key \"blue\": it answered authenticatorMakeCredential with \
                 CTAP2_ERR_CREDENTIAL_EXCLUDED: it is registered already with this site, use another key",
            ),
            (
                Refusal::EveryKey(vec![gone, unsuitable]),
                DomException::NotAllowedError,
                "NotAllowedError: no key is left: key \"spare\": it was unplugged: plug it in again; key \"old\": the page \
                 requires a discoverable credential, and it stores none",
            ),
            (
                RpIdRefusal::NotADomain("example.com:8006".to_owned()).into(),
                DomException::SecurityError,
                "SecurityError: the RP ID \"example.com:8006\" is not a domain: write it without scheme, port and path",
            ),
        ] {
            assert_eq!(refusal.named(name).to_string(), sentence);
        }
    }

    /// The name alone does not tell who said no.
    #[test]
    fn who_refused_is_told_by_the_cause() {
        let failure = |cause| KeyFailure { key: "A".to_owned(), cause };
        let status = || failure(Cause::Status { command: Command::GetAssertion, status: Status::NoCredentials });
        let invalid =
            || failure(Cause::InvalidResponse { command: Command::GetAssertion, error: InvalidResponse::RpIdHash });
        for (refusal, expected) in [
            (Refusal::Key(status()), RefusedBy::Authenticator),
            (Refusal::Key(failure(ChannelError::TimedOut.into())), RefusedBy::Authenticator),
            (Refusal::EveryKey(vec![invalid(), status()]), RefusedBy::Authenticator),
            (Refusal::EveryKey(vec![invalid(), invalid()]), RefusedBy::Client),
            (Refusal::Key(failure(Unsuitable::UserVerification.into())), RefusedBy::Client),
            (Refusal::TimedOut(Duration::from_secs(1)), RefusedBy::Client),
            (Refusal::Aborted, RefusedBy::Client),
            (Refusal::NoKeys, RefusedBy::Client),
        ] {
            assert_eq!(refusal.named(DomException::NotAllowedError).refused_by(), expected);
        }
    }
}
