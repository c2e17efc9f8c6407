//! What a page asks for: `PublicKeyCredentialCreationOptionsJSON` and `PublicKeyCredentialRequestOptionsJSON`.

use core::str::FromStr;
use core::time::Duration;

use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters};
use serde_json::Value;
use thiserror::Error;

use super::extensions::{CreationExtensions, RequestExtensions};
use super::invalid::{InvalidJson, Parser};
use super::reader::{Members, Reading, parsed};
use crate::browser::Browser;

/// The options of create() (WebAuthn Level 3 §5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreationOptions {
    /// `rp`.
    pub rp: RelyingPartyEntity,
    /// `user`.
    pub user: UserEntity,
    /// `challenge`, decoded.
    pub challenge: Vec<u8>,
    /// `pubKeyCredParams`, most wanted first. None at all stands for ES256 and RS256.
    pub parameters: Vec<CredentialParameters>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `excludeCredentials`.
    pub exclude_credentials: Vec<CredentialDescriptor>,
    /// `authenticatorSelection`.
    pub authenticator_selection: AuthenticatorSelection,
    /// `attestation`.
    pub attestation: Attestation,
    /// `attestationFormats`, most wanted first.
    pub attestation_formats: Vec<String>,
    /// `extensions`.
    pub extensions: CreationExtensions,
}

/// The options of get() (WebAuthn Level 3 §5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestOptions {
    /// `challenge`, decoded.
    pub challenge: Vec<u8>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `rpId`.
    pub rp_id: Option<String>,
    /// `allowCredentials`.
    pub allow_credentials: Vec<CredentialDescriptor>,
    /// `userVerification`.
    pub user_verification: Requirement,
    /// `extensions`.
    pub extensions: RequestExtensions,
}

/// `PublicKeyCredentialRpEntity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingPartyEntity {
    /// `id`, the RP ID; the page's own domain if it is absent.
    pub id: Option<String>,
    /// `name`.
    pub name: String,
}

/// `PublicKeyCredentialUserEntityJSON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntity {
    /// `id`, decoded: at most 64 bytes.
    pub id: Vec<u8>,
    /// `name`, of the account.
    pub name: String,
    /// `displayName`, of the person.
    pub display_name: String,
}

/// `AuthenticatorSelectionCriteria` (WebAuthn Level 3 §5.4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthenticatorSelection {
    /// `authenticatorAttachment`.
    pub attachment: Option<Attachment>,
    /// `residentKey`; if that is absent or unknown, what `requireResidentKey` says.
    pub resident_key: Option<Requirement>,
    /// `requireResidentKey`, of Level 1.
    pub require_resident_key: bool,
    /// `userVerification`.
    pub user_verification: Requirement,
}

impl AuthenticatorSelection {
    /// What is wanted of a discoverable credential, whichever member says it.
    #[must_use]
    pub fn discoverable(&self) -> Requirement {
        let of_level_1 = if self.require_resident_key { Requirement::Required } else { Requirement::Discouraged };
        self.resident_key.unwrap_or(of_level_1)
    }
}

/// `ResidentKeyRequirement` and `UserVerificationRequirement`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    /// `required`.
    Required,
    /// `preferred`.
    #[default]
    Preferred,
    /// `discouraged`.
    Discouraged,
}

impl Requirement {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "required" => Some(Self::Required),
            "preferred" => Some(Self::Preferred),
            "discouraged" => Some(Self::Discouraged),
            _ => None,
        }
    }
}

/// `CredentialMediationRequirement` (Credential Management §2.3.2), which a page hands over beside `publicKey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mediation {
    /// `optional`, and `required`, which is the same here: the user is asked at once.
    #[default]
    Modal,
    /// `conditional`: the user is not asked, and the ceremony waits until one does something.
    Conditional,
    /// `silent`: without the user, which WebAuthn does not have.
    Silent,
}

impl Mediation {
    /// What options say that are in the form in which a page hands them over, `{"publicKey": …, "mediation": …}`; `None` if they say
    /// nothing.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_value(options: &Value) -> Result<Option<Self>, InvalidJson> {
        Members::around_options(options, |members| {
            let Some(text) = members.optional_text("mediation")? else { return Ok(None) };
            let known = text.parse().map(Some);
            known.map_err(|_| members.wrong_type("mediation", "one of conditional, optional, required and silent"))
        })
    }
}

/// A text is no mediation requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("choose conditional, optional, required or silent")]
pub struct UnknownMediation;

impl FromStr for Mediation {
    type Err = UnknownMediation;

    fn from_str(text: &str) -> Result<Self, UnknownMediation> {
        match text {
            "optional" | "required" => Ok(Self::Modal),
            "conditional" => Ok(Self::Conditional),
            "silent" => Ok(Self::Silent),
            _ => Err(UnknownMediation),
        }
    }
}

/// `AuthenticatorAttachment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// `platform`: part of the machine.
    Platform,
    /// `cross-platform`: a key that one carries.
    CrossPlatform,
}

impl Attachment {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "platform" => Some(Self::Platform),
            "cross-platform" => Some(Self::CrossPlatform),
            _ => None,
        }
    }

    /// As specifications spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::CrossPlatform => "cross-platform",
        }
    }
}

/// `AttestationConveyancePreference`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attestation {
    /// `none`.
    #[default]
    None,
    /// `indirect`.
    Indirect,
    /// `direct`.
    Direct,
    /// `enterprise`.
    Enterprise,
}

impl Attestation {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "indirect" => Some(Self::Indirect),
            "direct" => Some(Self::Direct),
            "enterprise" => Some(Self::Enterprise),
            _ => None,
        }
    }
}

impl CreationOptions {
    /// What `PublicKeyCredential.parseCreationOptionsFromJSON()` makes of a text (WebAuthn Level 3 §5.1.9).
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_json(text: &str) -> Result<Self, InvalidJson> {
        Self::from_json_in(text, Browser::default())
    }

    /// The same in this browser, as not every one takes all texts for base64url.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_json_in(text: &str, browser: Browser) -> Result<Self, InvalidJson> {
        Self::from_value_in(&parsed(text)?, browser)
    }

    /// [`from_json`](Self::from_json) of what was a text.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_value(options: &Value) -> Result<Self, InvalidJson> {
        Self::from_value_in(options, Browser::default())
    }

    /// [`from_json_in`](Self::from_json_in) of what was a text.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_value_in(options: &Value, browser: Browser) -> Result<Self, InvalidJson> {
        Members::of_the_whole(options, Reading::new(browser, Parser::CreationOptions), |members| {
            let (rp, user) = (members.dictionary("rp")?, members.dictionary("user")?);
            let attestation = members.optional_text("attestation")?;
            Ok(Self {
                rp: RelyingPartyEntity { id: rp.optional_text("id")?, name: rp.text("name")? },
                user: UserEntity {
                    id: user.bytes("id")?,
                    name: user.text("name")?,
                    display_name: user.text("displayName")?,
                },
                challenge: members.bytes("challenge")?,
                parameters: members.dictionaries("pubKeyCredParams", |parameters| {
                    Ok(CredentialParameters { kind: parameters.text("type")?, algorithm: parameters.integer("alg")? })
                })?,
                timeout: timeout(members)?,
                exclude_credentials: members
                    .optional_dictionaries("excludeCredentials", descriptor)?
                    .unwrap_or_default(),
                authenticator_selection: members
                    .optional_dictionary("authenticatorSelection")?
                    .map(|selection| authenticator_selection(&selection))
                    .transpose()?
                    .unwrap_or_default(),
                attestation: attestation.and_then(|text| Attestation::from_text(&text)).unwrap_or_default(),
                attestation_formats: members.optional_texts("attestationFormats")?.unwrap_or_default(),
                extensions: extensions(members, CreationExtensions::read)?,
            })
        })
    }
}

impl RequestOptions {
    /// What `PublicKeyCredential.parseRequestOptionsFromJSON()` makes of a text (WebAuthn Level 3 §5.1.10).
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_json(text: &str) -> Result<Self, InvalidJson> {
        Self::from_json_in(text, Browser::default())
    }

    /// The same in this browser, as not every one takes all texts for base64url.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_json_in(text: &str, browser: Browser) -> Result<Self, InvalidJson> {
        Self::from_value_in(&parsed(text)?, browser)
    }

    /// [`from_json`](Self::from_json) of what was a text.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_value(options: &Value) -> Result<Self, InvalidJson> {
        Self::from_value_in(options, Browser::default())
    }

    /// [`from_json_in`](Self::from_json_in) of what was a text.
    ///
    /// # Errors
    /// [`InvalidJson`] names the member.
    pub fn from_value_in(options: &Value, browser: Browser) -> Result<Self, InvalidJson> {
        Members::of_the_whole(options, Reading::new(browser, Parser::RequestOptions), |members| {
            Ok(Self {
                challenge: members.bytes("challenge")?,
                timeout: timeout(members)?,
                rp_id: members.optional_text("rpId")?,
                allow_credentials: members.optional_dictionaries("allowCredentials", descriptor)?.unwrap_or_default(),
                user_verification: user_verification(members)?,
                extensions: extensions(members, RequestExtensions::read)?,
            })
        })
    }
}

fn extensions<T: Default>(
    members: &Members<'_>,
    read: impl FnOnce(&Members<'_>) -> Result<T, InvalidJson>,
) -> Result<T, InvalidJson> {
    members
        .optional_dictionary("extensions")?
        .map(|extensions| read(&extensions))
        .transpose()
        .map(Option::unwrap_or_default)
}

fn timeout(members: &Members<'_>) -> Result<Option<Duration>, InvalidJson> {
    Ok(members.optional_unsigned("timeout")?.map(Duration::from_millis))
}

fn user_verification(members: &Members<'_>) -> Result<Requirement, InvalidJson> {
    let text = members.optional_text("userVerification")?;
    Ok(text.and_then(|text| Requirement::from_text(&text)).unwrap_or_default())
}

fn authenticator_selection(members: &Members<'_>) -> Result<AuthenticatorSelection, InvalidJson> {
    let attachment = members.optional_text("authenticatorAttachment")?;
    let resident_key = members.optional_text("residentKey")?;
    Ok(AuthenticatorSelection {
        attachment: attachment.and_then(|text| Attachment::from_text(&text)),
        resident_key: resident_key.and_then(|text| Requirement::from_text(&text)),
        require_resident_key: members.optional_boolean("requireResidentKey")?.unwrap_or(false),
        user_verification: user_verification(members)?,
    })
}

fn descriptor(members: &Members<'_>) -> Result<CredentialDescriptor, InvalidJson> {
    Ok(CredentialDescriptor {
        id: members.bytes("id")?,
        kind: members.text("type")?,
        transports: members.optional_texts("transports")?,
    })
}
