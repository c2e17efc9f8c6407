//! The token by which those who may ask are known.

use core::fmt;
use core::str::FromStr;

use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// The randomness in a token, bytes.
const RANDOM: usize = 32;

/// The longest token that is taken, bytes: it has to fit into a header.
const LONGEST: usize = 1024;

/// A bearer token (RFC 6750). Its `Debug` does not tell it.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidToken {
    /// It is empty.
    #[error("the token is empty")]
    Empty,
    /// It is too long for a header.
    #[error("the token has {0} bytes: it has {LONGEST} at most")]
    TooLong(usize),
    /// No header carries it.
    #[error("the token has a character that no header carries: use letters, digits and -._~+/=")]
    Character,
}

impl Token {
    /// A new token that nobody can guess.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; RANDOM]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self(Zeroizing::new(hex::encode(bytes.as_ref()))))
    }

    /// Whether this is it. Takes as long wherever the two differ.
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(offered).into()
    }

    /// It, to be told to whom it is for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    /// The characters are those of RFC 6750 §2.1.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let carried = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        match text.len() {
            0 => Err(InvalidToken::Empty),
            length if length > LONGEST => Err(InvalidToken::TooLong(length)),
            _ if !text.bytes().all(carried) => Err(InvalidToken::Character),
            _ => Ok(Self(Zeroizing::new(text.to_owned()))),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_alone_and_no_log_has_it() {
        let token: Token = "abc-._~+/=123".parse().unwrap();
        assert!(token.is(b"abc-._~+/=123"));
        for other in [&b""[..], b"abc", b"abc-._~+/=124", b"Abc-._~+/=123", b"abc-._~+/=123 "] {
            assert!(!token.is(other), "{other:?}");
        }
        assert!(!format!("{token:?}").contains("abc"));
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert!(!one.is(other.expose().as_bytes()));
        assert!(one.expose().parse::<Token>().unwrap().is(one.expose().as_bytes()));
    }

    #[test]
    fn what_no_header_carries_is_no_token() {
        for (text, expected) in [
            ("", InvalidToken::Empty),
            ("a b", InvalidToken::Character),
            ("a\n", InvalidToken::Character),
            ("schlüssel", InvalidToken::Character),
            (&"x".repeat(1025), InvalidToken::TooLong(1025)),
        ] {
            assert_eq!(text.parse::<Token>().unwrap_err(), expected);
        }
    }
}
