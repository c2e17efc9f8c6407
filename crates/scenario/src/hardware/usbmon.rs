//! The kernel's ear on USB buses (Linux, Documentation/usb/usbmon.rst), by which keys are heard that another program asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, pipe};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use keyrig_faults::transcript::{NotATranscript, Reader, Secrets, Tap, What};
use keyrig_ways::HidKey;
use rustix::event::{PollFd, PollFlags, poll};
use thiserror::Error;
use tokio::task::spawn_blocking;

/// How much may be read that was there when the listening ended, bytes: the largest ring of usbmon (Linux, drivers/usb/mon/mon_bin.c,
/// `BUFF_MAX`).
const RING: usize = 1200 * 1024;

/// Keys cannot be heard on USB.
#[derive(Debug, Error)]
pub(crate) enum CannotListen {
    /// A key is on none.
    #[error("key {0} is on no USB, where what a browser asks it could be heard")]
    NotOnUsb(String),
    /// A bus cannot be listened to.
    #[error(
        "cannot listen to {}: {error}. Load the module (sudo modprobe usbmon), and let yourself read the bus that the key is on (sudo setfacl \
         -m u:$USER:r /dev/usbmon1)",
        .path.display()
    )]
    Open {
        /// The bus.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What was heard broke off.
    #[error("what passed on USB was not heard to its end: {0}")]
    Broken(#[from] NotATranscript),
    /// The operating system.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Who listens. Dropped, nobody does any more.
pub(crate) struct Listening {
    end: PipeWriter,
    threads: Vec<JoinHandle<Result<(), NotATranscript>>>,
}

/// Whether there is any bus to listen to.
///
/// # Errors
/// [`CannotListen::Open`], with what to do.
pub(crate) fn check() -> Result<(), CannotListen> {
    let path = PathBuf::from("/dev/usbmon0");
    path.metadata().map(drop).map_err(|error| CannotListen::Open { path, error })
}

impl Listening {
    /// Has a tap hear the reports of keys, whoever sends them, from now on.
    pub(crate) fn to(keys: &BTreeMap<String, HidKey>, tap: &Tap) -> Result<Self, CannotListen> {
        let mut names = BTreeMap::new();
        let mut buses = BTreeSet::new();
        for (name, key) in keys {
            let (bus, device) = key.address.ok_or_else(|| CannotListen::NotOnUsb(name.clone()))?;
            buses.insert(bus);
            names.insert(format!("usb-{bus}.{device}"), name.clone());
        }
        let (ended, end) = pipe()?;
        let mut threads = Vec::new();
        for bus in buses {
            let path = PathBuf::from(format!("/dev/usbmon{bus}"));
            let file = File::open(&path).map_err(|error| CannotListen::Open { path, error })?;
            let input = UntilEnded { bus: file, ended: ended.try_clone()?, left: None };
            let (names, tap) = (names.clone(), tap.clone());
            let hear = move || {
                for event in Reader::of_usbmon(BufReader::new(input), Secrets::Masked) {
                    let event = event?;
                    let name = event.key.as_ref().and_then(|key| names.get(key));
                    if let (Some(name), What::Report { direction, bytes, .. }) = (name, &event.what)
                        && let Ok(report) = bytes.as_slice().try_into()
                    {
                        tap.report(name, *direction, report);
                    }
                }
                Ok(())
            };
            threads.push(thread::Builder::new().name(format!("usbmon{bus}")).spawn(hear)?);
        }
        Ok(Self { end, threads })
    }

    /// Ends it, once all is heard that has passed.
    pub(crate) async fn finish(self) -> Result<(), CannotListen> {
        let Self { end, threads } = self;
        drop(end);
        let join = move || {
            let gone = |_| Err(NotATranscript::Io(io::Error::other("the thread that listened has failed")));
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(gone))
        };
        spawn_blocking(join).await.map_err(io::Error::from)?.map_err(CannotListen::from)
    }
}

/// A bus, which ends once the other end of a pipe is gone and what was there is read.
struct UntilEnded {
    bus: File,
    ended: PipeReader,
    /// How much may still be read, since it is to end.
    left: Option<usize>,
}

impl Read for UntilEnded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_none() {
            let mut either = [PollFd::new(&self.bus, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
            poll(&mut either, None)?;
            let [_, ended] = &either;
            if !ended.revents().is_empty() {
                self.left = Some(RING);
            }
        }
        if let Some(left) = &mut self.left {
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            if *left == 0 || poll(&mut [PollFd::new(&self.bus, PollFlags::IN)], Some(&now))? == 0 {
                return Ok(0);
            }
            let read = self.bus.read(buffer)?;
            *left = left.saturating_sub(read.max(1));
            return Ok(read);
        }
        self.bus.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    /// A pipe stands in for a bus: what is in it when the listening ends is read, and nothing is waited for.
    #[test]
    fn what_is_there_when_it_ends_is_read_and_no_more() {
        let (bus, mut packets) = pipe().unwrap();
        let (ended, end) = pipe().unwrap();
        let mut input = UntilEnded { bus: File::from(OwnedFd::from(bus)), ended, left: None };
        let mut buffer = [0; 4];
        packets.write_all(b"abcdef").unwrap();
        assert_eq!(input.read(&mut buffer).unwrap(), 4);
        drop(end);
        assert_eq!(input.read(&mut buffer).unwrap(), 2);
        assert_eq!(buffer.get(..2), Some(&b"ef"[..]));
        assert_eq!(input.read(&mut buffer).unwrap(), 0);
    }
}
