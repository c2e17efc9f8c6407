//! What authenticatorConfig sets (CTAP 2.3 §6.11), and changePIN in part clears.

use keyrig_ctap::cbor::{Item, Writer};

/// What is set away from the profile's defaults. A reset takes all of it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `alwaysUv`, if it was toggled.
    pub always_uv: Option<bool>,
    /// `minPINLength`, code points, if it was raised.
    pub min_pin_length: Option<u8>,
    /// `forcePINChange`: no token before the PIN was changed.
    pub force_pin_change: bool,
    /// `minPinLengthRPIDs`: who may ask for the minimum PIN length.
    pub min_pin_length_rp_ids: Vec<String>,
    /// `pinComplexityPolicy`: whether PINs that are easily guessed are refused.
    pub pin_complexity_policy: bool,
    /// `longTouchForReset`: whether a reset wants a long touch.
    pub long_touch_for_reset: bool,
    /// `ep`: whether enterprise attestation is enabled, if that is not as the profile has it.
    pub enterprise_attestation: Option<bool>,
}

impl Configuration {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(|map| {
            map.optional(1, self.always_uv, Writer::boolean);
            map.optional(2, self.min_pin_length.map(u64::from), Writer::unsigned);
            map.entry(3, |w| w.boolean(self.force_pin_change));
            map.entry(4, |w| w.array_of(&self.min_pin_length_rp_ids, |w, rp_id| w.text(rp_id)));
            map.entry(5, |w| w.boolean(self.pin_complexity_policy));
            map.entry(6, |w| w.boolean(self.long_touch_for_reset));
            map.optional(7, self.enterprise_attestation, Writer::boolean);
        });
        writer.finish()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut configuration = Self::default();
        for (number, item) in Item::parse(value).ok()?.map().ok()? {
            match number.unsigned().ok()? {
                1 => configuration.always_uv = Some(item.boolean().ok()?),
                2 => configuration.min_pin_length = Some(item.unsigned().ok()?.try_into().ok()?),
                3 => configuration.force_pin_change = item.boolean().ok()?,
                4 => {
                    let rp_ids = item.array().ok()?.map(|rp_id| rp_id.text().ok().map(str::to_owned));
                    configuration.min_pin_length_rp_ids = rp_ids.collect::<Option<_>>()?;
                }
                5 => configuration.pin_complexity_policy = item.boolean().ok()?,
                6 => configuration.long_touch_for_reset = item.boolean().ok()?,
                7 => configuration.enterprise_attestation = Some(item.boolean().ok()?),
                _ => return None,
            }
        }
        Some(configuration)
    }
}
