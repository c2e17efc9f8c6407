//! What a site signals of its credentials, by `PublicKeyCredential.signal…()`, and the keys that it reaches.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use keyrig_client::json::InvalidJson;
use keyrig_client::{Browser, Client, ClientError};
use keyrig_control::request::Base64Url;
use keyrig_http::openapi::Operation;
use keyrig_rack::KeyName;
use keyrig_rack::command::{Command, KeyState, Refusal};
use keyrig_rack::key::administration::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::client::{ancestors, at_least_one, origin, parsed_if_any};
use crate::commands::Members;
use crate::error::Refused;
use crate::page_token::ForPage;
use crate::service::Service;

/// The profile of WebDriver's virtual authenticators.
const VIRTUAL: &str = "virtual-authenticator";

/// Signal what a site has of its credentials, as a page's script does by `PublicKeyCredential.signalUnknownCredential()` and the other two
/// (WebAuthn Level 3 §5.1.10). It reaches what it reaches from a browser: what is the platform's own, on no USB, and virtual
/// authenticators of WebDriver; not security keys. The answer is the same whether there was anything to change or not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendSignal {
    // Where the page is stands in a ceremony as well: what is flattened is told of without its member where it is wrong, and a schema that
    // allows no other members goes into no `allOf`.
    /// The address of the page.
    #[schema(example = "https://login.example.com")]
    origin: String,
    /// The address of the page at the top of the window, if this one is a frame in it.
    #[serde(default)]
    top_origin: Option<String>,
    /// The pages between this one, a frame, and the one at the top, the nearest first.
    #[serde(default)]
    ancestors: Vec<String>,
    /// The browser: chromium, if it is not said, firefox or safari.
    #[serde(default, deserialize_with = "parsed_if_any")]
    #[schema(value_type = Option<String>, pattern = "^(chromium|firefox|safari)$")]
    browser: Option<Browser>,
    /// The keys that are meant, at least one; without it, all that are plugged in.
    #[serde(default, deserialize_with = "at_least_one")]
    #[schema(min_items = 1)]
    on: Vec<KeyName>,
    /// Which method the script calls.
    signal: Kind,
    /// UnknownCredentialOptions, AllAcceptedCredentialsOptions or CurrentUserDetailsOptions.
    #[schema(value_type = Object)]
    options: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// `signalUnknownCredential()`.
    UnknownCredential,
    /// `signalAllAcceptedCredentials()`.
    AllAcceptedCredentials,
    /// `signalCurrentUserDetails()`.
    CurrentUserDetails,
}

/// It was heard.
#[derive(Serialize, ToSchema)]
pub(crate) struct Heard {}

/// Describes [`signal`].
pub(crate) fn operation(id: &str) -> Operation {
    Operation::asking::<SendSignal, Heard>(id, "", false)
}

pub(crate) async fn signal(
    State(service): State<Arc<Service>>,
    page: Option<Extension<ForPage>>,
    Members(mut asked): Members<SendSignal>,
) -> Result<Json<Heard>, Refused> {
    if let Some(Extension(page)) = page {
        let said = [("on", !asked.on.is_empty()), ("browser", asked.browser.is_some())];
        let page = page.for_page_at(&asked.origin, &said)?;
        (asked.on, asked.browser) = (page.on, page.browser);
    }
    for name in &asked.on {
        service.rack.known(name)?;
    }
    let browser = asked.browser.unwrap_or_default();
    let (rp_id, signal) = asked.read()?.map_err(|error| Refused::Ceremony(Box::new((error, browser))))?;
    let keys = service.rack.command(Command::List).await?.keys;
    for key in keys.into_iter().filter(|key| asked.reaches(key)) {
        let handle = service.rack.known(&key.name)?;
        handle.signal(rp_id.clone(), signal.clone()).await.map_err(Refusal::of(&key.name))?;
    }
    Ok(Json(Heard {}))
}

impl SendSignal {
    fn reaches(&self, key: &KeyState) -> bool {
        let is_meant = key.plugged && (self.on.is_empty() || self.on.contains(&key.name));
        is_meant && (key.busid.is_none() || key.profile == VIRTUAL)
    }

    /// What is signalled for which relying party, or what a page's script gets.
    fn read(&self) -> Result<Result<(String, Signal), ClientError>, Refused> {
        let client = Client::new(origin("origin", &self.origin)?)
            .in_frames_of(ancestors(&self.ancestors, self.top_origin.as_deref())?)
            .in_browser(self.browser.unwrap_or_default());
        Ok(self
            .signal()
            .map_err(ClientError::from)
            .and_then(|(rp_id, signal)| Ok((client.check_page(Some(&rp_id))?, signal))))
    }

    fn signal(&self) -> Result<(String, Signal), InvalidJson> {
        let signal = match self.signal {
            Kind::UnknownCredential => Signal::UnknownCredential(self.bytes("credentialId")?),
            Kind::AllAcceptedCredentials => Signal::AllAcceptedCredentials {
                user_id: self.bytes("userId")?,
                accepted: self
                    .member::<Vec<Base64Url>>("allAcceptedCredentialIds", "a list of base64url")?
                    .into_iter()
                    .map(|id| id.0)
                    .collect(),
            },
            Kind::CurrentUserDetails => Signal::CurrentUserDetails {
                user_id: self.bytes("userId")?,
                name: self.member("name", "a text")?,
                display_name: self.member("displayName", "a text")?,
            },
        };
        Ok((self.member("rpId", "a text")?, signal))
    }

    /// What is not base64url is a `TypeError` here, as whatever else is not what it has to be.
    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, InvalidJson> {
        self.member::<Base64Url>(name, "base64url").map(|bytes| bytes.0)
    }

    fn member<T: DeserializeOwned>(&self, name: &str, expected: &'static str) -> Result<T, InvalidJson> {
        let member = || name.to_owned();
        let value = self.options.get(name).ok_or_else(|| InvalidJson::Missing { member: member() })?;
        T::deserialize(value).map_err(|_| InvalidJson::WrongType { member: member(), expected })
    }
}
