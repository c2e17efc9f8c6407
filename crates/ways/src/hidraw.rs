//! A key that Linux has: its hidraw node (Linux, Documentation/hid/hidraw.rst).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use keyrig_client::ctap_hid::ReportPipe;
use keyrig_ctap::hid::{REPORT_SIZE, Report};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::write;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// Reports through a hidraw node. Every program that has the node open gets every report of the key.
///
/// Whoever opens, writes to or closes a node waits in the kernel until the key's side has answered, also with `O_NONBLOCK` (Linux,
/// drivers/hid/usbhid/hid-core.c: `usbhid_open`, `usb_interrupt_msg`, `usb_kill_urb`). Threads that may wait do it: a key on the thread
/// that waits, attached by vhci, could never answer.
///
/// Tokio has no type for such nodes; its types for pipes wait for them, and read one report at a time.
#[derive(Debug)]
pub struct Hidraw {
    from_key: Receiver,
    to_key: Sender,
    node: Arc<OwnedFd>,
    // Dropped after them: this thread's last.
    _last: ClosedAside,
}

/// A file that a thread which may wait closes.
#[derive(Debug)]
struct ClosedAside(Option<Arc<OwnedFd>>);

impl Drop for ClosedAside {
    fn drop(&mut self) {
        if let (Some(node), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(node));
        }
    }
}

impl Hidraw {
    /// Opens a node, such as `/dev/hidraw0`.
    ///
    /// # Errors
    /// Those of the operating system: `PermissionDenied` without a udev rule that gives it to the user.
    pub async fn open(node: &Path) -> io::Result<Self> {
        let node = node.to_owned();
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Self::over(spawn_blocking(move || open(node, flags, Mode::empty())).await??)
    }

    /// One opening, so that reports are queued once.
    fn over(node: OwnedFd) -> io::Result<Self> {
        let from_key = Receiver::from_owned_fd_unchecked(node.try_clone()?)?;
        let to_key = Sender::from_owned_fd_unchecked(node.try_clone()?)?;
        let node = Arc::new(node);
        Ok(Self { from_key, to_key, _last: ClosedAside(Some(Arc::clone(&node))), node })
    }
}

impl ReportPipe for Hidraw {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        // The report's number first: zero, as FIDO's reports have none.
        let mut numbered = [0; REPORT_SIZE + 1];
        if let Some(rest) = numbered.last_chunk_mut() {
            *rest = report;
        }
        let node = Arc::clone(&self.node);
        let mut written = spawn_blocking(move || write(&node, &numbered)).await?.map_err(io::Error::from);
        // A node never says that it would wait; what stands in for one may.
        while written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.to_key.writable().await?;
            written = self.to_key.try_write(&numbered);
        }
        whole(written?, numbered.len())
    }

    async fn receive(&mut self) -> io::Result<Report> {
        let mut report = [0; REPORT_SIZE];
        loop {
            self.from_key.readable().await?;
            match self.from_key.try_read(&mut report) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return whole(read?, REPORT_SIZE).map(|()| report),
            }
        }
    }
}

fn whole(length: usize, expected: usize) -> io::Result<()> {
    match length {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length if length == expected => Ok(()),
        length => {
            let text = format!("{length} bytes passed the hidraw node, not {expected}");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, recv, send, socketpair};
    use rustix::net::{RecvFlags, SendFlags};

    use super::*;

    /// A node and the kernel's side of it: datagrams keep their bounds, as reports do.
    fn node() -> (Hidraw, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (node, kernel) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Hidraw::over(node).unwrap(), kernel)
    }

    #[tokio::test]
    async fn reports_go_out_with_their_number_and_come_without() {
        let (mut hidraw, kernel) = node();
        hidraw.send([7; REPORT_SIZE]).await.unwrap();
        let mut written = [0xff; 100];
        let (length, _) = recv(&kernel, &mut written, RecvFlags::empty()).unwrap();
        assert_eq!((length, written[0], &written[1..65]), (65, 0, &[7; REPORT_SIZE][..]));
        send(&kernel, &[9; REPORT_SIZE], SendFlags::empty()).unwrap();
        assert_eq!(hidraw.receive().await.unwrap(), [9; REPORT_SIZE]);
    }

    #[tokio::test]
    async fn what_is_no_report_is_an_error_and_the_end_is_one() {
        let (mut hidraw, kernel) = node();
        send(&kernel, &[9; 63], SendFlags::empty()).unwrap();
        assert_eq!(hidraw.receive().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(kernel);
        assert_eq!(hidraw.receive().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(hidraw.send([0; REPORT_SIZE]).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_not_found() {
        let error = Hidraw::open(Path::new("/nowhere/hidraw0")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
