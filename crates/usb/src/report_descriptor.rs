//! Reads a HID report descriptor as far as one must to know a FIDO device (HID 1.11 §6.2.2).
//!
//! Hosts do not look at names or ids: a device is a security key if its top-level collection has
//! usage page 0xF1D0 and usage 1.

use thiserror::Error;

/// The usage page of the FIDO Alliance.
pub const FIDO_USAGE_PAGE: u32 = 0xf1d0;
/// The usage of a CTAPHID device on that page.
pub const FIDO_USAGE: u32 = 0x01;

/// The longest report that is believed, in bytes.
const MAX_REPORT_SIZE: u32 = 4096;

// The prefix byte of a short item without its size bits (HID 1.11 §6.2.2.4 to §6.2.2.8).
const INPUT: u8 = 0x80;
const OUTPUT: u8 = 0x90;
const COLLECTION: u8 = 0xa0;
const END_COLLECTION: u8 = 0xc0;
const USAGE_PAGE: u8 = 0x04;
const REPORT_SIZE: u8 = 0x74;
const REPORT_ID: u8 = 0x84;
const REPORT_COUNT: u8 = 0x94;
const PUSH: u8 = 0xa4;
const POP: u8 = 0xb4;
const USAGE: u8 = 0x08;
/// The prefix of a long item, which no device uses.
const LONG_ITEM: u8 = 0xfe;
const APPLICATION: u32 = 0x01;

/// The reports of a FIDO device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FidoReports {
    /// The size of the input report, from the key to the host.
    pub input: u32,
    /// The size of the output report, from the host to the key.
    pub output: u32,
}

/// Why a report descriptor is not that of a FIDO device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotFido {
    /// The descriptor ends within an item or a collection, or cannot be read otherwise.
    #[error("the report descriptor is malformed at byte {offset}")]
    Malformed {
        /// The offset of the item that is wrong.
        offset: usize,
    },
    /// The top-level collection is for something else.
    #[error("the usage is {usage:#x} on page {page:#06x}, a FIDO device has 0x1 on page 0xf1d0")]
    Usage {
        /// The usage page of the first top-level collection, 0 if there is none.
        page: u32,
        /// Its usage, 0 if there is none.
        usage: u32,
    },
    /// The device numbers its reports, which CTAPHID does not know.
    #[error("the reports have ids")]
    ReportIds,
}

#[derive(Clone, Copy, Default)]
struct Globals {
    page: u32,
    size: u32,
    count: u32,
}

/// Reads a report descriptor.
///
/// # Errors
///
/// Why this is not a FIDO device.
pub fn parse(descriptor: &[u8]) -> Result<FidoReports, NotFido> {
    let mut globals = Globals::default();
    let mut saved = None;
    let mut usage = None;
    let mut depth = 0_u32;
    let mut top = None;
    let mut bits = FidoReports { input: 0, output: 0 };
    let mut rest = descriptor;
    while let Some((&prefix, after)) = rest.split_first() {
        let malformed = NotFido::Malformed { offset: descriptor.len() - rest.len() };
        if prefix == LONG_ITEM {
            return Err(malformed);
        }
        let size = match prefix & 0x03 {
            3 => 4,
            size => usize::from(size),
        };
        let (data, after) = after.split_at_checked(size).ok_or(malformed)?;
        rest = after;
        let value = data.iter().rev().fold(0_u32, |value, &byte| (value << 8) | u32::from(byte));
        match prefix & 0xfc {
            USAGE_PAGE => globals.page = value,
            REPORT_SIZE => globals.size = value,
            REPORT_COUNT => globals.count = value,
            REPORT_ID => return Err(NotFido::ReportIds),
            PUSH => saved = Some(globals),
            POP => globals = saved.take().ok_or(malformed)?,
            // A usage of four bytes brings its page along.
            USAGE if size == 4 => usage = usage.or(Some((value >> 16, value & 0xffff))),
            USAGE => usage = usage.or(Some((globals.page, value))),
            main @ (INPUT | OUTPUT) => {
                let total = globals
                    .size
                    .checked_mul(globals.count)
                    .filter(|&total| depth > 0 && total <= MAX_REPORT_SIZE * 8)
                    .ok_or(malformed)?;
                let sum = if main == INPUT { &mut bits.input } else { &mut bits.output };
                *sum = sum.checked_add(total).filter(|&sum| sum <= MAX_REPORT_SIZE * 8).ok_or(malformed)?;
                usage = None;
            }
            COLLECTION => {
                if depth == 0 && value == APPLICATION && top.is_none() {
                    top = usage.or(Some((globals.page, 0)));
                }
                depth += 1;
                usage = None;
            }
            END_COLLECTION => {
                depth = depth.checked_sub(1).ok_or(malformed)?;
                usage = None;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(NotFido::Malformed { offset: descriptor.len() });
    }
    let (page, usage) = top.unwrap_or_default();
    if (page, usage) != (FIDO_USAGE_PAGE, FIDO_USAGE) {
        return Err(NotFido::Usage { page, usage });
    }
    Ok(FidoReports { input: bits.input.div_ceil(8), output: bits.output.div_ceil(8) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIDO: &str = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0";
    /// The boot keyboard of HID 1.11 appendix E.6.
    const KEYBOARD: &str = concat!(
        "05010906a101050719e029e71500250175019508810295017508810195057501050819012905",
        "91029501750391019506750815002565050719002965",
        "8100c0"
    );

    #[test]
    fn only_usage_1_on_page_f1d0_with_unnumbered_reports_is_a_fido_device() {
        let cases = [
            (FIDO, Ok(FidoReports { input: 64, output: 64 })),
            (KEYBOARD, Err(NotFido::Usage { page: 0x01, usage: 0x06 })),
            // The page within the usage item.
            ("0b0100d0f1a101750895409102750895088102c0", Ok(FidoReports { input: 8, output: 64 })),
            ("", Err(NotFido::Usage { page: 0, usage: 0 })),
            ("06d0f10902a101c0", Err(NotFido::Usage { page: 0xf1d0, usage: 2 })),
            ("06d0f10901a1018501c0", Err(NotFido::ReportIds)),
            ("06d0f10901a101", Err(NotFido::Malformed { offset: 7 })),
            ("06d0", Err(NotFido::Malformed { offset: 0 })),
            ("c0", Err(NotFido::Malformed { offset: 0 })),
            ("b4", Err(NotFido::Malformed { offset: 0 })),
            ("fe0000", Err(NotFido::Malformed { offset: 0 })),
            ("06d0f10901a10177ffffffff97ffffffff8102c0", Err(NotFido::Malformed { offset: 17 })),
        ];
        for (descriptor, expected) in cases {
            assert_eq!(parse(&hex::decode(descriptor).unwrap()), expected, "{descriptor}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_descriptor_makes_the_parser_panic(descriptor: Vec<u8>) {
            let _: Result<FidoReports, NotFido> = parse(&descriptor);
        }
    }
}
