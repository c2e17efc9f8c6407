//! What a field of behaviour can be: how it is read from a profile, and shown.

use keyrig_ctap::Status;
use toml::Value as Toml;

use crate::credential::SHORTEST_ID;

/// A type of a field of [`Behaviour`](super::Behaviour).
pub(super) trait Value: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What would be allowed.
    fn read(value: &Toml) -> Result<Self, String>;

    /// As it is shown to people.
    fn shown(&self) -> String;
}

impl Value for bool {
    fn read(value: &Toml) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("{value} is neither true nor false"))
    }

    fn shown(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Value for u8 {
    fn read(value: &Toml) -> Result<Self, String> {
        let number = value.as_integer().and_then(|number| number.try_into().ok());
        number.ok_or_else(|| format!("{value} is not a number from 0 to 255"))
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for Status {
    fn read(value: &Toml) -> Result<Self, String> {
        match u8::read(value)?.into() {
            Self::Ok | Self::Other(_) => Err(format!("{value} is no status of a refusal")),
            status => Ok(status),
        }
    }

    fn shown(&self) -> String {
        format!("{self} (0x{:02X})", u8::from(*self))
    }
}

impl<T: Value> Value for Option<T> {
    fn read(value: &Toml) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::shown)
    }
}

/// How many bytes the ids of new credentials have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdLength(u16);

impl IdLength {
    pub(super) const DEFAULT: Self = Self(64);

    /// The length, bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0.into()
    }
}

impl Value for IdLength {
    /// A credential that lives in its own id takes more than the 16 bytes of a stored one: so a length below that is for
    /// [`StoredIdLength`] alone. WebAuthn Level 3 §6.5.1 has at most 1023.
    fn read(value: &Toml) -> Result<Self, String> {
        length(value, SHORTEST_ID).map(Self)
    }

    fn shown(&self) -> String {
        format!("{} bytes", self.0)
    }
}

/// How many bytes the ids of new discoverable credentials have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredIdLength(u16);

impl StoredIdLength {
    /// The length, bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0.into()
    }
}

impl Value for StoredIdLength {
    /// WebAuthn Level 3 §4 (Credential ID) has at least 16 bytes.
    fn read(value: &Toml) -> Result<Self, String> {
        length(value, 16).map(Self)
    }

    fn shown(&self) -> String {
        format!("{} bytes", self.0)
    }
}

fn length(value: &Toml, shortest: usize) -> Result<u16, String> {
    let number = value.as_integer().and_then(|number| u16::try_from(number).ok());
    number
        .filter(|number| usize::from(*number) >= shortest && *number <= 1023)
        .ok_or_else(|| format!("{value}: such a credential id has {shortest} to 1023 bytes"))
}

/// An enum that is written as a word.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
        }

        impl Value for $name {
            fn read(value: &toml::Value) -> Result<Self, String> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$case),)*
                    _ => Err(format!("{value} is none of {}", [$($word),*].join(", "))),
                }
            }

            fn shown(&self) -> String {
                match self { $(Self::$case => $word,)* }.to_owned()
            }
        }
    )*};
}
pub(super) use words;
