//! authenticatorBioEnrollment (CTAP 2.3 §6.7), and its prototype, which has the same messages.

use crate::cbor::{Item, Writer};
use crate::entities::{PinUvAuth, numbered_entries, owned_bytes, owned_text};
use crate::status::Status;

/// `modality`: the one that there is, fingerprint.
pub const FINGERPRINT: u64 = 0x01;

/// `subCommand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subcommand {
    /// 0x01 `enrollBegin`.
    EnrollBegin,
    /// 0x02 `enrollCaptureNextSample`.
    EnrollCaptureNextSample,
    /// 0x03 `cancelCurrentEnrollment`.
    CancelCurrentEnrollment,
    /// 0x04 `enumerateEnrollments`.
    EnumerateEnrollments,
    /// 0x05 `setFriendlyName`.
    SetFriendlyName,
    /// 0x06 `removeEnrollment`.
    RemoveEnrollment,
    /// 0x07 `getFingerprintSensorInfo`.
    GetFingerprintSensorInfo,
    /// Any other number.
    Other(u64),
}

impl From<u64> for Subcommand {
    fn from(number: u64) -> Self {
        match number {
            0x01 => Self::EnrollBegin,
            0x02 => Self::EnrollCaptureNextSample,
            0x03 => Self::CancelCurrentEnrollment,
            0x04 => Self::EnumerateEnrollments,
            0x05 => Self::SetFriendlyName,
            0x06 => Self::RemoveEnrollment,
            0x07 => Self::GetFingerprintSensorInfo,
            other => Self::Other(other),
        }
    }
}

impl From<Subcommand> for u64 {
    fn from(subcommand: Subcommand) -> Self {
        match subcommand {
            Subcommand::EnrollBegin => 0x01,
            Subcommand::EnrollCaptureNextSample => 0x02,
            Subcommand::CancelCurrentEnrollment => 0x03,
            Subcommand::EnumerateEnrollments => 0x04,
            Subcommand::SetFriendlyName => 0x05,
            Subcommand::RemoveEnrollment => 0x06,
            Subcommand::GetFingerprintSensorInfo => 0x07,
            Subcommand::Other(number) => number,
        }
    }
}

/// `subCommandParams`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// 0x01 `templateId`.
    pub template_id: Option<Vec<u8>>,
    /// 0x02 `templateFriendlyName`.
    pub template_friendly_name: Option<String>,
    /// 0x03 `timeoutMilliseconds`: for how long a sample is waited for.
    pub timeout_milliseconds: Option<u64>,
}

impl Parameters {
    fn decode(item: Item<'_>) -> Result<Self, Status> {
        let mut parameters = Self::default();
        for (key, value) in numbered_entries(item)? {
            match key {
                0x01 => parameters.template_id = Some(owned_bytes(value)?),
                0x02 => parameters.template_friendly_name = Some(owned_text(value)?),
                0x03 => parameters.timeout_milliseconds = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(parameters)
    }

    fn encode(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        let mut writer = Writer::new();
        writer.map(|map| {
            map.optional(0x01, self.template_id.as_deref(), Writer::bytes);
            map.optional(0x02, self.template_friendly_name.as_deref(), Writer::text);
            map.optional(0x03, self.timeout_milliseconds, Writer::unsigned);
        });
        Some(writer.finish())
    }
}

/// The parameters of authenticatorBioEnrollment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// 0x01 `modality`.
    pub modality: Option<u64>,
    subcommand: Option<Subcommand>,
    parameters: Parameters,
    /// `subCommandParams` as they stand in the message: `pinUvAuthParam` is over these very bytes.
    encoded_parameters: Option<Vec<u8>>,
    /// `pinUvAuthProtocol` and `pinUvAuthParam`.
    pub pin_uv_auth: PinUvAuth,
    /// 0x06 `getModality`.
    pub get_modality: Option<bool>,
}

impl Request {
    /// A subcommand about fingerprints that is not authenticated yet. Parameters of which none is there are left out.
    #[must_use]
    pub fn new(subcommand: Subcommand, parameters: Parameters) -> Self {
        let encoded_parameters = parameters.encode();
        let (modality, subcommand) = (Some(FINGERPRINT), Some(subcommand));
        Self { modality, subcommand, parameters, encoded_parameters, ..Self::default() }
    }

    /// 0x02 `subCommand`.
    #[must_use]
    pub fn subcommand(&self) -> Option<Subcommand> {
        self.subcommand
    }

    /// 0x03 `subCommandParams`.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What `pinUvAuthParam` is computed over (CTAP 2.3 §6.7.4): the bytes of modality and subcommand, then `subCommandParams` as
    /// encoded. A number of more than one byte counts by its last.
    #[must_use]
    pub fn authenticated_message(&self) -> Vec<u8> {
        let byte = |number: u64| {
            let [.., byte] = number.to_be_bytes();
            byte
        };
        let mut message = vec![byte(self.modality.unwrap_or_default()), byte(self.subcommand.map_or(0, u64::from))];
        message.extend_from_slice(self.encoded_parameters.as_deref().unwrap_or_default());
        message
    }

    /// Parses the parameters: what follows the command byte.
    ///
    /// # Errors
    /// The status that the authenticator answers: [`Status::InvalidCbor`] or [`Status::CborUnexpectedType`].
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut request = Self::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => request.modality = Some(value.unsigned()?),
                0x02 => request.subcommand = Some(Subcommand::from(value.unsigned()?)),
                0x03 => {
                    request.parameters = Parameters::decode(value)?;
                    request.encoded_parameters = Some(value.encoded().to_vec());
                }
                0x04 => request.pin_uv_auth.protocol = Some(value.unsigned()?),
                0x05 => request.pin_uv_auth.param = Some(owned_bytes(value)?),
                0x06 => request.get_modality = Some(value.boolean()?),
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the encoded parameters.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.optional(0x01, self.modality, Writer::unsigned);
            map.optional(0x02, self.subcommand.map(u64::from), Writer::unsigned);
            map.optional(0x03, self.encoded_parameters.as_deref(), Writer::raw);
            map.optional(0x04, self.pin_uv_auth.protocol, Writer::unsigned);
            map.optional(0x05, self.pin_uv_auth.param.as_deref(), Writer::bytes);
            map.optional(0x06, self.get_modality, Writer::boolean);
        })
    }
}

/// `lastEnrollSampleStatus` (CTAP 2.3 §6.7): what became of a sample, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sample {
    /// 0x00 `CTAP2_ENROLL_FEEDBACK_FP_GOOD`.
    Good,
    /// 0x01 `CTAP2_ENROLL_FEEDBACK_FP_TOO_HIGH`.
    TooHigh,
    /// 0x02 `CTAP2_ENROLL_FEEDBACK_FP_TOO_LOW`.
    TooLow,
    /// 0x03 `CTAP2_ENROLL_FEEDBACK_FP_TOO_LEFT`.
    TooLeft,
    /// 0x04 `CTAP2_ENROLL_FEEDBACK_FP_TOO_RIGHT`.
    TooRight,
    /// 0x05 `CTAP2_ENROLL_FEEDBACK_FP_TOO_FAST`.
    TooFast,
    /// 0x06 `CTAP2_ENROLL_FEEDBACK_FP_TOO_SLOW`.
    TooSlow,
    /// 0x07 `CTAP2_ENROLL_FEEDBACK_FP_POOR_QUALITY`.
    PoorQuality,
    /// 0x08 `CTAP2_ENROLL_FEEDBACK_FP_TOO_SKEWED`.
    TooSkewed,
    /// 0x09 `CTAP2_ENROLL_FEEDBACK_FP_TOO_SHORT`.
    TooShort,
    /// 0x0A `CTAP2_ENROLL_FEEDBACK_FP_MERGE_FAILURE`.
    MergeFailure,
    /// 0x0B `CTAP2_ENROLL_FEEDBACK_FP_EXISTS`.
    Exists,
    /// 0x0D `CTAP2_ENROLL_FEEDBACK_NO_USER_ACTIVITY`.
    NoUserActivity,
    /// 0x0E `CTAP2_ENROLL_FEEDBACK_NO_USER_PRESENCE_TRANSITION`.
    NoUserPresenceTransition,
    /// Any other number.
    Other(u64),
}

impl Sample {
    const NUMBERED: [(Self, u64); 14] = [
        (Self::Good, 0x00),
        (Self::TooHigh, 0x01),
        (Self::TooLow, 0x02),
        (Self::TooLeft, 0x03),
        (Self::TooRight, 0x04),
        (Self::TooFast, 0x05),
        (Self::TooSlow, 0x06),
        (Self::PoorQuality, 0x07),
        (Self::TooSkewed, 0x08),
        (Self::TooShort, 0x09),
        (Self::MergeFailure, 0x0A),
        (Self::Exists, 0x0B),
        (Self::NoUserActivity, 0x0D),
        (Self::NoUserPresenceTransition, 0x0E),
    ];
}

impl From<u64> for Sample {
    fn from(number: u64) -> Self {
        let known = Self::NUMBERED.iter().find(|(_, known)| *known == number);
        known.map_or(Self::Other(number), |(sample, _)| *sample)
    }
}

impl From<Sample> for u64 {
    fn from(sample: Sample) -> Self {
        match sample {
            Sample::Other(number) => number,
            known => Sample::NUMBERED.iter().find(|(sample, _)| *sample == known).map_or(0, |(_, number)| *number),
        }
    }
}

/// An enrolled fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateInfo {
    /// 0x01 `templateId`.
    pub id: Vec<u8>,
    /// 0x02 `templateFriendlyName`.
    pub friendly_name: Option<String>,
}

/// The answer of authenticatorBioEnrollment. setFriendlyName, removeEnrollment and cancelCurrentEnrollment have none but their status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0x01 `modality`.
    pub modality: Option<u64>,
    /// 0x02 `fingerprintKind`: 1 is touch, 2 is swipe.
    pub fingerprint_kind: Option<u64>,
    /// 0x03 `maxCaptureSamplesRequiredForEnroll`.
    pub max_capture_samples_required_for_enroll: Option<u64>,
    /// 0x04 `templateId`.
    pub template_id: Option<Vec<u8>>,
    /// 0x05 `lastEnrollSampleStatus`, a number of [`Sample`].
    pub last_enroll_sample_status: Option<u64>,
    /// 0x06 `remainingSamples`.
    pub remaining_samples: Option<u64>,
    /// 0x07 `templateInfos`, absent if there are none.
    pub template_infos: Vec<TemplateInfo>,
    /// 0x08 `maxTemplateFriendlyName`, bytes.
    pub max_template_friendly_name: Option<u64>,
}

impl Response {
    /// Parses the response's map: what follows the status byte.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a status.
    pub fn decode(parameters: &[u8]) -> Result<Self, Status> {
        let mut response = Self::default();
        for (key, value) in numbered_entries(Item::parse(parameters)?)? {
            match key {
                0x01 => response.modality = Some(value.unsigned()?),
                0x02 => response.fingerprint_kind = Some(value.unsigned()?),
                0x03 => response.max_capture_samples_required_for_enroll = Some(value.unsigned()?),
                0x04 => response.template_id = Some(owned_bytes(value)?),
                0x05 => response.last_enroll_sample_status = Some(value.unsigned()?),
                0x06 => response.remaining_samples = Some(value.unsigned()?),
                0x07 => response.template_infos = crate::entities::list(value, template_info)?,
                0x08 => response.max_template_friendly_name = Some(value.unsigned()?),
                _ => {}
            }
        }
        Ok(response)
    }

    /// Appends the encoded map.
    pub fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        let infos = (!self.template_infos.is_empty()).then_some(&self.template_infos);
        writer.map(|map| {
            map.optional(0x01, self.modality, Writer::unsigned);
            map.optional(0x02, self.fingerprint_kind, Writer::unsigned);
            map.optional(0x03, self.max_capture_samples_required_for_enroll, Writer::unsigned);
            map.optional(0x04, self.template_id.as_deref(), Writer::bytes);
            map.optional(0x05, self.last_enroll_sample_status, Writer::unsigned);
            map.optional(0x06, self.remaining_samples, Writer::unsigned);
            map.optional(0x07, infos, |w, infos| {
                w.array_of(infos, |w, info| {
                    w.map(|map| {
                        map.entry(0x01, |w| w.bytes(&info.id));
                        map.optional(0x02, info.friendly_name.as_deref(), Writer::text);
                    })
                })
            });
            map.optional(0x08, self.max_template_friendly_name, Writer::unsigned);
        })
    }
}

fn template_info(item: Item<'_>) -> Result<TemplateInfo, Status> {
    let (mut id, mut friendly_name) = (None, None);
    for (key, value) in numbered_entries(item)? {
        match key {
            0x01 => id = Some(owned_bytes(value)?),
            0x02 => friendly_name = Some(owned_text(value)?),
            _ => {}
        }
    }
    Ok(TemplateInfo { id: id.ok_or(Status::MissingParameter)?, friendly_name })
}
