//! Tokens for pages: each is good for ceremonies of one origin, for a time; or of whichever origin a page has, for a browser that is a
//! test's own.

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
    /// Its origin, as a browser writes it; without one, whichever its browser says.
    pub(crate) origin: Option<String>,
    pub(crate) on: Vec<KeyName>,
    pub(crate) pin: Option<String>,
    pub(crate) browser: Option<Browser>,
}

impl ForPage {
    /// The same for a page of which a browser says that it has this origin, if it is good for it.
    pub(crate) fn of(self, origin: &str) -> Option<Self> {
        let is_good = match &self.origin {
            Some(own) => own == origin,
            None => origin != "null" && origin.parse::<Origin>().is_ok_and(|parsed| parsed.to_string() == origin),
        };
        is_good.then(|| Self { origin: Some(origin.to_owned()), ..self })
    }

    /// What a page asks with that says to be at an origin, and of these members those that it has beside: they are not its to say.
    pub(crate) fn for_page_at(self, claimed: &str, said: &[(&'static str, bool)]) -> Result<Self, NotForPage> {
        if !self.is_of(claimed) {
            return Err(NotForPage::OtherOrigin);
        }
        match said.iter().find(|(_, is_said)| *is_said) {
            Some((member, _)) => Err(NotForPage::Member(member)),
            None => Ok(self),
        }
    }

    /// Whether this is what a page may say of where it is.
    fn is_of(&self, claimed: &str) -> bool {
        let claimed = claimed.parse::<Origin>().map(|origin| origin.to_string());
        claimed.is_ok_and(|claimed| self.origin.as_ref() == Some(&claimed))
    }
}

/// Why a page does not get what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotForPage {
    /// It is of another origin.
    OtherOrigin,
    /// This member is for whoever made its token to say.
    Member(&'static str),
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
        self.good().iter().any(|given| given.page.clone().of(origin).is_some())
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

    /// Ends one, if it is good.
    pub(crate) fn take(&self, token: &str) -> bool {
        let mut good = self.good();
        let before = good.len();
        good.retain(|given| !given.token.is(token.as_bytes()));
        good.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_any_page_is_good_for_what_its_browser_says_that_it_is() {
        let any = ForPage { origin: None, on: Vec::new(), pin: None, browser: None };
        for origin in ["https://login.example.com", "http://localhost:8080", "https://example.com:8443"] {
            let page = any.clone().of(origin).unwrap();
            assert!(page.is_of(origin) && !page.is_of("https://example.net"));
            assert!(page.of("https://example.net").is_none());
        }
        for other in ["null", "", "https://login.example.com/", "HTTPS://login.example.com", "https://example.com:443"]
        {
            assert!(any.clone().of(other).is_none(), "{other}");
        }
    }
}
