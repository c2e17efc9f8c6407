//! Transcripts: what records one beside a rack, and `keyrig trace`, which reads one.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
#[cfg(target_os = "linux")]
use keyrig_attach::usbmon::Bus;
use keyrig_faults::Faults;
use keyrig_faults::transcript::{
    Event, Explainer, Explanation, Format, Level, NotATranscript, Output, Reader, Recorder, Secrets, What,
};
use keyrig_rack::command::{Command, Refusal, listed};
use keyrig_rack::seams::Seams;
use keyrig_rack::{KeySpecification, Rack};

use crate::failure::Failure;
use crate::output::{Lines, YELLOW, print, print_json, say};
use crate::timeline::Running;

#[cfg(target_os = "linux")]
mod following;

#[cfg(target_os = "linux")]
use following::Following;

/// More keys than a rack has, and than a bus has room for: of what is no transcript of ours, no more are remembered.
const MAX_KEYS: usize = 1024;

/// More explanations than anybody reads in a report.
const MAX_KEPT: usize = 100;

/// What is written down of a rack.
#[derive(Args)]
pub(crate) struct TraceArguments {
    /// Write down what the keys are asked and answer: for people (.txt), for programs (.jsonl), for Wireshark (.pcapng); '-' is for
    /// people, on standard error
    #[arg(long, value_name = "FILE|-")]
    trace: Option<Trace>,

    /// Say on standard error of each ceremony that fails who said no, and what browsers do then; in --trace too
    #[arg(long)]
    explain: bool,

    /// Show PINs, tokens and hmac-secret outputs in --trace, as encrypted as they pass
    #[arg(long, requires = "trace")]
    secrets: bool,

    /// Why ceremonies failed is kept, for a report.
    #[arg(skip)]
    pub(crate) keeps_explanations: bool,
}

#[derive(Clone)]
enum Trace {
    StandardError,
    File(PathBuf, Format),
}

impl core::str::FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::StandardError);
        }
        let path = PathBuf::from(text);
        let format = Format::of(&path).map_err(|error| error.to_string())?;
        Ok(Self::File(path, format))
    }
}

impl TraceArguments {
    pub(crate) fn is_wanted(&self) -> bool {
        self.trace.is_some() || self.explain || self.keeps_explanations
    }

    /// The file that is written, if one is.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.trace {
            Some(Trace::File(path, _)) => Some(path),
            _ => None,
        }
    }

    /// What is to stand at the edges of a rack with these keys.
    pub(crate) fn start(&self, keys: &[KeySpecification]) -> Result<Tracing, Failure> {
        if !self.is_wanted() {
            return Ok(Tracing::default());
        }
        let out: Option<(Format, Box<dyn Write + Send>)> = match &self.trace {
            None => None,
            Some(Trace::StandardError) => Some((Format::Text, Box::new(io::stderr()))),
            // Whoever writes opens it, as that waits for a reader.
            Some(Trace::File(path, format)) if is_pipe(path) => {
                Some((*format, Box::new(Pipe { path: path.clone(), end: None })))
            }
            Some(Trace::File(path, format)) => Some((*format, Box::new(create(path)?))),
        };
        let lost = |count| format!("{count} explanations were lost: nobody read them");
        let explained = self.explain.then(|| Lines::to_stderr(lost)).transpose()?;
        let recorder = Recorder::new(keys, secrets(self.secrets));
        let out = out.map(|(format, out)| (Output::new(format), out));
        let kept = self.keeps_explanations.then(Arc::default);
        Ok(Tracing { recorder: Some(recorder), out, explained, kept, ..Tracing::default() })
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// A pipe with a name, which is opened with the first write to it: until somebody reads it, who writes waits.
struct Pipe {
    path: PathBuf,
    end: Option<File>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = match &mut self.end {
            Some(end) => end,
            end => end.insert(OpenOptions::new().write(true).open(&self.path)?),
        };
        end.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn secrets(shown: bool) -> Secrets {
    if shown { Secrets::Shown } else { Secrets::Masked }
}

/// A file that its owner alone reads: raw reports are in it.
fn create(path: &Path) -> Result<File, Failure> {
    let created = || -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.mode(0o600);
        let file = options.open(path)?;
        // One that was there may be for others to read. A device or a pipe is what it is.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    };
    created().map_err(|error| Failure::Write(path.to_owned(), error))
}

/// A transcript that is being written, if one was asked for.
#[derive(Default)]
pub(crate) struct Tracing {
    recorder: Option<Recorder>,
    /// It is written nowhere.
    is_for_followers: bool,
    /// Where it is written to, once it is.
    out: Option<(Output, Box<dyn Write + Send>)>,
    /// Where it is told why ceremonies fail, if it is.
    explained: Option<Lines>,
    /// What was told of that, or would have been: the first of it.
    kept: Option<Arc<Mutex<Vec<String>>>>,
    /// What goes on beside it, and is told of at the end.
    timeline: Running,
}

impl Tracing {
    /// Listens for those who may come to follow, if nothing listens already.
    pub(crate) fn followed_if(self, wanted: bool, keys: &[KeySpecification]) -> Self {
        match self.recorder {
            None if wanted => Self { recorder: Some(Recorder::for_followers(keys)), is_for_followers: true, ..self },
            _ => self,
        }
    }

    /// What stands at the seams of a rack: these faults, and what listens to them and to the rack's keys, if anything does.
    pub(crate) fn seams(&self, faults: &Faults) -> Vec<Arc<dyn Seams>> {
        let mut seams: Vec<Arc<dyn Seams>> = vec![Arc::new(faults.clone())];
        if let Some(recorder) = &self.recorder {
            recorder.listen_to(faults);
            seams.push(Arc::new(recorder.clone()));
        }
        seams
    }

    /// Writes down what it takes to replay a rack with a seed, which has started, and was asked nothing yet.
    pub(crate) async fn starts_from(&self, seed: u64, rack: &Rack) -> Result<(), Failure> {
        let Some(recorder) = self.recorder.as_ref().filter(|_| !self.is_for_followers) else { return Ok(()) };
        let mut starts = Vec::new();
        for key in rack.command(Command::List).await?.keys {
            let start = rack.known(&key.name)?.starting_point().await.map_err(Refusal::of(&key.name))?;
            starts.extend(start.map(|start| (key.name, start)));
        }
        recorder.starts_from(seed, &starts);
        Ok(())
    }

    /// Writes from here on what was and is heard.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let (lines, kept, out) = (self.explained.clone(), self.kept.clone(), self.out.take());
        let began = if lines.is_some() || kept.is_some() {
            let tell = move |explanation: &Explanation| {
                if let Some(lines) = &lines {
                    lines.print_marked(YELLOW, "keyrig:", format!(" {}", explanation.text));
                }
                if let Some(kept) = &kept {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() < MAX_KEPT {
                        kept.push(explanation.text.clone());
                    }
                }
            };
            recorder.explain_to(tell, out)
        } else {
            out.map_or(Ok(()), |(output, out)| recorder.write_to(output, out))
        };
        began.map_err(Failure::Runtime)
    }

    /// Why ceremonies failed, if that was kept: the first hundred, once it is over.
    pub(crate) fn explanations(&self) -> Vec<String> {
        let kept = self.kept.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone());
        kept.unwrap_or_default()
    }

    /// Has the end tell of a timeline.
    pub(crate) fn beside(&mut self, timeline: Running) {
        self.timeline = timeline;
    }

    /// Says what of the timeline did not come, and waits until what was heard is written, after what it was for has ended and was told. What went wrong there comes first.
    pub(crate) fn finish_after<T>(&self, ended: Result<T, Failure>) -> Result<T, Failure> {
        self.timeline.tell_pending();
        let written = self.recorder.as_ref().map_or(Ok(()), Recorder::finish);
        if let Some(lines) = &self.explained {
            lines.finish();
        }
        match (ended, written) {
            (ended, Ok(())) => ended,
            (Ok(_), Err(unwritten)) => Err(Failure::Trace(unwritten)),
            (Err(failure), Err(unwritten)) => Err(Failure::AndTrace(Box::new(failure), unwritten)),
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig exec --trace login.jsonl -- firefox
  keyrig trace login.jsonl                   an exchange a line
  keyrig trace login.jsonl -v --key b        all members, of one key
  keyrig trace login.jsonl -o login.pcapng   for Wireshark
  keyrig trace --follow login.jsonl          as it is written
  keyrig trace login.jsonl --explain         who said no, of each ceremony that failed

A capture of a real key, on Linux:
  sudo modprobe usbmon
  sudo dumpcap -i usbmon1 -w real.pcapng     the bus that lsusb says
  keyrig trace real.pcapng
  sudo keyrig trace --usbmon 1               without a file")]
pub(crate) struct Arguments {
    /// What was written to .jsonl or .pcapng, or a capture of usbmon; '-' is standard input
    #[arg(value_name = "FILE", required_unless_present = "usbmon")]
    file: Option<PathBuf>,

    /// Listen to a USB bus of this machine, by its number: all keys on it, real ones too. It takes root
    #[arg(long, value_name = "BUS", conflicts_with_all = ["file", "follow"])]
    usbmon: Option<u16>,

    /// Go on when the file grows, until interrupted or the file is removed
    #[arg(long, short)]
    follow: bool,

    /// Show this key alone; repeat for more keys
    #[arg(long, value_name = "NAME")]
    key: Vec<String>,

    /// How close to look: ctap (requests and answers), ctaphid (messages too), usb (reports too)
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,

    /// Show all members, and what else happened
    #[arg(long, short)]
    verbose: bool,

    /// Say of each ceremony that failed who said no, and what browsers do then, and nothing else
    #[arg(long, conflicts_with_all = ["key", "level", "verbose", "output"])]
    explain: bool,

    /// Show secrets of a capture, as encrypted as they passed. What was masked when it was written stays so
    #[arg(long)]
    secrets: bool,

    /// Print JSON, an event a line, for programs
    #[arg(long, conflicts_with = "verbose")]
    json: bool,

    /// Write to a file instead: .txt, .jsonl or .pcapng
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["json", "verbose"])]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let name = arguments.name();
    let unreadable = |error| Failure::NotATranscript(name.clone(), error);
    let format = arguments.output.as_deref().map(Format::of).transpose();
    let format = format.map_err(|error| Failure::Usage(error.to_string()))?;
    let reader = arguments.open()?;
    if let Some(path) = arguments.output.as_deref().filter(|path| arguments.reads(path)) {
        return Err(Failure::Usage(format!("{} is what is read: name another file with -o", path.display())));
    }
    if arguments.explain {
        return explain(reader, arguments.json, unreadable);
    }
    let mut output = match format {
        Some(format) => Output::new(format),
        None if arguments.json => Output::new(Format::Jsonl),
        None => Output::text(arguments.verbose, arguments.level),
    };
    let mut out: Box<dyn Write> = match &arguments.output {
        Some(path) => Box::new(create(path)?),
        None => Box::new(io::stdout().lock()),
    };
    let unwritten = |error| match &arguments.output {
        Some(path) => Failure::Write(path.clone(), error),
        None => Failure::Print(error),
    };
    let mut bytes = Vec::new();
    let mut ended = Ok(());
    let mut keys = Keys::default();
    for event in reader {
        if let Ok(event) = &event {
            keys.take(event);
        }
        match event {
            Ok(event) if arguments.shows(&event) => output.write(&event, &mut bytes),
            Ok(_) => continue,
            Err(error) => {
                ended = Err(unreadable(error));
                break;
            }
        }
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(unwritten)?;
        bytes.clear();
    }
    output.end(&mut bytes);
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(unwritten)?;
    ended.and_then(|()| keys.check(&arguments.key)).map(|()| ExitCode::SUCCESS)
}

/// Says why ceremonies failed.
fn explain(
    reader: impl Iterator<Item = Result<Event, NotATranscript>>,
    json: bool,
    unreadable: impl Fn(NotATranscript) -> Failure,
) -> Result<ExitCode, Failure> {
    let say = |explained: Vec<Event>| {
        explained.iter().try_for_each(|event| match &event.what {
            _ if json => print_json(event),
            What::Explained(explanation) => print(&explanation.text),
            _ => Ok(()),
        })
    };
    let mut explainer = Explainer::default();
    let mut ended = Ok(());
    for event in reader {
        match event {
            Ok(event) => say(explainer.take(&event))?,
            Err(error) => {
                ended = Err(unreadable(error));
                break;
            }
        }
    }
    say(explainer.end_of_transcript())?;
    ended.map(|()| ExitCode::SUCCESS)
}

/// What is read, one event after the other.
type Events = Box<dyn Iterator<Item = Result<Event, NotATranscript>>>;

/// The keys that a transcript is of.
#[derive(Default)]
struct Keys(BTreeSet<String>);

impl Keys {
    fn take(&mut self, event: &Event) {
        match (&event.what, &event.key) {
            (What::Trace(header), _) => self.add(header.keys.iter().map(|key| &key.name)),
            (_, key) => self.add(key),
        }
    }

    fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            if self.0.len() < MAX_KEYS && !self.0.contains(name) {
                self.0.insert(name.clone());
            }
        }
    }

    /// Whether all that were asked for are there.
    fn check(&self, wanted: &[String]) -> Result<(), Failure> {
        let Some(missing) = wanted.iter().find(|name| !self.0.contains(*name)) else { return Ok(()) };
        Err(Failure::Usage(match self.0.is_empty() {
            true => format!("no key is called {missing}: no key is in it"),
            false => format!("no key is called {missing}: the keys are {}", listed(self.0.iter().map(String::as_str))),
        }))
    }
}

#[cfg(target_os = "linux")]
fn following(file: File, name: &Path) -> Result<Box<dyn io::BufRead>, Failure> {
    let following = Following::new(file, name).map_err(|error| Failure::Read(name.to_owned(), error))?;
    Ok(Box::new(BufReader::new(following)))
}

#[cfg(not(target_os = "linux"))]
fn following(_: File, _: &Path) -> Result<Box<dyn io::BufRead>, Failure> {
    Err(Failure::Usage("--follow waits for a file by inotify, which is Linux's".to_owned()))
}

/// What the kernel hears on a bus, and how much of that was lost.
#[cfg(target_os = "linux")]
fn listening(bus: u16, name: &Path, secrets: Secrets) -> Result<Events, Failure> {
    let bus = Arc::new(Bus::open(bus).map_err(|error| Failure::Read(name.to_owned(), error))?);
    say(format!("listens to {}; Ctrl-C ends it", name.display()));
    let heard = Reader::of_usbmon(BufReader::new(Heard(bus.clone())), secrets);
    Ok(Box::new(heard.telling_gaps(move || bus.dropped().map(u64::from))))
}

#[cfg(target_os = "linux")]
struct Heard(Arc<Bus>);

#[cfg(target_os = "linux")]
impl io::Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self.0, buffer)
    }
}

#[cfg(not(target_os = "linux"))]
fn listening(_: u16, _: &Path, _: Secrets) -> Result<Events, Failure> {
    Err(Failure::Usage("--usbmon listens by the kernel's usbmon, which is Linux's".to_owned()))
}

impl Arguments {
    fn name(&self) -> PathBuf {
        match (&self.file, self.usbmon) {
            (_, Some(bus)) => PathBuf::from(format!("/dev/usbmon{bus}")),
            (Some(file), None) => file.clone(),
            (None, None) => PathBuf::new(),
        }
    }

    fn open(&self) -> Result<Events, Failure> {
        let name = self.name();
        let secrets = secrets(self.secrets);
        let read = |input| Reader::new(input, secrets).map_err(|error| Failure::NotATranscript(name.clone(), error));
        if let Some(bus) = self.usbmon {
            return listening(bus, &name, secrets);
        }
        if self.file.as_deref() == Some(Path::new("-")) {
            let input: Box<dyn io::BufRead> = Box::new(io::stdin().lock());
            return Ok(Box::new(read(input)?));
        }
        let file = File::open(&name).map_err(|error| Failure::Read(name.clone(), error))?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        // A pipe's end is one.
        let input = if self.follow && is_file { following(file, &name)? } else { Box::new(BufReader::new(file)) };
        Ok(Box::new(read(input)?))
    }

    /// Whether a file is the one that is read, by whatever name.
    fn reads(&self, output: &Path) -> bool {
        let read = match self.file.as_deref() {
            Some(file) if file == Path::new("-") => {
                io::stdin().as_fd().try_clone_to_owned().and_then(|input| File::from(input).metadata())
            }
            _ => fs::metadata(self.name()),
        };
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        // What cannot be looked at cannot be written over either: opening it says why.
        matches!((read.map(id), fs::metadata(output).map(id)), (Ok(read), Ok(written)) if read == written)
    }

    fn shows(&self, event: &Event) -> bool {
        let is_of_key = self.key.is_empty()
            || match (&event.key, &event.what) {
                (Some(key), _) => self.key.contains(key),
                (None, What::Explained(explanation)) => explanation.keys.iter().any(|key| self.key.contains(&key.key)),
                (None, _) => true,
            };
        // Text has its own levels, and reports are all that a capture is made of.
        let is_of_level =
            !self.json || event.level().is_none_or(|level| self.level.is_none_or(|wanted| level >= wanted));
        is_of_key && is_of_level || matches!(event.what, What::Trace(_))
    }
}
