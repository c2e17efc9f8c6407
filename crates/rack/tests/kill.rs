//! Keys killed with SIGKILL: at every commit of every command that makes one, and under load.
//!
//! The test starts itself again as a child ([`child`], picked by name), which drives a key of a state directory by the
//! authenticator's contract. At the commit that it was told to stop at it says so and waits; there it is killed. The points are
//! enumerated by the driver: they go on until the command answers before it comes to the next one.

#![cfg(test)]

#[path = "support/platform.rs"]
mod platform;
#[path = "support/requests.rs"]
mod requests;

use core::time::Duration;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::credential::{CredentialSource, Properties};
use keyrig_authenticator::driver::{Disk, Driver, Turn};
use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::{Change, Store};
use keyrig_authenticator::{Authenticator, Profile, Step};
use keyrig_ctap::bio_enrollment::Subcommand;
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialDescriptor, Options as CeremonyOptions, User};
use keyrig_ctap::{Request, bio_enrollment, config, credential_management, large_blobs, parse_response};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::seams::Seams;
use keyrig_rack::state_directory::StateDirectory;
use keyrig_rack::storage::{NotDurable, Storage};
use keyrig_rack::{Database, KeyName, KeySpecification, NewKey, Options, Rack};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use platform::Send;
use requests::{asserted, get_assertion, made, make_credential, silent_assertion};

/// What the child is told, by environment variables of these names.
const DIRECTORY: &str = "KEYRIG_TEST_DIRECTORY";
const COMMAND: &str = "KEYRIG_TEST_COMMAND";
const STOP: &str = "KEYRIG_TEST_STOP";

/// While a process is started, it has all locks of this one: tests that start some and then take locks go one by one.
static ONE_BY_ONE: Mutex<()> = Mutex::new(());

fn key_name() -> KeyName {
    "a".parse().unwrap()
}

/// keyrig's own key, with a sensor that knows no finger yet: so there is all that makes a commit at one key.
fn profile() -> Profile {
    let text = include_str!("../../authenticator/profiles/keyrig.toml");
    let text = text.replace("up = true\n", "up = true\nuv = false\nbioEnroll = false\n");
    let sensor = "[fingerprints]\nkind = 1\nsamples = 2\ntemplates = 5\nlongest_name = 15\n";
    Profile::parse("keyrig", &format!("{text}\n{sensor}")).unwrap()
}

fn open(directory: &Path) -> (Database, Store) {
    StateDirectory::open(directory).unwrap().open_key(&key_name(), &profile(), &mut Seeded::new([1; 32])).unwrap()
}

/// A key that has just got power, on what the database keeps. All randomness is the same in each.
fn key((database, store): (Database, Store)) -> Driver<Watched> {
    let attestation = Root::new([2; 32]).unwrap().issue(&profile(), 1).unwrap();
    let key = Authenticator::new(profile(), attestation, Box::new(Seeded::new([3; 32])), store, Duration::ZERO);
    Driver::with(key, Watched { database, commits: 0, at_commit: Box::new(|_, _| {}) })
}

/// A database; `at_commit` hears of each commit before and after it is made durable.
struct Watched {
    database: Database,
    commits: usize,
    at_commit: Box<dyn FnMut(usize, Moment)>,
}

impl Watched {
    /// From now on, says that it has come there, and waits to be killed: `0 before`, before the first commit.
    fn stop_at(&mut self, stop: String) {
        self.commits = 0;
        self.at_commit = Box::new(move |number, moment| {
            if stop == format!("{number} {}", moment.name()) {
                say(&stop);
                wait_to_be_killed();
            }
        });
    }
}

impl Disk for Watched {
    fn commit(&mut self, changes: &[Change]) -> bool {
        (self.at_commit)(self.commits, Moment::Before);
        self.database.commit(changes).unwrap();
        (self.at_commit)(self.commits, Moment::After);
        self.commits += 1;
        true
    }
}

fn send(key: &mut Driver<Watched>, message: &[u8]) -> Vec<u8> {
    key.send(message).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Before,
    After,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The command in which the child is killed.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    /// Brings the key to where the command is sent, in the same life of the key, and returns the command.
    command: fn(Send<'_>) -> Vec<u8>,
    commits: usize,
}

const PIN: &str = "1357";

const CASES: [Case; 24] = [
    Case { name: "makeCredential, discoverable", command: |_| make_credential("carol", true), commits: 1 },
    Case { name: "makeCredential, overwriting", command: |_| make_credential("alice", true), commits: 1 },
    Case { name: "makeCredential, in its id", command: |_| make_credential("carol", false), commits: 1 },
    Case { name: "getAssertion", command: |_| get_assertion(&[]), commits: 1 },
    Case { name: "getAssertion, silent", command: |_| silent_assertion(&[]), commits: 1 },
    Case { name: "getAssertion of an imported credential", command: |_| get_assertion(&[IMPORTED]), commits: 1 },
    Case {
        name: "getNextAssertion",
        command: |send| {
            asserted(&send(&get_assertion(&[])));
            Request::GetNextAssertion.encode()
        },
        commits: 1,
    },
    Case { name: "reset", command: |_| Request::Reset.encode(), commits: 1 },
    Case { name: "setPIN", command: |send| platform::set_pin(send, PIN), commits: 1 },
    Case {
        name: "changePIN",
        command: |send| {
            with_pin(send);
            platform::change_pin(send, PIN, "2468")
        },
        // A retry is spent before the PIN is compared.
        commits: 2,
    },
    Case {
        name: "a token",
        command: |send| {
            with_pin(send);
            platform::get_token(send, PIN, Permissions::CM)
        },
        commits: 2,
    },
    Case {
        name: "a token by a wrong PIN",
        command: |send| {
            with_pin(send);
            platform::get_token(send, "2468", Permissions::CM)
        },
        commits: 1,
    },
    Case {
        name: "deleteCredential",
        command: |send| manage(send, credential_management::Subcommand::DeleteCredential),
        commits: 1,
    },
    Case {
        name: "updateUserInformation",
        command: |send| manage(send, credential_management::Subcommand::UpdateUserInformation),
        commits: 1,
    },
    Case {
        name: "largeBlobs",
        command: |_| {
            // An empty array with a byte more in its encoding; the hash is that of the specification's rule.
            let content = [0x80, 0x00];
            let array = [&content[..], &Sha256::digest(content)[..16]].concat();
            let length = u64::try_from(array.len()).ok();
            let request = large_blobs::Request { set: Some(array), offset: Some(0), length, ..Default::default() };
            Request::LargeBlobs(request).encode()
        },
        commits: 1,
    },
    Case {
        name: "setMinPINLength",
        command: |send| {
            let parameters = config::Parameters { new_min_pin_length: Some(8), ..Default::default() };
            configure(send, config::Subcommand::SetMinPinLength, parameters)
        },
        commits: 1,
    },
    Case {
        name: "enableLongTouchForReset",
        command: |send| configure(send, config::Subcommand::EnableLongTouchForReset, config::Parameters::default()),
        commits: 1,
    },
    Case {
        name: "a persistent token",
        command: |send| {
            with_pin(send);
            platform::get_token(send, PIN, Permissions::PCMR)
        },
        commits: 2,
    },
    Case {
        name: "the last sample of an enrolment",
        command: |send| {
            with_pin(send);
            let id = begun(send);
            enrolling(send, Subcommand::EnrollCaptureNextSample, Some(id), None)
        },
        commits: 1,
    },
    Case {
        name: "setFriendlyName",
        command: |send| {
            let id = with_finger(send);
            enrolling(send, Subcommand::SetFriendlyName, Some(id), Some("left"))
        },
        commits: 1,
    },
    Case {
        name: "removeEnrollment",
        command: |send| {
            let id = with_finger(send);
            enrolling(send, Subcommand::RemoveEnrollment, Some(id), None)
        },
        commits: 1,
    },
    Case {
        name: "a token by a finger",
        command: |send| {
            with_finger(send);
            platform::get_token_by_uv(send, Permissions::CM)
        },
        // An attempt is spent before the finger is looked at.
        commits: 2,
    },
    Case {
        name: "makeCredential by a finger",
        command: |send| {
            with_finger(send);
            let Ok(Request::MakeCredential(request)) = Request::decode(&make_credential("carol", true)) else {
                panic!("it is makeCredential")
            };
            let options = CeremonyOptions { uv: Some(true), ..request.options };
            Request::MakeCredential(keyrig_ctap::make_credential::Request { options, ..request }).encode()
        },
        commits: 3,
    },
    Case {
        name: "getAssertion by a finger",
        command: |send| {
            with_finger(send);
            let Ok(Request::GetAssertion(request)) = Request::decode(&get_assertion(&[])) else {
                panic!("it is getAssertion")
            };
            let options = CeremonyOptions { uv: Some(true), ..request.options };
            Request::GetAssertion(keyrig_ctap::get_assertion::Request { options, ..request }).encode()
        },
        commits: 3,
    },
];

fn enrolling(send: Send<'_>, subcommand: Subcommand, template_id: Option<Vec<u8>>, name: Option<&str>) -> Vec<u8> {
    let parameters = bio_enrollment::Parameters {
        template_id,
        template_friendly_name: name.map(str::to_owned),
        timeout_milliseconds: None,
    };
    let mut request = bio_enrollment::Request::new(subcommand, parameters);
    request.pin_uv_auth = platform::authorize(send, PIN, Permissions::BE, &request.authenticated_message());
    Request::BioEnrollment(request).encode()
}

/// Begins to enrol a finger of two samples, and gives the first: its templateId.
fn begun(send: Send<'_>) -> Vec<u8> {
    let begin = enrolling(send, Subcommand::EnrollBegin, None, None);
    let answer = send(&begin);
    let begun = bio_enrollment::Response::decode(parse_response(&answer).unwrap()).unwrap();
    assert_eq!(begun.remaining_samples, Some(1));
    begun.template_id.unwrap()
}

/// A PIN, and a finger that the key knows.
fn with_finger(send: Send<'_>) -> Vec<u8> {
    with_pin(send);
    let id = begun(send);
    let last = enrolling(send, Subcommand::EnrollCaptureNextSample, Some(id.clone()), None);
    assert_eq!(send(&last)[0], 0);
    id
}

/// A PIN, of which a retry has been spent: one that is given back would be seen.
fn with_pin(send: Send<'_>) {
    let set = platform::set_pin(send, PIN);
    assert_eq!(send(&set), [0]);
    let wrong = platform::get_token(send, "0000", Permissions::CM);
    assert_eq!(send(&wrong), [0x31], "CTAP2_ERR_PIN_INVALID");
}

fn manage(send: Send<'_>, subcommand: credential_management::Subcommand) -> Vec<u8> {
    let (id, _) = made(&send(&make_credential("erin", true)));
    with_pin(send);
    let update = subcommand == credential_management::Subcommand::UpdateUserInformation;
    let parameters = credential_management::Parameters {
        credential_id: Some(CredentialDescriptor::public_key(id)),
        user: update.then(|| User { id: b"erin".to_vec(), name: Some("Erin".into()), display_name: None }),
        rp_id_hash: None,
    };
    let mut request = credential_management::Request::new(subcommand, parameters);
    request.pin_uv_auth = platform::authorize(send, PIN, Permissions::CM, &request.authenticated_message());
    Request::CredentialManagement(request).encode()
}

fn configure(send: Send<'_>, subcommand: config::Subcommand, parameters: config::Parameters) -> Vec<u8> {
    with_pin(send);
    let mut request = config::Request::new(subcommand, parameters);
    request.pin_uv_auth = platform::authorize(send, PIN, Permissions::ACFG, &request.authenticated_message());
    Request::Config(request).encode()
}

/// The id of the imported credential.
const IMPORTED: &[u8] = b"imported";

/// A key with two discoverable credentials, an imported one and one that lives in its id.
fn prepare(directory: &Path) -> Vec<u8> {
    let mut key = key(open(directory));
    let import = key.authenticator.import(vec![CredentialSource {
        id: IMPORTED.to_vec(),
        relying_party_id: requests::SITE.to_owned(),
        private_key: PrivateKey::from_bytes(Algorithm::Es256, &[7; 32]).unwrap(),
        user: None,
        properties: Properties::default(),
        cred_blob: Vec::new(),
        counter: Some(41),
        backup_eligible: true,
        backup_state: false,
        cred_random: None,
        large_blob_key: None,
    }]);
    let import = import.unwrap();
    assert!(key.disk.commit(import.changes()));
    import.committed(&mut key.authenticator);
    made(&send(&mut key, &make_credential("alice", true)));
    made(&send(&mut key, &make_credential("bob", true)));
    made(&send(&mut key, &make_credential("dave", false))).0
}

/// What happens when nobody is killed.
struct Undisturbed {
    /// What the key keeps before the command, and after each of its commits.
    states: Vec<Store>,
    answer: Vec<u8>,
    in_its_id: Vec<u8>,
}

fn undisturbed(case: &Case) -> Undisturbed {
    let directory = TempDir::new().unwrap();
    let in_its_id = prepare(directory.path());
    let mut key = key(open(directory.path()));
    let command = (case.command)(&mut |message| send(&mut key, message));
    let mut states = vec![key.authenticator.store().clone()];
    let mut step = key.start(&command);
    let answer = loop {
        let commits = matches!(step, Step::Commit(_));
        step = match key.turn(step) {
            Turn::Next(step) => step,
            Turn::Answer(answer) => break answer,
            Turn::Killed | Turn::Silence => unreachable!("nobody is killed, and every key answers"),
        };
        if commits {
            states.push(key.authenticator.store().clone());
        }
    };
    Undisturbed { states, answer, in_its_id }
}

/// A child that is killed when this is dropped.
struct Killed {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Killed {
    fn start(role: &str, directory: &Path, variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that is the child's own, and not the test runner's.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the child ended: {:?}", self.child.wait());
            // The test runner leaves its own line open while a test runs.
            if let Some((_, own)) = line.trim_end().split_once("keyrig: ") {
                return own.to_owned();
            }
        }
    }

    /// SIGKILL, and what the child had written until then.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // Killed already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "keyrig: {line}").unwrap();
    output.flush().unwrap();
}

fn wait_to_be_killed() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
#[ignore = "the child of other tests, which start it"]
fn child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let case = &CASES[env::var(COMMAND).unwrap().parse::<usize>().unwrap()];
    let stop = env::var(STOP).unwrap();
    let mut key = key(open(Path::new(&directory)));
    let command = (case.command)(&mut |message| send(&mut key, message));
    key.disk.stop_at(stop);
    let answer = send(&mut key, &command);
    say(&format!("answered {}", hex(&answer)));
    wait_to_be_killed();
}

/// What the owner of a key does that is killed by it: a credential is said to be backed up.
fn back_up(key: &mut Driver<Watched>) {
    let act = key.authenticator.set_backup(IMPORTED, true, true).unwrap();
    assert!(key.disk.commit(act.changes()));
    act.committed(&mut key.authenticator);
}

#[test]
#[ignore = "the child of another test, which starts it"]
fn owner_child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let mut key = key(open(Path::new(&directory)));
    key.disk.stop_at(env::var(STOP).unwrap());
    back_up(&mut key);
    say("done");
    wait_to_be_killed();
}

#[test]
fn a_key_killed_while_its_owner_says_that_a_credential_is_backed_up_comes_back_as_before_or_after() {
    let _one = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (stop, says, backed_up) in
        [("0 before", "0 before", false), ("0 after", "0 after", true), ("1 before", "done", true)]
    {
        let directory = TempDir::new().unwrap();
        let in_its_id = prepare(directory.path());
        let before = open(directory.path()).1;
        let mut killed = Killed::start("owner_child", directory.path(), &[(STOP, stop.to_owned())]);
        assert_eq!(killed.line(), says);
        killed.kill();
        let (_, store) = open(directory.path());
        let own = store.credential(IMPORTED).and_then(|credential| credential.own.as_ref()).unwrap();
        assert_eq!((own.backup_eligible, own.backup_state), (true, backed_up), "{stop}");
        assert_eq!(store == before, !backed_up, "{stop}: nothing else is there of it");
        judge(directory.path(), &store, &in_its_id, false, stop);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap()).collect()
}

/// The key after the kill holds what `expected` holds, and does what that should do.
fn judge(directory: &Path, expected: &Store, in_its_id: &[u8], was_reset: bool, what: &str) {
    let (database, store) = open(directory);
    assert_eq!(store, *expected, "{what}");
    let mut counter = store.counter();
    let imported = store.credential(IMPORTED).and_then(|credential| credential.own.as_ref()?.counter);
    let mut key = key((database, store));
    let mut allowed: Vec<Vec<u8>> =
        key.authenticator.store().credentials().map(|credential| credential.id.clone()).collect();
    if was_reset {
        assert_eq!(allowed, Vec::<Vec<u8>>::new(), "{what}");
        assert_eq!(send(&mut key, &get_assertion(&[in_its_id])), [0x2E], "{what}: CTAP2_ERR_NO_CREDENTIALS");
    } else {
        allowed.push(in_its_id.to_vec());
    }
    for id in &allowed {
        let (found, count) = asserted(&send(&mut key, &get_assertion(&[id])));
        let expected = match imported {
            Some(own) if id == IMPORTED => own + 1,
            _ => {
                counter += 1;
                counter
            }
        };
        assert_eq!((found, count), (id.clone(), expected), "{what}: the counter goes on from what was durable");
    }
}

#[test]
fn a_key_killed_between_any_two_commits_comes_back_as_before_or_after() {
    let _one = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (index, case) in CASES.iter().enumerate() {
        let Undisturbed { states, answer, in_its_id } = undisturbed(case);
        let (before, after) = (states.first().unwrap(), states.last().unwrap());
        assert_ne!(before, after, "{}: a command that changes nothing tests nothing", case.name);
        for between in &states[..states.len() - 1] {
            assert!(between.pin_retries() <= before.pin_retries(), "{}: a retry was gained", case.name);
        }
        let is_reset = case.name == "reset";
        let mut points = 0;
        'points: for number in 0.. {
            for moment in [Moment::Before, Moment::After] {
                let directory = TempDir::new().unwrap();
                assert_eq!(prepare(directory.path()), in_its_id, "the same randomness makes the same key");
                let stop = format!("{number} {}", moment.name());
                let variables = [(COMMAND, index.to_string()), (STOP, stop.clone())];
                let mut killed = Killed::start("child", directory.path(), &variables);
                let line = killed.line();
                killed.kill();
                let what = format!("{}, killed at {line}", case.name);
                if let Some(given) = line.strip_prefix("answered ") {
                    // No such commit: the command had answered, so that what it promised is there.
                    assert_eq!(unhex(given), answer, "{what}");
                    judge(directory.path(), after, &in_its_id, is_reset, &what);
                    break 'points;
                }
                assert_eq!(line, stop, "{what}");
                points += 1;
                let expected = &states[if moment == Moment::Before { number } else { number + 1 }];
                judge(directory.path(), expected, &in_its_id, is_reset && moment == Moment::After, &what);
            }
        }
        assert_eq!(points, 2 * case.commits, "{}: before and after each commit", case.name);
    }
}

#[test]
#[ignore = "the child of other tests, which start it"]
fn registering_child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rack = start(Path::new(&directory)).await;
        let key = rack.key(&key_name()).unwrap();
        // Bounded, should nobody kill it.
        for number in 0..500 {
            let answer = key.transact(make_credential(&format!("user {number}"), true)).answer().await.unwrap();
            say(&hex(&made(&answer).0));
        }
    });
    wait_to_be_killed();
}

async fn start(directory: &Path) -> Rack {
    start_with(directory, &[key_name()], Vec::new()).await
}

async fn start_with(directory: &Path, names: &[KeyName], seams: Vec<Arc<dyn Seams>>) -> Rack {
    let finger = Finger { policy: TouchPolicy::Auto, over: None };
    let options = Options { finger, state: Some(directory.to_owned()), seams, ..Options::default() };
    let keys = names.iter().map(|name| KeySpecification { name: name.clone(), profile: profile() });
    Rack::start(options, keys.collect()).await.unwrap()
}

#[test]
fn what_a_rack_acknowledged_under_load_survives_its_kill() {
    let _one = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for lines in [1, 2, 5, 13, 34] {
        let directory = TempDir::new().unwrap();
        let mut killed = Killed::start("registering_child", directory.path(), &[]);
        let mut acknowledged: Vec<String> = (0..lines).map(|_| killed.line()).collect();
        let rest = killed.kill();
        // What it had said before it was killed counts too, but for a line that it did not finish.
        let said = rest.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        acknowledged.extend(said.filter_map(|line| line.trim_end().strip_prefix("keyrig: ")).map(str::to_owned));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rack = start(directory.path()).await;
            let key = rack.key(&key_name()).unwrap();
            let mut last = u32::try_from(acknowledged.len()).unwrap();
            for id in &acknowledged {
                let id = unhex(id);
                let (found, counter) = asserted(&key.transact(get_assertion(&[&id])).answer().await.unwrap());
                assert_eq!(found, id);
                assert!(counter > last, "one count for each registration, and they never come again");
                last = counter;
            }
            // At most the registration under way is there beyond those that were acknowledged.
            let stored =
                rack.command(keyrig_rack::command::Command::List).await.unwrap().keys[0].discoverable_credentials;
            assert!(
                (acknowledged.len()..=acknowledged.len() + 1).contains(&stored),
                "{stored} of {}",
                acknowledged.len()
            );
        });
    }
}

/// Says so when a commit of a key that is being made comes to its storage, and waits there to be killed.
#[derive(Debug)]
struct StopAtCommits;

impl Seams for StopAtCommits {
    fn storage(&self, key: &KeyName, storage: Box<dyn Storage>) -> Box<dyn Storage> {
        if *key == key_name() { storage } else { Box::new(Stop) }
    }
}

#[derive(Debug)]
struct Stop;

impl Storage for Stop {
    fn commit(&mut self, _: &[Change]) -> Result<(), NotDurable> {
        say("commit");
        wait_to_be_killed();
        Ok(())
    }
}

#[test]
#[ignore = "the child of other tests, which start it"]
fn creating_child() {
    let Ok(directory) = env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rack = start_with(Path::new(&directory), &[key_name()], vec![Arc::new(StopAtCommits)]).await;
        made(&rack.key(&key_name()).unwrap().transact(make_credential("user", true)).answer().await.unwrap());
        let snapshot = rack.snapshot(&key_name()).await.unwrap();
        say("begun");
        // Bounded, should nobody kill it.
        for number in 0..100 {
            let name = format!("b{number}").parse().unwrap();
            let pin = Some(PIN.to_owned());
            let new =
                NewKey { name, profile: profile(), snapshot: Some(snapshot.clone()), pin, uv: None, plugged: true };
            rack.create(new).await.unwrap();
            say(&format!("b{number}"));
        }
    });
    wait_to_be_killed();
}

#[test]
fn a_key_that_is_killed_while_it_is_made_from_a_snapshot_with_a_pin_is_whole_or_not_there() {
    let _one = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for lines in [1, 2, 3, 5, 8] {
        let directory = TempDir::new().unwrap();
        let mut killed = Killed::start("creating_child", directory.path(), &[]);
        let said: Vec<_> = (0..lines).map(|_| killed.line()).collect();
        killed.kill();
        assert!(!said.contains(&"commit".to_owned()), "what it keeps is there from the start");
        let kept = std::fs::read_dir(directory.path().join("keys")).unwrap();
        let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let kept: Vec<KeyName> = kept.filter(|name| !name.starts_with('.')).map(|name| name.parse().unwrap()).collect();
        // "begun" is no key, and a is one.
        assert!(kept.len() >= lines, "{kept:?} after {said:?}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rack = start_with(directory.path(), &kept, Vec::new()).await;
            for name in kept.iter().filter(|name| **name != key_name()) {
                let key = rack.key(name).unwrap();
                assert!(key.pin_state().await.unwrap().set, "{name} after {said:?}");
                assert_eq!(key.store().await.unwrap().discoverable_count(), 1, "{name} after {said:?}");
            }
        });
    }
}
