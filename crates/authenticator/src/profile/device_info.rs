//! What a YubiKey tells its maker's tools: pages of tag, length and value, which CTAPHID vendor command 0x42 reads.

use serde::{Deserialize, Deserializer};

use super::source::{Known, Source};

const USB_SUPPORTED: u8 = 0x01;
const SERIAL_NUMBER: u8 = 0x02;
const USB_ENABLED: u8 = 0x03;
const CONFIGURATION_LOCK: u8 = 0x0A;
const NFC_SUPPORTED: u8 = 0x0D;
const NFC_ENABLED: u8 = 0x0E;

/// The applications FIDO2 (0x0200) and U2F (0x0002).
const FIDO: u16 = 0x0202;

/// The device information of a YubiKey, as a profile's table `device_info` says.
///
/// The pages are those of a real key. Told otherwise than there: the serial number, which is the key's own; that the configuration is
/// locked, as nothing here can change it; and which applications are enabled: FIDO2 and U2F over USB, unless the key shows itself as
/// one that has all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceInfo {
    #[serde(deserialize_with = "pages")]
    pages: Vec<Vec<Entry>>,
    known: Known,
    from: String,
    /// Whether it tells of applications that it has not.
    #[serde(skip)]
    all_applications: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    tag: u8,
    value: Vec<u8>,
}

impl DeviceInfo {
    /// The page of this number, from 0: its length in one byte, and its entries. None if there is no such page.
    #[must_use]
    pub fn page(&self, number: u8, serial_number: u32) -> Option<Vec<u8>> {
        let mut page = vec![0];
        for Entry { tag, value } in self.pages.get(usize::from(number))? {
            let told = match *tag {
                SERIAL_NUMBER => serial_number.to_be_bytes().to_vec(),
                CONFIGURATION_LOCK => vec![1],
                USB_ENABLED if self.all_applications => self.applications(USB_SUPPORTED).to_be_bytes().to_vec(),
                USB_ENABLED => (self.applications(USB_SUPPORTED) & FIDO).to_be_bytes().to_vec(),
                NFC_ENABLED if self.all_applications => self.applications(NFC_SUPPORTED).to_be_bytes().to_vec(),
                NFC_ENABLED => vec![0, 0],
                _ => value.clone(),
            };
            page.extend([*tag, length(&told)]);
            page.extend(told);
        }
        let told = page.len() - 1;
        *page.first_mut()? = u8::try_from(told).expect("it was measured when it was read, and nothing told is longer");
        Some(page)
    }

    /// Where it is known from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source { known: self.known, from: self.from.clone() }
    }

    /// Has it tell of all applications that its original has. False if that has none beside FIDO.
    pub(super) fn tell_all_applications(&mut self) -> bool {
        self.all_applications = self.applications(USB_SUPPORTED) & !FIDO != 0;
        self.all_applications
    }

    fn applications(&self, tag: u8) -> u16 {
        let entry = self.pages.iter().flatten().find(|entry| entry.tag == tag);
        entry.and_then(|entry| entry.value.first_chunk()).map_or(0, |applications| u16::from_be_bytes(*applications))
    }
}

fn length(value: &[u8]) -> u8 {
    u8::try_from(value.len()).expect("a value was read with a length of one byte")
}

fn pages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<Entry>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let pages = texts.iter().map(|text| page(text)).collect::<Result<Vec<_>, _>>();
    let pages = pages.and_then(|pages| {
        let first = pages.first().map(Vec::as_slice).unwrap_or_default();
        let tells = |tag| first.iter().any(|entry| entry.tag == tag);
        (tells(USB_SUPPORTED) && tells(USB_ENABLED))
            .then_some(pages)
            .ok_or_else(|| "the first page has tags 01 and 03".to_owned())
    });
    pages.map_err(serde::de::Error::custom)
}

fn page(text: &str) -> Result<Vec<Entry>, String> {
    let digits = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let digits = digits.collect::<Option<Vec<_>>>().filter(|digits| digits.len().is_multiple_of(2));
    let digits = digits.ok_or_else(|| format!("{text:?} is not hexadecimal"))?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if bytes.len() > usize::from(u8::MAX) {
        return Err(format!("a page has at most 255 bytes, and this has {}", bytes.len()));
    }
    let mut entries = Vec::new();
    let mut rest = bytes.as_slice();
    while let [tag, length, behind @ ..] = rest {
        let Some((value, behind)) = behind.split_at_checked(usize::from(*length)) else { break };
        let wanted = match *tag {
            USB_SUPPORTED | USB_ENABLED | NFC_SUPPORTED | NFC_ENABLED => Some(2),
            SERIAL_NUMBER => Some(4),
            CONFIGURATION_LOCK => Some(1),
            _ => None,
        };
        if wanted.is_some_and(|wanted| wanted != value.len()) {
            return Err(format!("tag {tag:02X} has {} bytes, and this has {length}", wanted.unwrap_or_default()));
        }
        entries.push(Entry { tag: *tag, value: value.to_vec() });
        rest = behind;
    }
    if rest.is_empty() { Ok(entries) } else { Err(format!("{text:?} is not made of tags, lengths and values")) }
}
