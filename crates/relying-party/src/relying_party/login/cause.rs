//! Why a login or an enrolment is refused: what the report says, and the user only on a rehearsal site.

use std::time::SystemTime;

use keyrig_verifier::{Finding, Report};
use serde_json::{Value, json};

use crate::challenges::ChallengeGone;
use crate::directory::DirectoryAnswer;
use crate::realms::Requirement;
use crate::store::seconds;
use crate::totp::CodeRefused;

/// The cause of a refusal.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    UnknownUser,
    UserDisabled,
    /// The moment has come from which on the user cannot log in.
    UserExpired,
    /// The realm has no password of this user.
    NoPassword,
    WrongPassword,
    PasswordUnreadable,
    /// Nobody can say whether the password is right.
    DirectoryUnavailable {
        realm: String,
        reason: String,
    },
    /// The realm's directory has nobody of this name whom it lets in.
    NotInDirectory,
    /// It has several.
    AmbiguousInDirectory,
    /// It has the account disabled.
    DisabledInDirectory,
    /// It had the user no more, or disabled, when the realm was last synced.
    KeptOutByDirectory,
    /// Users of a directory prove to it who they are.
    PasskeyAlone {
        realm: String,
    },
    /// While it was being compared.
    PasswordChanged,
    AccountLocked {
        until: SystemTime,
    },
    TotpLocked,
    NoTotp,
    WrongCode(CodeRefused),
    NoRecoveryKeys,
    WrongRecoveryKey,
    NoWebauthn,
    /// The user has keys for another RP ID alone, and nothing that would do instead.
    KeysUnusable {
        sentence: String,
    },
    ChallengeGone(ChallengeGone),
    /// The verification came to a refusal.
    Verification(Box<Report>),
    /// What came as a ticket is not one of this user's, or is over.
    TicketRefused,
    /// Half a ticket with all that this user can answer with would be too long.
    TicketTooLong,
    /// It is no name that a user can have.
    NotAUserName,
    /// What came as the second step's answer is none of any kind.
    UnreadableAnswer {
        reason: String,
    },
    /// The factor was right, and is not what the realm wants.
    NotAccepted {
        requirement: Requirement,
    },
    /// No account has the credential that a passkey login came with.
    UnknownCredential,
    /// An enabled factor cannot be checked.
    Unservable {
        factor: String,
        reason: String,
    },
}

impl Cause {
    /// Why a directory does not look at the password, if it does not.
    pub(super) fn of_directory(answer: DirectoryAnswer) -> Option<Self> {
        match answer {
            DirectoryAnswer::Right | DirectoryAnswer::Wrong => None,
            DirectoryAnswer::Unknown => Some(Self::NotInDirectory),
            DirectoryAnswer::Ambiguous => Some(Self::AmbiguousInDirectory),
            DirectoryAnswer::Disabled => Some(Self::DisabledInDirectory),
        }
    }

    /// Its stable name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::UserDisabled => "user_disabled",
            Self::UserExpired => "user_expired",
            Self::NoPassword => "no_password",
            Self::WrongPassword => "wrong_password",
            Self::PasswordUnreadable => "password_unreadable",
            Self::DirectoryUnavailable { .. } => "directory_unavailable",
            Self::NotInDirectory => "not_in_directory",
            Self::AmbiguousInDirectory => "ambiguous_in_directory",
            Self::DisabledInDirectory => "disabled_in_directory",
            Self::KeptOutByDirectory => "kept_out_by_directory",
            Self::PasskeyAlone { .. } => "passkey_alone",
            Self::PasswordChanged => "password_changed",
            Self::AccountLocked { .. } => "account_locked",
            Self::TotpLocked => "totp_locked",
            Self::NoTotp => "no_totp",
            Self::WrongCode(CodeRefused::NotACode { .. }) => "not_a_code",
            Self::WrongCode(CodeRefused::Wrong { .. }) => "wrong_code",
            Self::WrongCode(CodeRefused::Reused) => "code_reused",
            Self::NoRecoveryKeys => "no_recovery_keys",
            Self::WrongRecoveryKey => "wrong_recovery_key",
            Self::NoWebauthn => "no_webauthn",
            Self::KeysUnusable { .. } => "keys_unusable",
            Self::ChallengeGone(_) => "challenge_gone",
            Self::Verification(_) => "verification",
            Self::TicketRefused => "ticket_refused",
            Self::TicketTooLong => "ticket_too_long",
            Self::NotAUserName => "not_a_user_name",
            Self::UnreadableAnswer { .. } => "unreadable_answer",
            Self::NotAccepted { .. } => "factor_not_accepted",
            Self::UnknownCredential => "unknown_credential",
            Self::Unservable { .. } => "factor_unservable",
        }
    }

    /// What happened, in a sentence.
    pub(crate) fn explanation(&self) -> String {
        match self {
            Self::UnknownUser => "there is no such user".to_owned(),
            Self::UserDisabled => "the user is disabled".to_owned(),
            Self::UserExpired => "the user has expired".to_owned(),
            Self::NoPassword => "the user has no password here".to_owned(),
            Self::WrongPassword => "the password is wrong".to_owned(),
            Self::PasswordUnreadable => {
                "the hash of the password in the database cannot be read: set a new one".to_owned()
            }
            Self::DirectoryUnavailable { realm, reason } => {
                format!("the directory of the realm {realm} gives no answer: {reason}")
            }
            Self::NotInDirectory => {
                "the realm's directory has nobody of this name whom its filter and classes let in".to_owned()
            }
            Self::AmbiguousInDirectory => {
                "the realm's directory has several entries of this name: nobody can log in by it".to_owned()
            }
            Self::DisabledInDirectory => "the realm's directory has the account disabled".to_owned(),
            Self::KeptOutByDirectory => {
                "the realm's directory had the user no more, or disabled, when the realm was last synced".to_owned()
            }
            Self::PasskeyAlone { realm } => {
                format!("users of the realm {realm} prove to its directory who they are: a passkey alone will not do")
            }
            Self::PasswordChanged => "another password was set while this one was being checked".to_owned(),
            Self::AccountLocked { until } => {
                format!("the account is locked until {} (seconds since 1970), recovery included", seconds(*until))
            }
            Self::TotpLocked => {
                "TOTP is locked after too many wrong codes, until a recovery key is used or an administrator unlocks"
                    .to_owned()
            }
            Self::NoTotp => "the user has no TOTP that is enabled".to_owned(),
            Self::WrongCode(refused) => refused.to_string(),
            Self::NoRecoveryKeys => "the user has no recovery keys that are enabled".to_owned(),
            Self::WrongRecoveryKey => "it is not a recovery key of the user, or it is used up".to_owned(),
            Self::NoWebauthn => "the user has no WebAuthn credential that is enabled".to_owned(),
            Self::KeysUnusable { sentence } => sentence.clone(),
            Self::ChallengeGone(gone) => gone.to_string(),
            Self::Verification(report) => match &report.decided_by {
                Some(decision) => {
                    let words = decision.refusal.as_deref().unwrap_or("no reason given");
                    let verifier = decision.verifier;
                    if decision.accepts {
                        format!("{verifier}, whose verdict the policy follows, accepts it; keyrig refuses it: {words}")
                    } else {
                        format!("{verifier}, whose verdict the policy follows, refuses: {words}")
                    }
                }
                None => {
                    let refusing = report.findings.iter().filter(|finding| finding.refuses());
                    refusing.map(sentence).collect::<Vec<_>>().join("; ")
                }
            },
            Self::TicketRefused => {
                "the ticket is forged, over, of another user, or not of the half that this step takes".to_owned()
            }
            Self::TicketTooLong => {
                "the user's keys have identifiers that are too long for a ticket: delete some, or log in on the page"
                    .to_owned()
            }
            Self::NotAUserName => "no user can have this name".to_owned(),
            Self::UnreadableAnswer { reason } => format!("the answer cannot be read: {reason}"),
            Self::NotAccepted { requirement } => {
                format!("the factor was right, but the realm accepts another kind only ({requirement})")
            }
            Self::UnknownCredential => "no account has this credential".to_owned(),
            Self::Unservable { factor, reason } => format!("the factor {factor} cannot be checked: {reason}"),
        }
    }

    /// The report, JSON.
    pub(crate) fn report(&self) -> Value {
        let mut report = json!({ "cause": self.name(), "explanation": self.explanation() });
        if let Self::Verification(verification) = self
            && let Some(members) = report.as_object_mut()
        {
            // Its members are strings, booleans and lists of them: nothing that JSON cannot say.
            members.insert("verification".to_owned(), json!(verification));
        }
        report
    }
}

/// `origin: found "…", expected "…"`.
fn sentence(finding: &Finding) -> String {
    let explanation = finding.explanation.as_ref().map_or(String::new(), |text| format!(" ({text})"));
    format!("{}: found {}, expected {}{explanation}", finding.check.id(), finding.found, finding.expected)
}
