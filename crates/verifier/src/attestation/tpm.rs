//! What a TPM says of a key that it holds (WebAuthn Level 3, §8.3; TPM 2.0 Library, Part 2: §10.12.8 `TPMS_ATTEST`, §12.2.4
//! `TPMT_PUBLIC`).

use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::public_key::{Hash, PublicKey};

/// `TPM_GENERATED_VALUE`: what a TPM made itself begins with.
const GENERATED: u32 = 0xff54_4347;

const ST_ATTEST_CERTIFY: u16 = 0x8017;

const ALG_RSA: u16 = 0x0001;
const ALG_SHA256: u16 = 0x000b;
const ALG_SHA384: u16 = 0x000c;
const ALG_SHA512: u16 = 0x000d;
const ALG_NULL: u16 = 0x0010;
const ALG_ECC: u16 = 0x0023;

/// Bytes of `TPMS_CLOCK_INFO`, and of the firmware version behind it.
const CLOCK_AND_FIRMWARE: usize = 17 + 8;

/// What RSA keys have as their exponent that say none (Part 2, §12.2.3.5).
const DEFAULT_EXPONENT: u32 = 65_537;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take(2)?.try_into().map(u16::from_be_bytes).map_err(|_| "it ends too early".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| "it ends too early".to_owned())
    }

    /// A `TPM2B`: a length and bytes.
    fn sized(&mut self) -> Result<&'a [u8], String> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn end(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.0.len())) }
    }
}

/// A public area: the key, and by which hash it is named.
pub(super) struct PublicArea {
    pub(super) key: PublicKey,
    name: Vec<u8>,
}

impl PublicArea {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |problem: String| format!("a pubArea that is no TPMT_PUBLIC: {problem}");
        let mut reader = Reader(bytes);
        let (kind, name_algorithm) = (reader.u16().map_err(wrong)?, reader.u16().map_err(wrong)?);
        let key = read_key(&mut reader, kind).map_err(wrong)?;
        reader.end().map_err(wrong)?;
        let digest = match name_algorithm {
            ALG_SHA256 => Sha256::digest(bytes).to_vec(),
            ALG_SHA384 => Sha384::digest(bytes).to_vec(),
            ALG_SHA512 => Sha512::digest(bytes).to_vec(),
            other => {
                return Err(format!("a pubArea that is named by the hash 0x{other:04x}, which is not supported here"));
            }
        };
        Ok(Self { key, name: [&name_algorithm.to_be_bytes()[..], &digest].concat() })
    }
}

fn read_key(reader: &mut Reader<'_>, kind: u16) -> Result<PublicKey, String> {
    let _attributes = reader.u32()?;
    let _policy = reader.sized()?;
    if reader.u16()? != ALG_NULL {
        // A symmetric algorithm of a storage key: its size and mode.
        reader.take(4)?;
    }
    if reader.u16()? != ALG_NULL {
        // The scheme's hash.
        reader.u16()?;
    }
    match kind {
        ALG_RSA => {
            let _bits = reader.u16()?;
            let exponent = match reader.u32()? {
                0 => DEFAULT_EXPONENT,
                exponent => exponent,
            };
            let exponent = exponent.to_be_bytes();
            let leading = exponent.iter().take_while(|byte| **byte == 0).count();
            let modulus = reader.sized()?.to_vec();
            Ok(PublicKey::Rsa { modulus, exponent: exponent.iter().skip(leading).copied().collect() })
        }
        ALG_ECC => {
            let curve = reader.u16()?;
            if reader.u16()? != ALG_NULL {
                // The hash of the key derivation.
                reader.u16()?;
            }
            let (x, y) = (reader.sized()?, reader.sized()?);
            let sized = || format!("coordinates of {} and {} bytes", x.len(), y.len());
            match curve {
                3 => Ok(PublicKey::P256(point(x, y).ok_or_else(sized)?)),
                4 => Ok(PublicKey::P384(point(x, y).ok_or_else(sized)?)),
                5 => Ok(PublicKey::P521(Box::new(point(x, y).ok_or_else(sized)?))),
                other => Err(format!("a key on the curve 0x{other:04x}, which is not supported here")),
            }
        }
        other => Err(format!("a key of the type 0x{other:04x}, which is not supported here")),
    }
}

/// TPMs leave out zeros in front.
fn point<const N: usize>(x: &[u8], y: &[u8]) -> Option<[u8; N]> {
    let length = (N - 1) / 2;
    let padded = |coordinate: &[u8]| {
        let zeros = length.checked_sub(coordinate.len())?;
        Some([&vec![0; zeros][..], coordinate].concat())
    };
    [&[4][..], &padded(x)?, &padded(y)?].concat().try_into().ok()
}

/// What is wrong with certInfo: that it is not this TPM's word on this key and these bytes.
pub(super) fn certified(info: &[u8], area: &PublicArea, signed: &[u8], hash: Hash) -> Result<(), String> {
    let wrong = |problem: String| format!("a certInfo that is no TPMS_ATTEST: {problem}");
    let mut reader = Reader(info);
    let (magic, kind) = (reader.u32().map_err(wrong)?, reader.u16().map_err(wrong)?);
    if magic != GENERATED {
        return Err(format!("a certInfo whose magic is 0x{magic:08x} and not TPM_GENERATED_VALUE"));
    }
    if kind != ST_ATTEST_CERTIFY {
        return Err(format!("a certInfo of the type 0x{kind:04x} and not TPM_ST_ATTEST_CERTIFY"));
    }
    let _signer = reader.sized().map_err(wrong)?;
    let extra = reader.sized().map_err(wrong)?;
    reader.take(CLOCK_AND_FIRMWARE).map_err(wrong)?;
    let name = reader.sized().map_err(wrong)?;
    let _qualified_name = reader.sized().map_err(wrong)?;
    reader.end().map_err(wrong)?;
    if extra != hash.of(&[signed]) {
        return Err("a certInfo whose extraData is not the hash of authenticator data and client data hash".to_owned());
    }
    if name != area.name {
        return Err("a certInfo that names another key than pubArea".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2048-bit RSA key as Windows' TPMs describe theirs: no symmetric algorithm, no scheme, exponent left out.
    #[test]
    fn an_rsa_key_is_read() {
        let modulus = [&[0xc5][..], &[0x11; 255]].concat();
        let head =
            "0001000b00060472002 09dffcbf36c383ae699fb9868dc6dcb89d7153884be2803922c124158bfad22ae00100010080000000000";
        let mut area = hex::decode(head.replace(' ', "")).unwrap();
        area.extend([&[0x01, 0x00][..], &modulus].concat());
        let read = PublicArea::parse(&area).unwrap();
        assert_eq!(read.key, PublicKey::Rsa { modulus, exponent: vec![1, 0, 1] });
        for end in 0..area.len() {
            assert!(PublicArea::parse(&area[..end]).is_err(), "cut at {end}");
        }
        area.push(0);
        assert!(PublicArea::parse(&area).is_err());
    }

    #[test]
    fn coordinates_without_their_zeros_are_filled_up() {
        let expected: [u8; 65] = [&[4][..], &[0], &[1; 31], &[2; 32]].concat().try_into().unwrap();
        assert_eq!(point::<65>(&[1; 31], &[2; 32]), Some(expected));
        assert_eq!(point::<65>(&[1; 33], &[2; 32]), None);
    }
}
