//! Who is touched, and when: two keys that blink at once on one host, as a browser sees them over USB/IP.

use core::time::Duration;

use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_ctap::{Request, config};
use keyrig_rack::command::{Command, Refusal};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::requests::{asserted, get_assertion, made, make_credential};
use crate::support::{
    Channel, Failure, deny_key, list, name, on_key, plug, power_cycle, rack, serve_usbip, set_policy, state, touch_key,
    unplug,
};

/// CTAP2_ERR_KEEPALIVE_CANCEL.
const KEEPALIVE_CANCEL: [u8; 1] = [0x2D];
/// CTAP2_ERR_OPERATION_DENIED.
const OPERATION_DENIED: [u8; 1] = [0x27];

type Pair = (keyrig_rack::Rack, Channel<TcpStream>, Channel<TcpStream>);

async fn two_keys(policy: &str) -> Pair {
    let rack = rack(policy, &["a", "b"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let a = Channel::open(server, "1-1").await;
    let b = Channel::open(server, "1-2").await;
    (rack, a, b)
}

async fn waiting(rack: &keyrig_rack::Rack) -> Vec<(String, Option<String>)> {
    list(rack).await.into_iter().map(|key| (key.name.to_string(), key.waiting_for)).collect()
}

#[tokio::test]
async fn of_two_keys_that_blink_only_the_one_under_the_finger_is_touched() {
    let (rack, mut a, mut b) = two_keys("auto").await;
    b.request_until_up_needed(make_credential("user", true)).await;
    a.request(make_credential("user", true)).await;
    made(&a.answer().await.unwrap());
    assert_eq!(
        state(&rack, "b").await.waiting_for.as_deref(),
        Some("authenticatorMakeCredential"),
        "b goes on blinking"
    );
    // What a browser does with the others once one was touched.
    b.cancel().await;
    assert_eq!(b.answer().await.unwrap(), KEEPALIVE_CANCEL);
    let keys = list(&rack).await;
    assert_eq!(keys.iter().map(|key| key.discoverable_credentials).collect::<Vec<_>>(), [1, 0]);
    assert!(keys.iter().all(|key| key.waiting_for.is_none() && key.attached));
}

#[tokio::test]
async fn moving_the_finger_touches_the_key_that_waits_there() {
    let (rack, mut a, mut b) = two_keys("auto").await;
    b.request_until_up_needed(Request::Selection.encode()).await;
    let answer = rack.command(Command::Finger { key: Some(name("b")) }).await.unwrap();
    assert_eq!(answer.keys.iter().map(|key| key.under_finger).collect::<Vec<_>>(), [false, true]);
    assert_eq!(b.answer().await.unwrap(), [0]);
    a.request_until_up_needed(Request::Selection.encode()).await;
    rack.command(Command::Finger { key: None }).await.unwrap();
    assert_eq!(a.answer().await.unwrap(), [0]);
}

#[tokio::test]
async fn unplugging_the_key_under_the_finger_brings_it_over_the_next() {
    let (rack, _a, mut b) = two_keys("auto").await;
    b.request_until_up_needed(Request::Selection.encode()).await;
    on_key(&rack, unplug, "a").await.unwrap();
    assert_eq!(b.answer().await.unwrap(), [0]);
}

#[tokio::test]
async fn a_manual_finger_does_what_commands_say() {
    let (rack, mut a, mut b) = two_keys("manual").await;
    a.request_until_up_needed(make_credential("user", true)).await;
    b.request_until_up_needed(make_credential("user", true)).await;
    on_key(&rack, deny_key, "a").await.unwrap();
    assert_eq!(a.answer().await.unwrap(), OPERATION_DENIED);
    on_key(&rack, touch_key, "b").await.unwrap();
    made(&b.answer().await.unwrap());
    assert_eq!(on_key(&rack, touch_key, "b").await, Err(Refusal::NotWaiting(name("b"))), "one touch is one touch");
    // Changed while a key waits, the policy holds for that key too.
    a.request_until_up_needed(Request::Selection.encode()).await;
    set_policy(&rack, "auto".parse().unwrap()).await;
    assert_eq!(a.answer().await.unwrap(), [0]);
}

#[tokio::test]
async fn a_finger_that_denies_refuses_for_every_key_that_waits() {
    let (rack, mut a, mut b) = two_keys("deny").await;
    // The finger is over a; a host that asks both is refused by both.
    assert_eq!(b.transact(make_credential("user", true)).await, OPERATION_DENIED);
    assert_eq!(a.transact(make_credential("user", true)).await, OPERATION_DENIED);
    // Of keys that wait already, too.
    set_policy(&rack, "manual".parse().unwrap()).await;
    a.request_until_up_needed(Request::Selection.encode()).await;
    b.request_until_up_needed(Request::Selection.encode()).await;
    set_policy(&rack, "deny".parse().unwrap()).await;
    assert_eq!(a.answer().await.unwrap(), OPERATION_DENIED);
    assert_eq!(b.answer().await.unwrap(), OPERATION_DENIED);
    assert!(list(&rack).await.iter().all(|key| key.discoverable_credentials == 0 && key.waiting_for.is_none()));
}

#[tokio::test]
async fn one_key_is_denied_by_name_and_the_other_waits_on() {
    let (rack, mut a, mut b) = two_keys("manual").await;
    a.request_until_up_needed(make_credential("user", true)).await;
    b.request_until_up_needed(make_credential("user", true)).await;
    on_key(&rack, deny_key, "b").await.unwrap();
    assert_eq!(b.answer().await.unwrap(), OPERATION_DENIED);
    assert_eq!(waiting(&rack).await[0].1.as_deref(), Some("authenticatorMakeCredential"));
    a.cancel().await;
    assert_eq!(a.answer().await.unwrap(), KEEPALIVE_CANCEL);
}

#[tokio::test]
async fn with_every_each_key_is_touched() {
    let (_rack, mut a, mut b) = two_keys("every").await;
    a.request(make_credential("user", true)).await;
    b.request(make_credential("user", true)).await;
    made(&a.answer().await.unwrap());
    made(&b.answer().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn after_a_while_touches_when_that_has_passed_and_not_before() {
    let rack = rack("after=1500", &["a", "b"]).await;
    let mut a = Channel::open_in_memory(&rack, "1-1").await;
    let asked = Instant::now();
    assert_eq!(a.transact(Request::Selection.encode()).await, [0]);
    let waited = asked.elapsed();
    assert!((1500..1600).contains(&waited.as_millis()), "{waited:?}");
    // A keepalive at once and one each 80 ms at most 100 ms (CTAP 2.3 §11.2.9.1.7).
    assert!(a.keepalives.len() >= 15, "{}", a.keepalives.len());
    assert!(a.keepalives.iter().all(|status| *status == KeepaliveStatus::UpNeeded));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_never_touched_answers_that_the_user_was_too_slow() {
    let rack = rack("manual", &["a"]).await;
    let mut a = Channel::open_in_memory(&rack, "1-1").await;
    let asked = Instant::now();
    // CTAP2_ERR_USER_ACTION_TIMEOUT.
    assert_eq!(a.transact(Request::Selection.encode()).await, [0x2F]);
    assert!(asked.elapsed() >= Duration::from_secs(10), "CTAP 2.3 §6.1.2 wants at least 10 s");
    assert_eq!(state(&rack, "a").await.waiting_for, None);
}

#[tokio::test]
async fn a_host_hears_that_a_touch_is_needed_before_one_is_granted() {
    let (_rack, mut a, _b) = two_keys("auto").await;
    for message in [make_credential("user", true), get_assertion(&[]), Request::Selection.encode()] {
        assert_eq!(a.transact(message).await[0], 0);
        assert!(a.keepalives.contains(&KeepaliveStatus::UpNeeded), "{:?}", a.keepalives);
    }
}

#[tokio::test]
async fn init_on_the_channel_abandons_the_command_that_waits() {
    let (rack, mut a, _b) = two_keys("manual").await;
    a.request_until_up_needed(make_credential("user", true)).await;
    let id = a.id();
    a.resynchronize().await;
    assert_eq!(a.id(), id);
    assert_eq!(waiting(&rack).await[0].1, None);
    assert_eq!(on_key(&rack, touch_key, "a").await, Err(Refusal::NotWaiting(name("a"))));
    a.request_until_up_needed(Request::Selection.encode()).await;
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(a.answer().await.unwrap(), [0], "the answer to the new command, and to no other");
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 0);
}

#[tokio::test]
async fn a_key_that_is_pulled_out_while_it_blinks_comes_back_with_what_it_holds() {
    let rack = rack("auto", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut a = Channel::open(server, "1-1").await;
    let (id, count) = made(&a.transact(make_credential("user", true)).await);
    set_policy(&rack, "manual".parse().unwrap()).await;
    a.request_until_up_needed(get_assertion(&[])).await;
    let gone = on_key(&rack, unplug, "a").await.unwrap().keys.remove(0);
    assert_eq!((gone.plugged, gone.attached, gone.waiting_for), (false, false, None));
    assert_eq!(a.answer().await, Err(Failure::Device(keyrig_usb::client::ClientError::Unplugged)));
    assert!(keyrig_usb::client::list(server).await.unwrap().is_empty());
    on_key(&rack, plug, "a").await.unwrap();
    assert_eq!(keyrig_usb::client::list(server).await.unwrap()[0].device.busid.as_str(), "1-1");
    let mut again = Channel::open(server, "1-1").await;
    again.request_until_up_needed(get_assertion(&[])).await;
    on_key(&rack, touch_key, "a").await.unwrap();
    let (found, counter) = asserted(&again.answer().await.unwrap());
    assert_eq!(found, id);
    assert!(counter > count);
}

#[tokio::test]
async fn a_host_that_goes_in_the_middle_of_a_touch_leaves_the_key_to_the_next() {
    let rack = rack("manual", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    for _ in 0..10 {
        let mut first = Channel::open(server, "1-1").await;
        first.request_until_up_needed(make_credential("user", true)).await;
        drop(first);
        let mut next = Channel::open(server, "1-1").await;
        assert_eq!(state(&rack, "a").await.waiting_for, None, "nothing is left of the old gesture");
        next.request_until_up_needed(Request::Selection.encode()).await;
        assert_eq!(state(&rack, "a").await.waiting_for.as_deref(), Some("authenticatorSelection"));
        on_key(&rack, touch_key, "a").await.unwrap();
        assert_eq!(next.answer().await.unwrap(), [0]);
        next.close().await;
    }
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 0);
}

#[tokio::test]
async fn a_power_cycle_forgets_the_channels() {
    let rack = rack("auto", &["a"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut a = Channel::open(server, "1-1").await;
    let old = a.id();
    assert_eq!(a.transact(Request::Selection.encode()).await, [0]);
    on_key(&rack, power_cycle, "a").await.unwrap();
    a.gone().await;
    let mut again = Channel::open(server, "1-1").await;
    assert_ne!(again.id(), old);
    // PING on the channel of before: ERR_INVALID_CHANNEL (CTAP 2.3 §11.2.9.1.6).
    let mut ping = [0; 64];
    ping[..4].copy_from_slice(&old.to_be_bytes());
    ping[4] = 0x81;
    again.device().send(&ping).await.unwrap();
    let answer = again.device().recv().await.unwrap();
    assert_eq!(answer[..8], [&old.to_be_bytes()[..], &[0xBF, 0, 1, 0x0B]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_taken_for_ten_seconds_after_power_up() {
    let rack = rack("auto", &["a"]).await;
    let reset = || async { crate::support::transact(&rack, "a", Request::Reset.encode()).await };
    assert_eq!(reset().await, [0]);
    tokio::time::advance(Duration::from_millis(10_001)).await;
    assert_eq!(reset().await, [0x30], "CTAP2_ERR_NOT_ALLOWED");
    on_key(&rack, power_cycle, "a").await.unwrap();
    assert_eq!(reset().await, [0]);
    tokio::time::advance(Duration::from_millis(10_001)).await;
    assert_eq!(reset().await, [0x30]);
    // A new import after a disconnect is a power-up (the port's reset is none).
    let host = Channel::open_in_memory(&rack, "1-1").await;
    assert_eq!(reset().await, [0]);
    drop(host);
}

/// A generator of nonsense that is the same each time (xorshift64).
struct Nonsense(u64);

impl Nonsense {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn report(&mut self, channel: u32) -> [u8; 64] {
        let mut report = [0; 64];
        for chunk in report.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes());
        }
        match self.next() % 8 {
            0 => {}
            // The attacker's own channel or broadcast, and a command that there is.
            kind => {
                let channel = if kind == 1 { u32::MAX } else { channel };
                report[..4].copy_from_slice(&channel.to_be_bytes());
                let commands = [0x81, 0x83, 0x84, 0x86, 0x88, 0x90, 0x91, 0xBB, 0xBF, 0xC1, 0x00, 0x01];
                report[4] = commands[usize::try_from(self.next() % 12).unwrap()];
                if kind < 6 {
                    report[5] = 0;
                }
            }
        }
        report
    }
}

#[tokio::test]
async fn a_key_under_attack_leaves_the_other_unharmed_and_serves_again() {
    let rack = rack("every", &["a", "b"]).await;
    let (server, _) = serve_usbip(&rack).await;
    let mut victim = Channel::open(server, "1-2").await;
    let attack = tokio::spawn(async move {
        let mut attacker = Channel::open(server, "1-1").await;
        let mut nonsense = Nonsense(0x9E37_79B9_7F4A_7C15);
        for _ in 0..1_000 {
            let channel = attacker.id();
            let reports: Vec<_> = (0..10).map(|_| nonsense.report(channel)).collect();
            let device = attacker.device();
            for report in &reports {
                device.send(report).await.unwrap();
                // Answers are taken and thrown away, or the key would have nowhere to put the next.
                while let Some(answer) = at_once(device.recv()).await {
                    answer.unwrap();
                }
            }
        }
    });
    let mut served = 0;
    while !attack.is_finished() || served == 0 {
        assert_eq!(victim.transact(Request::Selection.encode()).await, [0]);
        served += 1;
        tokio::task::yield_now().await;
    }
    attack.await.unwrap();
    made(&victim.transact(make_credential("user", false)).await);
    let mut next = Channel::open(server, "1-1").await;
    made(&next.transact(make_credential("user", false)).await);
}

/// What a future has at once, if it has anything.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = core::future::ready(()) => None,
    }
}

/// CTAP 2.3 §6.6: with longTouchForReset a reset wants a touch of at least five seconds.
#[tokio::test(start_paused = true)]
async fn a_long_touch_lasts_and_can_be_cancelled_meanwhile() {
    let rack = rack("auto", &["a"]).await;
    let mut a = Channel::open_in_memory(&rack, "1-1").await;
    let enable = config::Request::new(config::Subcommand::EnableLongTouchForReset, config::Parameters::default());
    assert_eq!(a.transact(Request::Config(enable).encode()).await, [0]);
    a.request_until_up_needed(Request::Reset.encode()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.cancel().await;
    assert_eq!(a.answer().await.unwrap(), KEEPALIVE_CANCEL);
    let asked = Instant::now();
    assert_eq!(a.transact(Request::Reset.encode()).await, [0]);
    assert!((5000..5100).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    // The reset took the long touch back.
    on_key(&rack, power_cycle, "a").await.unwrap();
    let mut a = Channel::open_in_memory(&rack, "1-1").await;
    let asked = Instant::now();
    assert_eq!(a.transact(Request::Reset.encode()).await, [0]);
    assert!(asked.elapsed() < Duration::from_secs(1));
}

/// A Solo 1 (solokeys/solo1 issue 363): a touch up to two seconds before a request counts for it.
#[tokio::test]
async fn a_touch_that_is_not_waited_for_counts_on_a_key_with_a_latch_alone() {
    let keys = [("a", "solo-1"), ("b", "keyrig")];
    let specifications = keys.map(|(key, profile)| keyrig_rack::KeySpecification::built_in(profile, key).unwrap());
    let rack = keyrig_rack::Rack::start(crate::support::touch("manual"), specifications.into()).await.unwrap();
    assert_eq!(on_key(&rack, touch_key, "b").await.unwrap_err(), Refusal::NotWaiting(name("b")));
    on_key(&rack, touch_key, "a").await.unwrap();
    made(&crate::support::transact(&rack, "a", make_credential("user", true)).await);
    on_key(&rack, unplug, "a").await.unwrap();
    assert_eq!(on_key(&rack, touch_key, "a").await.unwrap_err(), Refusal::NotWaiting(name("a")), "without power");
}
