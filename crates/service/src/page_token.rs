//! Tokens for pages: each is good for ceremonies of one origin, for a time.

use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyrig_client::{Browser, Origin};
use keyrig_rack::KeyName;
use tokio::time::Instant;

use crate::token::Token;

/// How many are good at once: of more the one goes that ends first.
const MOST: usize = 256;

/// What the page of a token may ask, and with what.
#[derive(Clone, Debug)]
pub(crate) struct ForPage {
    /// Its origin, as a browser writes it.
    pub(crate) origin: String,
    pub(crate) on: Vec<KeyName>,
    pub(crate) pin: Option<String>,
    pub(crate) browser: Option<Browser>,
}

#[derive(Debug)]
struct Given {
    token: Token,
    page: ForPage,
    ends: Instant,
}

/// Those of a service.
#[derive(Debug, Default)]
pub(crate) struct PageTokens(Mutex<Vec<Given>>);

impl PageTokens {
    /// Those that are still good.
    fn good(&self) -> MutexGuard<'_, Vec<Given>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|given| given.ends > now);
        all
    }

    /// What a token is good for. Takes as long whichever of them it is.
    pub(crate) fn page_of(&self, offered: &[u8]) -> Option<ForPage> {
        let good = self.good();
        good.iter().fold(None, |found, given| if given.token.is(offered) { Some(given.page.clone()) } else { found })
    }

    /// Whether pages of an origin have one.
    pub(crate) fn know(&self, origin: &str) -> bool {
        self.good().iter().any(|given| given.page.origin == origin)
    }

    pub(crate) fn give(&self, page: ForPage, life: Duration) -> Result<Token, getrandom::Error> {
        let token = Token::random()?;
        let mut good = self.good();
        if good.len() >= MOST
            && let Some(first) = (0..good.len()).min_by_key(|at| good.get(*at).map(|given| given.ends))
        {
            good.swap_remove(first);
        }
        good.push(Given { token: token.clone(), page, ends: Instant::now() + life });
        Ok(token)
    }

    /// One for an origin, and all keys.
    pub(crate) fn give_to(&self, origin: &str, life: Duration) -> Result<Token, String> {
        let parsed: Origin = origin.parse().map_err(|error| format!("{origin}: {error}"))?;
        let page = ForPage { origin: parsed.to_string(), on: Vec::new(), pin: None, browser: None };
        self.give(page, life).map_err(|error| format!("no random bytes: {error}"))
    }

    /// Ends one, if it is good.
    pub(crate) fn take(&self, token: &str) -> bool {
        let mut good = self.good();
        let before = good.len();
        good.retain(|given| !given.token.is(token.as_bytes()));
        good.len() < before
    }
}
