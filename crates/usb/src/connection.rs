//! Drives one imported device: a host's stream on one side, the key's channels on the other.
//!
//! One task, one loop. Each turn takes what the host has sent, moves reports both ways without
//! waiting, and only then waits: for the stream, for the key, for the unplug. Before it waits it
//! lets the key run once if the key has just been given something, so that the key's answer and
//! the completion of the host's transfer leave in one write. That is a lap of the run queue, never
//! a pause: a key with nothing to say yet does not hold up the completion.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

use crate::endings::{Disconnected, Endings};
use crate::exports::{Import, Standing};
use crate::server::{Detached, ServeError};
use crate::stream::Buffered;
use crate::urbs::Urbs;

/// Unsent replies beyond which a host that does not read is not read from either.
const MAX_UNSENT: usize = 64 * 1024;

/// Serves URBs until the host leaves, the device is unplugged or the host breaks the protocol.
pub(crate) async fn run<S>(
    stream: &mut Buffered<S>,
    import: &mut Import,
    pending_urbs: usize,
) -> Result<Detached, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let record = import.lease.record();
    let identity = import.lease.identity().clone();
    let Standing { ear, host } = import.lease.standing();
    let mut urbs = Urbs::new(record.device_id(), identity, pending_urbs, ear);
    let mut endings = Endings::new(host);
    let Import { from_key, to_key, unplugged, .. } = import;
    let mut let_go = pin!(async {
        select! {
            _ = unplugged.changed() => Detached::Unplugged,
            () = to_key.closed() => Detached::ByKey,
        }
    });

    loop {
        while stream.unsent() <= MAX_UNSENT {
            let (input, replies) = stream.both();
            let before = replies.len();
            let taken = urbs.receive(input, replies)?;
            if taken == 0 {
                break;
            }
            if let Err(Disconnected) = endings.answered(replies, before) {
                return Ok(Detached::ByKey);
            }
            stream.consume(taken);
        }
        endings.end_due(&mut urbs, stream.output());
        let congested = stream.unsent() > MAX_UNSENT;

        let mut key_has_work = false;
        let waiting_out = loop {
            let Ok(next) = endings.next_out(&mut urbs, stream.output()) else { return Ok(Detached::ByKey) };
            let Some(report) = next.copied() else { break None };
            match to_key.try_send(report) {
                Ok(()) => endings.out_taken(&mut urbs, stream.output()),
                Err(TrySendError::Full(_)) => break Some(report),
                Err(TrySendError::Closed(_)) => return Ok(let_go.await),
            }
            key_has_work = true;
        };
        while !congested && urbs.wants_report() && endings.has_room() {
            match from_key.try_recv() {
                Ok(report) => {
                    if let Err(Disconnected) = endings.deliver(&mut urbs, report, stream.output()) {
                        return Ok(Detached::ByKey);
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(Detached::ByKey),
            }
            key_has_work = true;
        }
        let wants_report = urbs.wants_report();
        let takes_report = wants_report && endings.has_room();
        // Each lap has completed a URB, and none are accepted meanwhile: the laps are bounded.
        if key_has_work && !congested && (takes_report || waiting_out.is_some()) {
            lap().await;
            continue;
        }

        select! {
            biased;
            why = &mut let_go => return Ok(why),
            exchanged = exchange(stream, congested) => if exchanged? == Exchanged::End {
                return Ok(Detached::ByHost);
            },
            report = from_key.recv(), if takes_report && !congested => match report {
                Some(report) => {
                    if let Err(Disconnected) = endings.deliver(&mut urbs, report, stream.output()) {
                        return Ok(Detached::ByKey);
                    }
                }
                None => return Ok(Detached::ByKey),
            },
            permit = to_key.reserve(), if waiting_out.is_some() => match (permit, waiting_out) {
                (Ok(permit), Some(report)) => {
                    permit.send(report);
                    endings.out_taken(&mut urbs, stream.output());
                }
                _ => return Ok(let_go.await),
            },
            () = endings.due(wants_report) => {}
        }
    }
}

#[derive(PartialEq, Eq)]
enum Exchanged {
    Received,
    Sent,
    End,
}

/// Sends what there is and receives something; or, towards a host that does not keep up with what
/// it is sent, only sends.
async fn exchange<S>(stream: &mut Buffered<S>, congested: bool) -> io::Result<Exchanged>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        let sent = stream.poll_send(context)?;
        if congested {
            return sent.map(|()| Ok(Exchanged::Sent));
        }
        stream.poll_receive(context).map_ok(|count| match count {
            0 => Exchanged::End,
            _ => Exchanged::Received,
        })
    })
    .await
}

/// Puts this task behind all others that can run now.
async fn lap() {
    let mut queued = false;
    poll_fn(|context| {
        if queued {
            return Poll::Ready(());
        }
        queued = true;
        // Not tokio's yield_now(), which waits for a turn of the input and output driver as well.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
