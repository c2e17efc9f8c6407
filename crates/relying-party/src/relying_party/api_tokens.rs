//! Tokens for programs: a user's own, or by an administrator anybody's.

use std::sync::Arc;

use super::authorization::{Authorized, Claim, Own, OwnInPerson, Present, Right, Session};
use super::rights::{Audit, ChangeOthersTokens, SeeOthersTokens};
use super::state::RelyingParty;
use crate::api_tokens::{self, ApiToken, TokenChange, TokenId, TokenWish};
use crate::audit_log::By;
use crate::privileges::Privileges;
use crate::refusal::Refusal;
use crate::user_name::UserName;
use crate::users;

impl RelyingParty {
    fn may_change_tokens(&self, session: &Session, user: &UserName, by: &By) -> Result<(), Refusal> {
        if session.user.name == *user { Ok(()) } else { ChangeOthersTokens::check(session, by.now, &self.policy) }
    }

    /// A user's tokens.
    pub(crate) async fn api_tokens(
        self: &Arc<Self>,
        claim: Claim<Own>,
        user: UserName,
    ) -> Result<Vec<ApiToken>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, .. }| {
            session.may_see(&user)?;
            Ok(api_tokens::all(connection, &user)?)
        })
        .await
    }

    /// The same by themselves: Proxmox VE has auditors see them with their user alone.
    pub(crate) async fn tokens_alone(
        self: &Arc<Self>,
        claim: Claim<Own>,
        user: UserName,
    ) -> Result<Vec<ApiToken>, Refusal> {
        self.read_as(claim, move |this, Authorized { connection, session, by }| {
            if session.user.name != user {
                SeeOthersTokens::check(&session, by.now, &this.policy)?;
            }
            Ok(api_tokens::all(connection, &user)?)
        })
        .await
    }

    /// What a user or a token may, or who asks: others' for auditors, one's own tokens' for their user.
    pub(crate) async fn permissions(
        self: &Arc<Self>,
        claim: Claim<Present>,
        of: Option<String>,
    ) -> Result<Privileges, Refusal> {
        self.read_as(claim, move |this, Authorized { connection, session, by }| {
            let Some(of) = of.filter(|of| !session.is_of(of)) else { return Ok(session.user.privileges) };
            let token = of.parse::<TokenId>().ok();
            if !token.as_ref().is_some_and(|token| session.is_of(&token.user.to_string())) {
                Audit::check(&session, by.now, &this.policy)?;
            }
            match token {
                Some(token) => Ok(api_tokens::known(connection, &token)?.1.privileges),
                None => Ok(users::known(connection, &of.parse()?)?.privileges),
            }
        })
        .await
    }

    /// Adds a token, and returns its secret.
    pub(crate) async fn add_api_token(
        self: &Arc<Self>,
        claim: Claim<OwnInPerson>,
        user: UserName,
        wish: TokenWish,
    ) -> Result<String, Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            this.may_change_tokens(&session, &user, &by)?;
            Ok(api_tokens::add(connection, &user, &wish, &by)?)
        })
        .await
    }

    /// Changes a token, and returns it.
    pub(crate) async fn change_api_token(
        self: &Arc<Self>,
        claim: Claim<OwnInPerson>,
        user: UserName,
        name: String,
        change: TokenChange,
    ) -> Result<ApiToken, Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            this.may_change_tokens(&session, &user, &by)?;
            let (changed, _) = api_tokens::change(connection, &user, &name, &change, &by)?;
            Ok(changed)
        })
        .await
    }

    /// Deletes a token.
    pub(crate) async fn delete_api_token(
        self: &Arc<Self>,
        claim: Claim<OwnInPerson>,
        user: UserName,
        name: String,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            this.may_change_tokens(&session, &user, &by)?;
            Ok(api_tokens::delete(connection, &user, &name, &by)?)
        })
        .await
    }
}
