//! Where a transcript goes, when it takes nothing.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::transcript::Format;

/// As a pipe that nobody reads, until the other end goes.
struct Unread(Receiver<()>);

impl Write for Unread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct FullDisk;

impl Write for FullDisk {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn recorder(out: impl Write + Send + 'static) -> Recorder {
    let recorder = Recorder::new(&[], Secrets::Masked);
    recorder.write_to(Output::new(Format::Jsonl), out).expect("a thread");
    recorder
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_end() {
    let (reader, unread) = channel();
    let recorder = recorder(Unread(unread));
    assert!(matches!(recorder.finish_within(Duration::ZERO), Err(Unwritten::Unread)));
    drop(reader);
}

#[test]
fn a_full_disk_is_told_at_the_end() {
    let Err(Unwritten::Failed(error)) = recorder(FullDisk).finish() else { panic!("it was written") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
