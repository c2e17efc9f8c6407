//! Fingerprints: a key learns a finger from a platform, knows its user by it, and forgets it.

use core::ops::ControlFlow;

use keyrig_client::channel::Channel;
use keyrig_client::error::Cause;
use keyrig_client::fingerprints::{Captured, Sample, Sensor};
use keyrig_client::pin::{Pin, PinRequest};
use keyrig_client::{Key, OptionId, Permissions, PinUvAuthToken, Status};
use keyrig_rack::command::Command;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{Feedback, Rack};
use serde_json::json;

use crate::{creation, name, never, page};

/// A token that may enrol.
async fn token<C: Channel>(key: &mut Key<C>) -> PinUvAuthToken {
    let ask = |request: &PinRequest| request.mistake.is_none().then(|| Pin::new("1234"));
    // CTAP 2.3 §6.5.5.7: the finger is of no use for that where uvBioEnroll is not there, so the PIN is asked for.
    key.pin_uv_auth_token(Permissions::BE, None, &ask, &never()).await.expect("a token")
}

async fn uv<C: Channel>(key: &mut Key<C>) -> Option<bool> {
    key.get_info(&never()).await.expect("getInfo").option(OptionId::Uv)
}

async fn a_finger<C: Channel>(_: &Rack, keys: &mut [Key<C>]) {
    let key = &mut keys[0];
    key.set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let sensor = key.fingerprint_sensor(&never()).await.expect("a sensor");
    assert_eq!(sensor, Sensor { kind: 1, samples: 5, longest_name: Some(15) });
    let be = token(key).await;
    assert_eq!((key.fingerprints(&be, &never()).await, uv(key).await), (Ok(Vec::new()), Some(false)));
    let mut remaining = Vec::new();
    let on_sample = |captured: Captured| {
        assert_eq!(captured.sample, Sample::Good);
        remaining.push(captured.remaining);
        ControlFlow::Continue(())
    };
    let id = key.enroll_fingerprint(&be, None, on_sample, &never()).await.expect("enrolled");
    assert_eq!((remaining, uv(key).await), (vec![4, 3, 2, 1, 0], Some(true)));
    key.rename_fingerprint(&id, "left index", &be, &never()).await.expect("renamed");
    let known = key.fingerprints(&be, &never()).await.expect("listed");
    assert_eq!(
        known.iter().map(|known| (&known.template_id, known.name.as_deref())).collect::<Vec<_>>(),
        [(&id, Some("left index"))]
    );

    // The finger is asked for, and no PIN is there to be typed.
    let passkey = creation(json!({"userVerification": "required", "residentKey": "required"}), json!({}));
    page().create(&passkey, keys, never()).await.expect("a credential");

    let key = &mut keys[0];
    let be = token(key).await;
    key.remove_fingerprint(&id, &be, &never()).await.expect("removed");
    assert_eq!((key.fingerprints(&be, &never()).await, uv(key).await), (Ok(Vec::new()), Some(false)));
    let gone = Cause::Status { command: keyrig_ctap::Command::BioEnrollment, status: Status::InvalidOption };
    assert_eq!(key.remove_fingerprint(&id, &be, &never()).await, Err(gone));
}
over_both!(a_finger, a_finger_in_process, a_finger_over_usb_ip, "yubikey-bio-5.7", ["a"]);

/// Somebody else's samples do not count, and the platform may give up.
async fn samples_of_others<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let key = &mut keys[0];
    key.set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let be = token(key).await;
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.expect("running");
    let mut seen = Vec::new();
    let on_sample = |Captured { sample, remaining }: Captured| {
        seen.push((sample, remaining));
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let touches = async {
        for miss in [true, false, true] {
            rack.command(Command::Verify { key: name("a"), miss, wait: true }).await.expect("it waits for a sample");
        }
    };
    let never = never();
    let (given_up, ()) = tokio::join!(key.enroll_fingerprint(&be, None, on_sample, &never), touches);
    let cancelled = Cause::Status { command: keyrig_ctap::Command::BioEnrollment, status: Status::KeepaliveCancel };
    assert_eq!(given_up, Err(cancelled));
    assert_eq!(seen, [(Sample::PoorQuality, 5), (Sample::Good, 4), (Sample::PoorQuality, 4)]);
    assert_eq!(key.fingerprints(&be, &never).await, Ok(Vec::new()), "and nothing is left of it");
}
over_both!(samples_of_others, samples_of_others_in_process, samples_of_others_over_usb_ip, "yubikey-bio-5.7", ["a"]);

/// What the sensor makes of samples goes by a script, and by commands: by each number of CTAP 2.3 §6.7 the platform is told what was wrong,
/// and only good ones count.
async fn samples_of_every_kind<C: Channel>(rack: &Rack, keys: &mut [Key<C>]) {
    let key = &mut keys[0];
    key.set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let be = token(key).await;
    let script: Vec<_> = Feedback::ALL.iter().map(ToString::to_string).collect();
    let policy = format!("script={}", script.join(",")).parse().expect("a policy");
    rack.command(Command::UvPolicy { key: name("a"), policy }).await.expect("it verifies its user");
    let mut seen = Vec::new();
    let on_sample = |Captured { sample, remaining }: Captured| {
        seen.push((u64::from(sample), remaining));
        ControlFlow::Continue(())
    };
    key.enroll_fingerprint(&be, None, on_sample, &never()).await.expect("enrolled");
    let wrong =
        [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0D, 0x0E].map(|number| (number, 4));
    let expected: Vec<_> =
        [(0, 4)].into_iter().chain(wrong).chain([3, 2, 1, 0].map(|remaining| (0, remaining))).collect();
    assert_eq!(seen, expected);

    // The same finger again, though the rack's own finger would have given a good sample.
    let mut seen = Vec::new();
    let on_sample = |Captured { sample, remaining }: Captured| {
        seen.push((sample, remaining));
        ControlFlow::Break(())
    };
    let exists = Command::Sample { key: name("a"), sample: "exists".parse().expect("a sample"), wait: true };
    let never = never();
    let (given_up, given) =
        tokio::join!(key.enroll_fingerprint(&be, None, on_sample, &never), async { rack.command(exists).await });
    given.expect("it was taken");
    given_up.expect_err("it was given up");
    assert_eq!(seen, [(Sample::Exists, 5)]);
}
over_both!(
    samples_of_every_kind,
    samples_of_every_kind_in_process,
    samples_of_every_kind_over_usb_ip,
    "yubikey-bio-5.7",
    ["a"]
);
