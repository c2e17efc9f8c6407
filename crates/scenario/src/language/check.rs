//! From what is written to what can run: everything that is named is looked up.

use core::fmt::Display;
use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::Quirk;
use keyrig_client::{Browser, Origin, Rules};
use keyrig_faults::{COMMANDS, Fault};
use keyrig_rack::{KeyName, KeySpecification, MAX_KEYS};
use keyrig_relying_party::{EventKind, Role, UserName};
use keyrig_verifier::Check;

use super::admin::AdminCommand;
use super::at::{At, Several};
use super::client::{ClientTable, RulesTable};
use super::elsewhere::is_call;
use super::expectation::{Expected, Refuser};
use super::file::File;
use super::key::KeyTable;
use super::matrix::Cell;
use super::plan::{Act, ClientPlan, KeyPlan, Scenario, SitePlan, StepPlan, UserPlan};
use super::problem::Problem;
use super::site::UserTable;
use super::step::{ActTable, AssertTable, CredentialKind, StepTable, Verb};
use super::words::{one_of, word};
use crate::explain;
use crate::nearest::nearest;

/// The user of a scenario that names none.
const USER: &str = "root@pam";

/// The password of users who were given none.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How often a step may be done.
const MAX_TIMES: u32 = 1000;

/// How many credentials of others a key may hold.
const MAX_STORED: usize = 1000;

/// What is wrong, as it is found; it goes on as far as it can.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// What a result has, or nothing, and its problem is remembered.
    fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }
}

pub(super) fn scenario(file: &Path, text: &Arc<str>, cell: Cell, read: File) -> Result<Scenario, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut keys = Vec::new();
    let mut names = BTreeSet::new();
    for table in &read.key {
        if !names.insert(table.name.value.clone()) {
            problems.add(taken(&table.name, "key"));
        }
        keys.extend(problems.take(key(table)));
    }
    if read.key.len() > MAX_KEYS {
        problems
            .add(Problem::new(0..0, format!("{} keys are more than a rack has room for, {MAX_KEYS}", read.key.len())));
    }
    let site = problems.take(SitePlan::default().with(&read.site));
    let elsewhere = read.elsewhere.as_ref().map(super::elsewhere::ElsewhereTable::plan);
    let elsewhere = elsewhere.and_then(|plan| problems.take(plan));
    let is_elsewhere = read.elsewhere.is_some();
    let users = users(&read.user, (!is_elsewhere).then_some(site.as_ref()), &mut problems);
    let clients = clients(&read.client, &mut problems);
    if read.step.is_empty() {
        let end = text.trim_end().len();
        problems.add(
            Problem::new(end..end, "the scenario has no step")
                .with_help("write one, such as\n[[step]]\nregister = \"primary\""),
        );
    }
    let mut known = Known {
        keys: names,
        users: users.iter().map(|user| user.name.clone()).collect(),
        clients: clients.iter().map(|client| client.name.clone()).collect(),
        judged: BTreeSet::new(),
        site: site.clone().unwrap_or_default(),
        is_elsewhere,
    };
    let mut steps = Vec::new();
    for table in &read.step {
        steps.extend(problems.take(step(table, &mut known)));
    }
    let (true, Some(site)) = (problems.0.is_empty(), site) else { return Err(problems.0) };
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Scenario {
        file: file.to_owned(),
        text: text.clone(),
        name,
        description: read.description.map(|text| text.trim().to_owned()),
        cell,
        given: Vec::new(),
        on: read.on,
        seed: read.seed,
        keys,
        site,
        elsewhere,
        users,
        clients,
        steps,
    })
}

fn taken(name: &At<String>, what: &str) -> Problem {
    Problem::new(name.at.clone(), format!("a {what} is called {:?} already", name.value))
        .with_help("give it another name")
}

fn key(table: &KeyTable) -> Result<KeyPlan, Problem> {
    let name: KeyName = word(&table.name)?;
    let profile = match &table.profile {
        None => Profile::built_in("keyrig")
            .ok_or_else(|| Problem::new(table.name.at.clone(), "there is no profile keyrig"))?,
        Some(written) => one_of(written, "profile", Profile::built_in_names(), Profile::built_in)?,
    };
    let mut specification = KeySpecification { name, profile };
    for written in &table.quirks {
        let wrong = |error: &dyn Display| Problem::new(written.at.clone(), error.to_string());
        let quirk = Quirk::named(&written.value).map_err(|error| wrong(&error))?;
        specification.profile.add(quirk).map_err(|refused| wrong(&refused))?;
    }
    for written in &table.enterprise_rps {
        let listed = specification.profile.list_for_enterprise(&written.value);
        listed.map_err(|refused| Problem::new(written.at.clone(), refused.to_string()))?;
    }
    if let Some(stored) = table.stored.as_ref().filter(|stored| stored.value > MAX_STORED) {
        return Err(Problem::new(stored.at.clone(), format!("a key has at most {MAX_STORED} credentials of others")));
    }
    Ok(KeyPlan {
        specification,
        pin: table.pin.as_ref().map(|pin| pin.value.clone()),
        faults: table.faults.iter().map(word).collect::<Result<_, _>>()?,
        lists_rp_ids: !table.enterprise_rps.is_empty(),
        plugged: table.plugged,
        stored: table.stored.as_ref().map_or(0, |stored| stored.value),
        uv: table.uv.as_ref().map(word).transpose()?,
    })
}

/// Users of our site, which may have something wrong itself, or of others'.
fn users(tables: &[UserTable], site: Option<Option<&SitePlan>>, problems: &mut Problems) -> Vec<UserPlan> {
    let mut users: Vec<UserPlan> = Vec::new();
    for table in tables {
        let user = (|| {
            let name = table.name.value.clone();
            let password = table.password.as_ref().map_or(PASSWORD, |password| &password.value).to_owned();
            if users.iter().any(|user| user.name == name) {
                return Err(taken(&table.name, "user"));
            }
            let Some(site) = site else {
                return Ok(UserPlan { name, role: Role::User, password, is_of_directory: false });
            };
            let name = word::<UserName>(&table.name)?;
            if let Some(site) = site.filter(|site| !site.has_realm(name.realm())) {
                return Err(site.no_realm(name.realm(), &table.name.at));
            }
            let is_of_directory = !["pam", "pve"].contains(&name.realm());
            if let Some(role) = table.role.as_ref().filter(|_| is_of_directory) {
                let problem = Problem::new(role.at.clone(), "a user of a directory has roles by groups");
                return Err(
                    problem.with_help("give one, by admin = \"acl modify / --groups GROUP-REALM --roles ROLE\"")
                );
            }
            let role = table.role.as_ref().map(word::<Role>).transpose()?.unwrap_or(Role::User);
            Ok(UserPlan { name: name.to_string(), role, password, is_of_directory })
        })();
        users.extend(problems.take(user));
    }
    if tables.is_empty() {
        let (name, password) = (USER.to_owned(), PASSWORD.to_owned());
        users.push(UserPlan { name, role: Role::Administrator, password, is_of_directory: false });
    }
    users
}

fn clients(tables: &[ClientTable], problems: &mut Problems) -> Vec<ClientPlan> {
    let mut clients: Vec<ClientPlan> = Vec::new();
    for table in tables {
        let client = || {
            let rules = match table.rules {
                Some(RulesTable::ForcedPast) => Rules::ForcedPast,
                Some(RulesTable::Enforced) | None => Rules::Enforced,
            };
            if clients.iter().any(|client| client.name == table.name.value) {
                return Err(taken(&table.name, "client"));
            }
            Ok(ClientPlan {
                name: table.name.value.clone(),
                browser: table.browser.as_ref().map(word).transpose()?.unwrap_or_default(),
                origin: table.origin.as_ref().map(word::<Origin>).transpose()?,
                ancestors: table.ancestors.iter().map(word).collect::<Result<_, _>>()?,
                rules,
                types_pins: table.types_pins,
            })
        };
        let client = client();
        clients.extend(problems.take(client));
    }
    if tables.is_empty() {
        clients.push(ClientPlan {
            name: "page".to_owned(),
            browser: Browser::default(),
            origin: None,
            ancestors: Vec::new(),
            rules: Rules::Enforced,
            types_pins: true,
        });
    }
    clients
}

/// What a step may name.
struct Known {
    keys: BTreeSet<String>,
    users: BTreeSet<String>,
    clients: BTreeSet<String>,
    /// The steps so far that later ones can look at.
    judged: BTreeSet<String>,
    site: SitePlan,
    /// Whether the site is others'.
    is_elsewhere: bool,
}

impl Known {
    fn is(set: &BTreeSet<String>, what: &str, name: &str, at: &Range<usize>) -> Result<(), Problem> {
        if set.contains(name) {
            return Ok(());
        }
        let problem = Problem::new(at.clone(), format!("no {what} is called {name:?}"));
        if set.is_empty() {
            return Err(problem.with_help(format!("there is none: write [[{what}]] with its name")));
        }
        Err(problem.with_nearest(name, set.iter().map(String::as_str)))
    }

    fn key(&self, name: &At<String>) -> Result<(), Problem> {
        Self::is(&self.keys, "key", &name.value, &name.at)
    }

    fn keys<'a>(&self, names: impl IntoIterator<Item = &'a At<String>>) -> Result<(), Problem> {
        names.into_iter().try_for_each(|name| self.key(name))
    }

    fn user(&self, name: &At<String>) -> Result<(), Problem> {
        Self::is(&self.users, "user", &name.value, &name.at)
    }
}

fn step(At { value: table, at }: &At<StepTable>, known: &mut Known) -> Result<StepPlan, Problem> {
    let (verb, at) = table.verb(at)?;
    if let Some(problem) = table.out_of_place(&verb) {
        return Err(problem);
    }
    if let Some(problem) = table.not_in_a_browser() {
        return Err(problem);
    }
    if let Some(by) = table.by.as_ref().filter(|_| !known.is_elsewhere && !known.site.listens) {
        let problem = Problem::new(by.at.clone(), "no browser gets to a site that does not listen");
        return Err(problem.with_help("give [site] listens = true: it is at http://localhost then"));
    }
    if known.is_elsewhere && verb.is_of_our_site() {
        let problem = Problem::new(at, format!("{} is done at a site of ours, and this one is others'", verb.name()));
        return Err(problem.with_help("write a call with what is done there, such as call = \"POST /login\""));
    }
    verb.key().map_or(Ok(()), |key| known.key(key))?;
    table.user.as_ref().map_or(Ok(()), |user| known.user(user))?;
    if let Some(client) = &table.client {
        Known::is(&known.clients, "client", &client.value, &client.at)?;
    }
    if let Some(finger) = table.finger.as_ref().filter(|finger| finger.value != "nobody") {
        known.key(finger)?;
    }
    let (mut admin, mut site) = (None, None);
    match &verb {
        Verb::Plug(keys) | Verb::Unplug(keys) => {
            if keys.is_empty() {
                return Err(Problem::new(at, "the step names no key"));
            }
            known.keys(keys)?;
        }
        Verb::Register(_) => {
            let kind = table.kind.as_ref().filter(|kind| kind.value == CredentialKind::U2f);
            if let Some(kind) = kind.filter(|_| known.is_elsewhere || known.site.app_id.is_none()) {
                let problem = Problem::new(kind.at.clone(), "U2F registers under an AppID, and the site has none");
                return Err(
                    problem.with_help("give [site] one, such as app-id = \"https://login.example.com/app-id.json\"")
                );
            }
        }
        Verb::PasswordLogin(user) | Verb::Lock(user) | Verb::Unlock(user) => known.user(user)?,
        Verb::Clone(_) => {
            let Some(name) = &table.called else {
                return Err(Problem::new(at, "the other key has no name").with_help("add as = \"copy\""));
            };
            word::<KeyName>(name)?;
            if !known.keys.insert(name.value.clone()) {
                return Err(taken(name, "key"));
            }
        }
        Verb::ChangePin(_) if table.to.is_none() => {
            return Err(Problem::new(at, "it does not say which PIN").with_help("add to = \"567890\""));
        }
        Verb::Fault(_) => match (&table.on, &table.off) {
            (Some(fault), None) => {
                word::<Fault>(fault)?;
            }
            (None, Some(all)) if all.value == "all" => {}
            (None, Some(fault)) => {
                word::<Fault>(fault)?;
            }
            _ => {
                return Err(Problem::new(at, "a fault is switched on, or off")
                    .with_help("add on = \"bad-signature\" or off = \"all\""));
            }
        },
        Verb::Set(changes) => {
            if let Some(listens) = &changes.listens {
                return Err(Problem::new(listens.at.clone(), "whether a site listens does not change"));
            }
            if let Some(option) = changes.directory.values().flat_map(BTreeMap::values).next() {
                return Err(Problem::new(option.at.clone(), "where a realm's users are does not change"));
            }
            known.site = known.site.clone().with(changes)?;
            site = Some(Box::new(known.site.clone()));
        }
        Verb::Admin(words) => {
            let command =
                AdminCommand::parse(&words.value).map_err(|message| Problem::new(words.at.clone(), message))?;
            if let AdminCommand::AddUser(user, _) = &command {
                known.users.insert(user.to_string());
            }
            admin = Some(command);
        }
        Verb::Call(call) => is_call(call)?,
        Verb::Assert(assert) if **assert == AssertTable::default() => {
            let problem = Problem::new(at, "the step looks at nothing");
            return Err(problem.with_help("say what has to be so, such as assert = { log = [\"logged_in\"] }"));
        }
        Verb::Assert(assert) => {
            asserted(assert, known)?;
            looked_at(assert, &at, known)?;
        }
        _ => {}
    }
    let expected = table.expect.as_ref().map(|expect| expect.value.0.clone()).unwrap_or_default();
    expectation(&expected, &verb, known)?;
    let acts = table.meanwhile.as_ref().map_or(&[][..], |acts| &acts.value);
    let meanwhile_at = table.meanwhile.as_ref().map_or(at.clone(), |acts| acts.at.clone());
    let meanwhile = acts.iter().map(|act_table| act(act_table, &meanwhile_at, known)).collect::<Result<_, _>>()?;
    let times = table.times.as_ref().map_or(1, |times| times.value);
    if let Some(written) = table.times.as_ref().filter(|_| !(1..=MAX_TIMES).contains(&times)) {
        return Err(Problem::new(written.at.clone(), format!("a step is done 1 to {MAX_TIMES} times")));
    }
    let name = table.name.clone().unwrap_or_else(|| verb.title());
    if verb.is_judged() {
        known.judged.insert(name.clone());
    }
    Ok(StepPlan {
        name,
        admin,
        site,
        meanwhile,
        expected,
        expected_at: table.expect.as_ref().map(|expect| expect.at.clone()),
        times,
        with: table.clone(),
        verb,
        at,
    })
}

/// Whether these are checks of WebAuthn.
fn checks<'a>(written: impl IntoIterator<Item = &'a At<String>>) -> Result<(), Problem> {
    written.into_iter().try_for_each(|check| {
        let ids = Check::ALL.iter().map(|check| check.id());
        one_of(check, "check", ids, |id| Check::ALL.iter().find(|check| check.id() == id)).map(drop)
    })
}

/// Whether it is one of our codes, as causes are too: a site elsewhere has its own.
fn refusal_code(what: &str, written: Option<&At<String>>, by: Option<Refuser>, known: &Known) -> Result<(), Problem> {
    let Some(written) = written else { return Ok(()) };
    if known.is_elsewhere && by.is_none_or(|by| by == Refuser::RelyingParty) {
        return Ok(());
    }
    // Of a status without a name.
    let number = |code: &str| u8::from_str_radix(code.strip_prefix("status-0x")?, 16).ok();
    // The rest are checks.
    let codes: Vec<_> = explain::codes().into_iter().filter(|code| code.specification.is_none()).collect();
    let names: Vec<_> = codes.iter().map(|code| code.code.as_str()).collect();
    if names.contains(&written.value.as_str()) || number(&written.value).is_some() {
        return Ok(());
    }
    let problem = Problem::new(written.at.clone(), format!("no {what} is called {:?}", written.value));
    Err(if Check::ALL.iter().any(|check| check.id() == written.value) {
        problem.with_help(format!("it is a check: write check = {:?}", written.value))
    } else if let Some(near) = nearest(&written.value, &names) {
        problem.with_help(format!("did you mean {near:?}?"))
    } else {
        problem
            .with_help("a run without it tells what was refused with, and 'keyrig explain CODE' what a code stands for")
    })
}

fn expectation(expected: &Expected, verb: &Verb, known: &Known) -> Result<(), Problem> {
    checks(expected.check.iter().flat_map(|checks| &checks.0))?;
    refusal_code("code", expected.code.as_ref(), expected.refused_by, known)?;
    refusal_code("cause", expected.cause.as_ref(), expected.refused_by, known)?;
    known.keys(expected.blinked.iter().flatten())?;
    known.keys(expected.touched.iter().flat_map(|keys| &keys.0))?;
    let about_a_refusal = expected.code.as_ref().or(expected.cause.as_ref());
    let about_a_refusal = about_a_refusal.or(expected.check.as_ref().and_then(|checks| checks.0.first()));
    if let Some(written) = about_a_refusal.filter(|_| expected.refused_by.is_none()) {
        let problem = Problem::new(written.at.clone(), "this is about a refusal, and nobody is to refuse");
        return Err(problem.with_help("add refused-by = \"authenticator\", \"client\" or \"relying-party\""));
    }
    if expected.pin_retries.is_some() && verb.key().is_none() {
        let at = expected.code.as_ref().map_or(0..0, |code| code.at.clone());
        return Err(Problem::new(at, format!("{} names no key that has PIN retries", verb.name())));
    }
    Ok(())
}

fn asserted(assert: &AssertTable, known: &Known) -> Result<(), Problem> {
    fn places<T>(members: &BTreeMap<String, At<T>>) -> impl Iterator<Item = (&String, Range<usize>)> {
        members.iter().map(|(key, At { at, .. })| (key, at.clone()))
    }
    fn listed(members: &BTreeMap<String, Several>) -> impl Iterator<Item = (&String, Range<usize>)> {
        members.iter().map(|(key, words)| (key, words.0.first().map_or(0..0, |word| word.at.clone())))
    }
    let keys = places(&assert.stored)
        .chain(places(&assert.pin_retries))
        .chain(places(&assert.touches))
        .chain(places(&assert.pin_retries_spent))
        .chain(listed(&assert.asked))
        .chain(listed(&assert.never_asked));
    for (key, at) in keys {
        Known::is(&known.keys, "key", key, &at)?;
    }
    for command in assert.asked.values().chain(assert.never_asked.values()).flat_map(|commands| &commands.0) {
        one_of(command, "command", commands(), |name| is_command(name).then_some(()))?;
    }
    for kind in assert.log.iter().flatten() {
        let names = EventKind::ALL.iter().map(|kind| kind.name());
        one_of(kind, "kind of event", names, |name| EventKind::ALL.iter().find(|kind| kind.name() == name))?;
    }
    Ok(())
}

/// The commands that transcripts know, by their names there. CTAPHID's own are in no exchange.
fn commands() -> impl Iterator<Item = &'static str> {
    let prototypes = ["authenticatorBioEnrollment(0x40)", "authenticatorCredentialManagement(0x41)"];
    COMMANDS.into_iter().filter(|command| !command.starts_with("CTAPHID_")).chain(prototypes)
}

/// Whether a transcript may have a command of this name: also one that nobody knows, by its byte.
fn is_command(name: &str) -> bool {
    let by_byte = ["vendor(0x", "command(0x"].iter().find_map(|kind| name.strip_prefix(kind)?.strip_suffix(')'));
    commands().any(|known| known == name) || by_byte.is_some_and(|byte| u8::from_str_radix(byte, 16).is_ok())
}

/// Whether there is an earlier step as one looks at.
fn looked_at(assert: &AssertTable, at: &Range<usize>, known: &Known) -> Result<(), Problem> {
    let at_words = |(check, words): (&String, &Several)| {
        let at = words.0.first().map_or_else(|| at.clone(), |word| word.at.clone());
        At { value: check.clone(), at }
    };
    refusal_code("code", assert.code.as_ref(), assert.refused_by, known)?;
    let found: Vec<_> = assert.found.iter().map(at_words).collect();
    checks(assert.passed.0.iter().chain(assert.failed.iter().flat_map(|checks| &checks.0)).chain(&found))?;
    let what_it_is = "it has to be a registration or a login, and stand before this one";
    match &assert.of {
        Some(name) if !known.judged.contains(&name.value) => {
            let problem = Problem::new(name.at.clone(), format!("no step to look at is called {:?}", name.value));
            Err(match known.judged.is_empty() {
                true => problem.with_help(what_it_is),
                false => problem.with_nearest(&name.value, known.judged.iter().map(String::as_str)),
            })
        }
        None if assert.is_of_a_step() && known.judged.is_empty() => {
            Err(Problem::new(at.clone(), "there is no step to look at").with_help(what_it_is))
        }
        _ => Ok(()),
    }
}

fn act(table: &ActTable, at: &Range<usize>, known: &Known) -> Result<Act, Problem> {
    let key = |written: &Option<At<String>>, act: fn(String) -> Act| {
        written.as_ref().map(|written| known.key(written).map(|()| act(written.value.clone())))
    };
    let acts = [
        key(&table.touch, Act::Touch),
        key(&table.deny, Act::Deny),
        key(&table.miss, Act::Miss),
        key(&table.unplug, Act::Unplug),
        key(&table.power_cycle, Act::PowerCycle),
        key(&table.plug, Act::Plug),
        table.advance.as_ref().map(|delay| Ok(Act::Advance(delay.value))),
    ];
    let mut acts = acts.into_iter().flatten();
    match (acts.next(), acts.next()) {
        (Some(act), None) => act,
        _ => Err(Problem::new(at.clone(), "each of these is one act")
            .with_help("write them as [{ unplug = \"primary\" }, { touch = \"backup\" }]")),
    }
}
