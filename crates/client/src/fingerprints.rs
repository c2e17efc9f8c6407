//! The fingerprints that a key knows: enrolling, listing, renaming, removing (CTAP 2.3 §6.7).

use core::ops::ControlFlow;
use core::time::Duration;

use keyrig_ctap::bio_enrollment::{Parameters, Request, Response, Subcommand};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Command, Request as Message, Status};

use crate::channel::{Cancel, Channel};
use crate::error::{Cause, InvalidResponse, Unsuitable};
use crate::key::{Key, undecodable};
use crate::pin_uv_auth_token::PinUvAuthToken;

pub use keyrig_ctap::bio_enrollment::Sample;

/// How many samples an enrolment takes at most before it is given up, good ones and others: a sensor says how many it needs, and a key
/// that never has enough would be enrolled at for ever.
const MOST_SAMPLES: usize = 256;

/// What a key says of its sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// `fingerprintKind`: 1 is touch, 2 is swipe.
    pub kind: u64,
    /// `maxCaptureSamplesRequiredForEnroll`: how many good samples it needs at most.
    pub samples: u64,
    /// `maxTemplateFriendlyName`: how long a name may be, bytes, if it says.
    pub longest_name: Option<u64>,
}

/// A fingerprint that a key knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// `templateId`.
    pub template_id: Vec<u8>,
    /// `templateFriendlyName`, if it has one.
    pub name: Option<String>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// `lastEnrollSampleStatus`.
    pub sample: Sample,
    /// `remainingSamples`: how many good ones are still to come.
    pub remaining: u64,
}

impl<C: Channel> Key<C> {
    /// What it says of its sensor. No token is needed.
    ///
    /// # Errors
    /// [`Cause`]: why it does not say.
    pub async fn fingerprint_sensor(&mut self, cancel: &Cancel) -> Result<Sensor, Cause> {
        let subcommand = Subcommand::GetFingerprintSensorInfo;
        let response = self.enroll(subcommand, Parameters::default(), None, cancel).await?;
        Ok(Sensor {
            kind: member("fingerprintKind", response.fingerprint_kind)?,
            samples: member("maxCaptureSamplesRequiredForEnroll", response.max_capture_samples_required_for_enroll)?,
            longest_name: response.max_template_friendly_name,
        })
    }

    /// Has it know another finger, sample by sample, and says by which `templateId`. `on_sample` is told of each, and may give up. A
    /// sample is waited for `within` so long, if that is given. The token needs the permission `be`, as for all that follows.
    ///
    /// # Errors
    /// [`Cause`]: no finger was enrolled, and what was begun is cancelled. If `on_sample` has given up, or the key never had enough,
    /// that is `CTAP2_ERR_KEEPALIVE_CANCEL`.
    pub async fn enroll_fingerprint(
        &mut self,
        token: &PinUvAuthToken,
        within: Option<Duration>,
        mut on_sample: impl FnMut(Captured) -> ControlFlow<()>,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, Cause> {
        let timeout_milliseconds = within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let begin = Parameters { timeout_milliseconds, ..Parameters::default() };
        let begun = self.enroll(Subcommand::EnrollBegin, begin, Some(token), cancel).await?;
        let template_id = member("templateId", begun.template_id.clone())?;
        let mut response = begun;
        for _ in 0..MOST_SAMPLES {
            let captured = captured(&response)?;
            if on_sample(captured).is_break() {
                break;
            }
            if captured.remaining == 0 {
                self.forget_info();
                return Ok(template_id);
            }
            let next =
                Parameters { template_id: Some(template_id.clone()), timeout_milliseconds, ..Parameters::default() };
            let sampled = self.enroll(Subcommand::EnrollCaptureNextSample, next, Some(token), cancel).await;
            response = match sampled {
                Ok(response) => response,
                Err(cause) => {
                    self.give_up_enrolling(cancel).await;
                    return Err(cause);
                }
            };
        }
        self.give_up_enrolling(cancel).await;
        Err(Cause::Status { command: Command::BioEnrollment, status: Status::KeepaliveCancel })
    }

    /// What it knows, in its order.
    ///
    /// # Errors
    /// [`Cause`]: why it does not say.
    pub async fn fingerprints(&mut self, token: &PinUvAuthToken, cancel: &Cancel) -> Result<Vec<Fingerprint>, Cause> {
        let subcommand = Subcommand::EnumerateEnrollments;
        match self.enroll(subcommand, Parameters::default(), Some(token), cancel).await {
            Ok(response) => {
                let known = response.template_infos.into_iter();
                Ok(known.map(|info| Fingerprint { template_id: info.id, name: info.friendly_name }).collect())
            }
            // There is none (CTAP 2.3 §6.7.6).
            Err(Cause::Status { status: Status::InvalidOption, .. }) => Ok(Vec::new()),
            Err(other) => Err(other),
        }
    }

    /// Gives a finger another name.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed. `CTAP2_ERR_INVALID_OPTION` says that it knows no such finger.
    pub async fn rename_fingerprint(
        &mut self,
        template_id: &[u8],
        name: &str,
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let parameters = Parameters {
            template_id: Some(template_id.to_vec()),
            template_friendly_name: Some(name.to_owned()),
            timeout_milliseconds: None,
        };
        self.enroll(Subcommand::SetFriendlyName, parameters, Some(token), cancel).await.map(drop)
    }

    /// Has it forget a finger.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed. `CTAP2_ERR_INVALID_OPTION` says that it knows no such finger.
    pub async fn remove_fingerprint(
        &mut self,
        template_id: &[u8],
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let parameters = Parameters { template_id: Some(template_id.to_vec()), ..Parameters::default() };
        self.enroll(Subcommand::RemoveEnrollment, parameters, Some(token), cancel).await?;
        // Without the last one it verifies nobody any more.
        self.forget_info();
        Ok(())
    }

    /// What was begun goes no further; why it does not is told already.
    async fn give_up_enrolling(&mut self, cancel: &Cancel) {
        let subcommand = Subcommand::CancelCurrentEnrollment;
        let _ = self.enroll(subcommand, Parameters::default(), None, cancel).await;
    }

    /// By authenticatorBioEnrollment, or by its prototype in keys that have only that.
    async fn enroll(
        &mut self,
        subcommand: Subcommand,
        parameters: Parameters,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<Response, Cause> {
        let info = self.get_info(cancel).await?;
        let mut request = Request::new(subcommand, parameters);
        request.pin_uv_auth =
            token.map(|token| token.authenticate(&request.authenticated_message())).unwrap_or_default();
        let message = if info.option(OptionId::BioEnroll).is_some() {
            Message::BioEnrollment(request)
        } else if info.option(OptionId::UserVerificationMgmtPreview).is_some() {
            Message::BioEnrollmentPreview(request)
        } else {
            return Err(Unsuitable::Fingerprints.into());
        };
        let response = self.transact(&message, cancel).await?;
        if response.is_empty() {
            return Ok(Response::default());
        }
        Response::decode(&response).map_err(undecodable(message.command()))
    }
}

fn captured(response: &Response) -> Result<Captured, Cause> {
    Ok(Captured {
        sample: Sample::from(member("lastEnrollSampleStatus", response.last_enroll_sample_status)?),
        remaining: member("remainingSamples", response.remaining_samples)?,
    })
}

fn member<T>(name: &'static str, value: Option<T>) -> Result<T, Cause> {
    let command = Command::BioEnrollment;
    value.ok_or(Cause::InvalidResponse { command, error: InvalidResponse::Missing(name) })
}

#[cfg(test)]
mod tests;
