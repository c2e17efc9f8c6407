//! CTAP1/U2F: raw messages as APDUs (FIDO U2F Raw Message Formats 1.2; framing of ISO/IEC 7816-4:2005 §5.1).
//!
//! [`Apdu`] is the tolerant view, which can also write what no key accepts; [`Request`] the strict one, which an authenticator
//! answers. A response is data and a status word of two bytes behind it.

use core::fmt;

use thiserror::Error;

use crate::cose::PublicKey;

#[cfg(test)]
mod tests;

/// The version string that U2F_VERSION answers.
pub const VERSION: &str = "U2F_V2";

/// The first byte of a registration, from times when it could have had another value.
const RESERVED: u8 = 0x05;

/// Declares the status words that have a name.
macro_rules! status_words {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $spelled:literal;)*) => {
        /// What a response ends with. Every two bytes are exactly one status word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum StatusWord {
            $($(#[$doc])* $name,)*
            /// A word that has no name here.
            Other(UnnamedStatusWord),
        }

        impl From<u16> for StatusWord {
            fn from(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    code => Self::Other(UnnamedStatusWord(code)),
                }
            }
        }

        impl From<StatusWord> for u16 {
            fn from(word: StatusWord) -> Self {
                match word {
                    $(StatusWord::$name => $code,)*
                    StatusWord::Other(UnnamedStatusWord(code)) => code,
                }
            }
        }

        impl fmt::Display for StatusWord {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($spelled),)*
                    Self::Other(UnnamedStatusWord(code)) => write!(f, "status word 0x{code:04X}"),
                }
            }
        }
    };
}

/// A status word without a name: only `StatusWord::from` makes one, so that no named word hides in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnnamedStatusWord(u16);

status_words! {
    /// The command succeeded.
    NoError = 0x9000, "SW_NO_ERROR";
    /// The user has not touched the key yet; of check-only: the key handle is known.
    ConditionsNotSatisfied = 0x6985, "SW_CONDITIONS_NOT_SATISFIED";
    /// The command is not allowed now: U2F is disabled by `alwaysUv` (CTAP 2.3 §7.2.4).
    CommandNotAllowed = 0x6986, "SW_COMMAND_NOT_ALLOWED";
    /// The key handle is not known.
    WrongData = 0x6A80, "SW_WRONG_DATA";
    /// P1 has a value that the instruction does not have.
    IncorrectP1P2 = 0x6A86, "SW_INCORRECT_P1P2";
    /// The length of the message or of its data is wrong.
    WrongLength = 0x6700, "SW_WRONG_LENGTH";
    /// The class byte is not 0.
    ClaNotSupported = 0x6E00, "SW_CLA_NOT_SUPPORTED";
    /// The instruction is not known.
    InsNotSupported = 0x6D00, "SW_INS_NOT_SUPPORTED";
    /// Something else went wrong.
    UnknownError = 0x6F00, "SW_UNKNOWN";
}

impl core::error::Error for StatusWord {}

impl StatusWord {
    /// A response of nothing but the status word.
    #[must_use]
    pub fn response(self) -> Vec<u8> {
        u16::from(self).to_be_bytes().to_vec()
    }
}

/// How lengths are encoded in an APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// In one byte: data of at most 255 bytes.
    Short,
    /// In three bytes and two: data of at most 65535 bytes. What CTAPHID_MSG wants (U2F HID Protocol 1.2 §3.1).
    Extended,
}

/// A command APDU, whatever is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apdu {
    /// `CLA`.
    pub class: u8,
    /// `INS`.
    pub instruction: u8,
    /// `P1`.
    pub p1: u8,
    /// `P2`.
    pub p2: u8,
    /// The request data.
    pub data: Vec<u8>,
}

impl Apdu {
    /// Parses a message. Data may be absent, `Le` too, and what `Le` says is not looked at: an answer over CTAPHID is never cut.
    ///
    /// # Errors
    /// [`StatusWord::WrongLength`] if lengths and bytes do not fit; [`StatusWord::ClaNotSupported`] before that if the class is
    /// not 0, as it decides how lengths are encoded.
    pub fn decode(message: &[u8]) -> Result<Self, StatusWord> {
        if message.first().is_some_and(|class| *class != 0) {
            return Err(StatusWord::ClaNotSupported);
        }
        let ([class, instruction, p1, p2], rest) = message.split_first_chunk().ok_or(StatusWord::WrongLength)?;
        let data = match rest {
            // No data; and, with one byte or a zero and two bytes, the length of the answer that is wanted.
            [] | [_] | [0, _, _] => &[],
            [0, high, low, rest @ ..] => data_before(rest, u16::from_be_bytes([*high, *low]), 2)?,
            [length, rest @ ..] => data_before(rest, u16::from(*length), 1)?,
        };
        Ok(Self { class: *class, instruction: *instruction, p1: *p1, p2: *p2, data: data.to_vec() })
    }

    /// The message, which asks for an answer of any length. Data that is too long for the encoding is cut where its length
    /// would wrap.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut message = vec![self.class, self.instruction, self.p1, self.p2];
        let length = u16::try_from(self.data.len()).unwrap_or(u16::MAX);
        match encoding {
            Encoding::Short => {
                let length = u8::try_from(length).unwrap_or(u8::MAX);
                if length > 0 {
                    message.push(length);
                    message.extend(self.data.iter().take(usize::from(length)));
                }
                message.push(0);
            }
            Encoding::Extended => {
                message.push(0);
                if length > 0 {
                    message.extend_from_slice(&length.to_be_bytes());
                    message.extend(self.data.iter().take(usize::from(length)));
                }
                message.extend_from_slice(&[0, 0]);
            }
        }
        message
    }
}

/// `length` bytes of data, with `Le` behind them in `le` bytes or without.
fn data_before(rest: &[u8], length: u16, le: usize) -> Result<&[u8], StatusWord> {
    let (data, behind) = rest.split_at_checked(usize::from(length)).ok_or(StatusWord::WrongLength)?;
    // A short length of zero is none: the byte would have been Le.
    let some = length > 0 || le == 2;
    if some && (behind.is_empty() || behind.len() == le) { Ok(data) } else { Err(StatusWord::WrongLength) }
}

/// What `INS` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// 0x01, U2F_REGISTER.
    Register,
    /// 0x02, U2F_AUTHENTICATE.
    Authenticate,
    /// 0x03, U2F_VERSION.
    Version,
    /// Any other byte; 0x40 to 0xBF belong to vendors.
    Other(u8),
}

impl From<u8> for Instruction {
    fn from(byte: u8) -> Self {
        match byte {
            0x01 => Self::Register,
            0x02 => Self::Authenticate,
            0x03 => Self::Version,
            other => Self::Other(other),
        }
    }
}

impl From<Instruction> for u8 {
    fn from(instruction: Instruction) -> Self {
        match instruction {
            Instruction::Register => 0x01,
            Instruction::Authenticate => 0x02,
            Instruction::Version => 0x03,
            Instruction::Other(byte) => byte,
        }
    }
}

/// As the specification spells it.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register => f.write_str("U2F_REGISTER"),
            Self::Authenticate => f.write_str("U2F_AUTHENTICATE"),
            Self::Version => f.write_str("U2F_VERSION"),
            Self::Other(byte) => write!(f, "INS(0x{byte:02X})"),
        }
    }
}

/// The control byte of U2F_AUTHENTICATE, P1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// 0x07 `check-only`: whether the key handle is known.
    CheckOnly,
    /// 0x03 `enforce-user-presence-and-sign`.
    EnforceUserPresenceAndSign,
    /// 0x08 `dont-enforce-user-presence-and-sign`.
    DontEnforceUserPresenceAndSign,
}

impl Control {
    fn byte(self) -> u8 {
        match self {
            Self::CheckOnly => 0x07,
            Self::EnforceUserPresenceAndSign => 0x03,
            Self::DontEnforceUserPresenceAndSign => 0x08,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::CheckOnly, Self::EnforceUserPresenceAndSign, Self::DontEnforceUserPresenceAndSign]
            .into_iter()
            .find(|control| control.byte() == byte)
    }
}

/// A request as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// U2F_REGISTER.
    Register {
        /// The challenge parameter: SHA-256 of the client data.
        challenge: [u8; 32],
        /// The application parameter: SHA-256 of the AppID, or of the RP ID.
        application: [u8; 32],
    },
    /// U2F_AUTHENTICATE.
    Authenticate {
        /// P1.
        control: Control,
        /// The challenge parameter: SHA-256 of the client data.
        challenge: [u8; 32],
        /// The application parameter: SHA-256 of the AppID, or of the RP ID.
        application: [u8; 32],
        /// The key handle, at most 255 bytes.
        key_handle: Vec<u8>,
    },
    /// U2F_VERSION.
    Version,
}

impl Request {
    /// Parses a whole message.
    ///
    /// P1 of a registration and P2 are not looked at: clients put old flags there.
    ///
    /// # Errors
    /// The status word that an authenticator answers: for the class, then for the encoding, the instruction, its data's length
    /// and P1.
    pub fn decode(message: &[u8]) -> Result<Self, StatusWord> {
        let Apdu { instruction, p1, data, .. } = Apdu::decode(message)?;
        match Instruction::from(instruction) {
            Instruction::Register => {
                let (challenge, rest) = data.split_first_chunk().ok_or(StatusWord::WrongLength)?;
                let application = rest.try_into().map_err(|_| StatusWord::WrongLength)?;
                Ok(Self::Register { challenge: *challenge, application })
            }
            Instruction::Authenticate => {
                let (challenge, rest) = data.split_first_chunk().ok_or(StatusWord::WrongLength)?;
                let (application, rest) = rest.split_first_chunk().ok_or(StatusWord::WrongLength)?;
                let (length, key_handle) = rest.split_first().ok_or(StatusWord::WrongLength)?;
                if key_handle.len() != usize::from(*length) {
                    return Err(StatusWord::WrongLength);
                }
                let control = Control::from_byte(p1).ok_or(StatusWord::IncorrectP1P2)?;
                Ok(Self::Authenticate {
                    control,
                    challenge: *challenge,
                    application: *application,
                    key_handle: key_handle.to_vec(),
                })
            }
            Instruction::Version if data.is_empty() => Ok(Self::Version),
            Instruction::Version => Err(StatusWord::WrongLength),
            Instruction::Other(_) => Err(StatusWord::InsNotSupported),
        }
    }

    /// The request as an APDU. A key handle of more than 255 bytes has no encoding and is cut there.
    #[must_use]
    pub fn apdu(&self) -> Apdu {
        let (instruction, p1, data) = match self {
            Self::Register { challenge, application } => {
                (Instruction::Register, 0, [*challenge, *application].concat())
            }
            Self::Authenticate { control, challenge, application, key_handle } => {
                let length = u8::try_from(key_handle.len()).unwrap_or(u8::MAX);
                let mut data = [*challenge, *application].concat();
                data.push(length);
                data.extend(key_handle.iter().take(usize::from(length)));
                (Instruction::Authenticate, control.byte(), data)
            }
            Self::Version => (Instruction::Version, 0, Vec::new()),
        };
        Apdu { class: 0, instruction: instruction.into(), p1, p2: 0, data }
    }

    /// The whole message.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        self.apdu().encode(encoding)
    }
}

/// Splits a response into its data and its status word.
///
/// # Errors
/// The status word, if it is not [`StatusWord::NoError`]; [`StatusWord::WrongLength`] if there is none.
pub fn parse_response(message: &[u8]) -> Result<&[u8], StatusWord> {
    let (data, word) = message.split_last_chunk().ok_or(StatusWord::WrongLength)?;
    match StatusWord::from(u16::from_be_bytes(*word)) {
        StatusWord::NoError => Ok(data),
        word => Err(word),
    }
}

/// Data with [`StatusWord::NoError`] behind it.
#[must_use]
pub fn success(mut data: Vec<u8>) -> Vec<u8> {
    data.extend_from_slice(&u16::from(StatusWord::NoError).to_be_bytes());
    data
}

/// Why bytes are not the data of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It ends too early.
    #[error("the response ends inside the {0}")]
    Truncated(&'static str),
    /// A registration begins with another byte than 0x05.
    #[error("a registration begins with 0x{0:02X} instead of 0x05")]
    Reserved(u8),
    /// The attestation certificate is not a DER SEQUENCE, so that nothing says where it ends.
    #[error("the attestation certificate is not a DER SEQUENCE")]
    Certificate,
}

/// The data of a successful U2F_REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The user public key: an uncompressed point on P-256.
    pub public_key: [u8; 65],
    /// The key handle, at most 255 bytes.
    pub key_handle: Vec<u8>,
    /// The attestation certificate, DER.
    pub certificate: Vec<u8>,
    /// The attestation signature over [`Registration::signed`], DER.
    pub signature: Vec<u8>,
}

impl Registration {
    /// The public key as WebAuthn has it (Level 3 §8.6, step 1 of signing turned around); `None` if it is not an uncompressed point.
    #[must_use]
    pub fn cose_key(&self) -> Option<PublicKey> {
        let (form, coordinates) = self.public_key.split_first()?;
        let (x, y) = coordinates.split_at_checked(32)?;
        (*form == 0x04).then_some(PublicKey::Es256 { x: x.try_into().ok()?, y: y.try_into().ok()? })
    }

    /// What is signed: a reserved byte, application and challenge parameter, key handle, public key.
    #[must_use]
    pub fn signed(application: &[u8; 32], challenge: &[u8; 32], key_handle: &[u8], public_key: &[u8; 65]) -> Vec<u8> {
        [&[0x00], &application[..], challenge, key_handle, public_key].concat()
    }

    /// The data. A key handle of more than 255 bytes has no encoding and is cut there.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = u8::try_from(self.key_handle.len()).unwrap_or(u8::MAX);
        let key_handle = self.key_handle.get(..usize::from(length)).unwrap_or_default();
        [&[RESERVED], &self.public_key[..], &[length], key_handle, &self.certificate, &self.signature].concat()
    }

    /// Reads the data of a response.
    ///
    /// # Errors
    /// [`Invalid`]. Whether point, certificate and signature are right is for the verifier to find out.
    pub fn decode(data: &[u8]) -> Result<Self, Invalid> {
        let (reserved, rest) = data.split_first().ok_or(Invalid::Truncated("reserved byte"))?;
        if *reserved != RESERVED {
            return Err(Invalid::Reserved(*reserved));
        }
        let (public_key, rest) = rest.split_first_chunk().ok_or(Invalid::Truncated("public key"))?;
        let (length, rest) = rest.split_first().ok_or(Invalid::Truncated("key handle's length"))?;
        let (key_handle, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Invalid::Truncated("key handle"))?;
        let end = der_sequence_length(rest).ok_or(Invalid::Certificate)?;
        let (certificate, signature) = rest.split_at_checked(end).ok_or(Invalid::Truncated("certificate"))?;
        if signature.is_empty() {
            return Err(Invalid::Truncated("signature"));
        }
        Ok(Self {
            public_key: *public_key,
            key_handle: key_handle.to_vec(),
            certificate: certificate.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

/// How long the DER SEQUENCE at the start of `bytes` says that it is, head included (X.690 §8.1.3, §10.1).
fn der_sequence_length(bytes: &[u8]) -> Option<usize> {
    let (head, length) = match *bytes {
        [0x30, length @ 0..=0x7F, ..] => (2, usize::from(length)),
        [0x30, 0x81, length @ 0x80..=0xFF, ..] => (3, usize::from(length)),
        [0x30, 0x82, high @ 1..=0xFF, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    Some(head + length)
}

/// The data of a successful U2F_AUTHENTICATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The user presence byte: bit 0 is set if the user was there.
    pub user_presence: u8,
    /// The counter.
    pub counter: u32,
    /// The signature over application parameter, user presence byte, counter and challenge parameter, DER.
    pub signature: Vec<u8>,
}

impl Authentication {
    /// The data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&[self.user_presence], &self.counter.to_be_bytes()[..], &self.signature].concat()
    }

    /// Reads the data of a response.
    ///
    /// # Errors
    /// [`Invalid::Truncated`].
    pub fn decode(data: &[u8]) -> Result<Self, Invalid> {
        let (user_presence, rest) = data.split_first().ok_or(Invalid::Truncated("user presence byte"))?;
        let (counter, signature) = rest.split_first_chunk().ok_or(Invalid::Truncated("counter"))?;
        if signature.is_empty() {
            return Err(Invalid::Truncated("signature"));
        }
        Ok(Self { user_presence: *user_presence, counter: u32::from_be_bytes(*counter), signature: signature.to_vec() })
    }
}
