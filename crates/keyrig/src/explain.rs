//! `keyrig explain`: who refused a recorded ceremony, what an exception can mean, what a code stands for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use keyrig_client::Browser;
use keyrig_faults::transcript;
use keyrig_relying_party::Policy;
use keyrig_scenario::catalogue::{self, Detector, Row};
use keyrig_scenario::explain::{self, Code, Exception, Explained, Explanation, Known, Meaning, Named, Seen};
use keyrig_scenario::verifier::{Field, Finding, GivenPublicKey, MAX_HAR_BYTES, OriginRule, Outcome, Verdict};

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{GREEN, RED, YELLOW, print, print_json, print_marked};

/// How many bytes a line of a structure shows.
const BYTES_IN_LINE: usize = 8;

/// How much is read of a file for a public key: more than one has.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// How many bytes of a field are shown.
const BYTES_SHOWN: usize = 64;

/// How many characters of what was found are shown where it is what was expected: what fits beside the check.
const FOUND_SHOWN: usize = 42;

#[derive(Args)]
#[command(after_help = "\
A recording is JSON or text that has JSON in it: options and response, or the
response alone, as toJSON() has them and as servers' libraries do, bytes in
base64url, base64, hexadecimal or arrays; a HAR file; what a console printed, of
Node.js and Python too: up to 16 MiB, and of a HAR file 256 MiB.
A structure alone is decoded, and an exception's name and message, or a status
of CTAP in any library's words, are told what they can mean.

Exit status: 0 nothing is refused, 1 something is, or a login's signature could
not be checked, 2 there is nothing to explain.

Examples:
  keyrig explain ./login.har
  keyrig explain --origin https://example.com --hex - < credential.json
  echo 'NotAllowedError: The operation either timed out …' | keyrig explain
  keyrig explain rp-id-foreign
  keyrig explain 18          (of the 56 rows that the doctor names)")]
pub(crate) struct Arguments {
    /// A file (its path begins with ./ or /), - for standard input, a code of keyrig, or the number of a row of the
    /// catalogue of misconfigurations
    #[arg(value_name = "FILE|-|CODE|ROW", default_value = "-")]
    what: String,

    /// List all codes, with what each stands for
    #[arg(long, conflicts_with_all = ["what", "origins", "rp_id", "hex"])]
    list: bool,

    /// An origin that the site expects; again for more. Without any, the page's own is taken for right
    #[arg(long = "origin", value_name = "URL", value_parser = origin_rule)]
    origins: Vec<OriginRule>,

    /// The RP ID that the site expects. Without it, that of the options counts
    #[arg(long, value_name = "DOMAIN")]
    rp_id: Option<String>,

    /// The public key of logins whose registration is not in the recording: PEM, a JWK, or in hexadecimal, base64 or base64url a
    /// COSE_Key or SubjectPublicKeyInfo; or a file of one (its path begins with ./ or /)
    #[arg(long, value_name = "FILE|TEXT")]
    public_key: Option<String>,

    /// Judge as a relying party with this policy does, such as webauthn-rs: see 'keyrig rp serve --help'. Without it, by the
    /// specification's letter
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// Show the binary structures, field by field, with offsets and bytes
    #[arg(long)]
    hex: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn origin_rule(text: &str) -> Result<OriginRule, String> {
    OriginRule::exact(text).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.list {
        let codes = explain::codes();
        return arguments.tell(&codes, || codes.iter().try_for_each(tell_of_code), true);
    }
    let is_path = arguments.what == "-" || arguments.what.starts_with(['.', '/']);
    if !arguments.what.is_empty() && arguments.what.bytes().all(|byte| byte.is_ascii_digit()) {
        let row = arguments.what.parse().ok().and_then(catalogue::row);
        let row = row.ok_or_else(|| {
            Failure::Usage(format!("the catalogue has no row {}: its rows are 1 to 56", arguments.what))
        })?;
        return arguments.tell(&ToldRow::of(&row), || tell_of_row(&row), true);
    }
    if !is_path {
        return arguments.tell_of_word(&arguments.what, || Failure::Usage(unknown(&arguments.what)));
    }
    let recorded = arguments.read()?;
    let known = arguments.known()?;
    match explain::explain(&recorded, &known, SystemTime::now()) {
        Ok(explained) => {
            let accepted = explained.ceremonies.iter().all(|it| it.report.is_accepted() && it.browser.is_none());
            let whole = explained.structures.iter().all(|it| it.structure.broken.is_none());
            let read = explained.unreadable.is_empty();
            arguments.tell(&explained, || tell_of_recording(&explained, arguments.hex), accepted && whole && read)
        }
        Err(_) if is_transcript(&recorded) => Err(Failure::Usage(format!(
            "{} is what keys heard, and no page's: 'keyrig trace --explain {}' explains it",
            arguments.source(),
            arguments.what
        ))),
        Err(error) => {
            let words = String::from_utf8_lossy(&recorded);
            arguments.tell_of_word(&words, || Failure::Unexplained(arguments.source().to_owned(), error))
        }
    }
}

/// Whether that is what `--trace` writes, or a capture of USB.
fn is_transcript(recorded: &[u8]) -> bool {
    transcript::read(recorded).is_ok_and(|mut reader| matches!(reader.next(), Some(Ok(_))))
}

/// What is wrong with a word that is known to nobody.
fn unknown(word: &str) -> String {
    let nearest = explain::nearest(word).map(|nearest| format!(" ({nearest} is one)")).unwrap_or_default();
    format!(
        "{word:?} is no code{nearest} and no exception of a browser: 'keyrig explain --list' has all codes, and a file is ./FILE"
    )
}

impl Arguments {
    /// What a code stands for, or what an exception in a browser's words can mean.
    fn tell_of_word(&self, words: &str, unknown: impl FnOnce() -> Failure) -> Result<ExitCode, Failure> {
        if let Some(code) = explain::code(words.trim()) {
            let told = ToldCode { seen: Seen::of(&code.code), code: &code };
            return self.tell(&told, || tell_of_code(&code).and_then(|()| tell_where_seen(&told.seen)), true);
        }
        if let Some(exception) = explain::exception(words) {
            return self.tell(&exception, || tell_of_exception(&exception), true);
        }
        let status = explain::status_in(words).ok_or_else(unknown)?;
        self.tell(&status, || tell_of_code(&status), true)
    }

    fn tell(
        &self,
        value: &impl Serialize,
        for_people: impl FnOnce() -> Result<(), Failure>,
        accepted: bool,
    ) -> Result<ExitCode, Failure> {
        if self.json {
            print_json(value)?
        } else {
            for_people()?
        }
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What is known beside the recording.
    fn known(&self) -> Result<Known, Failure> {
        let public_key = match self.public_key.as_deref() {
            Some(path) if path.starts_with(['.', '/']) => {
                let mut bytes = Vec::new();
                let read = File::open(path).and_then(|file| file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes));
                read.map_err(|error| Failure::Input(PathBuf::from(path), error))?;
                Some((path, GivenPublicKey::read(&bytes)))
            }
            Some(text) => Some(("--public-key", GivenPublicKey::read(text.as_bytes()))),
            None => None,
        };
        let public_key =
            public_key.map(|(name, read)| read.map_err(|error| Failure::Usage(format!("{name}: {error}"))));
        let policy = self.policy.as_deref().map(Policy::built_in).transpose()?;
        let (origins, rp_id) = (self.origins.clone(), self.rp_id.clone());
        Ok(Known { origins, rp_id, public_key: public_key.transpose()?, policy })
    }

    /// A byte more than is explained, so that too much is noticed.
    fn read(&self) -> Result<Vec<u8>, Failure> {
        let most = u64::try_from(MAX_HAR_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let mut recorded = Vec::new();
        let read = if self.what == "-" {
            io::stdin().lock().take(most).read_to_end(&mut recorded)
        } else {
            File::open(&self.what).and_then(|file| file.take(most).read_to_end(&mut recorded))
        };
        read.map_err(|error| Failure::Input(PathBuf::from(self.source()), error))?;
        Ok(recorded)
    }

    /// What is read, for people.
    fn source(&self) -> &str {
        if self.what == "-" { "standard input" } else { &self.what }
    }
}

/// A code, and where the catalogue has it, for programs.
#[derive(Serialize)]
struct ToldCode<'a> {
    #[serde(flatten)]
    code: &'a Code,
    #[serde(flatten)]
    seen: Seen,
}

/// A row of the catalogue, for programs.
#[derive(Serialize)]
struct ToldRow<'a> {
    row: u8,
    title: &'a str,
    why: &'a str,
    #[serde(rename = "try")]
    attempt: &'a str,
    detector: Detector,
    evidence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stands_in: Option<&'a str>,
    browsers: BTreeMap<String, &'a catalogue::Outcome>,
    /// The browsers whose words were observed.
    observed: Vec<&'a str>,
}

impl<'a> ToldRow<'a> {
    fn of(row: &'a Row) -> Self {
        let in_browser = |browser: Browser| (browser.to_string(), row.expected.in_browser(browser));
        Self {
            row: row.number,
            title: &row.title,
            why: &row.why,
            attempt: &row.mend,
            detector: row.detector,
            evidence: &row.evidence,
            stands_in: row.stands_in.as_deref(),
            browsers: Browser::ALL.into_iter().map(in_browser).collect(),
            observed: row.expected.observed(),
        }
    }
}

fn tell_of_row(row: &Row) -> Result<(), Failure> {
    print(format!("row {}: {}", row.number, row.title))?;
    print(format!("  {}", row.why))?;
    for variant in &row.variants {
        print(format!("  also      {}", variant.title))?;
    }
    print(format!("  try       {}", row.mend))?;
    print(format!("  notices   {}", row.detector.name()))?;
    if let Some(caught) = &row.caught {
        print(format!("  here      {}: {}", caught.by.name(), caught.code))?;
    }
    for browser in Browser::ALL {
        let name = browser.title();
        let outcome = row.expected.in_browser(browser);
        let told = match (&outcome.name, &outcome.message) {
            (Some(name), Some(message)) => format!("{name}: {message}"),
            (Some(name), None) => name.clone(),
            (None, _) => match (outcome.by, &outcome.code) {
                (Detector::Nobody, _) => "refuses nothing".to_owned(),
                (by, Some(code)) => format!("refuses nothing, and then the {}: {code}", by.name()),
                (by, None) => by.name().to_owned(),
            },
        };
        print(format!("  {name:<8}  {told}"))?;
    }
    print(format!("  known     {}", row.evidence))
}

fn tell_of_code(code: &Code) -> Result<(), Failure> {
    let who = match code.by.as_str() {
        "client" => "the browser's",
        "authenticator" => "a key's",
        "rack" => "a rack's",
        "service" => "of HTTP",
        "command" => "of the command line",
        _ if code.specification.is_some() => "a check of the relying party",
        _ => "the relying party's",
    };
    print(format!("{}, {who}", code.code))?;
    print(format!("  {}", code.text))?;
    print(format!("  try  {}", code.attempt))?;
    code.specification.iter().try_for_each(|link| print(format!("  see  {link}")))
}

fn tell_where_seen(seen: &Seen) -> Result<(), Failure> {
    for browser in Browser::ALL {
        let words = seen.words.get(&browser.to_string()).into_iter().flatten();
        words.into_iter().try_for_each(|told| print(format!("  {:<8}  {told}", browser.title())))?;
    }
    seen.rows.iter().try_for_each(|(row, title)| print(format!("  {:<8}  {title}", format!("row {row}"))))
}

fn tell_of_exception(exception: &Exception) -> Result<(), Failure> {
    let browser = exception.browser.as_deref().and_then(|name| name.parse().ok());
    let of = browser.map(|browser: Browser| format!(", in {}'s words", browser.title())).unwrap_or_default();
    print(format!("{}{of}. The likeliest first:", exception.name))?;
    for (index, Meaning { by, cause, attempt, row }) in exception.meanings.iter().enumerate() {
        let row = row.map(|row| format!(" (row {row})")).unwrap_or_default();
        let who = match by.as_str() {
            "client" => "browser",
            "authenticator" => "key",
            other => other,
        };
        print(format!("\n{:>2}. {who:<8}  {cause}{row}", index + 1))?;
        print(format!("    {:<8}  {attempt}", "try"))?;
    }
    Ok(())
}

fn tell_of_recording(explained: &Explained, hex: bool) -> Result<(), Failure> {
    for (index, ceremony) in explained.ceremonies.iter().enumerate() {
        if index > 0 {
            print("")?;
        }
        tell_of_ceremony(ceremony, hex)?;
    }
    for named in &explained.structures {
        tell_of_structure(named, true)?;
    }
    for reason in &explained.unreadable {
        print_marked(RED, "FAIL", format!("  a credential that no server can read: {reason}"))?;
    }
    let has_answers = !explained.ceremonies.is_empty() || !explained.unreadable.is_empty();
    if !has_answers && explained.structures.is_empty() {
        print("options alone: nothing was answered, so that there is nothing to check")?;
    }
    explained.notes.iter().try_for_each(|note| print_marked(YELLOW, "note", format!("  {note}")))?;
    explained.exception.iter().try_for_each(|exception| {
        print("")?;
        tell_of_exception(exception)
    })
}

fn tell_of_ceremony(it: &Explanation, hex: bool) -> Result<(), Failure> {
    let what = match it.report.ceremony {
        keyrig_scenario::verifier::Ceremony::Registration => "registration",
        keyrig_scenario::verifier::Ceremony::Authentication => "authentication",
    };
    let origin = it.origin.as_deref().unwrap_or("a page that is not said");
    print(format!("{what} at {origin}, RP ID {}", it.rp_id))?;
    it.assumed.iter().try_for_each(|assumed| print_marked(YELLOW, "taken", format!("  {assumed}")))?;
    print("")?;
    if let Some(browser) = &it.browser {
        print_marked(RED, "FAIL", format!("  browser  {browser}"))?;
    }
    it.report.findings.iter().try_for_each(tell_of_finding)?;
    let refused: Vec<_> = it.report.findings.iter().filter(|finding| finding.refuses()).collect();
    let known = if it.browser.is_some() { ", if a browser had sent it" } else { "" };
    if let Some(decision) = &it.report.decided_by {
        match &decision.refusal {
            Some(refusal) => print(format!("\nrefused by {}, which decides here: {refusal}", decision.verifier))?,
            None => print(format!("\naccepted by {}, which decides here{known}", decision.verifier))?,
        }
    } else {
        let ids = |findings: &[&Finding]| findings.iter().map(|it| it.check.id()).collect::<Vec<_>>().join(", ");
        match it.report.verdict() {
            Verdict::Accepted => print(format!("\naccepted{known}"))?,
            Verdict::Refused => print(format!("\nrefused by the relying party: {}", ids(&refused)))?,
            Verdict::Undecided => {
                let unseen: Vec<_> = it.report.not_evaluated().collect();
                print(format!("\nundecided: nothing refuses it{known}; not checked: {}", ids(&unseen)))?;
                print("try  record the registration with it, or give its public key by --public-key")?;
            }
        }
    }
    let shown = it.structures.iter().filter(|named| hex || named.structure.broken.is_some());
    shown.into_iter().try_for_each(|named| tell_of_structure(named, hex))
}

fn tell_of_finding(finding: &Finding) -> Result<(), Failure> {
    let id = finding.check.id();
    match finding.outcome {
        Outcome::Pass => print_marked(GREEN, "pass", format!("  {id:<30}  {}", short(&finding.found))),
        Outcome::NotApplicable => print(format!("-     {id:<30}  {}", short(&finding.found))),
        Outcome::NotEvaluated { .. } => print(format!("?     {id:<30}  {}", finding.found)),
        Outcome::Fail => {
            let (colour, mark) = if finding.enforced { (RED, "FAIL") } else { (YELLOW, "odd ") };
            print_marked(colour, mark, format!("  {id}"))?;
            print(format!("      expected  {}", finding.expected))?;
            print(format!("      found     {}", finding.found))?;
            finding.explanation.iter().try_for_each(|text| print(format!("      that is   {text}")))?;
            print(format!("      see       {}", finding.check.link()))
        }
    }
}

/// One word that does not fit, cut.
fn short(found: &str) -> String {
    match found.char_indices().nth(FOUND_SHOWN - 1) {
        Some((end, _)) if !found.contains(' ') && found.len() > FOUND_SHOWN => {
            format!("{}…", found.get(..end).unwrap_or_default())
        }
        _ => found.to_owned(),
    }
}

/// The structure's fields; with offsets and bytes if they are wanted.
fn tell_of_structure(named: &Named, hex: bool) -> Result<(), Failure> {
    print(format!("\n{}, {} bytes", named.name, named.hex.len() / 2))?;
    let fields = &named.structure.fields;
    for (index, field) in fields.iter().enumerate() {
        let is_whole = fields.get(index + 1).is_none_or(|next| next.depth <= field.depth);
        if hex && named.name == "clientDataJSON" {
            print(format!("{:>5}  {}: {}", field.offset, field.name, field.value))?;
        } else if hex {
            tell_of_bytes(field, named, is_whole)?;
        } else {
            print(format!("{}{}: {}", "  ".repeat(field.depth + 1), field.name, field.value))?;
        }
    }
    match &named.structure.broken {
        Some(broken) => print_marked(RED, "broken", format!(" at byte {}: {}", broken.offset, broken.reason)),
        None => Ok(()),
    }
}

/// A field with its place; with its bytes, unless they are those of the fields in it.
fn tell_of_bytes(field: &Field, named: &Named, is_whole: bool) -> Result<(), Failure> {
    let bytes = named.hex.get(2 * field.offset..2 * (field.offset + field.length)).unwrap_or_default();
    let (bytes, more) = match bytes.get(..2 * BYTES_SHOWN) {
        Some(first) if first.len() < bytes.len() => (first, "…"),
        _ => (bytes, ""),
    };
    let bytes = if is_whole { bytes } else { "" };
    let line =
        |from: usize| bytes.get(from..).map(|rest| rest.get(..2 * BYTES_IN_LINE).unwrap_or(rest)).unwrap_or_default();
    let is_bytes = field.value.len() > 2 * BYTES_IN_LINE
        && field.value.bytes().take(2 * BYTES_IN_LINE).all(|byte| byte.is_ascii_hexdigit());
    let value = if is_whole && is_bytes { format!("{} bytes", field.length) } else { field.value.clone() };
    let label = format!("{}{}: {value}", "  ".repeat(field.depth), field.name);
    print(format!("{:>5}  {:<16}  {label}", field.offset, line(0)))?;
    for from in (2 * BYTES_IN_LINE..bytes.len()).step_by(2 * BYTES_IN_LINE) {
        let last = from + 2 * BYTES_IN_LINE >= bytes.len();
        print(format!("       {}{}", line(from), if last { more } else { "" }))?;
    }
    Ok(())
}
