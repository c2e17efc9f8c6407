//! Timelines at a rack, on a clock that goes as far as it has to.

#![cfg(test)]

use core::time::Duration;
use std::sync::Arc;

use keyrig_faults::timeline::{Delay, Done, Outcome, Timeline};
use keyrig_faults::{Absent, Faults, MAX_FAULTS};
use keyrig_rack::command::{Command, KeyState, Refusal};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use tokio::time::{Instant, sleep};

/// authenticatorSelection (CTAP 2.3 §6.9), CTAP2_OK, CTAP2_ERR_OPERATION_DENIED and CTAP2_ERR_KEEPALIVE_CANCEL (§6.3).
const SELECTION: u8 = 0x0B;
const OK: u8 = 0x00;
const DENIED: u8 = 0x27;
const CANCELLED: u8 = 0x2D;

/// Two keys, a and b, which nobody touches.
async fn rack() -> Rack {
    rack_with(None).await
}

async fn rack_with(faults: Option<&Faults>) -> Rack {
    let seams = faults.map(|faults| -> Arc<dyn keyrig_rack::seams::Seams> { Arc::new(faults.clone()) });
    let keys = ["a", "b"].map(|name| KeySpecification::built_in("keyrig", name).unwrap());
    let finger = Finger { policy: TouchPolicy::Manual, over: None };
    Rack::start(Options { finger, seams: seams.into_iter().collect(), ..Options::default() }, keys.into())
        .await
        .unwrap()
}

fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

/// What a key answers to a request for a touch.
async fn select(rack: &Rack, key: &str) -> u8 {
    rack.known(&name(key)).unwrap().transact(vec![SELECTION]).answer().await.unwrap()[0]
}

async fn state(rack: &Rack, key: &str) -> KeyState {
    rack.command(Command::Show { key: name(key) }).await.unwrap().keys.remove(0)
}

fn timeline(text: &str) -> Timeline {
    Timeline::from_toml(text).unwrap()
}

/// Number, what, key, when in milliseconds, and why not.
type Told = (usize, String, Option<String>, u64, Option<String>);

fn done(outcome: &Outcome) -> Vec<Told> {
    let told = |done: &Done| {
        let key = done.key.as_ref().map(ToString::to_string);
        (done.event, done.r#do.to_string(), key, done.at_ms, done.refused.clone())
    };
    outcome.done.iter().map(told).collect()
}

async fn run(timeline: &Timeline, rack: &Rack) -> Outcome {
    timeline.run(rack, core::future::pending(), |_| {}).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_touched_some_time_after_it_waits_and_another_is_denied_at_once() {
    let rack = rack().await;
    let timeline = timeline(
        r#"
        [[events]]
        when = "b waiting"
        after = "500ms"
        do = "touch"
        key = "b"

        [[events]]
        when = "a waiting"
        do = "deny"
        key = "a"
        "#,
    );
    let start = Instant::now();
    let asked = async {
        assert_eq!(select(&rack, "a").await, DENIED);
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(select(&rack, "b").await, OK);
        assert_eq!(start.elapsed().as_millis(), 1500);
    };
    let (outcome, ()) = tokio::join!(run(&timeline, &rack), asked);
    let of = |event, r#do: &str, key: &str, at_ms| (event, r#do.to_owned(), Some(key.to_owned()), at_ms, None);
    assert_eq!(done(&outcome), [of(2, "deny", "a", 0), of(1, "touch", "b", 1500)]);
    assert_eq!((outcome.pending, outcome.missed), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_pulled_out_after_the_second_cancel_of_any_and_comes_back_later() {
    let rack = rack().await;
    let timeline = timeline(
        r#"
        events = [
            { when = "cancelled", nth = 2, do = "unplug", key = "a" },
            { when = "a unplugged", after = "1.5s", do = "plug", key = "a" },
        ]
        "#,
    );
    let asked = async {
        for key in ["a", "b"] {
            assert!(state(&rack, "a").await.plugged);
            let cancelled = rack.transact(&name(key), vec![SELECTION], async {}).await.unwrap();
            assert_eq!(cancelled.message, [CANCELLED]);
        }
        sleep(Duration::from_secs(1)).await;
        assert!(!state(&rack, "a").await.plugged);
    };
    let (outcome, ()) = tokio::join!(run(&timeline, &rack), asked);
    assert!(state(&rack, "a").await.plugged);
    assert_eq!(done(&outcome).iter().map(|done| (done.0, done.3)).collect::<Vec<_>>(), [(1, 0), (2, 1500)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_already_has_begun_to_and_one_that_waits_no_more_has_not() {
    let rack = rack().await;
    assert_eq!(rack.transact(&name("a"), vec![SELECTION], async {}).await.unwrap().message, [CANCELLED]);
    let waits = rack.known(&name("b")).unwrap().transact(vec![SELECTION]);
    // It does, when the rack has heard of it.
    while state(&rack, "b").await.waiting_for.is_none() {
        tokio::task::yield_now().await;
    }
    let timeline = timeline(
        r#"
        events = [
            { when = "a waiting", do = "touch", key = "a" },
            { when = "b waiting", do = "touch", key = "b" },
        ]
        "#,
    );
    let outcome = timeline.run(&rack, sleep(Duration::from_secs(5)), |_| {}).await.unwrap();
    assert_eq!(done(&outcome).iter().map(|done| done.0).collect::<Vec<_>>(), [2]);
    assert_eq!(outcome.pending, [1]);
    let mut waits = waits;
    assert_eq!(waits.answer().await.unwrap(), [OK]);
}

#[tokio::test(start_paused = true)]
async fn at_one_time_the_first_of_the_list_goes_first_and_what_is_refused_is_told() {
    let rack = rack().await;
    let timeline = timeline(
        r#"
        events = [
            { at = "2s", do = "touch", key = "b" },
            { at = "1s", do = "finger", key = "b" },
            { at = "1s", do = "touch-policy", policy = "auto" },
            { at = "1s", do = "power-cycle", key = "a" },
            { at = "3s", do = "finger" },
        ]
        "#,
    );
    let mut told = Vec::new();
    let outcome = timeline.run(&rack, core::future::pending(), |done| told.push(done.event)).await.unwrap();
    assert_eq!(told, [2, 3, 4, 1, 5]);
    let refused: Vec<_> = done(&outcome).into_iter().filter_map(|done| Some((done.0, done.4?))).collect();
    assert_eq!(refused, [(1, "key b does not wait for a touch".to_owned())]);
    let listed = rack.command(Command::List).await.unwrap();
    assert_eq!(listed.touch, TouchPolicy::Auto);
    assert!(listed.keys[0].under_finger, "the finger is back");
}

/// CTAP1_ERR_OTHER and CTAP2_ERR_NO_CREDENTIALS (CTAP 2.3 §8.2).
const OTHER: u8 = 0x7F;
const NO_CREDENTIALS: u8 = 0x2E;

#[tokio::test(start_paused = true)]
async fn faults_are_switched_at_times_and_upon_conditions() {
    let rack = rack_with(Some(&Faults::new(Some(1), Absent::nothing()))).await;
    let timeline = timeline(
        r#"
        events = [
            { at = "1s", do = "fault", key = "a", fault = "ctap-status,status=0x2E" },
            { when = "b cancelled", do = "fault", key = "a", fault = "ctap-slow,ms=700" },
            { at = "2s", do = "fault-off", key = "a", fault = "ctap-status" },
            { at = "3s", do = "fault-off", key = "a" },
            { at = "3s", do = "fault", key = "b", fault = "ctap-status" },
            { at = "3s", do = "touch-policy", policy = "every" },
        ]
        "#,
    );
    let start = Instant::now();
    let get_info = async || rack.known(&name("a")).unwrap().transact(vec![0x04]).answer().await.unwrap()[0];
    let asked = async {
        assert_eq!(get_info().await, OK);
        sleep(Duration::from_millis(1500)).await;
        assert_eq!((get_info().await, start.elapsed().as_millis()), (NO_CREDENTIALS, 1500));
        assert_eq!(rack.transact(&name("b"), vec![SELECTION], async {}).await.unwrap().message, [CANCELLED]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((get_info().await, start.elapsed().as_millis()), (OK, 3200), "slow alone");
        assert_eq!((get_info().await, start.elapsed().as_millis()), (OK, 3200), "all are off");
        assert_eq!(select(&rack, "b").await, OTHER);
    };
    let (outcome, ()) = tokio::join!(run(&timeline, &rack), asked);
    let told: Vec<_> =
        done(&outcome).into_iter().map(|(event, what, _, at, refused)| (event, what, at, refused)).collect();
    let of = |event, what: &str, at| (event, what.to_owned(), at, None);
    assert_eq!(
        told,
        [
            of(1, "fault", 1000),
            of(2, "fault", 1500),
            of(3, "fault-off", 2000),
            of(4, "fault-off", 3000),
            of(5, "fault", 3000),
            of(6, "touch-policy", 3000),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_cannot_be_switched_on_is_told() {
    let timeline = timeline(r#"events = [{ at = "0s", do = "fault", key = "a", fault = "ctap-slow" }]"#);
    let refused = async |rack: &Rack| run(&timeline, rack).await.done.remove(0).refused.unwrap();
    let at_once = async |rack: &Rack, timeline: &Timeline| {
        timeline.run(rack, core::future::pending(), |_| {}).await.unwrap_err().to_string()
    };
    let told = at_once(&rack().await, &timeline).await;
    assert!(told.contains("this rack was started without faults"), "{told}");
    // Its time may come, and it would not happen.
    let of_usb = self::timeline(r#"events = [{ at = "9min", do = "fault", key = "a", fault = "usb-stall-in" }]"#);
    let told = at_once(&rack_with(Some(&Faults::new(None, Absent::usb()))).await, &of_usb).await;
    assert!(told.contains("usb-stall-in can never happen here: it is of USB"), "{told}");
    let faults = Faults::new(None, Absent::nothing());
    let rack = rack_with(Some(&faults)).await;
    for _ in 0..MAX_FAULTS {
        faults.switch_on(&name("a"), "ctap-empty".parse().unwrap()).unwrap();
    }
    let told = refused(&rack).await;
    assert!(told.contains(&format!("{MAX_FAULTS} faults are on there")), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_sets_and_changes_a_pin_and_a_wrong_one_costs_a_try() {
    let rack = rack().await;
    let timeline = timeline(
        r#"
        events = [
            { at = "1s", do = "set-pin", key = "a", pin = "1234" },
            { at = "2s", do = "change-pin", key = "a", pin = "0000", new_pin = "5678" },
            { at = "3s", do = "change-pin", key = "a", pin = "1234", new_pin = "5678" },
            { at = "4s", do = "change-pin", key = "a", pin = "1234", new_pin = "5678" },
        ]
        "#,
    );
    assert!(!format!("{timeline:?}").contains("1234"), "{timeline:?}");
    let outcome = run(&timeline, &rack).await;
    let refused: Vec<_> = outcome.done.iter().map(|done| done.refused.is_some()).collect();
    assert_eq!(refused, [false, true, false, true], "{outcome:?}");
    let state = rack.known(&name("a")).unwrap().pin_state().await.unwrap();
    // Eight tries (CTAP 2.3 §6.5.2.2), which the right PIN gives back.
    assert_eq!((state.set, state.retries), (true, 7));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_key_that_is_removed_is_told_and_the_timeline_ends() {
    let rack = rack().await;
    let timeline = timeline(
        r#"
        events = [
            { when = "b waiting", do = "touch", key = "b" },
            { when = "b touched", do = "unplug", key = "a" },
            { when = "a unplugged", do = "plug", key = "a" },
            { at = "1s", do = "unplug", key = "a" },
        ]
        "#,
    );
    let removed = async {
        sleep(Duration::from_millis(500)).await;
        rack.remove(&name("b")).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(run(&timeline, &rack), removed);
    let gone = Some("it waits for key b, which was taken out of the rack".to_owned());
    let of =
        |event, r#do: &str, key: &str, at_ms, refused| (event, r#do.to_owned(), Some(key.to_owned()), at_ms, refused);
    assert_eq!(
        done(&outcome),
        [
            of(1, "touch", "b", 500, gone.clone()),
            of(2, "unplug", "a", 500, gone),
            of(4, "unplug", "a", 1000, None),
            of(3, "plug", "a", 1000, None),
        ]
    );
    assert_eq!(outcome.pending, [0_usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_timeline_of_a_key_that_there_is_not_does_nothing() {
    let rack = rack().await;
    let timeline =
        timeline(r#"events = [{ at = "0s", do = "unplug", key = "a" }, { at = "0s", do = "plug", key = "c" }]"#);
    let refused = timeline.run(&rack, core::future::pending(), |_| {}).await.unwrap_err();
    assert_eq!(refused, Refusal::UnknownKey { key: name("c"), known: "a, b".to_owned() });
    assert!(state(&rack, "a").await.plugged);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    for (text, place, words) in [
        (
            "[[events]]\nat = \"2 s\"\ndo = \"plug\"\nkey = \"a\"\n",
            "2:6",
            "\"2 s\" is no time: write 500ms, 2s, 1.5s or 10min",
        ),
        ("[[events]]\nat = \"25h\"\ndo = \"plug\"\nkey = \"a\"\n", "2:6", "is no time"),
        ("[[events]]\nwhen = \"a sleeps\"\ndo = \"plug\"\nkey = \"a\"\n", "2:8", "is no condition"),
        ("[[events]]\nat = \"1s\"\ndo = \"kick\"\nkey = \"a\"\n", "3:6", "unknown variant `kick`"),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\nkey = \"a\"\nwho = 1\n", "5:1", "unknown field `who`"),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\n", "1:1", "plug is done to a key: say which"),
        (
            "\n[[events]]\ndo = \"plug\"\nkey = \"a\"\n",
            "2:1",
            "an event has either at, a time since the start, or when",
        ),
        ("[[events]]\nat = \"1s\"\nnth = 2\ndo = \"plug\"\nkey = \"a\"\n", "1:1", "nth belongs to when"),
        (
            "[[events]]\nwhen = \"a waiting\"\nnth = 0\ndo = \"plug\"\nkey = \"a\"\n",
            "3:7",
            "expected a whole number from 1 to 4294967295",
        ),
        ("[[events]]\nat = \"1s\"\ndo = \"touch-policy\"\n", "1:1", "touch-policy wants policy"),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\nkey = \"a b\"\n", "4:7", "name"),
        ("[[events]]\nat = \"1s\"\ndo = \"fault\"\nkey = \"a\"\n", "1:1", "fault wants fault = \"ctap-slow,ms=3000\""),
        ("[[events]]\nat = \"1s\"\ndo = \"fault-off\"\n", "1:1", "fault-off is done to a key"),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\nkey = \"a\"\nfault = \"ctap-slow\"\n", "1:1", "plug has no fault"),
        (
            "[[events]]\nat = \"1s\"\ndo = \"fault\"\nkey = \"a\"\nfault = \"tarpit\"\n",
            "5:9",
            "no fault is called \"tarpit\"",
        ),
        ("events = { at = \"1s\" }\n", "1:10", "invalid type: an object, expected a list"),
        ("events = [1]\n", "1:11", "invalid type: integer `1`, expected an object"),
        ("[[events]]\nat = \"1s\"\ndo = \"set-pin\"\nkey = \"a\"\n", "1:1", "set-pin wants pin = \"1234\" or another"),
        (
            "[[events]]\nat = \"1s\"\ndo = \"change-pin\"\nkey = \"a\"\npin = \"1234\"\n",
            "1:1",
            "change-pin wants new_pin = \"1234\" or another",
        ),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\nkey = \"a\"\npin = \"1234\"\n", "1:1", "plug has no pin"),
        (
            "[[events]]\nat = \"1s\"\ndo = \"sample\"\nkey = \"a\"\n",
            "1:1",
            "sample wants sample = \"too-fast\" or another",
        ),
        ("[[events]]\nat = \"1s\"\ndo = \"plug\"\nkey = \"a\"\nsample = \"good\"\n", "1:1", "plug has no sample"),
        (
            "[[events]]\nat = \"1s\"\ndo = \"sample\"\nkey = \"a\"\nsample = \"fast\"\n",
            "5:10",
            "\"fast\" is nothing that a sensor makes of a sample: choose good, too-high,",
        ),
        ("events = [\n", "1:11", "unclosed array"),
        ("[[event]]\n", "1:3", "unknown field `event`"),
    ] {
        let error = Timeline::from_toml(text).unwrap_err();
        assert_eq!(format!("{}:{}", error.line, error.column), place, "{text}: {error}");
        assert!(error.problem.contains(words), "{text}: {error}");
    }
    let known = |key: &KeyName| match key.as_str() {
        "a" => Ok(()),
        _ => Err(Refusal::UnknownKey { key: key.clone(), known: "a".to_owned() }),
    };
    let text = "[[events]]\nwhen = \"c waiting\"\ndo = \"touch\"\nkey = \"b\"\n";
    let error = Timeline::from_toml_for(text, known).unwrap_err();
    assert_eq!(error.to_string(), "4:7: no key is called b: the keys are a");
    let error = Timeline::from_toml_for(&text.replace("\"b\"", "\"a\""), known).unwrap_err();
    assert_eq!(error.to_string(), "2:8: no key is called c: the keys are a");
}

#[test]
fn json_is_the_same_language() {
    let text = r#"
        events = [
            { at = "2s", do = "touch", key = "b" },
            { when = "b timed-out", nth = 3, after = "1.5s", do = "touch-policy", policy = "after=20" },
            { when = "winked", do = "finger" },
            { at = "1s", do = "fault", key = "a", fault = "ctap-status,status=46,nth=2" },
            { at = "2s", do = "fault-off", key = "a", fault = "ctap-status" },
            { at = "3s", do = "fault-off", key = "a" },
            { when = "f sampled", do = "sample", key = "f", sample = "too-skewed" },
        ]
    "#;
    let json = serde_json::json!({"events": [
        {"at": "2s", "do": "touch", "key": "b"},
        {"when": "b timed-out", "nth": 3, "after": "1500ms", "do": "touch-policy", "policy": "after=20"},
        {"when": "winked", "do": "finger"},
        {"at": "1s", "do": "fault", "key": "a", "fault": "ctap-status,status=0x2E,nth=2"},
        {"at": "2s", "do": "fault-off", "key": "a", "fault": "ctap-status"},
        {"at": "3s", "do": "fault-off", "key": "a"},
        {"when": "f sampled", "do": "sample", "key": "f", "sample": "too-skewed"},
    ]});
    assert_eq!(serde_json::to_value(timeline(text)).unwrap(), json);
    assert_eq!(serde_json::from_value::<Timeline>(json).unwrap(), timeline(text));
}

#[test]
fn times_read_as_they_are_written() {
    for (text, milliseconds) in
        [("0s", 0), ("1ms", 1), ("1.5s", 1500), ("1.005s", 1005), ("10min", 600_000), ("99999999ms", 99_999_999)]
    {
        let delay: Delay = text.parse().unwrap();
        assert_eq!(Duration::from(delay), Duration::from_millis(milliseconds), "{text}");
        assert_eq!(delay.to_string().parse::<Delay>().unwrap(), delay);
    }
    for text in [
        "",
        "s",
        "5",
        "-1s",
        "1 s",
        "1.s",
        ".5s",
        "1.0005s",
        "1.5ms",
        "1.5min",
        "10000min",
        "100000s",
        "99999999999999999999s",
        "1h",
        "١s",
    ] {
        assert!(text.parse::<Delay>().is_err(), "{text}");
    }
}
