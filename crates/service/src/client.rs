//! Ceremonies: what a page's script asks of `navigator.credentials`, over HTTP and for the command line.

use core::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use keyrig_client::channel::{Cancel, Channel};
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::pin::{Pin, PinReason, PinRequest};
use keyrig_client::{Browser, Client, ClientError, Key, Origin};
use keyrig_rack::KeyName;
use keyrig_rack::command::Command;
use keyrig_ways::InProcess;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::commands::Members;
use crate::error::Refused;
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

/// Where a page is, and what its user types.
#[derive(Clone, Debug)]
pub struct Page {
    /// The page's origin.
    pub origin: Origin,
    /// That of the page at the top of the window, if this one is a frame in it.
    pub top_origin: Option<Origin>,
    /// The browser.
    pub browser: Browser,
    /// What is typed when a PIN is asked for: once, and not after a mistake.
    pub pin: Option<Pin>,
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
    /// Carries out a ceremony with options in JSON, with or without `{"publicKey": …}` around them. A future that is dropped ends it.
    pub async fn carry_out<C: Channel>(&self, ceremony: Ceremony, options: &str, keys: &mut [Key<C>]) -> Outcome {
        let credential = self.credential(ceremony, options, keys).await;
        let named =
            |is: fn(&Key<C>) -> bool| keys.iter().filter(|key| is(key)).map(|key| key.name().to_owned()).collect();
        Outcome { credential, blinked: named(Key::blinked), touched: named(Key::was_touched) }
    }

    async fn credential<C: Channel>(
        &self,
        ceremony: Ceremony,
        options: &str,
        keys: &mut [Key<C>],
    ) -> Result<String, ClientError> {
        let client = self.client();
        Ok(match ceremony {
            Ceremony::Create => {
                client.create(&CreationOptions::from_json(options)?, keys, Cancel::never()).await?.to_json()
            }
            Ceremony::Get => client.get(&RequestOptions::from_json(options)?, keys, Cancel::never()).await?.to_json(),
        })
    }

    fn client(&self) -> Client {
        let pin = self.pin.clone();
        // Once: a program would make the same mistake until the key is blocked.
        let type_pin = move |asked: &PinRequest| -> Option<Pin> {
            let fits = asked.mistake.is_none() && asked.reason != PinReason::Change;
            pin.clone().filter(|_| fits)
        };
        let client = Client::new(self.origin.clone()).in_browser(self.browser).asking_for_pin(type_pin);
        match &self.top_origin {
            Some(top_origin) => client.in_a_frame_of(top_origin.clone()),
            None => client,
        }
    }
}

/// A ceremony over HTTP.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(deserialize_with = "parsed")]
    origin: Origin,
    #[serde(default, deserialize_with = "parsed_if_any")]
    top_origin: Option<Origin>,
    #[serde(default, deserialize_with = "parsed_if_any")]
    browser: Option<Browser>,
    /// The keys that are asked; all that are plugged in if there are none.
    #[serde(default)]
    on: Vec<KeyName>,
    #[serde(default)]
    pin: Option<String>,
    options: Value,
}

pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Members(request): Members<Request>,
) -> Result<Response, Refused> {
    request.carry_out(Ceremony::Create, &service).await
}

pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    Members(request): Members<Request>,
) -> Result<Response, Refused> {
    request.carry_out(Ceremony::Get, &service).await
}

impl Request {
    async fn carry_out(self, ceremony: Ceremony, service: &Service) -> Result<Response, Refused> {
        let Self { origin, top_origin, browser, on, pin, options } = self;
        let mut keys = keys(service, &on).await?;
        let browser = browser.unwrap_or_default();
        let page = Page { origin, top_origin, browser, pin: pin.as_deref().map(Pin::new) };
        let outcome = page.carry_out(ceremony, &options.to_string(), &mut keys).await;
        let told = [(BLINKED, names(&outcome.blinked)), (TOUCHED, names(&outcome.touched))];
        let mut response = match outcome.credential {
            Ok(credential) => ([(header::CONTENT_TYPE, "application/json")], credential).into_response(),
            Err(error) => Refused::Ceremony(Box::new((error, browser))).into_response(),
        };
        response.headers_mut().extend(told.into_iter().collect::<HeaderMap>());
        Ok(response)
    }
}

/// The keys of the rack that are chosen, or all that are plugged in.
async fn keys(service: &Service, on: &[KeyName]) -> Result<Vec<Key<InProcess>>, Refused> {
    let listed = service.rack.command(Command::List).await?.keys;
    if let Some(unknown) = on.iter().find(|name| !listed.iter().any(|key| key.name == **name)) {
        let known: Vec<_> = listed.iter().map(|key| key.name.as_str()).collect();
        return Err(Refused::unknown(unknown, &known));
    }
    let chosen = listed.iter().filter(|key| key.plugged && (on.is_empty() || on.contains(&key.name)));
    Ok(chosen
        .filter_map(|key| Some(Key::new(key.name.as_str(), InProcess(service.rack.key(&key.name)?.clone()))))
        .collect())
}

/// Names of keys have no comma, and nothing that a header does not carry.
fn names(names: &[String]) -> HeaderValue {
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn parsed<'de, D: Deserializer<'de>, T: core::str::FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn parsed_if_any<'de, D: Deserializer<'de>, T: core::str::FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
