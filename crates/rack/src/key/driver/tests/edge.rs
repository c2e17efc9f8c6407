//! What stands at the edge: a transcript that hears all, and faults.

use std::sync::{Arc, Mutex};

use super::*;

/// Writes down what passes, and lets it.
#[derive(Clone, Debug, Default)]
struct Transcript(Arc<Mutex<Vec<String>>>);

impl Transcript {
    fn note(&self, now: Duration, line: String) {
        self.0.lock().unwrap().push(format!("{} ms: {line}", now.as_millis()));
    }
}

impl Edge for Transcript {
    fn report_in(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        self.note(now, format!("{} sends {:02x}", peer.0, report[4]));
        Some(report)
    }

    fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        self.note(now, format!("{} gets {:02x}", peer.0, report[4]));
        Some(report)
    }

    fn request(&mut self, channel: Channel, _: RequestKind, message: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        let from = if channel == WITHOUT_CTAPHID { "here" } else { "a channel" };
        self.note(now, format!("from {from} {}", hex::encode(&message)));
        Some(message)
    }

    fn response(&mut self, channel: Channel, _: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        let to = if channel == WITHOUT_CTAPHID { "here" } else { "a channel" };
        self.note(now, format!("to {to} {}", hex::encode(&answer)));
        Onward::Now(answer)
    }

    fn happens(&mut self, happening: &Happening, now: Duration) {
        if let Happening::Fault(fault) = happening {
            self.note(now, format!("fault {fault}"));
        }
    }
}

#[test]
fn a_transcript_hears_every_report_and_message_in_their_order() {
    let transcript = Transcript::default();
    let mut pair = Pair::with_edges(vec![Box::new(transcript.clone())]);
    let program = pair.program();
    pair.now = milliseconds(5);
    pair.request(program, selection());
    pair.driver.transact(ONE, RequestKind::Cbor, selection(), pair.now);
    pair.settle();
    pair.now = milliseconds(50);
    pair.gesture(Gesture::Touch);
    assert_eq!(
        *transcript.0.lock().unwrap(),
        [
            "0 ms: 1 sends 86",
            "0 ms: 1 gets 86",
            "5 ms: 1 sends 90",
            "5 ms: from a channel 0b",
            "5 ms: 1 gets bb",
            "5 ms: from here 0b",
            "5 ms: to here 06",
            "50 ms: to a channel 00",
            "50 ms: 1 gets 90",
        ]
    );
}

/// Does one thing to what passes.
#[derive(Debug)]
enum Fault {
    LosesRequests,
    LosesAnswers,
    ChangesAnswers,
    LosesReportsIn,
    LosesKeepalives,
}

impl Edge for Fault {
    fn report_in(&mut self, _: Peer, report: Report, _: Duration) -> Option<Report> {
        (!matches!(self, Self::LosesReportsIn)).then_some(report)
    }

    fn report_out(&mut self, _: Peer, report: Report, _: Duration) -> Option<Report> {
        (!(matches!(self, Self::LosesKeepalives) && report[4] == 0xBB)).then_some(report)
    }

    fn request(&mut self, _: Channel, _: RequestKind, message: Vec<u8>, _: Duration) -> Option<Vec<u8>> {
        (!matches!(self, Self::LosesRequests)).then_some(message)
    }

    fn response(&mut self, _: Channel, _: RequestKind, answer: Vec<u8>, _: Duration) -> Onward {
        match self {
            Self::LosesAnswers => Onward::Never,
            Self::ChangesAnswers => Onward::Now(vec![0x7F]),
            _ => Onward::Now(answer),
        }
    }
}

#[test]
fn a_request_or_an_answer_that_is_lost_leaves_the_host_waiting_and_init_frees_the_key() {
    for fault in [Fault::LosesRequests, Fault::LosesAnswers] {
        let mut pair = Pair::with_edges(vec![Box::new(fault)]);
        let (host, other) = (pair.usb_host(), pair.program());
        pair.request(host, Ctap::GetInfo.encode());
        pair.pass(milliseconds(1_000));
        let heard: Vec<_> = core::iter::from_fn(|| pair.event(host)).collect();
        assert!(heard.len() >= 10, "{heard:?}");
        assert!(heard.iter().all(|event| *event == HostEvent::Keepalive(KeepaliveStatus::Processing)));
        pair.assert_busy(other);
        let now = pair.now;
        pair.host(host).resynchronize([8; 8], PATIENCE, now).unwrap();
        pair.settle();
        assert!(matches!(pair.event(host), Some(HostEvent::Opened(_))));
        assert_eq!(pair.driver.poll_timeout(), None);
    }
}

#[test]
fn an_answer_can_be_another_and_a_report_can_be_lost() {
    let mut pair = Pair::with_edges(vec![Box::new(Fault::ChangesAnswers)]);
    let host = pair.usb_host();
    pair.request(host, Ctap::GetInfo.encode());
    assert_eq!(pair.answer(host).0, [0x7F]);

    let mut pair = Pair::with_edges(vec![Box::new(Fault::LosesKeepalives)]);
    let host = pair.usb_host();
    pair.request(host, selection());
    pair.pass(milliseconds(1_000));
    assert_eq!(pair.event(host), None);
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(host), (vec![0], vec![]));

    let mut pair = Pair::with_edges(vec![Box::new(Fault::LosesReportsIn)]);
    let mut host = Host::new();
    host.open([7; 8], PATIENCE, Duration::ZERO).unwrap();
    pair.hosts.insert(USB_HOST, host);
    pair.settle();
    assert_eq!(pair.event(USB_HOST), None);
}

/// Holds answers and reports for a while, repeats reports, and says so.
#[derive(Debug, Default)]
struct Slow {
    answers: VecDeque<(Duration, Channel, RequestKind, Vec<u8>)>,
    reports: VecDeque<(Duration, Peer, Report)>,
    told: usize,
}

impl Edge for Slow {
    fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        if report[4] == 0x90 {
            self.reports.push_back((now + milliseconds(7), peer, report));
            self.told += 1;
        }
        Some(report)
    }

    fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        self.answers.push_back((now + milliseconds(200), channel, kind, answer));
        Onward::Later
    }

    fn poll_report_out(&mut self, now: Duration) -> Option<(Peer, Report)> {
        self.reports.pop_front_if(|(due, ..)| *due <= now).map(|(_, peer, report)| (peer, report))
    }

    fn poll_response(&mut self, now: Duration) -> Option<(Channel, RequestKind, Vec<u8>)> {
        self.answers.pop_front_if(|(due, ..)| *due <= now).map(|(_, channel, kind, answer)| (channel, kind, answer))
    }

    fn poll_happening(&mut self) -> Option<Happening> {
        self.told = self.told.checked_sub(1)?;
        Some(Happening::Fault("repeats".to_owned()))
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let answer = self.answers.front().map(|(due, ..)| *due);
        answer.into_iter().chain(self.reports.front().map(|(due, ..)| *due)).min()
    }
}

#[test]
fn what_is_held_or_made_up_at_the_edge_comes_when_it_is_due_and_those_farther_out_hear_of_it() {
    let transcript = Transcript::default();
    let mut pair = Pair::with_edges(vec![Box::new(Slow::default()), Box::new(transcript.clone())]);
    let host = pair.usb_host();
    transcript.0.lock().unwrap().clear();
    pair.driver.transact(ONE, RequestKind::Cbor, vec![0x7F], pair.now);
    pair.request(host, vec![0x7F]);
    pair.pass(milliseconds(300));
    assert_eq!(
        *transcript.0.lock().unwrap(),
        [
            "0 ms: from here 7f",
            "0 ms: 0 sends 90",
            "0 ms: from a channel 7f",
            "80 ms: 0 gets bb",
            "160 ms: 0 gets bb",
            "200 ms: to here 01",
            "200 ms: to a channel 01",
            "200 ms: fault repeats",
            "200 ms: 0 gets 90",
            "207 ms: 0 gets 90",
        ]
    );
    assert_eq!(pair.driver.poll_timeout(), None);
}
