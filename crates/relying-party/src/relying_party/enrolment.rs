//! Adding factors: of a user who is logged in and has lately given the password again, or who has to enrol before being
//! let in.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_ctap::Aaguid;
use keyrig_verifier::{Check, RegistrationResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::authorization::{Authorized, ChangeOwn, Claim, Enrol, Right};
use super::login::{Cause, Ceremony};
use super::rights::ChangeOthersFactors;
use super::state::RelyingParty;
use crate::audit_log::{self, EventKind};
use crate::challenges::{self, Purpose};
use crate::factors;
use crate::factors::webauthn::StoredCredential;
use crate::factors::{Factor, FactorError, FactorKind, StoredFactor, Which, recovery, totp, webauthn};
use crate::http::schemas;
use crate::notices::{self, Notice};
use crate::qr::qr_svg;
use crate::random;
use crate::realms::{self, Requirement};
use crate::recovery_keys::RecoveryKeySet;
use crate::refusal::{Committed, Refusal};
use crate::sessions::{self, NewSession, SessionKind};
use crate::store::{self, StoreError};
use crate::totp::{TOTP_SECRET_BYTES, Totp, TotpAlgorithm};
use crate::user_name::UserName;
use crate::users::{self, User};
use crate::webauthn::{Page, Webauthn};
use crate::whole;

/// How long a user has to get a new secret into an app and a code out of it.
const TOTP_ENROLMENT_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What a registration is to make.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationWish {
    /// Whether the credential is to log in alone: discoverable, with user verification.
    #[serde(default)]
    passkey: bool,
    /// The second factor whose place the passkey takes: the key that has it is not shut out, and it goes when the passkey is
    /// there.
    #[serde(default)]
    replaces: Option<String>,
    /// Whether the key has to verify the user, beside what the policy says.
    #[serde(skip)]
    verify_user: bool,
}

impl RegistrationWish {
    /// A second factor; `verify_user` is whether its key has to verify the user, beside what the policy says.
    pub(super) fn of_second_factor(verify_user: bool) -> Self {
        Self { passkey: false, replaces: None, verify_user }
    }
}

/// What the end of a registration needs to know.
#[derive(Serialize, Deserialize)]
struct RegistrationChallenge {
    user_handle: Vec<u8>,
    passkey: bool,
    /// Registrations that an earlier version began have none.
    #[serde(default)]
    replaces: Option<String>,
    #[serde(default)]
    verify_user: bool,
}

/// What the end of an enrolment of TOTP needs to know.
#[derive(Serialize, Deserialize)]
struct TotpChallenge {
    secret: Vec<u8>,
    algorithm: String,
    digits: u8,
    step: u64,
}

/// How codes of a new TOTP factor are to be made; what is left out is what every app takes, or what the realm says.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TotpWish {
    #[schema(schema_with = schemas::totp_algorithm)]
    algorithm: Option<String>,
    #[serde(default, deserialize_with = "whole::option")]
    #[schema(minimum = 6, maximum = 8)]
    digits: Option<u8>,
    /// Seconds.
    #[serde(default, deserialize_with = "whole::option")]
    #[schema(minimum = 10, maximum = 3600)]
    step: Option<u64>,
}

/// A secret for an app, to be confirmed by a code.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TotpOffer {
    /// The secret identifier of the enrolment.
    pub(crate) challenge: String,
    /// `otpauth://…`.
    pub(crate) uri: String,
    /// The secret in base32, for apps that are typed into.
    pub(crate) secret: String,
    /// The URI as a QR code.
    pub(crate) qr_svg: String,
    /// How many digits a code has.
    pub(crate) digits: u8,
    /// How long a code lasts, seconds.
    pub(crate) step: u64,
}

/// A factor that was added.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) factor: Factor,
    pub(crate) user: User,
    pub(crate) notices: Vec<Notice>,
    /// The session that takes the place of one that was for enrolment, now that the realm has what it requires.
    pub(crate) session: Option<NewSession>,
    /// What the verification of a key's answer came to, on a site that explains.
    pub(crate) report: Option<Value>,
}

impl RelyingParty {
    pub(crate) fn usable_webauthn(&self) -> Result<&Webauthn, Refusal> {
        self.webauthn.as_ref().map_err(|reason| Refusal::WebauthnUnavailable { reason: reason.clone() })
    }

    /// Whose factor is added: that of the session's user, or of another one, whose factors it may change.
    fn owner(&self, authorized: &Authorized<'_>, of: Option<&UserName>) -> Result<User, Refusal> {
        let Authorized { connection, session, by } = authorized;
        match of.filter(|of| **of != session.user.name) {
            None => Ok(session.user.clone()),
            Some(name) => {
                ChangeOthersFactors::check(session, by.now, &self.policy)?;
                session.may_change_factors_of(name)?;
                Ok(users::known(connection, name)?)
            }
        }
    }

    /// Begins to register a credential, for another user if `of` names one; as a passkey, it will be able to log in alone.
    pub(crate) async fn begin_registration(
        self: &Arc<Self>,
        claim: Claim<Enrol>,
        of: Option<UserName>,
        wish: RegistrationWish,
    ) -> Result<Ceremony, Refusal> {
        self.write_as(claim, move |this, authorized| {
            let owner = this.owner(&authorized, of.as_ref())?;
            this.offer_registration(&authorized, &owner, wish)
        })
        .await
    }

    pub(super) fn offer_registration(
        &self,
        authorized: &Authorized<'_>,
        owner: &User,
        wish: RegistrationWish,
    ) -> Result<Ceremony, Refusal> {
        let RegistrationWish { passkey, replaces, verify_user } = wish;
        let Authorized { connection, session, by } = authorized;
        let webauthn = self.usable_webauthn()?;
        let factors = factors::load(connection, owner.id)?;
        let replaced = match &replaces {
            Some(id) if passkey => Some(&replaceable(&factors, owner, id)?.record.id),
            Some(_) => return Err(Refusal::BadRequest { reason: "replaces: only a passkey replaces".to_owned() }),
            None => None,
        };
        // Those that are disabled too: the key that has one of them is not to be enrolled twice.
        let credentials = factors.iter().filter_map(StoredFactor::credential);
        let exclude: Vec<_> = credentials.filter(|credential| Some(&credential.record.id) != replaced).collect();
        let user_handle = webauthn.user_handle(owner, connection.random);
        let state = RegistrationChallenge { user_handle: user_handle.clone(), passkey, replaces, verify_user };
        let (user, lifetime) = (Some(owner.id), self.policy.challenge_lifetime);
        // The challenge is what names it: there are clients that send nothing else back.
        let id = challenges::begin(connection, Purpose::Registration, user, &session.id, &state, by.now, lifetime)?;
        let challenge = challenge_of(&id)?;
        let options = webauthn.creation_options(owner, &user_handle, &challenge, &exclude, passkey);
        Ok(Ceremony { challenge: id, options })
    }

    /// Ends it: the challenge is used up, whatever comes of it.
    pub(crate) async fn finish_registration(
        self: &Arc<Self>,
        claim: Claim<Enrol>,
        of: Option<UserName>,
        challenge: String,
        description: String,
        response: RegistrationResponse,
        page: Page,
    ) -> Result<Added, Refusal> {
        self.commit_as(claim, move |this, authorized| {
            factors::check_description(&description)?;
            let owner = this.owner(&authorized, of.as_ref())?;
            this.register(&authorized, &owner, &challenge, &description, response, &page)
        })
        .await
    }

    pub(super) fn register(
        &self,
        authorized: &Authorized<'_>,
        owner: &User,
        challenge: &str,
        description: &str,
        response: RegistrationResponse,
        page: &Page,
    ) -> Committed<Added, Refusal> {
        let webauthn = self.usable_webauthn()?;
        let Authorized { connection, session, by } = authorized;
        let (user, purpose) = (Some(owner.id), Purpose::Registration);
        let taken =
            challenges::take::<RegistrationChallenge>(connection, challenge, purpose, user, &session.id, by.now)?;
        let begun = match taken {
            Ok(begun) => begun,
            Err(gone) => return Ok(Err(Refusal::ChallengeGone(gone))),
        };
        let is_known = factors::owner_of_credential(connection, &response.raw_id)?.is_some();
        let sent = challenge_of(challenge)?;
        let values = (sent.as_slice(), begun.user_handle.as_slice());
        let verify_user = begun.passkey || begun.verify_user;
        let verified = webauthn.verify_registration(&response, values, verify_user, is_known, page, by.now);
        let format = verified.report.finding(Check::AttestationFormat);
        let attestation_format = format.map_or_else(String::new, |finding| finding.found.to_string());
        let Some(record) = verified.record else {
            let cause = Cause::Verification(Box::new(verified.report));
            let name = owner.name.to_string();
            let report = self.write_report(connection, EventKind::EnrolmentRefused, &name, &cause, by)?;
            return Ok(Err(Refusal::EnrolmentRefused { report }));
        };
        let credential = StoredCredential {
            record,
            passkey: begun.passkey,
            rp_id: webauthn.settings.rp_id.clone(),
            attestation_format,
            client_data: response.client_data_json,
            attestation_object: response.attestation_object,
        };
        let added = store::part(connection, || {
            self.add(authorized, owner, FactorKind::Webauthn, description, |id| {
                webauthn::insert(connection, owner, id, &credential)?;
                begun
                    .replaces
                    .as_ref()
                    .map_or(Ok(()), |replaced| replace(authorized, owner, (replaced, id), &credential))
            })
        });
        match added {
            // Nothing can be relied on.
            Err(refusal @ Refusal::Unavailable { .. }) => Err(refusal),
            settled => Ok(settled.map(|added| Added { report: self.accepted(&verified.report), ..added })),
        }
    }

    /// Begins to enrol TOTP: a secret for the user's app.
    pub(crate) async fn begin_totp(
        self: &Arc<Self>,
        claim: Claim<Enrol>,
        wish: TotpWish,
    ) -> Result<TotpOffer, Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            let realm = realms::find(connection, session.user.name.realm())?;
            let (digits, step) = match realm.map(|realm| realm.requirement) {
                Some(Requirement::Oath { digits, step }) => (digits, u64::from(step)),
                _ => (6, 30),
            };
            let algorithm = match &wish.algorithm {
                None => TotpAlgorithm::Sha1,
                Some(name) => totp::algorithm_of(name).ok_or_else(|| Refusal::BadRequest {
                    reason: format!("algorithm {name:?}; there are SHA1, SHA256 and SHA512"),
                })?,
            };
            let secret = random::bytes::<TOTP_SECRET_BYTES>(connection.random);
            let account = session.user.name.to_string();
            let (digits, step) = (wish.digits.unwrap_or(digits), wish.step.unwrap_or(step));
            let totp = Totp::new(&secret, algorithm, digits, step, &this.issuer(), &account)?;
            let state = TotpChallenge {
                secret: secret.to_vec(),
                algorithm: totp::algorithm_name(algorithm).to_owned(),
                digits,
                step,
            };
            let (user, purpose) = (Some(session.user.id), Purpose::TotpEnrolment);
            let lifetime = TOTP_ENROLMENT_LIFETIME;
            let challenge = challenges::begin(connection, purpose, user, &session.id, &state, by.now, lifetime)?;
            let uri = totp.uri();
            let qr_svg = qr_svg(&uri).map_err(|error| Refusal::BadRequest { reason: error.to_string() })?;
            Ok(TotpOffer { challenge, secret: totp.secret_base32(), qr_svg, uri, digits, step })
        })
        .await
    }

    /// What apps show beside the account. A colon would end it.
    fn issuer(&self) -> String {
        let name = self.webauthn.as_ref().map_or("keyrig", |webauthn| webauthn.settings.name.as_str());
        name.replace(':', " ")
    }

    /// Ends it by a code of the app. A wrong one can be corrected: the user knows the secret, so there is nothing to guess.
    pub(crate) async fn finish_totp(
        self: &Arc<Self>,
        claim: Claim<Enrol>,
        challenge: String,
        description: String,
        code: String,
    ) -> Result<Added, Refusal> {
        self.write_as(claim, move |this, authorized| {
            let Authorized { connection, session, by } = &authorized;
            let (user, purpose) = (Some(session.user.id), Purpose::TotpEnrolment);
            let taken = challenges::take::<TotpChallenge>(connection, &challenge, purpose, user, &session.id, by.now)?;
            let begun = taken.map_err(Refusal::ChallengeGone)?;
            let algorithm = totp::algorithm_of(&begun.algorithm).ok_or_else(|| StoreError::Damaged {
                what: format!("challenges.state: {:?} is not an algorithm", begun.algorithm),
            })?;
            let totp = Totp::new(&begun.secret, algorithm, begun.digits, begun.step, "", "new")?;
            // The error undoes the transaction: the challenge is still there.
            let accepted = totp.check(&code, by.now, None).map_err(Refusal::ConfirmationCodeWrong)?;
            this.add(&authorized, &session.user, FactorKind::Totp, &description, |id| {
                Ok(totp::insert(connection, id, &totp, &begun.secret, accepted)?)
            })
        })
        .await
    }

    /// Adds a TOTP factor whose secret the user's program has made, confirmed by a code of it.
    pub(crate) async fn add_totp(
        self: &Arc<Self>,
        claim: Claim<Enrol>,
        of: Option<UserName>,
        description: String,
        totp: Totp,
        code: String,
    ) -> Result<Added, Refusal> {
        self.write_as(claim, move |this, authorized| {
            let owner = this.owner(&authorized, of.as_ref())?;
            let accepted = totp.check(&code, authorized.by.now, None).map_err(Refusal::ConfirmationCodeWrong)?;
            this.add(&authorized, &owner, FactorKind::Totp, &description, |id| {
                Ok(totp::insert(authorized.connection, id, &totp, &totp.secret(), accepted)?)
            })
        })
        .await
    }

    /// Makes recovery keys, which are seen here and never again. They satisfy no requirement, so they are not for enrolment.
    pub(crate) async fn add_recovery_keys(
        self: &Arc<Self>,
        claim: Claim<ChangeOwn>,
        of: Option<UserName>,
        description: String,
    ) -> Result<(Added, RecoveryKeySet), Refusal> {
        self.write_as(claim, move |this, authorized| {
            let owner = this.owner(&authorized, of.as_ref())?;
            let (factor, set) = recovery::add_set(authorized.connection, &owner, &description, &authorized.by)?;
            Ok((this.added(&authorized, &owner, factor)?, set))
        })
        .await
    }

    fn add(
        &self,
        authorized: &Authorized<'_>,
        owner: &User,
        kind: FactorKind,
        description: &str,
        insert: impl FnOnce(&str) -> Result<(), FactorError>,
    ) -> Result<Added, Refusal> {
        let Authorized { connection, by, .. } = authorized;
        let id = factors::add(connection, owner, kind, description, by)?;
        insert(&id)?;
        let factor = factors::added(connection, owner, &id)?;
        self.added(authorized, owner, factor)
    }

    /// What follows once a factor was added: who had to enrol is let in when that is what the realm requires.
    fn added(&self, authorized: &Authorized<'_>, user: &User, factor: Factor) -> Result<Added, Refusal> {
        let Authorized { connection, session, by } = authorized;
        let factors = factors::load(connection, user.id)?;
        let realm = realms::find(connection, user.name.realm())?;
        let is_satisfied = realm.is_some_and(|realm| realm.requirement.is_satisfied_by(&factors));
        let session = if session.kind == SessionKind::Enrolment && is_satisfied {
            sessions::end(connection, &session.id)?;
            let new = sessions::begin(connection, user.id, SessionKind::Full, true, Some(&factor.id), by.occasion())?;
            audit_log::record(connection, by, EventKind::LoggedIn, &user.name.to_string(), "after enrolment")?;
            Some(new)
        } else {
            None
        };
        let notices = notices::of(user, &factors, self.rp_id());
        Ok(Added { factor, notices, user: user.clone(), session, report: None })
    }
}

/// The challenge of a registration, by its identifier.
fn challenge_of(id: &str) -> Result<Vec<u8>, StoreError> {
    URL_SAFE_NO_PAD
        .decode(id)
        .map_err(|_| StoreError::Damaged { what: "a challenge's identifier is not base64url".to_owned() })
}

/// The credential of a second factor that can become a passkey by registering its key again.
fn replaceable<'a>(factors: &'a [StoredFactor], user: &User, id: &str) -> Result<&'a StoredCredential, FactorError> {
    let factor = factors::one(factors, &user.name, id)?;
    let reason = match factor.credential() {
        None => "it is not a security key",
        Some(credential) if credential.passkey => "it is one already",
        Some(_) if !factor.enabled => "it is disabled; enable it first",
        Some(credential) => return Ok(credential),
    };
    Err(FactorError::NoPasskeyOf { id: id.to_owned(), reason })
}

/// Deletes the second factor whose place a passkey has taken.
fn replace(
    authorized: &Authorized<'_>,
    owner: &User,
    (id, by_id): (&str, &str),
    passkey: &StoredCredential,
) -> Result<(), FactorError> {
    let Authorized { connection, by, .. } = authorized;
    let factors = factors::load(connection, owner.id)?;
    let replaced = replaceable(&factors, owner, id)?.record.aaguid;
    // Browsers may blot it out, so it proves nothing; what differs is another key all the same.
    let is_known = |aaguid: Aaguid| aaguid != Aaguid::default();
    let is_other = is_known(replaced) && is_known(passkey.record.aaguid) && replaced != passkey.record.aaguid;
    if is_other {
        let reason = "the key that was touched is of another model";
        return Err(FactorError::NoPasskeyOf { id: id.to_owned(), reason });
    }
    sessions::hand_over(connection, id, by_id)?;
    factors::delete(connection, &owner.name, Which::One(id), false, None, by).map(drop)
}
