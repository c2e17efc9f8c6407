//! Scripts in, what they did out: the host's end of the control channel (its format is written in `agent.sh`).

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The most that one message may carry in each of its three parts, in bytes.
const PART_LIMIT: u64 = 256 * 1024 * 1024;

/// What a script did in the guest. Its `Debug` form shows bytes as text, for the messages of failing tests.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// What it and its foreground children wrote to standard output.
    pub stdout: Vec<u8>,
    /// What they wrote to standard error.
    pub stderr: Vec<u8>,
    /// The exit status as a shell has it: 128 + N when signal N ended the script.
    pub status: i32,
    /// What the kernel logged since the previous script ended, a line each, as `dmesg` prints it.
    pub kernel_log: Vec<String>,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Output")
            .field("status", &self.status)
            .field("stdout", &String::from_utf8_lossy(&self.stdout))
            .field("stderr", &String::from_utf8_lossy(&self.stderr))
            .field("kernel_log", &self.kernel_log)
            .finish()
    }
}

/// What the guest's agent says about a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Killed,
}

/// Why no message came.
#[derive(Debug)]
pub(super) enum Silence {
    /// The time was up.
    Late,
    /// The channel broke, or carried something that the agent never says.
    Broken(String),
}

/// The host's end of the control channel.
#[derive(Debug)]
pub(super) struct Session {
    reader: BufReader<Timed>,
}

impl Session {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { reader: BufReader::new(Timed { stream, until: Instant::now() }) }
    }

    /// Hands over a script, to be killed in the guest after `limit`.
    pub(super) fn send(&mut self, script: &str, limit: Duration, until: Instant) -> Result<(), Silence> {
        let timed = self.reader.get_mut();
        timed.until = until;
        let message = format!("{:.3} {}\n{script}\n", limit.as_secs_f64(), script.len() + 1);
        timed.write_all(message.as_bytes()).map_err(silence)
    }

    /// Waits for the agent's next message.
    pub(super) fn receive(&mut self, until: Instant) -> Result<(Verdict, Output), Silence> {
        self.reader.get_mut().until = until;
        let mut header = String::new();
        let limit = 128;
        (&mut self.reader).take(limit).read_line(&mut header).map_err(silence)?;
        if header.is_empty() {
            return Err(Silence::Broken("the control channel was closed".to_owned()));
        }
        let header = parse_header(&header).ok_or_else(|| Silence::Broken(format!("unexpected words: {header:?}")))?;
        let stdout = self.part(header.stdout)?;
        let stderr = self.part(header.stderr)?;
        let log = self.part(header.log)?;
        let output = Output {
            stdout,
            stderr,
            status: header.status,
            kernel_log: String::from_utf8_lossy(&log).lines().map(str::to_owned).collect(),
        };
        Ok((header.verdict, output))
    }

    fn part(&mut self, length: u64) -> Result<Vec<u8>, Silence> {
        if length > PART_LIMIT {
            return Err(Silence::Broken(format!("{length} bytes of output, more than {PART_LIMIT}")));
        }
        let mut content = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut content).map_err(silence)?;
        if u64::try_from(content.len()) == Ok(length) {
            Ok(content)
        } else {
            Err(Silence::Broken("the control channel was closed within a message".to_owned()))
        }
    }
}

fn silence(error: io::Error) -> Silence {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Silence::Late,
        _ => Silence::Broken(format!("the control channel: {error}")),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Header {
    verdict: Verdict,
    status: i32,
    stdout: u64,
    stderr: u64,
    log: u64,
}

fn parse_header(line: &str) -> Option<Header> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let verdict = match words.next()? {
        "done" => Verdict::Done,
        "killed" => Verdict::Killed,
        _ => return None,
    };
    let header = Header {
        verdict,
        status: words.next()?.parse().ok()?,
        stdout: words.next()?.parse().ok()?,
        stderr: words.next()?.parse().ok()?,
        log: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(header)
}

/// A stream whose reads and writes end at one moment, however many of them there are.
#[derive(Debug)]
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    fn remaining(&self) -> io::Result<Option<Duration>> {
        let remaining = self.until.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(remaining))
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.remaining()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.remaining()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_message_is_read_part_by_part() {
        let (ours, mut agent) = UnixStream::pair().unwrap();
        let mut session = Session::new(ours);
        agent.write_all(b"killed 137 3 2 8\nout\xff\xfeone\ntwo\n").unwrap();
        let (verdict, output) = session.receive(soon()).unwrap();
        assert_eq!(verdict, Verdict::Killed);
        assert_eq!(
            output,
            Output {
                stdout: b"out".to_vec(),
                stderr: vec![0xff, 0xfe],
                status: 137,
                kernel_log: vec!["one".to_owned(), "two".to_owned()],
            }
        );
    }

    #[test]
    fn a_script_goes_out_with_its_limit_and_length() {
        let (ours, agent) = UnixStream::pair().unwrap();
        let mut session = Session::new(ours);
        session.send("true", Duration::from_millis(1500), soon()).unwrap();
        drop(session);
        let sent = io::read_to_string(agent).unwrap();
        assert_eq!(sent, "1.500 5\ntrue\n");
    }

    #[test]
    fn a_broken_channel_is_told_from_a_late_answer() {
        let (ours, agent) = UnixStream::pair().unwrap();
        let mut session = Session::new(ours);
        let late = session.receive(Instant::now() + Duration::from_millis(1));
        assert!(matches!(late, Err(Silence::Late)), "{late:?}");
        drop(agent);
        let broken = session.receive(soon());
        assert!(matches!(broken, Err(Silence::Broken(_))), "{broken:?}");
    }

    #[test]
    fn words_that_the_agent_never_says_are_refused() {
        for words in [
            &b"hello\n"[..],
            b"done 0 0 0\n",
            b"done 0 0 0 0 0\n",
            b"done x 0 0 0\n",
            b"done 0 999999999999 0 0\n",
            b"done 0 6 0 0\nshort",
            b"done 0 0 0 0",
        ] {
            let (ours, mut agent) = UnixStream::pair().unwrap();
            agent.write_all(words).unwrap();
            drop(agent);
            let answer = Session::new(ours).receive(soon());
            assert!(matches!(answer, Err(Silence::Broken(_))), "{words:?}: {answer:?}");
        }
    }
}
