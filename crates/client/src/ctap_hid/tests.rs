use std::sync::{Arc, Mutex};

use keyrig_ctap::hid::{Capabilities, Device, DeviceConfig, DeviceEvent, Misbehaviour, REPORT_SIZE};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::channel::Canceller;

/// The host's end of a pipe in memory.
struct Memory {
    to_key: mpsc::Sender<Report>,
    from_key: mpsc::Receiver<Report>,
}

impl ReportPipe for Memory {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        self.to_key.send(report).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn receive(&mut self) -> io::Result<Report> {
        self.from_key.recv().await.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// What the authenticator behind the device does about a request.
#[derive(Clone, Copy)]
enum Does {
    /// It answers with the request's own bytes.
    Echo,
    /// It asks for a touch, gets it after so many milliseconds, then echoes.
    EchoAfter(u64),
    /// It waits for a touch that never comes, until it is cancelled.
    Wait,
    /// It is unplugged.
    Vanish,
}

/// A CTAPHID device in a task, with an authenticator that does the given things one after the other, then echoes.
fn device(does: Vec<Does>) -> (Memory, JoinHandle<()>) {
    let (to_key, mut requests) = mpsc::channel::<Report>(256);
    let (reports, from_key) = mpsc::channel(256);
    let task = tokio::spawn(async move {
        let mut device = Device::new(DeviceConfig {
            device_version: [1, 0, 0],
            capabilities: Capabilities::CBOR,
            ..DeviceConfig::default()
        });
        let epoch = Instant::now();
        let mut does = does.into_iter();
        let mut waiting = None;
        let mut touched_at = None;
        let mut counter = 0;
        let mut random = move |bytes: &mut [u8]| {
            counter += 1;
            bytes.fill(counter);
        };
        loop {
            while let Some(event) = device.poll_event() {
                match event {
                    DeviceEvent::Request { id, payload, .. } => match does.next().unwrap_or(Does::Echo) {
                        Does::Echo => device.respond(id, payload).unwrap(),
                        Does::Vanish => return,
                        does => {
                            device.set_status(id, KeepaliveStatus::UpNeeded, epoch.elapsed()).unwrap();
                            waiting = Some((id, payload));
                            if let Does::EchoAfter(ms) = does {
                                touched_at = Some(Instant::now() + Duration::from_millis(ms));
                            }
                        }
                    },
                    DeviceEvent::Cancel(id) => {
                        waiting = None;
                        device.respond(id, vec![0x2d]).unwrap();
                    }
                    DeviceEvent::Abort(_) => waiting = None,
                    DeviceEvent::Wink | DeviceEvent::Vendor { .. } => {}
                }
            }
            while let Some(report) = device.poll_report() {
                if reports.send(report).await.is_err() {
                    return;
                }
            }
            let deadline = device.poll_timeout().map(|timeout| epoch + timeout);
            tokio::select! {
                report = requests.recv() => match report {
                    Some(report) => device.receive(&report, epoch.elapsed(), &mut random),
                    None => return,
                },
                () = expired(deadline) => device.handle_timeout(epoch.elapsed()),
                () = expired(touched_at) => {
                    touched_at = None;
                    if let Some((id, payload)) = waiting.take() {
                        device.respond(id, payload).unwrap();
                    }
                }
            }
        }
    });
    (Memory { to_key, from_key }, task)
}

async fn transact(channel: &mut CtapHidChannel<Memory>, request: &[u8]) -> Result<Vec<u8>, ChannelError> {
    channel.transact(request, Cancel::never(), &mut |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn messages_of_every_shape_come_through() {
    let (pipe, _task) = device(Vec::new());
    let mut channel = CtapHidChannel::new(pipe);
    // One packet, exactly one, two, exactly two, the largest.
    for length in [1, 57, 58, 116, 117, 7609] {
        let request: Vec<u8> = (0..=250).cycle().take(length).collect();
        assert_eq!(transact(&mut channel, &request).await, Ok(request));
    }
    let too_long = transact(&mut channel, &[4; 7610]).await;
    assert!(matches!(too_long, Err(ChannelError::TooLong(too_long)) if too_long.length == 7610));
    assert_eq!(transact(&mut channel, &[4]).await, Ok(vec![4]), "nothing has happened");
}

/// Far beyond 20 seconds: each keepalive begins them anew.
#[tokio::test(start_paused = true)]
async fn keepalives_keep_a_slow_touch_alive_and_are_told() {
    let (pipe, _task) = device(vec![Does::EchoAfter(90_000)]);
    let mut channel = CtapHidChannel::new(pipe);
    let mut statuses = Vec::new();
    let response = channel.transact(&[1], Cancel::never(), &mut |status| statuses.push(status)).await;
    assert_eq!(response, Ok(vec![1]));
    statuses.dedup();
    assert_eq!(statuses.last(), Some(&KeepaliveStatus::UpNeeded));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_answered_by_the_key_and_the_channel_goes_on() {
    let (pipe, _task) = device(vec![Does::Wait]);
    let mut channel = CtapHidChannel::new(pipe);
    let canceller = Canceller::new();
    let mut on_status = |status| {
        if status == KeepaliveStatus::UpNeeded {
            canceller.cancel();
        }
    };
    let response = channel.transact(&[1], canceller.token(), &mut on_status).await;
    assert_eq!(response, Ok(vec![0x2d]));
    assert_eq!(transact(&mut channel, &[2]).await, Ok(vec![2]));
    let unsent = channel.transact(&[3], canceller.token(), &mut |_| {}).await;
    assert_eq!(unsent, Err(ChannelError::CancelledUnsent));
    assert_eq!(transact(&mut channel, &[4]).await, Ok(vec![4]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_given_up_is_aborted_by_the_next_one() {
    let (pipe, _task) = device(vec![Does::Wait]);
    let mut channel = CtapHidChannel::new(pipe);
    let given_up = tokio::time::timeout(Duration::from_secs(3), transact(&mut channel, &[1])).await;
    assert!(given_up.is_err());
    assert_eq!(transact(&mut channel, &[2]).await, Ok(vec![2]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_unplugged_in_the_middle_is_gone() {
    let (pipe, _task) = device(vec![Does::Vanish]);
    let mut channel = CtapHidChannel::new(pipe);
    assert_eq!(transact(&mut channel, &[1]).await, Err(ChannelError::Unplugged));
    assert_eq!(transact(&mut channel, &[1]).await, Err(ChannelError::Unplugged));
}

/// What the operating system says once a device is gone, and what is another matter.
#[test]
fn errors_of_the_system_are_told_from_an_unplugged_key() {
    for gone in [19, 5] {
        assert_eq!(of_system(io::Error::from_raw_os_error(gone)), ChannelError::Unplugged);
    }
    assert!(
        matches!(of_system(io::Error::from_raw_os_error(13)), ChannelError::System(text) if text.contains("denied"))
    );
}

/// A pipe whose other end is written out by the test: each report of the host gets the answers that `script` makes of it.
struct Written<F> {
    script: F,
    answers: mpsc::UnboundedReceiver<Report>,
    sender: mpsc::UnboundedSender<Report>,
    seen: Arc<Mutex<Vec<(u8, Instant)>>>,
}

impl<F: FnMut(&Report) -> Vec<Report> + Send> ReportPipe for Written<F> {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        self.seen.lock().unwrap().push((report[4], Instant::now()));
        for answer in (self.script)(&report) {
            self.sender.send(answer).unwrap();
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Report> {
        self.answers.recv().await.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

type Seen = Arc<Mutex<Vec<(u8, Instant)>>>;

fn written<F: FnMut(&Report) -> Vec<Report> + Send>(script: F) -> (CtapHidChannel<Written<F>>, Seen) {
    let (sender, answers) = mpsc::unbounded_channel();
    let seen = Seen::default();
    (CtapHidChannel::new(Written { script, answers, sender, seen: Arc::clone(&seen) }), seen)
}

const INIT: u8 = 0x86;
const CBOR: u8 = 0x90;
const CANCEL: u8 = 0x91;
const ERROR: u8 = 0xbf;
const KEEPALIVE: u8 = 0xbb;
const CHANNEL: [u8; 4] = [1, 2, 3, 4];

fn report(channel: &[u8], command: u8, payload: &[u8]) -> Report {
    let mut report = [0; REPORT_SIZE];
    report[..4].copy_from_slice(channel);
    report[4] = command;
    report[6] = payload.len().try_into().unwrap();
    report[7..7 + payload.len()].copy_from_slice(payload);
    report
}

/// CTAP 2.3 §11.2.9.1.3, by hand.
fn init_response(request: &Report) -> Report {
    let payload = [&request[7..15], &CHANNEL, &[2, 1, 0, 0, 0x04]].concat();
    report(&request[..4], INIT, &payload)
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_is_asked_again_after_100_ms() {
    let mut refusals = 3;
    let (mut channel, seen) = written(move |request| match request[4] {
        INIT => vec![init_response(request)],
        CBOR if refusals > 0 => {
            refusals -= 1;
            vec![report(&CHANNEL, ERROR, &[0x06])]
        }
        _ => vec![report(&CHANNEL, CBOR, &[0])],
    });
    let response = channel.transact(&[4], Cancel::never(), &mut |_| {}).await;
    assert_eq!(response, Ok(vec![0]));
    let asked: Vec<_> =
        seen.lock().unwrap().iter().filter(|(command, _)| *command == CBOR).map(|(_, at)| *at).collect();
    let gaps: Vec<_> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(gaps, [100, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_stays_busy_is_given_up_and_a_cancel_ends_the_waiting() {
    let busy = |request: &Report| match request[4] {
        INIT => vec![init_response(request)],
        _ => vec![report(&CHANNEL, ERROR, &[0x06])],
    };
    let begin = Instant::now();
    assert_eq!(written(busy).0.transact(&[4], Cancel::never(), &mut |_| {}).await, Err(ChannelError::Busy));
    assert_eq!(begin.elapsed(), Duration::from_secs(20));

    let canceller = Canceller::new();
    let (mut channel, _) = written(busy);
    let (outcome, ()) = tokio::join!(async { channel.transact(&[4], canceller.token(), &mut |_| {}).await }, async {
        sleep(Duration::from_secs(1)).await;
        canceller.cancel();
    });
    assert_eq!(outcome, Err(ChannelError::CancelledUnsent));
}

#[tokio::test(start_paused = true)]
async fn a_silent_key_has_20_seconds_then_the_channel_is_resynchronised() {
    let mut silent = true;
    let (mut channel, seen) = written(move |request| match request[4] {
        INIT if request[..4] == CHANNEL => {
            silent = false;
            vec![init_response(request)]
        }
        INIT => vec![init_response(request)],
        _ if silent => Vec::new(),
        _ => vec![report(&CHANNEL, CBOR, &[0])],
    });
    let begin = Instant::now();
    assert_eq!(channel.transact(&[4], Cancel::never(), &mut |_| {}).await, Err(ChannelError::TimedOut));
    assert_eq!(begin.elapsed(), Duration::from_secs(20));
    assert_eq!(channel.transact(&[4], Cancel::never(), &mut |_| {}).await, Ok(vec![0]));
    let commands: Vec<_> = seen.lock().unwrap().iter().map(|(command, _)| *command).collect();
    assert_eq!(commands, [INIT, CBOR, INIT, CBOR]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_sent_once_and_its_answer_awaited() {
    let (mut channel, seen) = written(|request| match request[4] {
        INIT => vec![init_response(request)],
        CBOR => vec![report(&CHANNEL, KEEPALIVE, &[2])],
        _ => vec![report(&CHANNEL, KEEPALIVE, &[2]), report(&CHANNEL, CBOR, &[0x2d])],
    });
    let canceller = Canceller::new();
    let response = channel.transact(&[1], canceller.token(), &mut |_| canceller.cancel()).await;
    assert_eq!(response, Ok(vec![0x2d]));
    let cancels = seen.lock().unwrap().iter().filter(|(command, _)| *command == CANCEL).count();
    assert_eq!(cancels, 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_lost_power_gets_a_new_channel() {
    let mut powered = 0;
    let (mut channel, seen) = written(move |request| match request[4] {
        INIT => vec![init_response(request)],
        _ => {
            powered += 1;
            vec![if powered == 2 { report(&CHANNEL, ERROR, &[0x0b]) } else { report(&CHANNEL, CBOR, &[0]) }]
        }
    });
    for _ in 0..2 {
        assert_eq!(channel.transact(&[4], Cancel::never(), &mut |_| {}).await, Ok(vec![0]));
    }
    let commands: Vec<_> = seen.lock().unwrap().iter().map(|(command, _)| *command).collect();
    assert_eq!(commands, [INIT, CBOR, CBOR, INIT, CBOR]);
}

#[tokio::test(start_paused = true)]
async fn what_a_key_refuses_or_breaks_is_named() {
    for (answer, expected) in [
        (report(&CHANNEL, ERROR, &[0x01]), ChannelError::Refused(ErrorCode::InvalidCmd)),
        (report(&CHANNEL, ERROR, &[0x0b]), ChannelError::Refused(ErrorCode::InvalidChannel)),
        (report(&CHANNEL, KEEPALIVE, &[9]), ChannelError::PeerMisbehaved(Misbehaviour::UndefinedStatus(9))),
        (
            report(&CHANNEL, INIT, &[]),
            ChannelError::PeerMisbehaved(Misbehaviour::UnexpectedCommand {
                expected: Command::Cbor,
                found: Command::Init,
            }),
        ),
    ] {
        let (mut channel, _) = written(move |request| match request[4] {
            INIT => vec![init_response(request)],
            _ => vec![answer],
        });
        assert_eq!(channel.transact(&[4], Cancel::never(), &mut |_| {}).await, Err(expected));
    }
}
