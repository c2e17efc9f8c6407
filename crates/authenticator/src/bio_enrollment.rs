//! authenticatorBioEnrollment (CTAP 2.3 §6.7): which fingerprints the key knows.

use core::time::Duration;

use keyrig_ctap::bio_enrollment::{FINGERPRINT, Parameters, Request, Response, Sample, Subcommand, TemplateInfo};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::fingerprint::Fingerprint;
use crate::memory::Enrollment;
use crate::presence::{Asks, Reason};
use crate::profile::Fingerprints;
use crate::progress::{Outcome, Progress};
use crate::store::Change;

/// How long a templateId is, bytes: the specification leaves it open.
const TEMPLATE_ID_LENGTH: usize = 2;

/// Which of the two commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0x09, which `bioEnroll` announces.
    Final,
    /// 0x40, which `userVerificationMgmtPreview` announces.
    Prototype,
}

pub(crate) fn start(authenticator: &mut Authenticator, request: Request, version: Version) -> Progress {
    carry_out(authenticator, &request, version).unwrap_or_else(Progress::from)
}

fn answer(response: Response) -> Progress {
    Progress::Done(Ok(Answer::BioEnrollment(Box::new(response))))
}

fn carry_out(authenticator: &mut Authenticator, request: &Request, version: Version) -> Result<Progress, Status> {
    let sensor = authenticator.profile.fingerprints().ok_or(Status::InvalidCommand)?;
    // §6.7.2.
    if request.get_modality == Some(true) {
        return Ok(answer(Response { modality: Some(FINGERPRINT), ..Response::default() }));
    }
    let subcommand = request.subcommand().ok_or(Status::MissingParameter)?;
    if request.modality.ok_or(Status::MissingParameter)? != FINGERPRINT {
        return Err(Status::InvalidParameter);
    }
    let parameters = request.parameters();
    match subcommand {
        // §6.7.3.
        Subcommand::GetFingerprintSensorInfo => Ok(answer(Response {
            modality: Some(FINGERPRINT),
            fingerprint_kind: Some(sensor.kind.into()),
            max_capture_samples_required_for_enroll: Some(sensor.samples.into()),
            max_template_friendly_name: sensor.tells_longest_name.then_some(sensor.longest_name.into()),
            ..Response::default()
        })),
        // §6.7.5.
        Subcommand::CancelCurrentEnrollment => {
            authenticator.memory.enrollment = None;
            Ok(Progress::Done(Ok(Answer::Done)))
        }
        Subcommand::EnrollBegin => {
            authorize(authenticator, request, version)?;
            begin(authenticator, sensor, parameters)
        }
        Subcommand::EnrollCaptureNextSample => {
            authorize(authenticator, request, version)?;
            capture_next(authenticator, parameters)
        }
        Subcommand::EnumerateEnrollments => {
            authorize(authenticator, request, version)?;
            enumerate(authenticator)
        }
        Subcommand::SetFriendlyName => {
            authorize(authenticator, request, version)?;
            set_friendly_name(authenticator, sensor, parameters)
        }
        Subcommand::RemoveEnrollment => {
            authorize(authenticator, request, version)?;
            let id = known(authenticator, parameters)?.id.clone();
            Ok(Progress::commit(vec![Change::RemoveFingerprint(id)], |_, _| Progress::Done(Ok(Answer::Done))))
        }
        _ => Err(Status::InvalidSubcommand),
    }
}

/// The token of getPinToken will do for the prototype, as for that of credential management.
fn authorize(authenticator: &mut Authenticator, request: &Request, version: Version) -> Result<(), Status> {
    let (message, permissions) = (request.authenticated_message(), Permissions::BE);
    match version {
        Version::Final => authenticator.verify_pin_uv_auth(&request.pin_uv_auth, &[&message], permissions),
        Version::Prototype => authenticator.verify_for_prototype(&request.pin_uv_auth, &[&message], permissions),
    }
    .map(drop)
}

/// enrollBegin (§6.7.4): whatever was being enrolled is so no more.
fn begin(authenticator: &mut Authenticator, sensor: Fingerprints, parameters: &Parameters) -> Result<Progress, Status> {
    authenticator.memory.enrollment = None;
    if authenticator.store().fingerprints().len() >= sensor.templates.into() {
        return Err(Status::FpDatabaseFull);
    }
    let template_id = new_template_id(authenticator);
    authenticator.memory.enrollment = Some(Enrollment { template_id: template_id.clone(), remaining: sensor.samples });
    Ok(capture(parameters, Some(template_id)))
}

/// A templateId that no fingerprint has.
pub(crate) fn new_template_id(authenticator: &mut Authenticator) -> Vec<u8> {
    let mut id = vec![0; TEMPLATE_ID_LENGTH];
    loop {
        authenticator.environment.random(&mut id);
        if authenticator.store().fingerprint(&id).is_none() {
            return id;
        }
    }
}

/// enrollCaptureNextSample (§6.7.4).
fn capture_next(authenticator: &Authenticator, parameters: &Parameters) -> Result<Progress, Status> {
    let id = parameters.template_id.as_ref().ok_or(Status::MissingParameter)?;
    match &authenticator.memory.enrollment {
        Some(enrollment) if enrollment.template_id == *id => Ok(capture(parameters, None)),
        _ => Err(Status::InvalidParameter),
    }
}

/// Waits for a sample, and tells what became of it; the first answer has the template's id. The last good sample is what makes the
/// fingerprint known.
fn capture(parameters: &Parameters, template_id: Option<Vec<u8>>) -> Progress {
    let within = parameters.timeout_milliseconds.map(Duration::from_millis);
    Progress::Gesture(
        Reason::Enrollment,
        Asks::Sample,
        within,
        Box::new(move |authenticator, _, outcome| {
            let sample = match outcome {
                Outcome::Made => Sample::Good,
                Outcome::Missed => Sample::PoorQuality,
                Outcome::Sampled(sample) => sample,
                Outcome::TimedOut => Sample::NoUserActivity,
                Outcome::Denied => return Status::OperationDenied.into(),
                Outcome::Cancelled => return Status::KeepaliveCancel.into(),
            };
            let Some(enrollment) = &mut authenticator.memory.enrollment else { return Status::OtherError.into() };
            if sample == Sample::Good {
                enrollment.remaining = enrollment.remaining.saturating_sub(1);
            }
            let remaining = enrollment.remaining;
            let told = Response {
                template_id,
                last_enroll_sample_status: Some(sample.into()),
                remaining_samples: Some(remaining.into()),
                ..Response::default()
            };
            if remaining > 0 {
                return answer(told);
            }
            // Empty and not absent: python-fido2 wants one, which Yubico tests its keys with.
            let enrolled = Fingerprint { id: enrollment.template_id.clone(), name: String::new() };
            Progress::commit(vec![Change::PutFingerprint(enrolled)], |authenticator, _| {
                authenticator.memory.enrollment = None;
                answer(told)
            })
        }),
    )
}

/// enumerateEnrollments (§6.7.6).
fn enumerate(authenticator: &Authenticator) -> Result<Progress, Status> {
    let infos = authenticator.store().fingerprints();
    let info =
        |Fingerprint { id, name }: &Fingerprint| TemplateInfo { id: id.clone(), friendly_name: Some(name.clone()) };
    let template_infos: Vec<_> = infos.map(info).collect();
    if template_infos.is_empty() {
        return Err(Status::InvalidOption);
    }
    Ok(answer(Response { template_infos, ..Response::default() }))
}

/// setFriendlyName (§6.7.7).
fn set_friendly_name(
    authenticator: &Authenticator,
    sensor: Fingerprints,
    parameters: &Parameters,
) -> Result<Progress, Status> {
    let name = parameters.template_friendly_name.as_ref().ok_or(Status::MissingParameter)?;
    let id = known(authenticator, parameters)?.id.clone();
    if name.len() > sensor.longest_name.into() {
        return Err(Status::InvalidLength);
    }
    let named = Fingerprint { id, name: name.clone() };
    Ok(Progress::commit(vec![Change::PutFingerprint(named)], |_, _| Progress::Done(Ok(Answer::Done))))
}

/// The fingerprint that a request is about.
fn known<'a>(authenticator: &'a Authenticator, parameters: &Parameters) -> Result<&'a Fingerprint, Status> {
    let id = parameters.template_id.as_ref().ok_or(Status::MissingParameter)?;
    authenticator.store().fingerprint(id).ok_or(Status::InvalidOption)
}
