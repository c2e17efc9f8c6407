//! A state directory on a real file system: made, opened again, found damaged, held by another.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use keyrig_authenticator::environment::Seeded;
use tempfile::TempDir;

use super::*;

/// What is under a directory: for each path its mode and, if it is a file, its bytes.
fn listing(directory: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = metadata.is_file().then(|| fs::read(&path).unwrap());
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.permissions().mode() & 0o7777, content));
    }
    found
}

fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

fn profile() -> Profile {
    Profile::built_in("keyrig").unwrap()
}

fn open_key(state: &StateDirectory, seed: u8) -> Result<(Database, Store), StateError> {
    state.open_key(&name("a"), &profile(), &mut Seeded::new([seed; 32]))
}

/// A state directory with an attestation root and the key "a", and what the key keeps.
fn with_a_key() -> (TempDir, StateDirectory, Store) {
    let directory = TempDir::new().unwrap();
    let state = StateDirectory::open(&directory.path().join("state")).unwrap();
    state.attestation_root(&mut Seeded::new([1; 32])).unwrap();
    let (_, store) = open_key(&state, 2).unwrap();
    (directory, state, store)
}

#[test]
fn a_new_directory_is_made_for_its_owner_alone() {
    let (_directory, state, _) = with_a_key();
    for (path, (mode, content)) in listing(&state.path) {
        let expected = if content.is_some() { 0o600 } else { 0o700 };
        assert_eq!(format!("{mode:o}"), format!("{expected:o}"), "{}", path.display());
    }
    let names: Vec<_> = listing(&state.path)
        .into_keys()
        .map(|path| path.strip_prefix(&state.path).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "",
            "attestation-root",
            "attestation-root.sha256",
            "format",
            "keys",
            "keys/a",
            "keys/a/format",
            "keys/a/lock",
            "keys/a/profile",
            "keys/a/store",
            "lock"
        ]
    );
}

#[test]
fn what_was_made_is_there_when_it_is_opened_again() {
    let (_directory, state, store) = with_a_key();
    let again = StateDirectory::open(&state.path).unwrap();
    let expected = *state.attestation_root(&mut Seeded::new([9; 32])).unwrap();
    assert_eq!(*again.attestation_root(&mut Seeded::new([8; 32])).unwrap(), expected);
    assert_eq!(open_key(&again, 9).unwrap().1, store, "nothing of a new seed");
}

#[test]
fn a_directory_of_something_else_is_left_as_it_is() {
    type Case = (&'static str, fn(&Path));
    let cases: [Case; 8] = [
        ("a file", |path| fs::write(path.join("notes.txt"), "mine").unwrap()),
        ("a directory", |path| fs::create_dir(path.join("src")).unwrap()),
        ("somebody's keys", |path| {
            fs::create_dir(path.join("keys")).unwrap();
            fs::write(path.join("keys/id_ed25519"), "mine").unwrap();
        }),
        ("a file called keys", |path| fs::write(path.join("keys"), "").unwrap()),
        ("somebody's lock", |path| fs::write(path.join("lock"), "pid 1234").unwrap()),
        ("a lock that leads elsewhere", |path| symlink("/nonexistent/elsewhere", path.join("lock")).unwrap()),
        ("a hidden file", |path| fs::write(path.join(".secrets.new"), "mine").unwrap()),
        ("a file by a name of ours", |path| fs::write(path.join(".format.new"), "mine").unwrap()),
    ];
    for (what, make) in cases {
        let directory = TempDir::new().unwrap();
        make(directory.path());
        let before = listing(directory.path());
        let error = StateDirectory::open(directory.path()).unwrap_err();
        assert!(matches!(error, StateError::Foreign { .. }), "{what}: {error}");
        assert_eq!(listing(directory.path()), before, "{what}");
    }
}

#[test]
fn a_file_is_no_state_directory() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "mine").unwrap();
    assert!(matches!(StateDirectory::open(&path), Err(StateError::FileSystem { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

/// What a wrong format is called.
#[derive(Debug, PartialEq)]
enum Wrong {
    Version,
    Damaged,
}

const WRONG_FORMATS: [(&[u8], Wrong); 8] = [
    (b"keyrig FAMILY 3\n", Wrong::Version),
    (b"keyrig FAMILY 10\n", Wrong::Version),
    (b"keyrig FAMILY 1 with more\n", Wrong::Version),
    (b"keyrig FAMILY 1", Wrong::Damaged),
    (b"", Wrong::Damaged),
    (b"\n", Wrong::Damaged),
    (b"\xff\xfe\x00garbage\n", Wrong::Damaged),
    (&[b'x'; 100_000], Wrong::Damaged),
];

fn refuses_wrong_formats(family: &str, file: &str, open: impl Fn(&StateDirectory) -> Result<(), StateError>) {
    for (content, expected) in WRONG_FORMATS {
        let (_directory, state, _) = with_a_key();
        let path = state.path.join(file);
        let content = match str::from_utf8(content) {
            Ok(text) => text.replace("FAMILY", family).into_bytes(),
            Err(_) => content.to_vec(),
        };
        fs::write(&path, content).unwrap();
        let before = listing(&state.path);
        let error = open(&state).unwrap_err();
        let (found, named) = match &error {
            StateError::Version { path, .. } => (Wrong::Version, path),
            StateError::Damaged { path, .. } => (Wrong::Damaged, path),
            other => panic!("{other}"),
        };
        assert_eq!((found, named), (expected, &path), "{error}");
        assert_eq!(listing(&state.path), before);
    }
}

#[test]
fn another_format_of_the_directory_is_refused_and_nothing_changed() {
    refuses_wrong_formats("state", "format", |state| StateDirectory::open(&state.path).map(drop));
}

#[test]
fn another_format_of_a_key_is_refused_and_nothing_changed() {
    refuses_wrong_formats("key", "keys/a/format", |state| open_key(state, 9).map(drop));
}

#[test]
fn a_key_of_another_profile_is_refused_by_its_name() {
    let (_directory, state, store) = with_a_key();
    let other = Profile::built_in("yubikey-5.7").unwrap();
    let error = state.open_key(&name("a"), &other, &mut Seeded::new([9; 32])).unwrap_err();
    match error {
        StateError::OtherProfile { found, wanted, .. } => {
            assert_eq!((found.as_str(), wanted.as_str()), ("keyrig", "yubikey-5.7"));
        }
        other => panic!("{other}"),
    }
    assert_eq!(open_key(&state, 9).unwrap().1, store);
}

#[test]
fn a_profile_that_is_no_line_is_damage() {
    for content in [&b""[..], b"\n", b"keyri", b"keyrig", b"\xff\xff\n", b"keyrig\nkeyrig\n", b"\x1b[31mkeyrig\n"] {
        let (_directory, state, _) = with_a_key();
        let path = state.path.join("keys/a/profile");
        fs::write(&path, content).unwrap();
        let error = open_key(&state, 9).unwrap_err();
        assert!(matches!(&error, StateError::Damaged { path: named, .. } if *named == path), "{error}");
    }
}

#[test]
fn a_key_that_is_held_is_locked_until_it_is_let_go() {
    let (_directory, state, store) = with_a_key();
    let holder = File::open(state.path.join("keys/a/lock")).unwrap();
    holder.lock().unwrap();
    assert!(matches!(open_key(&state, 9), Err(StateError::Locked { path }) if path.ends_with("keys/a/lock")));
    drop(holder);
    let held = open_key(&state, 9).unwrap();
    assert!(matches!(open_key(&state, 9), Err(StateError::Locked { .. })));
    drop(held);
    assert_eq!(open_key(&state, 9).unwrap().1, store);
}

#[test]
fn a_database_that_is_held_is_locked_too() {
    let (_directory, state, _) = with_a_key();
    let holder = File::open(state.path.join("keys/a/store")).unwrap();
    holder.lock().unwrap();
    assert!(matches!(open_key(&state, 9), Err(StateError::Locked { path }) if path.ends_with("keys/a/store")));
}

#[test]
fn what_is_missing_is_named_and_not_made_anew() {
    for file in ["attestation-root", "keys", "keys/a/format", "keys/a/profile", "keys/a/store"] {
        let (_directory, state, _) = with_a_key();
        let path = state.path.join(file);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let error = StateDirectory::open(&state.path)
            .and_then(|state| {
                state.attestation_root(&mut Seeded::new([9; 32]))?;
                open_key(&state, 9)
            })
            .unwrap_err();
        assert!(matches!(&error, StateError::Damaged { path: named, .. } if *named == path), "{file}: {error}");
        assert!(!path.exists(), "{file}");
    }
    let (_directory, state, _) = with_a_key();
    fs::remove_file(state.path.join("format")).unwrap();
    let before = listing(&state.path);
    assert!(matches!(StateDirectory::open(&state.path), Err(StateError::Foreign { .. })));
    assert_eq!(listing(&state.path), before);
}

#[test]
fn locks_that_are_missing_are_made_again() {
    let (_directory, state, store) = with_a_key();
    fs::remove_file(state.path.join("lock")).unwrap();
    fs::remove_file(state.path.join("keys/a/lock")).unwrap();
    let state = StateDirectory::open(&state.path).unwrap();
    state.attestation_root(&mut Seeded::new([9; 32])).unwrap();
    assert_eq!(open_key(&state, 9).unwrap().1, store);
}

#[test]
fn a_root_of_another_length_is_damage() {
    for length in [0, 1, 31, 33, 10_000] {
        let (_directory, state, _) = with_a_key();
        fs::write(state.path.join("attestation-root"), vec![7; length]).unwrap();
        let error = state.attestation_root(&mut Seeded::new([9; 32])).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }), "{length}: {error}");
    }
}

/// Puts `content` in place of the key's database and opens it: refused, or what was there before.
fn opens_or_refuses(state: &StateDirectory, content: &[u8], store: &Store, what: &str) -> bool {
    let path = state.path.join("keys/a/store");
    fs::write(&path, content).unwrap();
    match catch_unwind(AssertUnwindSafe(|| open_key(state, 9))) {
        Ok(Ok((_, found))) => {
            assert_eq!(found, *store, "{what}");
            true
        }
        Ok(Err(StateError::Damaged { path: named, .. })) => {
            assert_eq!(named, path, "{what}");
            assert!(fs::read(&path).unwrap() == content, "{what}: what is refused is left as it was");
            false
        }
        Ok(Err(error)) => panic!("{what}: {error}"),
        Err(_) => panic!("{what}: opening panicked"),
    }
}

#[test]
fn a_database_cut_short_is_refused() {
    let (_directory, state, store) = with_a_key();
    let whole = fs::read(state.path.join("keys/a/store")).unwrap();
    let lengths = (0..whole.len()).step_by(4096).chain([1, 9, 100, 511, whole.len() - 1]);
    for length in lengths {
        opens_or_refuses(&state, &whole[..length], &store, &format!("cut to {length} bytes"));
    }
    assert!(opens_or_refuses(&state, &whole, &store, "whole"));
}

#[test]
fn a_database_with_a_damaged_byte_is_refused_or_whole() {
    let (_directory, state, store) = with_a_key();
    let whole = fs::read(state.path.join("keys/a/store")).unwrap();
    // In the head with its two commit slots, at the beginning of every page, and in what pages are in use.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let positions = (0..320).step_by(3).chain((320..=used).step_by((used / 60).max(1))).chain((0..used).step_by(4096));
    let mut refused = 0;
    for position in positions {
        let mut content = whole.clone();
        content[position] ^= 0x55;
        refused += usize::from(!opens_or_refuses(&state, &content, &store, &format!("byte {position}")));
    }
    assert!(refused > 0);
}

#[test]
fn a_database_of_garbage_is_refused() {
    let (_directory, state, store) = with_a_key();
    let whole = fs::read(state.path.join("keys/a/store")).unwrap();
    let mut random = vec![0; whole.len()];
    Seeded::new([3; 32]).random(&mut random);
    let mut behind_the_head = random.clone();
    behind_the_head[..320].copy_from_slice(&whole[..320]);
    let cases: [(&str, Vec<u8>); 6] = [
        ("nothing", vec![]),
        ("zeros", vec![0; whole.len()]),
        ("text", b"not a database\n".to_vec()),
        ("random bytes", random),
        ("random bytes behind the head", behind_the_head),
        ("zeros behind the head", [&whole[..320], &vec![0; whole.len() - 320]].concat()),
    ];
    for (what, content) in cases {
        assert!(!opens_or_refuses(&state, &content, &store, what), "{what} was taken for a key");
    }
}

#[test]
fn a_database_without_its_records_is_no_blank_key() {
    let (_directory, state, _) = with_a_key();
    let path = state.path.join("keys/a/store");
    fs::remove_file(&path).unwrap();
    drop(redb::Database::create(&path).unwrap());
    assert!(matches!(open_key(&state, 9), Err(StateError::Damaged { .. })), "no table");
    fs::remove_file(&path).unwrap();
    Database::create(&path, &[]).unwrap();
    assert!(matches!(open_key(&state, 9), Err(StateError::Damaged { .. })), "no records");
}

#[test]
fn a_database_without_permission_is_not_called_damaged() {
    let (_directory, state, _) = with_a_key();
    let path = state.path.join("keys/a/store");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open_key(&state, 9), Err(StateError::FileSystem { path: named, .. }) if named == path));
}

#[test]
fn what_a_killed_process_left_half_made_is_made_whole() {
    // Killed while it made the directory: after the lock, the keys' directory, and in the middle of the format.
    for files in [&["lock"][..], &["lock", "keys"], &["lock", "keys", ".format.new"]] {
        let directory = TempDir::new().unwrap();
        for file in files {
            let path = directory.path().join(file);
            match *file {
                "keys" => fs::create_dir(path).unwrap(),
                ".format.new" => fs::write(path, "keyrig st").unwrap(),
                _ => fs::write(path, "").unwrap(),
            }
        }
        let state = StateDirectory::open(directory.path()).unwrap();
        open_key(&state, 1).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("format")).unwrap(), "keyrig state 1\n");
        assert!(!directory.path().join(".format.new").exists(), "{files:?}");
    }
    // Killed while it made a root and a key.
    let directory = TempDir::new().unwrap();
    let state = StateDirectory::open(directory.path()).unwrap();
    fs::write(directory.path().join(".attestation-root.new"), [7; 5]).unwrap();
    state.attestation_root(&mut Seeded::new([1; 32])).unwrap();
    let half = directory.path().join("keys/.a.new");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("store"), "half").unwrap();
    fs::write(half.join("extra"), "half").unwrap();
    let (_, store) = open_key(&state, 2).unwrap();
    assert_eq!(store, Store::create(&mut Seeded::new([2; 32])).0);
    assert_eq!(fs::read_dir(directory.path().join("keys")).unwrap().count(), 1);
    assert!(!directory.path().join("keys/a/extra").exists());
}

#[test]
fn a_half_made_key_is_none_that_a_root_must_vouch_for() {
    let directory = TempDir::new().unwrap();
    let state = StateDirectory::open(directory.path()).unwrap();
    fs::create_dir(directory.path().join("keys/.a.new")).unwrap();
    state.attestation_root(&mut Seeded::new([1; 32])).unwrap();
}

#[test]
fn all_who_make_it_at_once_get_the_same_root() {
    const MAKERS: u8 = 8;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state");
    let start = Barrier::new(usize::from(MAKERS));
    let roots: Vec<[u8; 32]> = thread::scope(|scope| {
        let make = |seed| {
            let (path, start) = (&path, &start);
            scope.spawn(move || {
                start.wait();
                let state = StateDirectory::open(path).unwrap();
                let root = *state.attestation_root(&mut Seeded::new([seed; 32])).unwrap();
                // One gets the key; the others are told so.
                match open_key(&state, seed) {
                    Ok(_) | Err(StateError::Locked { .. }) => root,
                    Err(error) => panic!("{error}"),
                }
            })
        };
        let makers: Vec<_> = (0..MAKERS).map(make).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[test]
fn a_changed_bit_of_the_attestation_root_is_no_other_root() {
    let (_directory, state, _) = with_a_key();
    let path = state.path.join("attestation-root");
    let root = fs::read(&path).unwrap();
    // An independent sum of the file: sha256sum(1) of coreutils.
    let sum =
        std::process::Command::new("sha256sum").arg("attestation-root").current_dir(&state.path).output().unwrap();
    assert_eq!(fs::read(state.path.join("attestation-root.sha256")).unwrap(), sum.stdout);
    for byte in 0..32 {
        let mut changed = root.clone();
        changed[byte] ^= 1 << (byte % 8);
        fs::write(&path, changed).unwrap();
        let error = state.attestation_root(&mut Seeded::new([9; 32])).unwrap_err();
        assert!(matches!(&error, StateError::Damaged { damage: Damage::Checksum, .. }), "{byte}: {error}");
    }
    fs::write(&path, &root).unwrap();
    // Made by 0.1.0, which wrote no checksum.
    fs::remove_file(state.path.join("attestation-root.sha256")).unwrap();
    assert_eq!(state.attestation_root(&mut Seeded::new([9; 32])).unwrap().as_slice(), root);
    assert!(state.path.join("attestation-root.sha256").exists());
}

#[test]
fn what_others_may_write_is_refused_and_what_they_may_read_is_closed() {
    let (_directory, state, _) = with_a_key();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let open = || {
        let state = StateDirectory::open(&state.path)?;
        state.attestation_root(&mut Seeded::new([9; 32]))?;
        open_key(&state, 9)
    };
    for name in ["", "keys", "keys/a"] {
        let path = state.path.join(name);
        for mode in [0o720, 0o702, 0o777] {
            set(&path, mode);
            let error = open().unwrap_err();
            assert!(matches!(&error, StateError::OthersMayWrite { path: named } if *named == path), "{name}: {error}");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "it is left as it is");
        }
        set(&path, 0o755);
        open().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700, "{name}");
    }
    for name in ["attestation-root", "keys/a/store"] {
        let path = state.path.join(name);
        set(&path, 0o644);
        open().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    set(&state.path.join("keys/a/store"), 0o666);
    assert!(matches!(open().unwrap_err(), StateError::OthersMayWrite { .. }));
}

#[test]
fn a_link_that_somebody_left_leads_no_secret_anywhere() {
    let directory = TempDir::new().unwrap();
    let state = StateDirectory::open(&directory.path().join("state")).unwrap();
    let mine = directory.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    for name in [".attestation-root.new", ".attestation-root.sha256.new"] {
        symlink(&mine, state.path.join(name)).unwrap();
    }
    state.attestation_root(&mut Seeded::new([1; 32])).unwrap();
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    assert_eq!(fs::read(state.path.join("attestation-root")).unwrap().len(), 32);
    // Nor is a root read that is elsewhere.
    fs::rename(state.path.join("attestation-root"), directory.path().join("elsewhere")).unwrap();
    symlink(directory.path().join("elsewhere"), state.path.join("attestation-root")).unwrap();
    let error = state.attestation_root(&mut Seeded::new([1; 32])).unwrap_err();
    assert!(matches!(error, StateError::Damaged { damage: Damage::Link, .. }), "{error}");
}

#[test]
fn a_link_in_place_of_a_directory_is_refused_and_what_it_names_is_left_alone() {
    for (linked, exists) in [("keys", true), ("keys", false), ("keys/a", true), ("keys/a", false)] {
        let (directory, state, _) = with_a_key();
        let elsewhere = directory.path().join("elsewhere");
        let path = state.path.join(linked);
        fs::rename(&path, &elsewhere).unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o755)).unwrap();
        if !exists {
            fs::remove_dir_all(&elsewhere).unwrap();
        }
        symlink(&elsewhere, &path).unwrap();
        let before = listing(directory.path());
        let opened = StateDirectory::open(&state.path).and_then(|state| {
            assert!(state.has_key(&name("a")), "it is no free name");
            let created = state.create_key(&name("a"), &profile(), &[]);
            assert!(matches!(created, Err(StateError::KeyExists { .. })));
            open_key(&state, 9)
        });
        let error = opened.unwrap_err();
        assert!(
            matches!(&error, StateError::Damaged { path: named, damage: Damage::Link } if *named == path),
            "{linked}: {error}"
        );
        assert_eq!(listing(directory.path()), before, "{linked}");
    }
    // Left under the name that a key is made by.
    let (directory, state, _) = with_a_key();
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("notes.txt"), "mine").unwrap();
    for (name_of_key, target) in [("b", elsewhere.clone()), ("c", directory.path().join("nowhere"))] {
        symlink(target, state.path.join(format!("keys/.{name_of_key}.new"))).unwrap();
        state.open_key(&name(name_of_key), &profile(), &mut Seeded::new([3; 32])).unwrap();
    }
    assert_eq!(fs::read(elsewhere.join("notes.txt")).unwrap(), b"mine");
    // The directory that the user names may be a link to one.
    let link = directory.path().join("link");
    symlink(&state.path, &link).unwrap();
    open_key(&StateDirectory::open(&link).unwrap(), 9).unwrap();
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("theirs");
    fs::create_dir(&path).unwrap();
    let other = rustix::process::geteuid().as_raw() + 1;
    // Only root can give a directory away.
    if std::os::unix::fs::chown(&path, Some(other), None).is_err() {
        return eprintln!("SKIPPED: this takes root");
    }
    let error = StateDirectory::open(&path).unwrap_err();
    assert!(
        matches!(&error, StateError::OtherUser { path: named, user } if *named == path && *user == other),
        "{error}"
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing was made in it");
}

/// A key that keyrig 0.1.0 kept, with the PIN 1357 and a discoverable credential of example.com.
fn of_format_1(state: &StateDirectory) {
    let path = state.path.join("keys/a");
    DirBuilder::new().mode(0o700).create(&path).unwrap();
    let text = include_str!("../../tests/fixtures/key-format-1.txt");
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut store = vec![0; lines.next().unwrap().parse().unwrap()];
    for line in lines {
        let (offset, bytes) = line.split_once(' ').unwrap();
        let (offset, bytes): (usize, _) = (offset.parse().unwrap(), hex::decode(bytes).unwrap());
        store[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
    for (file, content) in [("store", &store[..]), ("profile", b"keyrig\n"), ("format", b"keyrig key 1\n")] {
        write_new(&path.join(file), content).unwrap();
    }
}

#[test]
fn a_key_of_format_1_opens_with_all_it_kept_and_is_of_format_2_then() {
    let directory = TempDir::new().unwrap();
    let state = StateDirectory::open(&directory.path().join("state")).unwrap();
    of_format_1(&state);
    for _ in 0..2 {
        let (_, store) = open_key(&state, 1).unwrap();
        let [credential] = &store.credentials().collect::<Vec<_>>()[..] else { panic!("there is one") };
        assert_eq!(credential.relying_party_id, "example.com");
        assert_eq!(hex::encode(&credential.id[..8]), "b0b520e4efdbc956");
        let user = &credential.discoverable.as_ref().unwrap().user;
        assert_eq!((user.id.as_slice(), user.name.as_deref()), (&b"user"[..], Some("alice")));
        assert_eq!((store.counter(), store.pin_retries(), credential.own.as_ref()), (1, 8, None));
        assert_eq!(fs::read(state.path.join("keys/a/format")).unwrap(), b"keyrig key 2\n");
    }
}

#[test]
fn a_state_directory_may_be_named_by_one_word() {
    // The working directory is this package's: the directory goes with the test.
    let directory = tempfile::Builder::new().prefix("state-").tempdir_in(".").unwrap();
    let word = PathBuf::from(directory.path().file_name().unwrap());
    StateDirectory::open(&word).unwrap();
    fs::remove_dir_all(&word).unwrap();
    StateDirectory::open(&word).unwrap();
}

/// More tries than any key gives (CTAP 2.3 §6.5.2.2): as a snapshot with that, it is refused.
#[test]
fn a_database_that_holds_what_no_key_can_keep_is_refused() {
    let (_directory, state, _) = with_a_key();
    let mut changes = Store::create(&mut Seeded::new([3; 32])).1;
    changes.push(Change::PinRetries(9));
    let error = state.create_key(&name("b"), &profile(), &changes).unwrap_err();
    assert!(matches!(&error, StateError::Damaged { damage: Damage::Bounds(_), .. }), "{error}");
    assert!(error.to_string().contains("a key cannot keep what it holds: the PIN retries are 9"), "{error}");
}
