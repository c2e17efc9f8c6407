//! A key and its hosts in virtual time, without a runtime: hosts that speak CTAPHID, a disk that is slow or full when told to be.

use keyrig_authenticator::Reason;
use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::store::Store;
use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::entities::{CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::hid::{Command as HidCommand, Host, HostEvent, TransactionError};
use keyrig_ctap::{Request as Ctap, config, get_assertion, make_credential, parse_response, u2f};

use super::*;
use crate::seams::Edge;
use crate::storage::{Memory, Storage};

mod behaviour;
mod edge;
mod nonsense;

const PATIENCE: Duration = Duration::from_secs(60);

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What the disk does about a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Prompt,
    /// The commit stays under way until [`Pair::finish`].
    Slow,
    Full,
}

/// A key, its hosts, and the time of both.
struct Pair {
    driver: Driver,
    now: Duration,
    disk: Disk,
    memory: Memory,
    committing: bool,
    hosts: BTreeMap<Peer, Host>,
    /// Hosts that do not read for the moment.
    mute: Vec<Peer>,
    events: Vec<(Peer, HostEvent)>,
    answers: Vec<(TransactionId, Vec<u8>)>,
    progress: Vec<Progress>,
    waiting: Option<(GestureId, Reason)>,
    stored: usize,
}

fn key(profile: Profile) -> (Authenticator, Memory) {
    let attestation = Root::new([2; 32]).unwrap().issue(&profile, 1).unwrap();
    let mut environment = Seeded::new([3; 32]);
    let (store, changes) = Store::create(&mut environment);
    let memory = Memory::holding(&changes);
    (Authenticator::new(profile, attestation, Box::new(environment), store, Duration::ZERO), memory)
}

impl Pair {
    fn new() -> Self {
        Self::with_edges(Vec::new())
    }

    fn with_edges(edges: Vec<Box<dyn Edge>>) -> Self {
        Self::with(Profile::built_in("keyrig").unwrap(), edges)
    }

    fn of(profile: Profile) -> Self {
        Self::with(profile, Vec::new())
    }

    fn with(profile: Profile, edges: Vec<Box<dyn Edge>>) -> Self {
        let (authenticator, memory) = key(profile);
        let mut driver = Driver::new(&"a".parse().unwrap(), authenticator, edges);
        driver.power_on(Duration::ZERO);
        Self {
            driver,
            now: Duration::ZERO,
            disk: Disk::Prompt,
            memory,
            committing: false,
            hosts: BTreeMap::new(),
            mute: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            progress: Vec::new(),
            waiting: None,
            stored: 0,
        }
    }

    /// A program that has opened a channel.
    fn program(&mut self) -> Peer {
        let peer = self.driver.connect(Farewell::Said, self.now);
        self.open(peer);
        peer
    }

    /// The USB host, with a channel open.
    fn usb_host(&mut self) -> Peer {
        self.open(USB_HOST);
        USB_HOST
    }

    fn open(&mut self, peer: Peer) {
        let mut host = Host::new();
        host.open([7; 8], PATIENCE, self.now).unwrap();
        self.hosts.insert(peer, host);
        self.settle();
        assert!(matches!(self.event(peer), Some(HostEvent::Opened(_))));
    }

    fn host(&mut self, peer: Peer) -> &mut Host {
        self.hosts.get_mut(&peer).unwrap()
    }

    fn request(&mut self, peer: Peer, message: Vec<u8>) {
        self.request_as(peer, HidCommand::Cbor, message);
    }

    fn request_as(&mut self, peer: Peer, command: HidCommand, message: Vec<u8>) {
        let now = self.now;
        self.host(peer).request(command, message, PATIENCE, now).unwrap();
        self.settle();
    }

    /// Carries reports and does what the key wants done, until nothing is left to do.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.driver.poll_effect() {
                self.act(effect);
            }
            let mute = self.mute.clone();
            if let Some((peer, report)) = self.driver.poll_report(|peer| !mute.contains(&peer), self.now) {
                if let Some(host) = self.hosts.get_mut(&peer) {
                    host.receive(&report, self.now);
                    self.events.extend(core::iter::from_fn(|| host.poll_event()).map(|event| (peer, event)));
                }
                continue;
            }
            let report = self.hosts.iter_mut().find_map(|(peer, host)| Some((*peer, host.poll_report()?)));
            let Some((peer, report)) = report else { return };
            self.driver.receive(peer, report, self.now);
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Commit => match self.disk {
                Disk::Prompt => self.finish(),
                Disk::Slow => {
                    self.committing = true;
                    self.driver.committing(self.now);
                }
                Disk::Full => self.driver.committed(Err(NotDurable::new("no room")), self.now),
            },
            Effect::Answer(id, answer) => self.answers.push((id, answer)),
            Effect::Progress(_, progress) => self.progress.push(progress),
            Effect::Tell(News::Waiting { id, reason, .. }) => self.waiting = Some((id, reason)),
            Effect::Tell(News::NotWaiting { id, .. }) => drop(self.waiting.take_if(|(waiting, _)| *waiting == id)),
            Effect::Tell(News::Stored { discoverable_credentials }) => self.stored = discoverable_credentials,
            Effect::Tell(News::Attached(_) | News::Programs { .. } | News::Winked) => {}
        }
    }

    /// The commit under way is on the disk.
    fn finish(&mut self) {
        self.committing = false;
        let result = self.memory.commit(self.driver.changes());
        self.driver.committed(result, self.now);
    }

    fn finish_and_settle(&mut self) {
        self.finish();
        self.settle();
        assert_eq!(self.memory.load().unwrap(), *self.driver.authenticator.store(), "memory equals the disk");
    }

    /// Lets time pass as a driver does: the key is called only when it wants to be.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.driver.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.driver.handle_timeout(self.now);
            assert!(self.driver.poll_timeout().is_none_or(|next| next > self.now), "the timer would never rest");
            self.settle();
        }
        self.now = end;
    }

    fn gesture(&mut self, gesture: Gesture) {
        let (id, _) = self.waiting.expect("the key waits for a touch");
        self.driver.gesture(id, gesture, self.now);
        self.settle();
    }

    fn waits_for(&self) -> Option<Reason> {
        self.waiting.map(|(_, reason)| reason)
    }

    /// The first thing that this host has heard.
    fn event(&mut self, peer: Peer) -> Option<HostEvent> {
        let index = self.events.iter().position(|(heard_by, _)| *heard_by == peer)?;
        Some(self.events.remove(index).1)
    }

    /// The answer, which has come, and the keepalives before it.
    #[track_caller]
    fn answer(&mut self, peer: Peer) -> (Vec<u8>, Vec<KeepaliveStatus>) {
        let mut keepalives = Vec::new();
        loop {
            match self.event(peer) {
                Some(HostEvent::Keepalive(status)) => keepalives.push(status),
                Some(HostEvent::Response(answer)) => return (answer, keepalives),
                other => panic!("{other:?} instead of an answer"),
            }
        }
    }

    #[track_caller]
    fn assert_busy(&mut self, peer: Peer) {
        self.request(peer, selection());
        let busy = HostEvent::Failed(TransactionError::Refused(keyrig_ctap::hid::ErrorCode::ChannelBusy));
        assert_eq!(self.event(peer), Some(busy));
    }

    /// Takes the power and gives it back, as the task does: a commit under way is told in between.
    fn power_cycle(&mut self) {
        self.driver.power_off(self.now);
        self.settle();
        if self.committing {
            self.finish_and_settle();
        }
        self.driver.power_on(self.now);
        self.settle();
    }

    fn disconnect(&mut self, peer: Peer) {
        self.hosts.remove(&peer);
        self.driver.disconnect(peer, self.now);
        self.settle();
    }
}

fn selection() -> Vec<u8> {
    Ctap::Selection.encode()
}

fn make(user: &str) -> Vec<u8> {
    Ctap::MakeCredential(make_credential::Request {
        client_data_hash: [0xCD; 32],
        relying_party: RelyingParty { id: "login.example".to_owned(), name: None },
        user: User { id: user.as_bytes().to_vec(), name: None, display_name: None },
        parameters: vec![CredentialParameters::public_key(-7)],
        exclude_list: vec![],
        extensions: None,
        options: Options { rk: Some(true), up: None, uv: None },
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    })
    .encode()
}

fn silent_assertion() -> Vec<u8> {
    Ctap::GetAssertion(get_assertion::Request {
        relying_party_id: "login.example".to_owned(),
        client_data_hash: [0xCD; 32],
        allow_list: vec![],
        extensions: None,
        options: Options { rk: None, up: Some(false), uv: None },
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

fn counter(answer: &[u8]) -> u32 {
    let response = get_assertion::Response::decode(parse_response(answer).unwrap()).unwrap();
    AuthenticatorData::decode(&response.authenticator_data).unwrap().counter
}

fn register() -> Vec<u8> {
    u2f::Request::Register { challenge: [1; 32], application: [2; 32] }.encode(u2f::Encoding::Extended)
}

/// SW_CONDITIONS_NOT_SATISFIED.
const NOT_TOUCHED: [u8; 2] = [0x69, 0x85];

#[test]
fn a_command_waits_for_a_touch_and_its_host_hears_so_at_least_every_100_ms() {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    pair.request(host, make("user"));
    assert_eq!(pair.waits_for(), Some(Reason::MakeCredential));
    assert_eq!(pair.event(host), Some(HostEvent::Keepalive(KeepaliveStatus::UpNeeded)), "at once");
    pair.pass(milliseconds(10_000));
    let heard = core::iter::from_fn(|| pair.event(host)).collect::<Vec<_>>();
    assert!(heard.len() >= 100, "{}", heard.len());
    assert!(heard.iter().all(|event| *event == HostEvent::Keepalive(KeepaliveStatus::UpNeeded)));
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(host).0[0], 0);
    assert_eq!((pair.waits_for(), pair.stored), (None, 1));
    assert_eq!(pair.driver.poll_timeout(), None, "an idle key wants nothing");
}

#[test]
fn a_touch_after_the_deadline_comes_too_late_even_if_the_timer_does_too() {
    for (message, status) in [(make("user"), 0x27), (selection(), 0x2F)] {
        let mut pair = Pair::new();
        let host = pair.usb_host();
        pair.request(host, message);
        pair.now += milliseconds(30_000);
        pair.gesture(Gesture::Touch);
        assert_eq!(pair.answer(host).0, [status]);
        assert_eq!(pair.waits_for(), None);
    }
}

#[test]
fn a_long_touch_lasts_five_seconds() {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    let enable = config::Request::new(config::Subcommand::EnableLongTouchForReset, config::Parameters::default());
    pair.request(host, Ctap::Config(enable).encode());
    assert_eq!(pair.answer(host).0, [0]);
    pair.request(host, Ctap::Reset.encode());
    pair.gesture(Gesture::Touch);
    pair.pass(milliseconds(4_999));
    assert!(core::iter::from_fn(|| pair.event(host)).all(|event| matches!(event, HostEvent::Keepalive(_))));
    pair.pass(milliseconds(1));
    assert_eq!(pair.answer(host).0, [0]);
}

#[test]
fn what_is_denied_in_time_begins_nothing_however_long_it_was_touched() {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    let enable = config::Request::new(config::Subcommand::EnableLongTouchForReset, config::Parameters::default());
    pair.request(host, Ctap::Config(enable).encode());
    assert_eq!(pair.answer(host).0, [0]);
    pair.request(host, Ctap::Reset.encode());
    pair.gesture(Gesture::Touch);
    // As after a disk that was slow: the time is up, and nobody has told the key yet.
    pair.now += milliseconds(5_001);
    pair.driver.deny(pair.now);
    pair.settle();
    assert_eq!(pair.answer(host).0, [u8::from(Status::OperationDenied)]);
}

#[test]
fn a_host_that_does_not_read_causes_no_work_and_holds_up_nobody_else() {
    let mut pair = Pair::new();
    let (host, program) = (pair.usb_host(), pair.program());
    pair.mute.push(host);
    pair.request(host, make("user"));
    // That a touch is needed waits for the host, and nothing but the user's deadline is left to wake the key.
    assert_eq!(pair.driver.poll_timeout(), Some(milliseconds(30_000)));
    pair.assert_busy(program);
    pair.gesture(Gesture::Touch);
    for _ in 0..3 {
        pair.request(program, Ctap::GetInfo.encode());
        assert_eq!(pair.answer(program).0[0], 0);
    }
    pair.mute.clear();
    pair.settle();
    assert_eq!(pair.answer(host).0[0], 0);
}

#[test]
fn what_a_program_wrote_before_it_went_is_carried_out_and_what_waits_goes_with_it() {
    let mut pair = Pair::new();
    let stays = pair.program();
    pair.request(stays, make("user"));
    pair.gesture(Gesture::Touch);
    pair.answer(stays);
    pair.request(stays, silent_assertion());
    let before = counter(&pair.answer(stays).0);

    let gone = pair.program();
    pair.request(gone, silent_assertion());
    pair.disconnect(gone);
    pair.request(stays, silent_assertion());
    assert_eq!(counter(&pair.answer(stays).0), before + 2);

    let gone = pair.program();
    pair.request_as(gone, HidCommand::Lock, vec![10]);
    pair.answer(gone);
    pair.request(gone, make("theirs"));
    pair.assert_busy(stays);
    let (of_theirs, _) = pair.waiting.unwrap();
    pair.disconnect(gone);
    assert_eq!(pair.waits_for(), None);
    pair.request(stays, selection());
    // A touch that was on its way for what has gone is nobody's.
    pair.driver.gesture(of_theirs, Gesture::Touch, pair.now);
    pair.settle();
    assert_eq!(pair.waits_for(), Some(Reason::Selection));
    pair.gesture(Gesture::Touch);
    assert_eq!((pair.answer(stays).0, pair.stored), (vec![0], 1));
}

#[test]
fn of_programs_that_make_room_the_one_that_was_silent_longest_goes_and_none_that_waits() {
    let mut pair = Pair::new();
    let programs: Vec<_> = (0..4).map(|_| pair.program()).collect();
    let [first, second, third, fourth] = programs[..] else { panic!() };
    pair.request(first, selection());
    pair.request_as(second, HidCommand::Ping, vec![1]);
    assert_eq!(pair.event(second), Some(HostEvent::Failed(TransactionError::Refused(BUSY))), "and was heard of");
    assert_eq!(pair.driver.displace(programs.clone(), pair.now), Some(third));
    assert_eq!(pair.driver.displace(programs.clone(), pair.now), Some(third), "which has gone already");
    assert_eq!(pair.driver.displace(vec![first, second, fourth], pair.now), Some(fourth));
    assert_eq!(pair.driver.displace(vec![first, second], pair.now), Some(second));
    assert_eq!(pair.driver.displace(vec![first], pair.now), None, "it waits for a touch");
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(first).0, [0]);
    assert_eq!(pair.driver.displace(vec![first], pair.now), Some(first));

    // Neither one that waits for a touch of CTAP1/U2F, nor one that holds the lock.
    let (asks, locks) = (pair.program(), pair.program());
    pair.request_as(asks, HidCommand::Msg, register());
    pair.request_as(locks, HidCommand::Lock, vec![10]);
    assert_eq!(pair.driver.displace(vec![asks, locks], pair.now), None);
    pair.pass(milliseconds(2_000));
    assert_eq!(pair.driver.displace(vec![asks, locks], pair.now), Some(asks));
    pair.pass(milliseconds(8_000));
    assert_eq!(pair.driver.displace(vec![locks], pair.now), Some(locks));
}

const BUSY: keyrig_ctap::hid::ErrorCode = keyrig_ctap::hid::ErrorCode::ChannelBusy;

#[test]
fn u2f_waits_by_being_asked_again_and_ends_with_whoever_asked() {
    let mut pair = Pair::new();
    let (host, program) = (pair.usb_host(), pair.program());
    let asked = |pair: &mut Pair, peer| {
        pair.request_as(peer, HidCommand::Msg, register());
        pair.answer(peer)
    };
    assert_eq!(asked(&mut pair, program), (NOT_TOUCHED.to_vec(), vec![]), "without keepalives");
    assert_eq!(pair.waits_for(), Some(Reason::U2fRegister));
    pair.pass(milliseconds(1_999));
    assert_eq!(pair.waits_for(), Some(Reason::U2fRegister));
    pair.pass(milliseconds(1));
    assert_eq!((pair.waits_for(), pair.driver.poll_timeout()), (None, None), "nobody asked again");

    asked(&mut pair, program);
    pair.disconnect(program);
    assert_eq!(pair.waits_for(), None);
    assert_eq!(asked(&mut pair, host).0, NOT_TOUCHED);
    pair.gesture(Gesture::Touch);
    assert_eq!(asked(&mut pair, host).0.last_chunk(), Some(&[0x90, 0x00]));
}

#[test]
fn a_touch_for_u2f_goes_with_the_program_that_it_was_for() {
    let mut pair = Pair::new();
    let (host, program) = (pair.usb_host(), pair.program());
    pair.request_as(program, HidCommand::Msg, register());
    pair.gesture(Gesture::Touch);
    pair.disconnect(program);
    pair.request_as(host, HidCommand::Msg, register());
    assert_eq!(pair.answer(host).0, NOT_TOUCHED);
}

const ONE: TransactionId = TransactionId(1);
const TWO: TransactionId = TransactionId(2);

#[test]
fn of_a_host_and_a_transaction_whoever_comes_second_is_told_busy() {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    let transact = |pair: &mut Pair, id, kind, message| {
        pair.driver.transact(id, kind, message, pair.now);
        pair.settle();
    };
    transact(&mut pair, ONE, RequestKind::Cbor, selection());
    assert_eq!(pair.progress, [Progress::UpNeeded]);
    pair.request(host, selection());
    assert_eq!(pair.answer(host).0, [0x06], "CTAP1_ERR_CHANNEL_BUSY");
    pair.request_as(host, HidCommand::Msg, register());
    assert_eq!(pair.answer(host).0, NOT_TOUCHED);
    transact(&mut pair, TWO, RequestKind::Cbor, selection());
    assert_eq!(pair.answers, [(TWO, vec![0x06])]);

    // One that is over, or was never begun, is neither cancelled nor abandoned.
    pair.driver.cancel(TWO, pair.now);
    pair.driver.abandon(TWO, pair.now);
    pair.settle();
    assert_eq!(pair.waits_for(), Some(Reason::Selection));
    pair.driver.cancel(ONE, pair.now);
    pair.settle();
    assert_eq!(pair.answers[1..], [(ONE, vec![0x2D])], "CTAP2_ERR_KEEPALIVE_CANCEL");
    transact(&mut pair, TWO, RequestKind::Cbor, make("theirs"));
    pair.driver.abandon(TWO, pair.now);
    pair.settle();
    assert_eq!((pair.waits_for(), pair.answers.len()), (None, 2));
    pair.request(host, selection());
    pair.gesture(Gesture::Deny);
    assert_eq!(pair.answer(host).0, [0x27]);
}

#[test]
fn a_disk_that_is_full_fails_the_command_and_not_the_key() {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    pair.disk = Disk::Full;
    pair.request(host, make("user"));
    pair.gesture(Gesture::Touch);
    assert_eq!((pair.answer(host).0, pair.stored), (vec![0x7F], 0), "CTAP1_ERR_OTHER");
    pair.disk = Disk::Prompt;
    pair.request(host, make("user"));
    pair.gesture(Gesture::Touch);
    assert_eq!((pair.answer(host).0[0], pair.stored), (0, 1));
}

/// A key whose host has registered, and whose commit is on its way to the disk.
fn committing() -> (Pair, Peer) {
    let mut pair = Pair::new();
    let host = pair.usb_host();
    pair.disk = Disk::Slow;
    pair.request(host, make("user"));
    pair.gesture(Gesture::Touch);
    assert!(pair.committing);
    (pair, host)
}

#[test]
fn while_a_commit_is_under_way_the_host_hears_that_the_key_is_processing() {
    let (mut pair, host) = committing();
    pair.pass(milliseconds(200));
    pair.host(host).cancel().unwrap();
    pair.settle();
    pair.finish_and_settle();
    let (answer, keepalives) = pair.answer(host);
    assert_eq!(answer[0], 0, "too late to cancel");
    let processing = KeepaliveStatus::Processing;
    assert_eq!(keepalives, [KeepaliveStatus::UpNeeded, processing, processing, processing]);
}

#[test]
fn init_during_a_commit_takes_its_answer_back_and_the_next_request_waits_for_the_disk() {
    let (mut pair, host) = committing();
    let now = pair.now;
    pair.host(host).resynchronize([8; 8], PATIENCE, now).unwrap();
    pair.settle();
    pair.request(host, selection());
    assert_eq!(pair.waits_for(), None, "not yet begun");
    pair.finish_and_settle();
    assert_eq!((pair.stored, pair.waits_for()), (1, Some(Reason::Selection)));
    pair.gesture(Gesture::Touch);
    let (answer, _) = loop {
        match pair.event(host) {
            Some(HostEvent::Opened(_) | HostEvent::Keepalive(_)) => {}
            Some(HostEvent::Response(answer)) => break (answer, ()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer, [0]);
}

#[test]
fn a_request_that_waits_for_the_disk_can_be_cancelled_and_goes_with_its_program() {
    let (mut pair, host) = committing();
    let (cancels, goes) = (pair.program(), pair.program());
    let now = pair.now;
    pair.host(host).resynchronize([8; 8], PATIENCE, now).unwrap();
    pair.settle();
    pair.request(cancels, selection());
    pair.host(cancels).cancel().unwrap();
    pair.settle();
    assert_eq!(pair.answer(cancels).0, [0x2D]);
    pair.request(goes, make("theirs"));
    pair.disconnect(goes);
    pair.finish_and_settle();
    assert_eq!((pair.waits_for(), pair.stored), (None, 1));
    pair.request(cancels, selection());
    assert_eq!(pair.waits_for(), Some(Reason::Selection));
}

#[test]
fn a_commit_under_way_is_told_when_the_power_is_lost_and_nothing_comes_after_it() {
    for back_before_the_disk in [false, true] {
        let (mut pair, host) = committing();
        pair.events.clear();
        pair.driver.power_off(pair.now);
        pair.settle();
        if back_before_the_disk {
            pair.driver.power_on(pair.now);
        }
        pair.finish_and_settle();
        assert_eq!(pair.stored, 1);
        if !back_before_the_disk {
            pair.driver.power_on(pair.now);
        }
        assert_eq!(pair.event(host), None, "the channel is gone, and its answer with it");
        pair.disk = Disk::Prompt;
        pair.open(host);
        pair.request(host, silent_assertion());
        assert_eq!(counter(&pair.answer(host).0), 2);
    }
}

#[test]
fn power_that_is_lost_ends_waits_channels_locks_and_programs() {
    let mut pair = Pair::new();
    let program = pair.program();
    pair.request_as(program, HidCommand::Lock, vec![10]);
    pair.request(program, make("user"));
    pair.driver.power_on(pair.now);
    pair.settle();
    assert_eq!((pair.waits_for(), pair.driver.poll_timeout()), (None, None));
    // It has not heard of that, and goes on sending.
    pair.driver.receive(program, [0xFF; 64], pair.now);
    assert_eq!(pair.driver.poll_report(|_| true, pair.now), None);
    let next = pair.program();
    assert_ne!(next, program);
    pair.request(next, selection());
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(next).0, [0]);
}
