//! Ceremonies: what a page's script asks of `navigator.credentials`, over HTTP and for the command line.

use core::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use keyrig_client::channel::{Cancel, Canceller, Channel};
use keyrig_client::error::Refusal;
use keyrig_client::json::{CreationOptions, InvalidJson, Mediation, RequestOptions};
use keyrig_client::origin::InvalidUrl;
use keyrig_client::pin::{Pin, PinReason, PinRequest};
use keyrig_client::{Browser, Client, ClientError, Key, Origin, UserChoice};
use keyrig_control::request::Base64Url;
use keyrig_http::openapi::Operation;
use keyrig_rack::KeyName;
use keyrig_rack::command::Command;
use keyrig_ways::InProcess;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::commands::Members;
use crate::error::{ErrorBody, Refused};
use crate::noted::Noted;
use crate::page_token::ForPage;
use crate::service::Service;

/// The names of the keys that asked for a touch, in an answer's head.
const BLINKED: HeaderName = HeaderName::from_static("keyrig-blinked");

/// The names of those that were touched.
const TOUCHED: HeaderName = HeaderName::from_static("keyrig-touched");

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// `navigator.credentials.create()`.
    Create,
    /// `navigator.credentials.get()`.
    Get,
}

impl From<Ceremony> for keyrig_faults::transcript::Ceremony {
    fn from(ceremony: Ceremony) -> Self {
        match ceremony {
            Ceremony::Create => Self::Create,
            Ceremony::Get => Self::Get,
        }
    }
}

/// Where a page is, how it asks, and what its user types.
#[derive(Clone, Debug)]
pub struct Page {
    /// The page's origin.
    pub origin: Origin,
    /// If it is a frame: the pages that it is in, the nearest first and the one at the top last.
    pub ancestors: Vec<Origin>,
    /// The browser.
    pub browser: Browser,
    /// How the user is brought in; if that is not said, what is said beside `publicKey` in the options.
    pub mediation: Option<Mediation>,
    /// What is typed when a PIN is asked for: once, and not after a mistake.
    pub pin: Option<Pin>,
    /// Who signs in, if the site leaves that open; if that is not said, the first account that the key names.
    pub user: Option<UserChoice>,
}

/// What a page's script asks: the options, read.
#[derive(Clone, Debug)]
pub struct Asked {
    options: AskedOptions,
    /// What is said beside `publicKey`.
    mediation: Option<Mediation>,
}

#[derive(Clone, Debug)]
enum AskedOptions {
    Create(Box<CreationOptions>),
    Get(Box<RequestOptions>),
}

impl Asked {
    /// Reads options as this browser does, with or without `{"publicKey": …}` around them.
    ///
    /// # Errors
    /// [`ClientError`], as a page sees it.
    pub fn from_value(ceremony: Ceremony, options: &Value, browser: Browser) -> Result<Self, ClientError> {
        let mediation = Mediation::from_value(options)?;
        let options = match ceremony {
            Ceremony::Create => AskedOptions::Create(CreationOptions::from_value_in(options, browser)?.into()),
            Ceremony::Get => AskedOptions::Get(RequestOptions::from_value_in(options, browser)?.into()),
        };
        Ok(Self { options, mediation })
    }

    /// The same of a text.
    ///
    /// # Errors
    /// Likewise.
    pub fn from_json(ceremony: Ceremony, text: &str, browser: Browser) -> Result<Self, ClientError> {
        let options: Value = serde_json::from_str(text).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        Self::from_value(ceremony, &options, browser)
    }
}

/// What a ceremony came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The credential in JSON, as `PublicKeyCredential.toJSON()` has it.
    pub credential: Result<String, ClientError>,
    /// The keys that asked for a touch.
    pub blinked: Vec<String>,
    /// Those of them that were touched.
    pub touched: Vec<String>,
}

impl Page {
    /// The pages that a frame is in, of the one at the top and those between. Without the one at the top, the last between is there.
    #[must_use]
    pub fn ancestors(between: Vec<Origin>, top: Option<Origin>) -> Vec<Origin> {
        between.into_iter().chain(top).collect()
    }

    /// Carries out a ceremony. `abort` is the page's `AbortSignal`; a future that is dropped ends the ceremony too.
    pub async fn carry_out<C: Channel>(&self, asked: &Asked, keys: &mut [Key<C>], abort: Cancel) -> Outcome {
        let client = self.client(self.mediation_of(asked));
        let credential = match &asked.options {
            AskedOptions::Create(options) => client.create(options, keys, abort).await.map(|made| made.to_json()),
            AskedOptions::Get(options) => client.get(options, keys, abort).await.map(|signed| signed.to_json()),
        };
        let named =
            |is: fn(&Key<C>) -> bool| keys.iter().filter(|key| is(key)).map(|key| key.name().to_owned()).collect();
        Outcome { credential, blinked: named(Key::blinked), touched: named(Key::was_touched) }
    }

    fn mediation_of(&self, asked: &Asked) -> Mediation {
        self.mediation.or(asked.mediation).unwrap_or_default()
    }

    fn client(&self, mediation: Mediation) -> Client {
        let pin = self.pin.clone();
        // Once: a program would make the same mistake until the key is blocked.
        let type_pin = move |asked: &PinRequest| -> Option<Pin> {
            let fits = asked.mistake.is_none() && asked.reason != PinReason::Change;
            pin.clone().filter(|_| fits)
        };
        let client = Client::new(self.origin.clone())
            .in_frames_of(self.ancestors.clone())
            .in_browser(self.browser)
            .with_mediation(mediation)
            .asking_for_pin(type_pin);
        match &self.user {
            Some(user) => client.choosing_user(user.clone()),
            None => client,
        }
    }
}

/// A ceremony over HTTP.
#[derive(Deserialize, ToSchema)]
#[schema(as = CeremonyRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
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
    /// The keys that are asked, at least one; without it, all that are plugged in.
    #[serde(default, deserialize_with = "at_least_one")]
    #[schema(min_items = 1)]
    on: Vec<KeyName>,
    /// What is typed when a PIN is asked for.
    #[serde(default)]
    pin: Option<String>,
    /// Who signs in, by user handle, if the site leaves that open. Without this and `user_name`, the first account that the key names.
    #[serde(default)]
    user_id: Option<Base64Url>,
    /// The same by user name. A key tells the names of several accounts to who is verified, as by a PIN, and the name of a single one to
    /// nobody: `account-names-untold`.
    #[serde(default)]
    user_name: Option<String>,
    /// How the user is asked: at once, or when a key is touched. If it is not said, what stands beside `publicKey` in the options.
    #[serde(default, deserialize_with = "parsed_if_any")]
    #[schema(value_type = Option<String>, pattern = "^(optional|required|conditional|silent)$")]
    mediation: Option<Mediation>,
    /// PublicKeyCredentialCreationOptionsJSON or PublicKeyCredentialRequestOptionsJSON, with or without `{"publicKey": …}` around them.
    #[schema(value_type = Object)]
    options: Map<String, Value>,
}

pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    page: Option<Extension<ForPage>>,
    Members(request): Members<Request>,
) -> Result<Response, Refused> {
    request.of_page(page)?.carry_out(Ceremony::Create, &service).await
}

pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    page: Option<Extension<ForPage>>,
    Members(request): Members<Request>,
) -> Result<Response, Refused> {
    request.of_page(page)?.carry_out(Ceremony::Get, &service).await
}

/// What a page's script is told by `PublicKeyCredential.getClientCapabilities()`: of the keys that it may ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskCapabilities {}

/// `PublicKeyCredentialClientCapabilities` (WebAuthn Level 3 §5.1.7).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capabilities {
    conditional_create: bool,
    conditional_get: bool,
    hybrid_transport: bool,
    passkey_platform_authenticator: bool,
    user_verifying_platform_authenticator: bool,
    signal_all_accepted_credentials: bool,
    signal_current_user_details: bool,
    signal_unknown_credential: bool,
}

/// Describes [`capabilities`].
pub(crate) fn capabilities_operation(id: &str) -> Operation {
    Operation::asking::<AskCapabilities, Capabilities>(id, "", false)
}

pub(crate) async fn capabilities(
    State(service): State<Arc<Service>>,
    page: Option<Extension<ForPage>>,
    Members(AskCapabilities {}): Members<AskCapabilities>,
) -> Result<Json<Capabilities>, Refused> {
    let on = page.map(|Extension(page)| page.on).unwrap_or_default();
    let keys = service.rack.command(Command::List).await?.keys;
    let mut asked = keys.iter().filter(|key| key.plugged && (on.is_empty() || on.contains(&key.name)));
    // What is on no USB is the platform's own.
    let has_platform = asked.any(|key| key.busid.is_none() && key.uv.is_some());
    Ok(Json(Capabilities {
        conditional_create: false,
        conditional_get: true,
        hybrid_transport: false,
        passkey_platform_authenticator: has_platform,
        user_verifying_platform_authenticator: has_platform,
        signal_all_accepted_credentials: true,
        signal_current_user_details: true,
        signal_unknown_credential: true,
    }))
}

impl Request {
    /// If a page itself asks: with what its token was made for, and of its own origin.
    fn of_page(mut self, page: Option<Extension<ForPage>>) -> Result<Self, Refused> {
        let Some(Extension(page)) = page else { return Ok(self) };
        let said = [
            ("on", !self.on.is_empty()),
            ("pin", self.pin.is_some()),
            ("browser", self.browser.is_some()),
            ("user_id", self.user_id.is_some()),
            ("user_name", self.user_name.is_some()),
        ];
        let ForPage { on, pin, browser, .. } = page.for_page_at(&self.origin, &said)?;
        (self.on, self.pin, self.browser) = (on, pin, browser);
        Ok(self)
    }

    async fn carry_out(self, ceremony: Ceremony, service: &Service) -> Result<Response, Refused> {
        let _under_way = service.ceremonies.try_acquire().map_err(|_| Refused::TooManyCeremonies)?;
        let page = self.page()?;
        let browser = page.browser;
        for name in &self.on {
            service.rack.known(name)?;
        }
        let noted = Noted::begin(service, ceremony.into(), (&page.origin, &page.ancestors), &self.options);
        let outcome = match Asked::from_value(ceremony, &Value::Object(self.options), browser) {
            Ok(asked) => page.carry_out_among_others(&asked, &self.on, service).await?,
            Err(error) => Outcome { credential: Err(error), blinked: Vec::new(), touched: Vec::new() },
        };
        noted.end(&outcome.credential);
        let told = [(BLINKED, listed(&outcome.blinked)), (TOUCHED, listed(&outcome.touched))];
        let mut response = match outcome.credential {
            Ok(credential) => ([(header::CONTENT_TYPE, "application/json")], credential).into_response(),
            Err(error) => Refused::Ceremony(Box::new((error, browser))).into_response(),
        };
        response.headers_mut().extend(told.into_iter().collect::<HeaderMap>());
        Ok(response)
    }
}

impl Request {
    fn page(&self) -> Result<Page, Refused> {
        let user = match (&self.user_id, &self.user_name) {
            (Some(_), Some(_)) => {
                return Err(Refused::BadCeremony("user_id and user_name: one of them says who it is".to_owned()));
            }
            (Some(id), None) => Some(UserChoice::Id(id.0.clone())),
            (None, name) => name.clone().map(UserChoice::Name),
        };
        Ok(Page {
            origin: origin("origin", &self.origin)?,
            ancestors: ancestors(&self.ancestors, self.top_origin.as_deref())?,
            browser: self.browser.unwrap_or_default(),
            mediation: self.mediation,
            pin: self.pin.as_deref().map(Pin::new),
            user,
        })
    }
}

impl Page {
    /// Carries out a ceremony beside others over the same keys: those that are named, or all.
    async fn carry_out_among_others(
        &self,
        asked: &Asked,
        on: &[KeyName],
        service: &Service,
    ) -> Result<Outcome, Refused> {
        // One that is aborted already comes as far as the keys: what the client refuses by itself takes nobody's place.
        let aborted = Canceller::new();
        aborted.cancel();
        let outcome = self.carry_out::<InProcess>(asked, &mut [], aborted.token()).await;
        if !is_aborted(&outcome) {
            return Ok(outcome);
        }
        if self.mediation_of(asked) == Mediation::Conditional {
            return self.carry_out_conditionally(asked, on, service).await;
        }
        let names = chosen(service, on).await?;
        let mut keys = keys(service, &names);
        service.conditionals.make_way(&names).await;
        Ok(self.carry_out(asked, &mut keys, Cancel::never()).await)
    }
}

/// The origin in a member of a request.
pub(crate) fn origin(member: &str, text: &str) -> Result<Origin, Refused> {
    text.parse().map_err(|error: InvalidUrl| Refused::BadCeremony(format!("{member}: {error}")))
}

/// The pages around one, of the members `ancestors` and `top_origin` of a request.
pub(crate) fn ancestors(between: &[String], top: Option<&str>) -> Result<Vec<Origin>, Refused> {
    let between = between.iter().enumerate();
    let between = between.map(|(index, text)| origin(&format!("ancestors[{index}]"), text));
    let top = top.map(|text| origin("top_origin", text));
    Ok(Page::ancestors(between.collect::<Result<_, _>>()?, top.transpose()?))
}

pub(crate) fn is_aborted(outcome: &Outcome) -> bool {
    outcome.credential.as_ref().is_err_and(|error| error.reason == Refusal::Aborted)
}

/// The names of the keys that are chosen, as far as they are plugged in, or of all that are.
pub(crate) async fn chosen(service: &Service, on: &[KeyName]) -> Result<Vec<KeyName>, Refused> {
    let listed = service.rack.command(Command::List).await?.keys;
    let chosen = listed.into_iter().filter(|key| key.plugged && (on.is_empty() || on.contains(&key.name)));
    Ok(chosen.map(|key| key.name).collect())
}

pub(crate) fn keys(service: &Service, names: &[KeyName]) -> Vec<Key<InProcess>> {
    let key = |name: &KeyName| Some(Key::new(name.as_str(), InProcess(service.rack.key(name)?)));
    names.iter().filter_map(key).collect()
}

/// What both are, described: the answer's head has the keys, and its body the credential alone.
pub(crate) fn operation(id: &str) -> Operation {
    let names = |what: &str| json!({"description": what, "required": true, "schema": {"type": "string"}});
    let credential = json!({
        "description": "The credential, as PublicKeyCredential.toJSON() has it.",
        "headers": {
            "Keyrig-Blinked": names("The names of the keys that asked for a touch, with commas between them."),
            "Keyrig-Touched": names("The names of those of them that were touched."),
        },
        "content": {"application/json": {"schema": {"type": "object", "required": ["id", "rawId", "response", "type"]}}},
    });
    Operation::asking::<Request, ErrorBody>(id, "", false).with_success(credential)
}

/// Names of keys have no comma, and nothing that a header does not carry.
fn listed(names: &[String]) -> HeaderValue {
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Nobody means all by none.
pub(crate) fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeyName>, D::Error> {
    let names = Vec::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(serde::de::Error::custom("it names no key: leave it out to ask all that are plugged in"));
    }
    Ok(names)
}

pub(crate) fn parsed_if_any<'de, D: Deserializer<'de>, T: core::str::FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
