use keyrig_ctap::bio_enrollment::TemplateInfo;

use super::*;
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::testing::*;
use keyrig_ctap::Response as Answer;

fn token() -> PinUvAuthToken {
    PinUvAuthToken::new(PinUvAuthProtocol::Two, zeroize::Zeroizing::new(TOKEN.to_vec()))
}

fn sensor(option: &str, script: impl FnMut(&Message) -> Reply + Send + 'static) -> Key<Scripted> {
    let mut info = info();
    info.options.push((option.to_owned(), false));
    key("A", info, script).0
}

fn told(response: Response) -> Reply {
    Reply::Now(ok(Answer::BioEnrollment(Box::new(response))))
}

/// A key that needs two good samples, and makes of the samples what the list says.
fn learning(option: &str, samples: &'static [u64]) -> Key<Scripted> {
    let mut left = 2;
    let mut samples = samples.iter();
    sensor(option, move |request| {
        let (Message::BioEnrollment(request) | Message::BioEnrollmentPreview(request)) = request else {
            panic!("it was asked {request:?}")
        };
        match request.subcommand() {
            Some(subcommand @ (Subcommand::EnrollBegin | Subcommand::EnrollCaptureNextSample)) => {
                let Some(&sample) = samples.next() else { return Reply::Now(status(Status::OperationDenied)) };
                left -= u64::from(sample == 0);
                told(Response {
                    template_id: (subcommand == Subcommand::EnrollBegin).then(|| vec![7, 8]),
                    last_enroll_sample_status: Some(sample),
                    remaining_samples: Some(left),
                    ..Response::default()
                })
            }
            _ => Reply::Now(ok(Answer::Done)),
        }
    })
}

fn sent(key: &Key<Scripted>) -> Vec<String> {
    let bio = [Command::BioEnrollment, Command::BioEnrollmentPreview];
    let about = key.exchanges().iter().filter(|exchange| exchange.command().is_some_and(|known| bio.contains(&known)));
    about.map(|exchange| hex::encode(&exchange.request)).collect()
}

/// CTAP 2.3 §6.7: the messages by hand, authenticated over modality, subcommand and parameters.
#[tokio::test]
async fn messages_and_what_authenticates_them_are_the_specifications() {
    let never = Cancel::never();
    let mut key = learning("bioEnroll", &[0, 0]);
    let within = Some(Duration::from_millis(500));
    let id = key.enroll_fingerprint(&token(), within, |_| ControlFlow::Continue(()), &never).await.unwrap();
    assert_eq!(id, [7, 8]);
    key.rename_fingerprint(&id, "left", &token(), &never).await.unwrap();
    key.remove_fingerprint(&id, &token(), &never).await.unwrap();
    let signed = |subcommand: &str, parameters: &str| {
        let message = unhex(&format!("01{subcommand}{parameters}"));
        hex::encode(PinUvAuthProtocol::Two.authenticate(&TOKEN, &message))
    };
    let request = |subcommand: &str, parameters: &str| {
        format!("09a5010102{subcommand}03{parameters}04020558 20{}", signed(subcommand, parameters)).replace(' ', "")
    };
    assert_eq!(
        sent(&key),
        [
            request("01", "a1031901f4"),
            request("02", "a201420708031901f4"),
            request("05", "a2014207080264 6c656674".replace(' ', "").as_str()),
            request("06", "a101420708"),
        ]
    );
}

#[tokio::test]
async fn samples_are_told_until_there_are_enough_of_them() {
    let never = Cancel::never();
    for (option, command) in [("bioEnroll", "09"), ("userVerificationMgmtPreview", "40")] {
        let mut key = learning(option, &[0x07, 0x05, 0x0D, 0, 0x42, 0]);
        let mut seen = Vec::new();
        let enrolled = key
            .enroll_fingerprint(
                &token(),
                None,
                |captured| {
                    seen.push((captured.sample, captured.remaining));
                    ControlFlow::Continue(())
                },
                &never,
            )
            .await;
        assert_eq!(enrolled, Ok(vec![7, 8]));
        let samples = [Sample::PoorQuality, Sample::TooFast, Sample::NoUserActivity, Sample::Good, Sample::Other(0x42)];
        assert_eq!(seen, samples.into_iter().zip([2, 2, 2, 1, 1]).chain([(Sample::Good, 0)]).collect::<Vec<_>>());
        assert!(sent(&key).iter().all(|request| request.starts_with(command)), "{option}");
    }
}

/// CTAP 2.3 §6.7.5: what was begun is cancelled, whoever gives up.
#[tokio::test]
async fn an_enrolment_that_is_given_up_is_cancelled() {
    let never = Cancel::never();
    let mut key = learning("bioEnroll", &[0, 0]);
    let given_up = key.enroll_fingerprint(&token(), None, |_| ControlFlow::Break(()), &never).await;
    let cancelled = Cause::Status { command: Command::BioEnrollment, status: Status::KeepaliveCancel };
    assert_eq!((given_up, sent(&key).last().unwrap().as_str()), (Err(cancelled), "09a201010203"));
    let mut key = learning("bioEnroll", &[0]);
    let refused = key.enroll_fingerprint(&token(), None, |_| ControlFlow::Continue(()), &never).await;
    let denied = Cause::Status { command: Command::BioEnrollment, status: Status::OperationDenied };
    assert_eq!((refused, sent(&key).last().unwrap().as_str()), (Err(denied), "09a201010203"));
}

#[tokio::test]
async fn what_it_knows_is_listed_and_none_is_an_answer() {
    let never = Cancel::never();
    let mut key = sensor("bioEnroll", |_| {
        told(Response {
            template_infos: vec![
                TemplateInfo { id: vec![1], friendly_name: Some("left".to_owned()) },
                TemplateInfo { id: vec![2], friendly_name: None },
            ],
            ..Response::default()
        })
    });
    let finger = |template_id: u8, name: Option<&str>| Fingerprint {
        template_id: vec![template_id],
        name: name.map(str::to_owned),
    };
    assert_eq!(key.fingerprints(&token(), &never).await, Ok(vec![finger(1, Some("left")), finger(2, None)]));
    let mut none = sensor("bioEnroll", |_| Reply::Now(status(Status::InvalidOption)));
    assert_eq!(none.fingerprints(&token(), &never).await, Ok(Vec::new()));
    let (mut without, _) = crate::testing::key("A", info(), |request| panic!("it was asked {request:?}"));
    assert_eq!(without.fingerprints(&token(), &never).await, Err(Unsuitable::Fingerprints.into()));
}

#[tokio::test]
async fn a_sensor_says_what_it_is_without_a_token() {
    let never = Cancel::never();
    let mut key = sensor("bioEnroll", |_| {
        told(Response {
            fingerprint_kind: Some(1),
            max_capture_samples_required_for_enroll: Some(5),
            max_template_friendly_name: Some(15),
            ..Response::default()
        })
    });
    let says = Sensor { kind: 1, samples: 5, longest_name: Some(15) };
    assert_eq!(key.fingerprint_sensor(&never).await, Ok(says));
    assert_eq!(sent(&key), ["09a201010207"]);
    let mut silent = sensor("bioEnroll", |_| told(Response::default()));
    let missing = InvalidResponse::Missing("fingerprintKind");
    let invalid = Cause::InvalidResponse { command: Command::BioEnrollment, error: missing };
    assert_eq!(silent.fingerprint_sensor(&never).await, Err(invalid));
}
