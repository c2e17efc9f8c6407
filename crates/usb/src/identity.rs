//! What a device says it is: the part of the descriptors that the caller chooses.
//!
//! Checked once when the device is plugged, so that building a descriptor cannot fail.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most UTF-16 code units that a string descriptor holds: bLength is one byte and counts the
/// two bytes of the descriptor's own header (USB 2.0 §9.6.7).
const MAX_STRING_UNITS: usize = 126;

/// The USB identity of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// idVendor.
    pub vendor_id: u16,
    /// idProduct.
    pub product_id: u16,
    /// bcdDevice, the device's release number in binary-coded decimal: 0x0543 is 5.43.
    pub bcd_device: u16,
    /// iManufacturer's string. libfido2 skips devices that have none.
    pub manufacturer: String,
    /// iProduct's string. libfido2 skips devices that have none.
    pub product: String,
    /// iSerialNumber's string, printable ASCII; most security keys have none.
    pub serial: Option<String>,
    /// bInterval of both interrupt endpoints, in milliseconds at full speed, 1 to 255.
    pub interval: u8,
}

impl Default for Identity {
    /// A testing product id of pid.codes: a device that cannot be mistaken for a product.
    fn default() -> Self {
        Self {
            vendor_id: 0x1209,
            product_id: 0x0001,
            bcd_device: 0x0100,
            manufacturer: "keyrig".to_owned(),
            product: "keyrig".to_owned(),
            serial: None,
            interval: 2,
        }
    }
}

impl Identity {
    /// Says whether this identity can be put into descriptors that hosts accept.
    ///
    /// # Errors
    ///
    /// The first field that cannot.
    pub fn check(&self) -> Result<(), IdentityError> {
        let strings = [
            ("manufacturer", Some(&self.manufacturer)),
            ("product", Some(&self.product)),
            ("serial", self.serial.as_ref()),
        ];
        for (field, text) in strings {
            let Some(text) = text else { continue };
            let units = text.encode_utf16().count();
            if units == 0 {
                return Err(IdentityError::Empty { field });
            }
            if units > MAX_STRING_UNITS {
                return Err(IdentityError::TooLong { field, units });
            }
        }
        if let Some(serial) = &self.serial
            && !serial.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(IdentityError::SerialNotAscii);
        }
        if self.interval == 0 {
            return Err(IdentityError::IntervalZero);
        }
        Ok(())
    }
}

/// The caller's mistake in an [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// A string is there but empty; libfido2 passes over such devices.
    #[error("the {field} string is empty: give it a text")]
    Empty {
        /// The field of [`Identity`].
        field: &'static str,
    },
    /// A string does not fit into a string descriptor.
    #[error("the {field} string has {units} UTF-16 units: a string descriptor holds 126")]
    TooLong {
        /// The field of [`Identity`].
        field: &'static str,
        /// Its length in UTF-16 code units.
        units: usize,
    },
    /// The serial number has characters outside of visible ASCII; udev drops such devices.
    #[error("the serial number has characters other than visible ASCII")]
    SerialNotAscii,
    /// bInterval is 0, which USB 2.0 §9.6.6 does not allow for an interrupt endpoint.
    #[error("the polling interval is 0: it is 1 to 255 ms")]
    IntervalZero,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_refused_by_the_field_that_hosts_would_choke_on() {
        let good = Identity::default;
        let long = "é".repeat(127);
        let cases = [
            (good(), Ok(())),
            (Identity { product: "é".repeat(126), serial: Some("0123-abc".to_owned()), ..good() }, Ok(())),
            (Identity { manufacturer: String::new(), ..good() }, Err(IdentityError::Empty { field: "manufacturer" })),
            (Identity { product: long, ..good() }, Err(IdentityError::TooLong { field: "product", units: 127 })),
            (Identity { serial: Some("\u{1}\u{2}".to_owned()), ..good() }, Err(IdentityError::SerialNotAscii)),
            (Identity { interval: 0, ..good() }, Err(IdentityError::IntervalZero)),
        ];
        for (identity, expected) in cases {
            assert_eq!(identity.check(), expected, "{identity:?}");
        }
    }
}
