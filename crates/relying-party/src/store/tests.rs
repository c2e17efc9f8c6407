//! The database: what it refuses to open, what it keeps to itself, and what a failed change leaves.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::audit_log::{By, EventFilter, EventKind};
use crate::password::{PasswordCost, PasswordHash};
use crate::privileges::Privileges;
use crate::user_name::UserName;
use crate::users::{Role, UserChange, UserError};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn password() -> PasswordHash {
    PasswordHash::new("correct horse", PasswordCost::DangerNone, &SystemRandomness).unwrap()
}

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn with_user(store: &Store, user: &str) -> Result<(), UserError> {
    store.add_user(&name(user), Role::User, &password(), &By::command_line(NOW)).map(drop)
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let directory = TempDir::new().unwrap();
    with_user(&Store::open(directory.path()).unwrap(), "alice@pve").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.user(&name("alice@pve")).unwrap().role, Role::User);
    let realms: Vec<_> = store.realms().unwrap().into_iter().map(|realm| realm.name).collect();
    assert_eq!(realms, ["pam", "pve"]);
}

#[test]
fn two_processes_see_what_the_other_wrote() {
    let directory = TempDir::new().unwrap();
    let [one, other] = [(); 2].map(|()| Store::open(directory.path()).unwrap());
    with_user(&one, "alice@pve").unwrap();
    with_user(&other, "bob@pve").unwrap();
    for store in [one, other] {
        assert_eq!(store.users().unwrap().len(), 2);
    }
}

#[test]
fn several_open_a_new_database_at_once() {
    let directory = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let directory = directory.path();
            scope.spawn(move || with_user(&Store::open(directory).unwrap(), &format!("user{number}@pve")).unwrap());
        }
    });
    assert_eq!(Store::open(directory.path()).unwrap().users().unwrap().len(), 8);
}

#[test]
fn the_database_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("a").join("state");
    let store = Store::open(&directory).unwrap();
    with_user(&store, "alice@pve").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

/// Whoever cuts it off must not find a site where everybody is unknown and root's password is made anew.
#[test]
fn a_database_that_was_cut_off_is_no_new_one() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE_FILE);
    with_user(&Store::open(directory.path()).unwrap(), "alice@pve").unwrap();
    let whole = std::fs::read(&file).unwrap();
    for length in [0_u8, 1, 99] {
        std::fs::write(&file, &whole[..usize::from(length)]).unwrap();
        for opened in [Store::open(directory.path()), Store::open_to_read(directory.path())] {
            let error = opened.unwrap_err();
            assert!(
                matches!(&error, StoreError::CutOff { length: found, .. } if *found == u64::from(length)),
                "{error}"
            );
        }
        assert_eq!(std::fs::read(&file).unwrap(), &whole[..usize::from(length)], "it is left as it is");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(Store::open(directory.path()).unwrap().users().unwrap().len(), 1);
}

#[test]
fn making_a_database_leaves_nothing_beside_it() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path()).unwrap();
    with_user(&store, "alice@pve").unwrap();
    drop(store);
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [DATABASE_FILE]);
}

#[test]
fn what_others_may_write_is_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE_FILE);
    let store = Store::open(directory.path()).unwrap();
    with_user(&store, "alice@pve").unwrap();
    let [log, index] = ["-wal", "-shm"].map(|suffix| directory.path().join(format!("{DATABASE_FILE}{suffix}")));
    for (path, usual) in [(directory.path(), 0o700), (&file, 0o600), (&log, 0o600), (&index, 0o600)] {
        for mode in [0o720, 0o702, 0o777] {
            set_mode(path, mode);
            let error = Store::open(directory.path()).unwrap_err();
            let is_said = matches!(&error, StoreError::WritableByOthers { path: found, mode: said } if *found == path && *said == mode);
            assert!(is_said, "{error}");
            assert_eq!(mode_of(path), mode, "it is for whoever did that to decide");
        }
        set_mode(path, usual);
    }
    Store::open(directory.path()).unwrap();
}

#[test]
fn what_others_may_read_is_closed() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE_FILE);
    let store = Store::open(directory.path()).unwrap();
    with_user(&store, "alice@pve").unwrap();
    let [log, index] = ["-wal", "-shm"].map(|suffix| directory.path().join(format!("{DATABASE_FILE}{suffix}")));
    for (path, open, closed) in
        [(directory.path(), 0o755, 0o700), (&file, 0o644, 0o600), (&log, 0o640, 0o600), (&index, 0o604, 0o600)]
    {
        set_mode(path, open);
        Store::open(directory.path()).unwrap();
        assert_eq!(mode_of(path), closed, "{}", path.display());
    }
}

#[test]
fn a_link_in_the_place_of_a_new_database_is_not_followed() {
    let (directory, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let target = elsewhere.path().join("target");
    std::os::unix::fs::symlink(&target, directory.path().join(DATABASE_FILE)).unwrap();
    assert!(Store::open(directory.path()).is_err());
    assert!(!target.exists());
}

/// As on a file system that is mounted to be read only.
#[test]
fn a_database_that_cannot_be_written_can_be_read() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE_FILE);
    with_user(&Store::open(directory.path()).unwrap(), "alice@pve").unwrap();
    let store = Store::open_read_only(&file).unwrap();
    assert_eq!(store.users().unwrap().len(), 1);
    assert!(!store.audit(NOW).unwrap().users.is_empty());
    assert!(with_user(&store, "bob@pve").unwrap_err().to_string().contains("readonly database"));
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [DATABASE_FILE], "nothing was made beside it");
    drop(store);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let error = Store::open_read_only(&file).unwrap_err();
    assert!(matches!(error, StoreError::OlderReadOnly { found: 1, known: 11 }), "{error}");
}

/// Waiting would take ten seconds, and end in an error.
#[test]
fn a_database_can_be_read_beside_a_writer() {
    let directory = TempDir::new().unwrap();
    let writing = Store::open(directory.path()).unwrap();
    with_user(&writing, "alice@pve").unwrap();
    let written: Result<(), StoreError> = writing.write(|transaction| {
        transaction.execute("UPDATE users SET comment = 'under way'", [])?;
        for opened in [Store::open(directory.path()), Store::open_to_read(directory.path())] {
            assert_eq!(opened?.users()?[0].comment, "");
        }
        Ok(())
    });
    written.unwrap();
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE_FILE);
    let is_refused = || matches!(Store::open(directory.path()), Err(StoreError::NotOurs { .. }));
    std::fs::write(&file, "this is somebody's letter, and it is longer than the header of a database: ".repeat(20))
        .unwrap();
    assert!(is_refused());
    std::fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE users (id)").unwrap();
    assert!(is_refused());
    let tables: u32 =
        Connection::open(&file).unwrap().query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_newer_format_is_refused_and_not_changed() {
    let directory = TempDir::new().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let raw = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    raw.pragma_update(None, "user_version", 1000).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 1000, known: 11 }), "{error}");
}

#[test]
fn a_role_by_a_name_that_is_built_in_now_gives_no_more_than_before() {
    let directory = TempDir::new().unwrap();
    with_user(&Store::open(directory.path()).unwrap(), "alice@pve").unwrap();
    let raw = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    raw.execute_batch(
        "DROP VIEW granted_to_token; DROP TABLE token_roles;
         DELETE FROM roles WHERE name NOT IN ('Administrator', 'PVEAuditor', 'NoAccess');
         INSERT INTO roles VALUES ('PVEAdmin', 'Sys.Audit', 1);
         INSERT INTO acl SELECT 'PVEAdmin', id, NULL FROM users;
         PRAGMA user_version = 9;",
    )
    .unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.user(&name("alice@pve")).unwrap().role, Role::Auditor);
    assert_eq!(store.acl().unwrap().last().unwrap().role, "PVEAdmin.before");
    assert_eq!(store.roles().unwrap().iter().filter(|role| role.special).count(), 17);
}

/// Who could change everything by a role that gives less now would otherwise leave a site that nobody administers.
#[test]
fn the_only_administrator_of_the_format_before_stays_one() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path()).unwrap();
    ["helper@pve", "out@pve", "alice@pve"].iter().for_each(|user| with_user(&store, user).unwrap());
    drop(store);
    let raw = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    raw.execute_batch(
        "DROP VIEW granted_to_token; DROP TABLE token_roles;
         UPDATE roles SET grants = 0;
         UPDATE roles SET grants = 2 WHERE name IN ('Administrator', 'PVEAdmin', 'PVEUserAdmin');
         INSERT INTO acl SELECT 'PVEUserAdmin', id, NULL FROM users WHERE name IN ('helper', 'out');
         UPDATE users SET enabled = 0 WHERE name = 'out';
         PRAGMA user_version = 10;",
    )
    .unwrap();
    let store = Store::open(directory.path()).unwrap();
    let found = ["helper@pve", "out@pve", "alice@pve"].map(|user| store.user(&name(user)).unwrap().role);
    assert_eq!(found, [Role::Administrator, Role::User, Role::User]);
}

/// What roles gave by one of three ranks, they give by their privileges: nobody more than before, and `User.Modify` no longer everything.
#[test]
fn roles_of_the_format_before_give_what_their_privileges_give() {
    let directory = TempDir::new().unwrap();
    let users = ["auditor@pve", "helper@pve", "keeper@pve", "own@pve", "machines@pve"];
    let store = Store::open(directory.path()).unwrap();
    users.iter().for_each(|user| with_user(&store, user).unwrap());
    drop(store);
    let raw = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    raw.execute_batch(
        "DROP VIEW granted_to_token; DROP TABLE token_roles;
         UPDATE roles SET grants = 0;
         UPDATE roles SET grants = 1 WHERE name IN ('PVEAuditor', 'PVESysAdmin');
         UPDATE roles SET grants = 2 WHERE name IN ('Administrator', 'PVEAdmin', 'PVEUserAdmin');
         INSERT INTO roles VALUES ('Own', 'Realm.AllocateUser,Sys.Audit,Sys.Modify,User.Modify,VM.Audit', 2),
             ('Machines', 'VM.Allocate,VM.Audit', 0);
         INSERT INTO acl SELECT 'PVEAuditor', id, NULL FROM users WHERE name = 'auditor';
         INSERT INTO acl SELECT 'PVEUserAdmin', id, NULL FROM users WHERE name = 'helper';
         INSERT INTO acl SELECT 'Administrator', id, NULL FROM users WHERE name = 'keeper';
         INSERT INTO acl SELECT 'Own', id, NULL FROM users WHERE name = 'own';
         INSERT INTO acl SELECT 'PVESysAdmin', id, NULL FROM users WHERE name = 'own';
         INSERT INTO acl SELECT 'Machines', id, NULL FROM users WHERE name = 'machines';
         PRAGMA user_version = 10;",
    )
    .unwrap();
    let store = Store::open(directory.path()).unwrap();
    let found = users.map(|user| store.user(&name(user)).unwrap().privileges.names().join(" "));
    let expected = [
        "Sys.Audit",
        "Group.Allocate Realm.AllocateUser User.Modify",
        "Group.Allocate Permissions.Modify Realm.Allocate Realm.AllocateUser Sys.Audit Sys.Modify Sys.Syslog User.Modify",
        "Realm.AllocateUser Sys.Audit Sys.Modify Sys.Syslog User.Modify",
        "",
    ];
    assert_eq!(found, expected);
    // Each role as it would be made today.
    for role in store.roles().unwrap() {
        assert_eq!(role.grants, Privileges::named(&role.privileges), "{}", role.name);
    }
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let store = Store::in_memory().unwrap();
    with_user(&store, "alice@pve").unwrap();
    let failed: Result<(), StoreError> = store.write(|transaction| {
        transaction.execute("DELETE FROM users", [])?;
        Err(StoreError::Damaged { what: "on purpose".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(store.users().unwrap().len(), 1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(|transaction| -> Result<(), StoreError> {
            transaction.execute("DELETE FROM users", [])?;
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(store.users().unwrap().len(), 1);
}

#[test]
fn events_can_be_neither_changed_nor_deleted() {
    let store = Store::in_memory().unwrap();
    with_user(&store, "alice@pve").unwrap();
    for statement in ["DELETE FROM events", "UPDATE events SET actor = 'nobody'"] {
        let refused = store.write(|transaction| Ok::<_, StoreError>(transaction.execute(statement, [])?));
        assert!(refused.unwrap_err().to_string().contains("only ever added"));
    }
    store.delete_user(&name("alice@pve"), &By::command_line(NOW)).unwrap();
    let events = store.events(&EventFilter::default()).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.user.as_deref())).collect();
    assert_eq!(kinds, [(EventKind::UserDeleted, Some("alice@pve")), (EventKind::UserAdded, Some("alice@pve"))]);
}

#[test]
fn readers_and_writers_do_not_wait_for_each_other_for_ever() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..10 {
                    with_user(&store, &format!("user{number}.{round}@pve")).unwrap();
                    assert!(!store.users().unwrap().is_empty());
                }
            });
        }
    });
    assert_eq!(store.users().unwrap().len(), 40);
}

#[test]
fn a_user_exists_once_in_a_realm_that_exists() {
    let store = Store::in_memory().unwrap();
    with_user(&store, "alice@pve").unwrap();
    with_user(&store, "alice@pam").unwrap();
    assert!(matches!(with_user(&store, "alice@pve"), Err(UserError::Exists(_))));
    assert!(matches!(with_user(&store, "alice@ldap"), Err(UserError::UnknownRealm(realm)) if realm == "ldap"));
    assert!(matches!(store.user(&name("bob@pve")), Err(UserError::Unknown(_))));
    assert_ne!(store.user(&name("alice@pve")).unwrap().handle, store.user(&name("alice@pam")).unwrap().handle);
}

#[test]
fn the_last_administrator_stays() {
    let store = Store::in_memory().unwrap();
    let by = By::command_line(NOW);
    for (user, role) in [("root@pam", Role::Administrator), ("alice@pve", Role::User)] {
        store.add_user(&name(user), role, &password(), &by).unwrap();
    }
    let root = name("root@pam");
    let demoted = UserChange { role: Some(Role::User), ..UserChange::default() };
    let disabled = UserChange { enabled: Some(false), ..UserChange::default() };
    for change in [&demoted, &disabled] {
        assert!(matches!(store.change_user(&root, change, &by), Err(UserError::LastAdministrator(_))));
    }
    assert!(matches!(store.delete_user(&root, &by), Err(UserError::LastAdministrator(_))));
    assert!(store.user(&root).unwrap().enabled);
    let promoted = UserChange { role: Some(Role::Administrator), ..UserChange::default() };
    store.change_user(&name("alice@pve"), &promoted, &by).unwrap();
    store.delete_user(&root, &by).unwrap();
}

/// As 0.1.0 left it, whose credentials nobody had told whether they are passkeys.
#[test]
fn a_database_of_the_first_format_opens_with_its_credentials() {
    let directory = TempDir::new().unwrap();
    let connection = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    connection.execute_batch(include_str!("001_accounts.sql")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO users (name, realm, handle, role, enabled, comment, created)
             VALUES ('alice', 'pve', x'01', 'user', 1, '', 0);
             INSERT INTO factors VALUES ('key', 1, 'webauthn', 'key', 0, NULL, 1);
             INSERT INTO webauthn_credentials VALUES ('key', x'02', x'', 7, 0, 0, 0, '[]', 'localhost', x'01',
             x'00000000000000000000000000000000', 'none', x'', x'');
             PRAGMA application_id = 1802662512; PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let factors = Store::open(directory.path()).unwrap().factors(&name("alice@pve")).unwrap();
    let detail = serde_json::to_value(&factors[0]).unwrap();
    assert_eq!((&detail["counter"], &detail["passkey"]), (&7.into(), &false.into()));
}
