//! The driver of a session: a process of its own, so that the keys of one session are nobody else's.

use core::time::Duration;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::error::{Code, WebDriverError};

/// How long a driver may take to listen. Browsers start later.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to end, with all that it has started.
const END_LIMIT: Duration = Duration::from_secs(10);

/// After how long a driver is asked again that does not say where it listens.
const AGAIN: Duration = Duration::from_millis(20);

/// How many of its last lines an error tells.
const LAST_LINES: usize = 5;

/// The longest line of a driver that is read as one, bytes.
const LONGEST_LINE: usize = 4096;

/// How a driver is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The driver.
    pub path: PathBuf,
    /// Its arguments, without a port.
    pub arguments: Vec<OsString>,
    /// What is run in its place, with arguments, the last of which comes before the driver: `keyrig exec … --`, if it is to find keys.
    pub under: Option<Under>,
    /// Who is told what it prints.
    pub say: Say,
}

/// Who is told what a driver prints, line by line, without its end.
#[derive(Clone)]
pub struct Say(pub Arc<dyn Fn(&str) + Send + Sync>);

impl core::fmt::Debug for Say {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Say")
    }
}

/// `keyrig exec` around a driver.
#[derive(Clone, Debug)]
pub struct Under {
    /// The program.
    pub program: PathBuf,
    /// Its arguments before the driver. After them comes `--control unix:PATH`.
    pub arguments: Vec<OsString>,
}

/// A driver that listens.
#[derive(Debug)]
pub(crate) struct Driver {
    port: u16,
    /// As long as this is there it runs.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    ended: watch::Receiver<Option<String>>,
}

/// Drivers that say where they listen if they are given port 0.
fn tells_its_port(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ["chromedriver", "geckodriver", "edgedriver"].iter().any(|known| name.contains(known))
}

impl Driver {
    /// Starts one. `control` is where its keys are to be controlled.
    pub(crate) async fn start(program: &Program, control: Option<&Path>) -> Result<Self, WebDriverError> {
        let name = program.path.display().to_string();
        let not_created = |reason: String| WebDriverError::new(Code::SessionNotCreated, format!("{name}: {reason}"));
        let tells = tells_its_port(&program.path);
        let chosen = if tells { 0 } else { free_port().await.map_err(|error| not_created(error.to_string()))? };
        let mut command = command(program, control);
        command.arg(format!("--port={chosen}"));
        let mut child = command.spawn().map_err(|error| {
            not_created(match error.kind() {
                io::ErrorKind::NotFound => "there is no such program".to_owned(),
                _ => format!("it cannot be started: {error}"),
            })
        })?;
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let (told, mut ports) = mpsc::channel(1);
        let output = child
            .stdout
            .take()
            .map(|output| tokio::spawn(relay(output, program.say.clone(), last.clone(), Some(told))));
        let errors =
            child.stderr.take().map(|errors| tokio::spawn(relay(errors, program.say.clone(), last.clone(), None)));
        let (stop, stopped) = oneshot::channel();
        let stop = Mutex::new(Some(stop));
        let (tell_end, mut ended) = watch::channel(None);
        let is_guarded = program.under.is_some();
        tokio::spawn(async move {
            let status = wait_or_stop(&mut child, stopped, is_guarded).await;
            for relayed in [output, errors].into_iter().flatten() {
                // What it has left running may hold its ends open.
                let _ = timeout(Duration::from_secs(1), relayed).await;
            }
            tell_end.send_replace(Some(end(&status, &last)));
        });
        let listening = async { if tells { ports.recv().await } else { wait_for(chosen).await } };
        let port = tokio::select! {
            biased;
            port = timeout(START_LIMIT, listening) => port,
            _ = ended.wait_for(Option::is_some) => Ok(None),
        };
        match port {
            Ok(Some(port)) => Ok(Self { port, stop, ended }),
            Ok(None) => {
                let _ = timeout(END_LIMIT, ended.wait_for(Option::is_some)).await;
                let end = ended.borrow().clone();
                Err(not_created(end.unwrap_or_else(|| "it did not say where it listens".to_owned())))
            }
            Err(_) => Err(not_created(format!("it did not listen within {} s", START_LIMIT.as_secs()))),
        }
    }

    /// Where it listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How it ended, in words, once it has.
    pub(crate) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await.map(|end| end.clone());
        end.ok().flatten().unwrap_or_else(|| "it ended".to_owned())
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Ends it and all that it has started, and waits for that.
    pub(crate) async fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        if timeout(END_LIMIT, self.ended()).await.is_err() {
            tracing::warn!("a driver did not end within {} s", END_LIMIT.as_secs());
        }
    }
}

/// Waits for the end of a driver, and ends it once it is to stop.
async fn wait_or_stop(child: &mut Child, stopped: oneshot::Receiver<()>, is_guarded: bool) -> io::Result<ExitStatus> {
    let input = child.stdin.take();
    tokio::select! {
        biased;
        status = child.wait() => return status,
        // Told, or nobody holds it any more: the same.
        _ = stopped => {}
    }
    // What is around it hears the end of its input, and ends the driver with all that it has started.
    drop(input);
    if is_guarded && let Ok(status) = timeout(END_LIMIT, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

/// The command line, but for the port.
fn command(program: &Program, control: Option<&Path>) -> Command {
    let mut command = match &program.under {
        Some(under) => {
            let mut command = Command::new(&under.program);
            command.args(&under.arguments);
            if let Some(control) = control {
                let mut path = OsString::from("unix:");
                path.push(control);
                command.arg("--control").arg(path);
            }
            command.arg("--exit-on-stdin-end").arg("--").arg(&program.path);
            command
        }
        None => Command::new(&program.path),
    };
    command
        .args(&program.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A port that was free a moment ago, for a driver that does not say which one it has.
async fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}

/// Such a driver is asked until it listens: there is nothing to wait for.
async fn wait_for(port: u16) -> Option<u16> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        sleep(AGAIN).await;
    }
    Some(port)
}

/// Passes on what a driver prints, keeps its last lines, and tells the first port that it names.
async fn relay(
    from: impl AsyncRead + Unpin,
    say: Say,
    last: Arc<Mutex<VecDeque<String>>>,
    mut told: Option<mpsc::Sender<u16>>,
) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        if !read_line(&mut from, &mut line).await {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        (say.0)(text);
        if let Some(port) = port_in(text)
            && let Some(told) = told.take()
        {
            let _ = told.send(port).await;
        }
        if !text.is_empty() {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(text.chars().take(300).collect());
        }
    }
}

/// Reads a line, or as much as is read as one.
async fn read_line(from: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> bool {
    loop {
        let (taken, is_end) = {
            let Ok(available) = from.fill_buf().await else { return false };
            if available.is_empty() {
                return !line.is_empty();
            }
            let upto = available.iter().position(|byte| *byte == b'\n').map_or(available.len(), |at| at + 1);
            let part = available.get(..upto).unwrap_or_default();
            line.extend_from_slice(part);
            (part.len(), part.ends_with(b"\n"))
        };
        from.consume(taken);
        if is_end || line.len() >= LONGEST_LINE {
            return true;
        }
    }
}

/// The port where a driver says that it listens: `… was started successfully on port 9515.`, `… Listening on 127.0.0.1:4444`.
fn port_in(line: &str) -> Option<u16> {
    let line = line.to_ascii_lowercase();
    let (_, rest) = line
        .rsplit_once("successfully on port ")
        .or_else(|| line.rsplit_once("listening on ").and_then(|(_, rest)| rest.rsplit_once(':')))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|port| *port != 0)
}

/// How it ended, with its last words.
fn end(status: &io::Result<ExitStatus>, last: &Mutex<VecDeque<String>>) -> String {
    let how = match status {
        Ok(status) => format!("it ended with {status}"),
        Err(error) => format!("it cannot be waited for: {error}"),
    };
    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let said: Vec<_> = last.iter().map(String::as_str).collect();
    if said.is_empty() { how } else { format!("{how}; it said last: {}", said.join(" / ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As chromedriver 156 and geckodriver 0.37 print it.
    #[test]
    fn drivers_say_where_they_listen() {
        assert_eq!(port_in("ChromeDriver was started successfully on port 43029."), Some(43029));
        assert_eq!(port_in("1701000000000\tgeckodriver\tINFO\tListening on 127.0.0.1:41397"), Some(41397));
        for other in
            ["Starting ChromeDriver 156.0 on port 0", "Only local connections are allowed.", "listening on :x", ""]
        {
            assert_eq!(port_in(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_driver_that_is_not_there_or_dies_is_told() {
        let program = |path: &str, arguments: &[&str]| Program {
            path: path.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
            under: None,
            say: Say(Arc::new(|_| ())),
        };
        let error = Driver::start(&program("/nonexistent/chromedriver", &[]), None).await.unwrap_err();
        assert_eq!(error.code, Code::SessionNotCreated);
        assert!(error.message.contains("/nonexistent/chromedriver: there is no such program"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let fake = directory.path().join("chromedriver");
        std::fs::write(&fake, "#!/bin/sh\necho it is late\nexit 7\n").unwrap();
        std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Driver::start(&program(fake.to_str().unwrap(), &[]), None).await.unwrap_err();
        assert_eq!(error.code, Code::SessionNotCreated);
        assert!(error.message.contains("exit status: 7; it said last: it is late"), "{error}");
    }
}
