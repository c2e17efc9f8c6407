//! Login by a discoverable credential alone: it says who the user is, and its key has verified the user.

use std::sync::Arc;

use keyrig_verifier::AuthenticationResponse;

use super::second_factor::Assertion;
use super::{Account, Cause, Ceremony, LoggedIn, LoginChallenge};
use crate::RelyingParty;
use crate::challenges::{self, Purpose};
use crate::factors;
use crate::random;
use crate::refusal::{Committed, Refusal};
use crate::turns::Asker;
use crate::webauthn::{self, Page, Webauthn};

impl RelyingParty {
    fn passkey_webauthn(&self) -> Result<&Webauthn, Refusal> {
        let webauthn =
            self.webauthn.as_ref().map_err(|reason| Refusal::WebauthnUnavailable { reason: reason.clone() })?;
        if webauthn.settings.passkey_login { Ok(webauthn) } else { Err(Refusal::PasskeyLoginDisabled) }
    }

    /// Begins a login whose user is not known yet: the login's secret identifier, and the ceremony.
    pub(crate) async fn begin_passkey_login(self: &Arc<Self>, asker: &Asker) -> Result<(String, Ceremony), Refusal> {
        let client = asker.client();
        self.work_for(asker, move |this| {
            let webauthn = this.passkey_webauthn()?;
            let now = this.clock.now();
            this.store.write(|transaction| -> Committed<_> {
                // Nothing can be done with it when its challenge is over.
                let lifetime = this.policy.challenge_lifetime;
                let (token, login) =
                    challenges::begin_login_of_nobody(transaction, client, &this.limits, now, lifetime)?;
                let challenge = random::bytes::<32>(transaction.random);
                let options = webauthn.request_options(&challenge, &[], webauthn::Login::Passkey);
                let state = LoginChallenge { challenge: challenge.to_vec(), allowed: Vec::new(), verify_user: true };
                let challenge =
                    challenges::begin(transaction, Purpose::Passkey, None, &login.id, &state, now, lifetime)?;
                Ok(Ok((token, Ceremony { challenge, options })))
            })?
        })
        .await
    }

    /// Ends it.
    pub(crate) async fn finish_passkey_login(
        self: &Arc<Self>,
        asker: &Asker,
        login: String,
        challenge: String,
        response: AuthenticationResponse,
        page: Page,
    ) -> Result<LoggedIn, Refusal> {
        let address = asker.address;
        self.work_for(asker, move |this| {
            this.passkey_webauthn()?;
            let at = this.occasion(address);
            let now = at.now;
            this.store.write(|transaction| -> Committed<LoggedIn> {
                let login = challenges::find_login(transaction, &login, now)?.filter(|login| login.user.is_none());
                let Some(login) = login else {
                    return Ok(Err(Refusal::UnknownLogin));
                };
                let taken = challenges::take::<LoginChallenge>(
                    transaction,
                    &challenge,
                    Purpose::Passkey,
                    None,
                    &login.id,
                    now,
                )?;
                let nobody = "(passkey)";
                let taken = match taken {
                    Ok(taken) => taken,
                    Err(gone) => {
                        let cause = Cause::ChallengeGone(gone);
                        return Ok(Err(this.refuse(transaction, nobody, &cause, at)?));
                    }
                };
                let owner = factors::owner_of_credential(transaction, &response.raw_id)?;
                let account = owner.map(|user| Account::load(transaction, user)).transpose()?.flatten();
                let Some(account) = account else {
                    return Ok(Err(this.refuse(transaction, nobody, &Cause::UnknownCredential, at)?));
                };
                let name = account.user.name.to_string();
                if let Some(cause) = this.obstacle(&account, now) {
                    return Ok(Err(this.refuse(transaction, &name, &cause, at)?));
                }
                if account.is_of_directory {
                    // Nobody has asked the directory whether there still is such a user.
                    let cause = Cause::PasskeyAlone { realm: account.user.name.realm().to_owned() };
                    return Ok(Err(this.refuse(transaction, &name, &cause, at)?));
                }
                let assertion =
                    Assertion { begun: &taken, response: &response, login: webauthn::Login::Passkey, page: &page };
                match this.verify_credential(transaction, &account, &assertion, at)? {
                    Ok(proven) => this.accept(transaction, &account, &login, proven, at),
                    // Not counted: anybody can name a credential, and must not lock its owner out by that.
                    Err(cause) => Ok(Err(this.refuse(transaction, &name, &cause, at)?)),
                }
            })?
        })
        .await
    }
}
