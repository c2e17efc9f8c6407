//! A page in a browser that has the rig's keys.

use core::fmt;

use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, InvalidJson, RequestOptions};
use keyrig_client::pin::{Pin, PinReason, PinRequest};
use keyrig_client::{Browser, Client as Page, ClientError, Origin, RefusedBy, Rules, UserChoice};

use crate::refused::Refused;
use crate::rig::{Rig, RigError};

/// A page in a browser, with all keys of its rig that are plugged in. [`create`](Self::create) and [`get`](Self::get) are its
/// ceremonies, held to the browser's rules; a page of another origin is another client.
#[derive(Clone, Debug)]
pub struct Client {
    rig: Rig,
    origin: Origin,
    top_origin: Option<Origin>,
    browser: Browser,
    rules: Rules,
    typed: Option<Pin>,
    user: Option<UserChoice>,
}

impl Client {
    pub(crate) fn new(rig: Rig, origin: Origin) -> Self {
        let (browser, rules) = (Browser::default(), Rules::default());
        Self { rig, origin, top_origin: None, browser, rules, typed: None, user: None }
    }

    /// The browser whose ways it has where browsers differ: Chromium, unless told otherwise.
    #[must_use]
    pub fn in_browser(self, browser: Browser) -> Self {
        Self { browser, ..self }
    }

    /// The page is a frame in a page at another address, which lets it use WebAuthn.
    ///
    /// # Errors
    /// [`RigError::Origin`]: a page can have no such address.
    pub fn in_a_frame_of(self, address: &str) -> Result<Self, RigError> {
        Ok(Self { top_origin: Some(address.parse()?), ..self })
    }

    /// Types this PIN whenever one is asked for, instead of the one that [`Rig::pin`] set.
    #[must_use]
    pub fn typing(self, pin: &str) -> Self {
        Self { typed: Some(Pin::new(pin)), ..self }
    }

    /// Signs in as this user, where your server leaves open who it is (no `allowCredentials`), and as nobody else. Names of several accounts
    /// are told by a key that has verified its user, as by a PIN; the name of a single one is told by none, and refused.
    #[must_use]
    pub fn choosing_user(self, user: UserChoice) -> Self {
        Self { user: Some(user), ..self }
    }

    /// No browser: whatever its origin is, the page may claim any RP ID. For finding out what your server says to what no browser
    /// would send; `clientDataJSON` tells the truth all the same.
    #[must_use]
    pub fn forced_past_the_rules(self) -> Self {
        Self { rules: Rules::ForcedPast, ..self }
    }

    /// `navigator.credentials.create()`: options as your server sends them, in JSON, and what the page sends back, in JSON
    /// (`PublicKeyCredential.toJSON()`).
    ///
    /// A future that is dropped ends the ceremony.
    ///
    /// # Errors
    /// [`Refused`]: what the page sees, who said no, and why.
    pub async fn create(&self, options: impl fmt::Display) -> Result<String, Refused> {
        let options = CreationOptions::from_json_in(&options.to_string(), self.browser).map_err(refused_json)?;
        let mut keys = self.rig.plugged().await.map_err(stopped)?;
        let made = self.page().create(&options, &mut keys, Cancel::never()).await?;
        Ok(made.to_json())
    }

    /// `navigator.credentials.get()`, likewise. Of several accounts on a key the first is taken, unless
    /// [`choosing_user`](Self::choosing_user) says which.
    ///
    /// # Errors
    /// [`Refused`]: what the page sees, who said no, and why.
    pub async fn get(&self, options: impl fmt::Display) -> Result<String, Refused> {
        let options = RequestOptions::from_json_in(&options.to_string(), self.browser).map_err(refused_json)?;
        let mut keys = self.rig.plugged().await.map_err(stopped)?;
        let signed = self.page().get(&options, &mut keys, Cancel::never()).await?;
        Ok(signed.to_json())
    }

    fn page(&self) -> Page {
        let (pins, typed) = (self.rig.pins().clone(), self.typed.clone());
        // Once: a program would make the same mistake until the key is blocked.
        let type_pin = move |asked: &PinRequest| match (asked.mistake, asked.reason) {
            (None, PinReason::Verify | PinReason::Set) => typed.clone().or_else(|| pins.of(&asked.key)),
            _ => None,
        };
        let page =
            Page::new(self.origin.clone()).in_browser(self.browser).with_rules(self.rules).asking_for_pin(type_pin);
        let page = match &self.user {
            Some(user) => page.choosing_user(user.clone()),
            None => page,
        };
        match &self.top_origin {
            Some(top) => page.in_a_frame_of(top.clone()),
            None => page,
        }
    }
}

fn refused_json(error: InvalidJson) -> Refused {
    ClientError::from(error).into()
}

/// There are no keys any more.
fn stopped(error: impl fmt::Display) -> Refused {
    Refused { name: "NotAllowedError".to_owned(), refused_by: RefusedBy::Authenticator, reason: error.to_string() }
}
