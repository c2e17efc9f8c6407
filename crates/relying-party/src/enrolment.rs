//! Adding factors: of a user who is logged in and has lately given the password again, or who has to enrol before being
//! let in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrig_verifier::{Check, RegistrationResponse};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::audit_log::{self, Actor, EventKind};
use crate::challenges::{self, Purpose};
use crate::factors::{self, Factor, FactorError, FactorKind, Stored, recovery, totp, webauthn};
use crate::login::{Cause, Ceremony};
use crate::notices::{self, Notice};
use crate::qr::qr_svg;
use crate::realms::{self, Requirement};
use crate::recovery_keys::RecoveryKeySet;
use crate::refusal::Refusal;
use crate::sessions::{self, NewSession, Session, SessionKind};
use crate::store::StoreError;
use crate::totp::{TOTP_SECRET_BYTES, Totp, TotpAlgorithm};
use crate::webauthn::{Page, Webauthn};
use crate::{RelyingParty, random};

/// How long a user has to get a new secret into an app and a code out of it.
const TOTP_ENROLMENT_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What the end of a registration needs to know.
#[derive(Serialize, Deserialize)]
struct RegistrationChallenge {
    challenge: Vec<u8>,
    user_handle: Vec<u8>,
    passkey: bool,
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TotpWish {
    algorithm: Option<String>,
    digits: Option<u8>,
    step: Option<u64>,
}

/// A secret for an app, to be confirmed by a code.
#[derive(Debug, Clone, Serialize)]
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
    pub(crate) notices: Vec<Notice>,
    /// The session that takes the place of one that was for enrolment, now that the realm has what it requires.
    pub(crate) session: Option<NewSession>,
}

impl RelyingParty {
    fn usable_webauthn(&self) -> Result<&Webauthn, Refusal> {
        self.webauthn.as_ref().map_err(|reason| Refusal::WebauthnUnavailable { reason: reason.clone() })
    }

    /// Begins to register a credential; as a passkey, it will be able to log in alone.
    pub(crate) async fn begin_registration(
        self: &Arc<Self>,
        session: Session,
        passkey: bool,
    ) -> Result<Ceremony, Refusal> {
        self.work(move |this| {
            let webauthn = this.usable_webauthn()?;
            let now = this.clock.now();
            this.store.write(|transaction| {
                let factors = factors::load(transaction, session.user.id)?;
                // Those that are disabled too: the key that has one of them is not to be enrolled twice.
                let exclude: Vec<_> = factors
                    .iter()
                    .filter_map(|factor| match &factor.secret {
                        Stored::Webauthn(credential) => Some(&**credential),
                        _ => None,
                    })
                    .collect();
                let challenge = random::bytes::<32>();
                let user_handle = webauthn.user_handle(&session.user);
                let options = webauthn.creation_options(&session.user, &user_handle, &challenge, &exclude, passkey);
                let state = RegistrationChallenge { challenge: challenge.to_vec(), user_handle, passkey };
                let (user, lifetime) = (Some(session.user.id), this.policy.challenge_lifetime);
                let challenge =
                    challenges::begin(transaction, Purpose::Registration, user, &session.id, &state, now, lifetime)?;
                Ok(Ceremony { challenge, options })
            })
        })
        .await
    }

    /// Ends it: the challenge is used up, whatever comes of it.
    pub(crate) async fn finish_registration(
        self: &Arc<Self>,
        session: Session,
        challenge: String,
        description: String,
        response: RegistrationResponse,
        page: Page,
    ) -> Result<Added, Refusal> {
        factors::check_description(&description)?;
        self.work(move |this| {
            let webauthn = this.usable_webauthn()?;
            let now = this.clock.now();
            // Committed on its own: what follows may be undone.
            let taken = this.store.write(|transaction| {
                let user = Some(session.user.id);
                challenges::take::<RegistrationChallenge>(
                    transaction,
                    &challenge,
                    Purpose::Registration,
                    user,
                    &session.id,
                    now,
                )
            })?;
            let begun = taken.map_err(|gone| Refusal::ChallengeGone { reason: gone.to_string() })?;
            let verified = this.store.read(|connection| -> Result<_, StoreError> {
                let is_known = factors::owner_of_credential(connection, &response.raw_id)?.is_some();
                let values = (begun.challenge.as_slice(), begun.user_handle.as_slice());
                Ok(webauthn.verify_registration(&response, values, begun.passkey, is_known, &page, now))
            })?;
            let format = verified.report.finding(Check::AttestationFormat);
            let attestation_format = format.map_or_else(String::new, |finding| finding.found.to_string());
            let Some(record) = verified.record else {
                let cause = Cause::Verification(Box::new(verified.report));
                return this.store.write(|transaction| {
                    let (name, kind) = (session.user.name.clone(), EventKind::EnrolmentRefused);
                    let actor = Actor::User(name.clone());
                    let report = this.report(transaction, kind, &name.to_string(), &actor, &cause, now)?;
                    Ok::<_, StoreError>(Err(Refusal::EnrolmentRefused { report }))
                })?;
            };
            let credential = webauthn::StoredCredential {
                record,
                rp_id: webauthn.settings.rp_id.clone(),
                attestation_format,
                client_data: response.client_data_json,
                attestation_object: response.attestation_object,
            };
            this.store.write(|transaction| {
                this.add(transaction, &session, FactorKind::Webauthn, &description, now, |id| {
                    webauthn::insert(transaction, &session.user, id, &credential)
                })
            })
        })
        .await
    }

    /// Begins to enrol TOTP: a secret for the user's app.
    pub(crate) async fn begin_totp(self: &Arc<Self>, session: Session, wish: TotpWish) -> Result<TotpOffer, Refusal> {
        self.work(move |this| {
            let now = this.clock.now();
            this.store.write(|transaction| {
                let realm = realms::find(transaction, session.user.name.realm())?;
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
                let secret = random::bytes::<TOTP_SECRET_BYTES>();
                let account = session.user.name.to_string();
                let (digits, step) = (wish.digits.unwrap_or(digits), wish.step.unwrap_or(step));
                let totp = Totp::new(&secret, algorithm, digits, step, &this.issuer(), &account)?;
                let state = TotpChallenge {
                    secret: secret.to_vec(),
                    algorithm: totp::algorithm_name(algorithm).to_owned(),
                    digits,
                    step,
                };
                let (user, lifetime) = (Some(session.user.id), TOTP_ENROLMENT_LIFETIME);
                let challenge =
                    challenges::begin(transaction, Purpose::TotpEnrolment, user, &session.id, &state, now, lifetime)?;
                let uri = totp.uri();
                let qr_svg = qr_svg(&uri).map_err(|error| Refusal::BadRequest { reason: error.to_string() })?;
                Ok(TotpOffer { challenge, secret: totp.secret_base32(), qr_svg, uri, digits, step })
            })
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
        session: Session,
        challenge: String,
        description: String,
        code: String,
    ) -> Result<Added, Refusal> {
        self.work(move |this| {
            let now = this.clock.now();
            this.store.write(|transaction| {
                let (user, purpose) = (Some(session.user.id), Purpose::TotpEnrolment);
                let taken =
                    challenges::take::<TotpChallenge>(transaction, &challenge, purpose, user, &session.id, now)?;
                let begun = taken.map_err(|gone| Refusal::ChallengeGone { reason: gone.to_string() })?;
                let algorithm = totp::algorithm_of(&begun.algorithm).ok_or_else(|| StoreError::Damaged {
                    what: format!("challenges.state: {:?} is no algorithm", begun.algorithm),
                })?;
                let totp = Totp::new(&begun.secret, algorithm, begun.digits, begun.step, "", "new")?;
                // The error undoes the transaction: the challenge is still there.
                let accepted = totp
                    .check(&code, now, None)
                    .map_err(|refused| Refusal::ConfirmationCodeWrong { reason: refused.to_string() })?;
                this.add(transaction, &session, FactorKind::Totp, &description, now, |id| {
                    Ok(totp::insert(transaction, id, &totp, &begun.secret, accepted)?)
                })
            })
        })
        .await
    }

    /// Makes recovery keys, which are seen here and never again.
    pub(crate) async fn add_recovery_keys(
        self: &Arc<Self>,
        session: Session,
        description: String,
    ) -> Result<(Added, RecoveryKeySet), Refusal> {
        self.work(move |this| {
            let now = this.clock.now();
            this.store.write(|transaction| {
                let actor = Actor::User(session.user.name.clone());
                let (factor, set) = recovery::add_set(transaction, &session.user, &description, &actor, now)?;
                Ok((this.added(transaction, &session, factor, now)?, set))
            })
        })
        .await
    }

    fn add(
        &self,
        connection: &Connection,
        session: &Session,
        kind: FactorKind,
        description: &str,
        now: SystemTime,
        insert: impl FnOnce(&str) -> Result<(), FactorError>,
    ) -> Result<Added, Refusal> {
        let actor = Actor::User(session.user.name.clone());
        let id = factors::add(connection, &session.user, kind, description, &actor, now)?;
        insert(&id)?;
        let factor = factors::added(connection, &session.user, &id)?;
        self.added(connection, session, factor, now)
    }

    /// What follows once a factor was added: who had to enrol is let in when that is what the realm requires.
    fn added(
        &self,
        connection: &Connection,
        session: &Session,
        factor: Factor,
        now: SystemTime,
    ) -> Result<Added, Refusal> {
        let user = &session.user;
        let factors = factors::load(connection, user.id)?;
        let realm = realms::find(connection, user.name.realm())?;
        let is_satisfied = realm.is_some_and(|realm| realm.requirement.is_satisfied_by(&factors));
        let session = if session.kind == SessionKind::Enrolment && is_satisfied {
            sessions::end(connection, &session.id)?;
            let new = sessions::begin(connection, user.id, SessionKind::Full, true, now)?;
            let (name, actor) = (user.name.to_string(), Actor::User(user.name.clone()));
            audit_log::record(connection, now, EventKind::LoggedIn, &name, &actor, "after enrolment")?;
            Some(new)
        } else {
            None
        };
        Ok(Added { factor, notices: notices::of(user, &factors), session })
    }
}
