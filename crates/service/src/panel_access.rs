//! Codes, each of which opens the panel once, and the tokens that they were exchanged for.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::token::Token;

/// How long a code is good.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(15 * 60);

/// How many codes are good at once, and how many tokens: of more, the oldest goes.
const MOST_CODES: usize = 16;
const MOST_TOKENS: usize = 64;

/// Where the panel is, with a code.
pub(crate) fn path_with(code: &str) -> String {
    format!("/#code={code}")
}

#[derive(Debug, Default)]
struct Given {
    codes: VecDeque<(Token, Instant)>,
    tokens: VecDeque<Token>,
}

/// Those of a service.
#[derive(Debug, Default)]
pub(crate) struct PanelAccess(Mutex<Given>);

/// What a code was exchanged for.
#[derive(Debug)]
pub(crate) enum Exchanged {
    Token(Token),
    /// There is no such code, or none any more.
    NotGood,
}

impl PanelAccess {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn make_code(&self) -> Result<Token, getrandom::Error> {
        let code = Token::random()?;
        let codes = &mut self.given().codes;
        if codes.len() >= MOST_CODES {
            codes.pop_front();
        }
        codes.push_back((code.clone(), Instant::now() + CODE_LIFE));
        Ok(code)
    }

    /// Uses a code up.
    pub(crate) fn exchange(&self, offered: &[u8]) -> Result<Exchanged, getrandom::Error> {
        let token = Token::random()?;
        let mut given = self.given();
        let now = Instant::now();
        given.codes.retain(|(_, ends)| *ends > now);
        let before = given.codes.len();
        given.codes.retain(|(code, _)| !code.is(offered));
        if given.codes.len() == before {
            return Ok(Exchanged::NotGood);
        }
        if given.tokens.len() >= MOST_TOKENS {
            given.tokens.pop_front();
        }
        given.tokens.push_back(token.clone());
        Ok(Exchanged::Token(token))
    }

    /// Whether this is a token of a panel. Takes as long whichever of them it is.
    pub(crate) fn knows(&self, offered: &[u8]) -> bool {
        self.given().tokens.iter().fold(false, |known, token| known | token.is(offered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchanged(access: &PanelAccess, code: &Token) -> Option<Token> {
        match access.exchange(code.expose().as_bytes()).unwrap() {
            Exchanged::Token(token) => Some(token),
            Exchanged::NotGood => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_is_good_once_and_for_a_quarter_of_an_hour() {
        let access = PanelAccess::default();
        let [used, late, in_time] = [(); 3].map(|()| access.make_code().unwrap());
        let token = exchanged(&access, &used).unwrap();
        assert!(access.knows(token.expose().as_bytes()));
        assert!(!access.knows(used.expose().as_bytes()), "a code is no token");
        assert!(exchanged(&access, &used).is_none(), "a second time");
        tokio::time::advance(Duration::from_secs(15 * 60 - 1)).await;
        assert!(exchanged(&access, &in_time).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(exchanged(&access, &late).is_none());
        assert!(access.knows(token.expose().as_bytes()), "who is in stays in");
    }

    #[tokio::test]
    async fn of_many_codes_and_tokens_the_latest_are_good() {
        let access = PanelAccess::default();
        let first = access.make_code().unwrap();
        for _ in 0..MOST_CODES {
            access.make_code().unwrap();
        }
        assert!(exchanged(&access, &first).is_none());
        let tokens: Vec<_> =
            (0..=MOST_TOKENS).map(|_| exchanged(&access, &access.make_code().unwrap()).unwrap()).collect();
        assert!(!access.knows(tokens[0].expose().as_bytes()));
        assert!(access.knows(tokens[1].expose().as_bytes()) && access.knows(tokens[MOST_TOKENS].expose().as_bytes()));
    }
}
