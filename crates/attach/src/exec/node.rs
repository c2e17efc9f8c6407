//! A key's node: what programs write to their sockets goes to the key, and what the key says goes to all of them, as a USB host
//! copies every report to all that have the device open.
//!
//! The key has one peer for all of the tree, from the first opening on until it loses power: what a program wrote before it
//! closed the node still arrives.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_ctap::hid::{REPORT_SIZE, Report};
use keyrig_rack::{Connection, RackKey};
use keyrig_usb::{Follower, Presence};
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Event;
use super::supervisor::{Handle, Opened};

/// Reports from programs that the key has not taken yet.
const TO_KEY: usize = 16;

/// The number of an unnumbered report, which `write` to a hidraw node begins with (`Documentation/hid/hidraw.rst`).
const UNNUMBERED: u8 = 0;

/// A key, and what leads to it.
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) key: RackKey,
    pub(super) follower: Follower,
    pub(super) opens: mpsc::UnboundedReceiver<Opened>,
    pub(super) supervisor: Handle,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

/// A program that has the node open.
struct Program {
    inode: u64,
    socket: Arc<UnixStream>,
}

impl Node {
    /// Keeps the key plugged into the tree while it is plugged into the rack, until it is no more. `ready` hears of the first time, or that
    /// it is not plugged in yet; `unplugged` of the end.
    pub(super) async fn keep(mut self, ready: oneshot::Sender<io::Result<()>>, unplugged: oneshot::Sender<()>) {
        self.keep_until_gone(ready).await;
        // Whoever waited may have gone.
        let _ = unplugged.send(());
    }

    async fn keep_until_gone(&mut self, ready: oneshot::Sender<io::Result<()>>) {
        let mut ready = Some(ready);
        loop {
            let plugged = tokio::select! {
                biased;
                () = self.key.handle.gone() => return,
                presence = self.follower.plugged() => Some(presence),
                () = core::future::ready(()), if ready.is_some() => None,
            };
            let Some(presence) = plugged else {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Ok(()));
                }
                continue;
            };
            let plugged = self.supervisor.plug(self.index, self.key.busid.clone(), presence.identity().clone()).await;
            let node = match plugged {
                Ok(node) => node,
                Err(error) => {
                    match ready.take() {
                        Some(ready) => drop(ready.send(Err(error))),
                        None => tracing::warn!(key = %self.key.name, %error, "a key cannot be plugged in again"),
                    }
                    self.follower.unplugged(&presence).await;
                    continue;
                }
            };
            self.tell(Event::Node { key: self.key.name.clone(), path: PathBuf::from(format!("/dev/hidraw{node}")) });
            if let Some(ready) = ready.take() {
                let _ = ready.send(Ok(()));
            }
            let programs = self.serve(&presence).await;
            // A program learns of it in this order: there is no node, its reads end, udev says so.
            if let Err(error) = self.supervisor.unplug(node).await {
                tracing::warn!(key = %self.key.name, %error, "files of a key that was unplugged are left");
            }
            // Openings from before the node was gone.
            while self.opens.try_recv().is_ok() {}
            drop(programs);
            self.supervisor.gone().await;
            self.tell(Event::Unplugged { key: self.key.name.clone() });
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may listen any more.
        let _ = self.events.send(event);
    }

    /// Serves until the key is unplugged. What is returned closes the programs' sockets when it is dropped.
    async fn serve(&mut self, presence: &Presence) -> Vec<Program> {
        let mut programs: Vec<Program> = Vec::new();
        let mut reading = JoinSet::new();
        let (to_key, mut reports) = mpsc::channel(TO_KEY);
        let mut connection = None;
        loop {
            tokio::select! {
                // A program that has the node open gets what is said from then on.
                biased;
                () = self.follower.unplugged(presence) => break,
                Some(opened) = self.opens.recv() => {
                    if connection.is_none() {
                        connection = self.key.handle.connect().await.ok();
                    }
                    let socket = UnixStream::from_std(opened.socket).map(Arc::new);
                    match (connection.is_some(), socket) {
                        (true, Ok(socket)) => {
                            reading.spawn(read(opened.inode, Arc::clone(&socket), to_key.clone()));
                            programs.push(Program { inode: opened.inode, socket });
                        }
                        // The key is being pulled out: the program sees that by the end of its socket.
                        (false, _) => {}
                        (true, Err(error)) => tracing::warn!(%error, "a program's way to a key cannot be served"),
                    }
                }
                report = receive(&mut connection) => match report {
                    Some(report) => programs.iter().for_each(|program| give(program, &report)),
                    // It has lost power, and is about to be unplugged. The programs learn of it when its node is gone.
                    None => connection = None,
                },
                Some(report) = reports.recv() => if let Some(connection) = &connection {
                    // A key whose rack has ended is unplugged by that.
                    let _ = connection.send(report).await;
                },
                Some(closed) = reading.join_next(), if !reading.is_empty() => {
                    // What fails was cancelled here.
                    if let Ok(inode) = closed {
                        programs.retain(|program| program.inode != inode);
                        self.supervisor.closed(inode);
                    }
                }
            }
        }
        reading.shutdown().await;
        programs
    }
}

async fn receive(connection: &mut Option<Connection>) -> Option<Report> {
    match connection {
        Some(connection) => connection.receive().await,
        None => core::future::pending().await,
    }
}

/// Gives a program a report. One that does not read loses reports.
fn give(program: &Program, report: &Report) {
    // Not by the runtime, which does not know yet that a new socket has room.
    if let Err(error) = send(&*program.socket, report, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        tracing::debug!(%error, "a program lost a report");
    }
}

/// Reads what a program writes, until it closes its socket.
async fn read(inode: u64, socket: Arc<UnixStream>, to_key: mpsc::Sender<Report>) -> u64 {
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE).await else { return inode };
        let mut written = [0; REPORT_SIZE + 2];
        match socket.try_read(&mut written) {
            Ok(0) if ready.is_read_closed() => return inode,
            // The end before the runtime has heard of it.
            Ok(0) => tokio::task::yield_now().await,
            Ok(length) => match report(&written, length) {
                Some(report) => {
                    if to_key.send(report).await.is_err() {
                        return inode;
                    }
                }
                None => {
                    tracing::debug!(length, number = written.first(), "what a program wrote is not a report of a key")
                }
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return inode,
        }
    }
}

/// The report that a program wrote: its number, then its bytes.
fn report(written: &[u8; REPORT_SIZE + 2], length: usize) -> Option<Report> {
    match written {
        [UNNUMBERED, report @ ..] if length == REPORT_SIZE + 1 => report.first_chunk().copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_with_its_number_and_whole() {
        let mut written = [7; REPORT_SIZE + 2];
        written[0] = 0;
        assert_eq!(report(&written, 65), Some([7; 64]));
        for length in [0, 1, 64, 66] {
            assert_eq!(report(&written, length), None, "{length}");
        }
        written[0] = 1;
        assert_eq!(report(&written, 65), None);
    }
}
