//! The kernel's ear on USB buses (Linux, Documentation/usb/usbmon.rst), by which keys are heard that another program asks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use keyrig_attach::usbmon::Bus;
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
    /// More passed than was read in time.
    #[error(
        "{missed} packets that passed on USB bus {bus} were lost before they could be read, so what a browser asked of the keys is not known: \
         do it again with the key at another bus, or while less passes there (cameras, disks)"
    )]
    Missed {
        /// The bus.
        bus: u16,
        /// How many packets.
        missed: u64,
    },
    /// The operating system.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A bus that is listened to, or what stands for it.
pub(crate) trait Ear: AsFd + Send + Sync + 'static {
    /// Reads packets.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many packets were lost since this was last asked.
    fn dropped(&self) -> io::Result<u32>;
}

impl Ear for Bus {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bus = self;
        Read::read(&mut bus, buffer)
    }

    fn dropped(&self) -> io::Result<u32> {
        self.dropped()
    }
}

/// Who listens. Dropped, nobody does any more.
pub(crate) struct Listening {
    end: PipeWriter,
    threads: Vec<JoinHandle<Result<(), CannotListen>>>,
}

/// Whether there is any bus to listen to.
///
/// # Errors
/// [`CannotListen::Open`], with what to do.
pub(crate) fn check() -> Result<(), CannotListen> {
    let path = Bus::path(0);
    path.metadata().map(drop).map_err(|error| CannotListen::Open { path, error })
}

impl Listening {
    /// Has a tap hear the reports of keys, whoever sends them, from now on.
    pub(crate) fn to<E: Ear>(
        keys: &BTreeMap<String, HidKey>,
        tap: &Tap,
        open: impl Fn(u16) -> io::Result<E>,
    ) -> Result<Self, CannotListen> {
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
            let ear = open(bus).map_err(|error| CannotListen::Open { path: Bus::path(bus), error })?;
            let (ended, names, tap) = (ended.try_clone()?, names.clone(), tap.clone());
            let hear = move || hear(bus, ear, ended, &names, &tap);
            threads.push(thread::Builder::new().name(format!("usbmon{bus}")).spawn(hear)?);
        }
        Ok(Self { end, threads })
    }

    /// Ends it, once all is heard that has passed.
    ///
    /// # Errors
    /// [`CannotListen`] if something was not heard.
    pub(crate) async fn finish(self) -> Result<(), CannotListen> {
        let Self { end, threads } = self;
        drop(end);
        let join = move || {
            let gone = |_| Err(io::Error::other("the thread that listened has failed").into());
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(gone))
        };
        spawn_blocking(join).await.map_err(io::Error::from)?
    }
}

/// Hears a bus to its end.
fn hear(
    bus: u16,
    ear: impl Ear,
    ended: PipeReader,
    names: &BTreeMap<String, String>,
    tap: &Tap,
) -> Result<(), CannotListen> {
    let ear = Arc::new(ear);
    let input = BufReader::new(UntilEnded { bus: ear.clone(), ended, left: None });
    let mut all_missed = 0_u64;
    for event in Reader::of_usbmon(input, Secrets::Masked).telling_gaps(|| ear.dropped().map(u64::from)) {
        let event = event?;
        let name = event.key.as_ref().and_then(|key| names.get(key));
        match (name, &event.what) {
            (Some(name), What::Report { direction, bytes, .. }) => {
                if let Ok(report) = bytes.as_slice().try_into() {
                    tap.report(name, *direction, report);
                }
            }
            (_, What::Gap { missed }) => {
                tap.missed(*missed);
                all_missed = all_missed.saturating_add(*missed);
            }
            _ => {}
        }
    }
    if all_missed == 0 { Ok(()) } else { Err(CannotListen::Missed { bus, missed: all_missed }) }
}

/// A bus, which ends once the other end of a pipe is gone and what was there is read.
struct UntilEnded<E> {
    bus: Arc<E>,
    ended: PipeReader,
    /// How much may still be read, since it is to end.
    left: Option<usize>,
}

impl<E: Ear> Read for UntilEnded<E> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_none() {
            let mut either = [PollFd::new(&*self.bus, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
            poll(&mut either, None)?;
            let [_, ended] = &either;
            if !ended.revents().is_empty() {
                self.left = Some(RING);
            }
        }
        if let Some(left) = &mut self.left {
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            if *left == 0 || poll(&mut [PollFd::new(&*self.bus, PollFlags::IN)], Some(&now))? == 0 {
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
pub(crate) mod testing {
    //! A pipe in the place of a bus.

    use std::fs::File;
    use std::io::PipeWriter;
    use std::os::fd::{BorrowedFd, OwnedFd};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Where packets come from that a test writes.
    pub(crate) struct TestEar {
        packets: File,
        dropped: Arc<AtomicU32>,
    }

    /// What passes on a bus.
    pub(crate) struct TestBus {
        pub(crate) packets: PipeWriter,
        /// How many packets find no room.
        pub(crate) dropped: Arc<AtomicU32>,
    }

    pub(crate) fn bus() -> (TestEar, TestBus) {
        let (read, packets) = pipe().unwrap();
        let dropped = Arc::new(AtomicU32::new(0));
        let ear = TestEar { packets: File::from(OwnedFd::from(read)), dropped: dropped.clone() };
        (ear, TestBus { packets, dropped })
    }

    impl AsFd for TestEar {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.packets.as_fd()
        }
    }

    impl Ear for TestEar {
        fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            (&self.packets).read(buffer)
        }

        fn dropped(&self) -> io::Result<u32> {
            Ok(self.dropped.swap(0, Ordering::Relaxed))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A pipe stands in for a bus: what is in it when the listening ends is read, and nothing is waited for.
    #[test]
    fn what_is_there_when_it_ends_is_read_and_no_more() {
        let (ear, mut bus) = testing::bus();
        let (ended, end) = pipe().unwrap();
        let mut input = UntilEnded { bus: Arc::new(ear), ended, left: None };
        let mut buffer = [0; 4];
        bus.packets.write_all(b"abcdef").unwrap();
        assert_eq!(input.read(&mut buffer).unwrap(), 4);
        drop(end);
        assert_eq!(input.read(&mut buffer).unwrap(), 2);
        assert_eq!(buffer.get(..2), Some(&b"ef"[..]));
        assert_eq!(input.read(&mut buffer).unwrap(), 0);
    }
}
