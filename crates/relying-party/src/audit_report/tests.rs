use std::time::Duration;

use super::*;
use crate::privileges::Privileges;
use crate::role::Role;
use crate::user_name::UserId;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// 2026-11-24T22:00:00Z.
const NOW: u64 = 1_795_557_600;

fn user(name: &str, role: Role) -> User {
    User {
        id: UserId(1),
        name: name.parse().unwrap(),
        handle: Vec::new(),
        role,
        own_role: role,
        privileges: Privileges::of(role),
        enabled: true,
        standing: None,
        comment: String::new(),
        email: String::new(),
        firstname: String::new(),
        lastname: String::new(),
        expires: None,
        created: at(NOW - 86_400),
        last_login: None,
        failures: 0,
        locked_until: None,
        totp_failures: 0,
        totp_locked: false,
    }
}

fn factor(id: &str, detail: FactorDetail) -> Factor {
    let description = format!("the {id}");
    Factor { id: id.to_owned(), description, created: at(NOW - 60), last_used: Some(at(NOW)), enabled: true, detail }
}

fn key(id: &str) -> Factor {
    factor(
        id,
        FactorDetail::Webauthn {
            credential_id: "AAAA".to_owned(),
            passkey: false,
            rp_id: "localhost".to_owned(),
            usable: true,
            aaguid: String::new(),
            attestation_format: "packed".to_owned(),
            counter: 7,
            backup_eligible: false,
            backup_state: false,
            uv_initialized: false,
            transports: Vec::new(),
        },
    )
}

fn app(digits: u8) -> Factor {
    factor("app", FactorDetail::Totp { algorithm: "SHA1", digits, step: 30, drift: Some(-1) })
}

fn paper(remaining: usize) -> Factor {
    factor("paper", FactorDetail::Recovery { remaining, of: 10 })
}

const OATH: Requirement = Requirement::Oath { digits: 6, step: 30 };

/// Whoever may change others is looked at as an administrator is.
#[test]
fn who_may_change_others_needs_a_second_key() {
    let found = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let user = User { privileges: Privileges::named(&names), ..user("alice@pve", Role::User) };
        findings(&user, Requirement::None, true, &[key("a"), paper(10)], at(NOW))
    };
    assert_eq!(found(&["Sys.Audit", "Group.Allocate", "Sys.Syslog", "VM.Allocate"]), []);
    for privilege in ["Permissions.Modify", "Realm.Allocate", "Sys.Modify", "User.Modify"] {
        assert_eq!(found(&[privilege]), [Finding::OnlyOneSecurityKey], "{privilege}");
    }
}

#[test]
fn who_needs_looking_after_is_found() {
    use Finding::{
        FactorDisabled, FactorUnreadable, FewRecoveryKeys, KeysNotAccepted, KeysUnusable, LacksRequiredFactor,
        NoFactor, NoRecoveryKeys, OnlyOneFactor, OnlyOneSecurityKey,
    };
    let disabled = Factor { enabled: false, ..key("old") };
    let damaged = factor("odd", FactorDetail::Unreadable { kind: "u2f".to_owned(), reason: "x".to_owned() });
    let none = Requirement::None;
    let cases = [
        (Role::User, none, vec![], vec![NoFactor]),
        (Role::User, none, vec![paper(10)], vec![NoFactor]),
        (Role::User, none, vec![key("a")], vec![OnlyOneFactor, NoRecoveryKeys]),
        (Role::User, none, vec![key("a"), paper(10)], vec![]),
        (Role::User, none, vec![key("a"), paper(4)], vec![]),
        (Role::User, none, vec![key("a"), paper(3)], vec![FewRecoveryKeys]),
        (Role::User, none, vec![key("a"), paper(0)], vec![OnlyOneFactor, NoRecoveryKeys]),
        (Role::User, none, vec![key("a"), key("b")], vec![NoRecoveryKeys]),
        (Role::Administrator, none, vec![key("a"), paper(10)], vec![OnlyOneSecurityKey]),
        (Role::Administrator, none, vec![key("a"), app(6), paper(10)], vec![OnlyOneSecurityKey]),
        (Role::Administrator, none, vec![key("a"), key("b"), paper(10)], vec![]),
        (Role::User, OATH, vec![app(6), paper(10)], vec![]),
        (Role::User, OATH, vec![app(8), paper(10)], vec![LacksRequiredFactor]),
        (Role::User, OATH, vec![key("a"), paper(10)], vec![]),
        (Role::User, Requirement::Webauthn, vec![app(6), paper(10)], vec![LacksRequiredFactor]),
        (Role::User, Requirement::Any, vec![app(8), paper(10)], vec![]),
        (Role::User, Requirement::Any, vec![], vec![NoFactor]),
        (Role::User, none, vec![disabled.clone()], vec![NoFactor, FactorDisabled]),
        (Role::User, none, vec![key("a"), damaged, paper(10)], vec![FactorUnreadable]),
    ];
    for (role, requirement, factors, expected) in cases {
        let found = findings(&user("alice@pve", role), requirement, true, &factors, at(NOW));
        assert_eq!(found, expected, "{role:?} {requirement:?} {factors:?}");
    }
    // Keys for another RP ID are nothing to rely on, and nobody may think that they were no factor.
    let elsewhere = || {
        let mut key = key("elsewhere");
        let FactorDetail::Webauthn { usable, .. } = &mut key.detail else { unreachable!("it is a key") };
        *usable = false;
        key
    };
    let cases = [
        (Role::User, none, vec![elsewhere()], vec![KeysUnusable, NoRecoveryKeys]),
        (Role::User, none, vec![elsewhere(), paper(10)], vec![KeysUnusable]),
        (Role::User, none, vec![elsewhere(), key("a")], vec![KeysUnusable, OnlyOneFactor, NoRecoveryKeys]),
        (Role::User, none, vec![Factor { enabled: false, ..elsewhere() }, key("a"), paper(10)], vec![FactorDisabled]),
        (Role::Administrator, none, vec![elsewhere(), key("a"), paper(10)], vec![KeysUnusable, OnlyOneSecurityKey]),
        (Role::User, Requirement::Webauthn, vec![elsewhere(), paper(10)], vec![KeysUnusable, LacksRequiredFactor]),
    ];
    for (role, requirement, factors, expected) in cases {
        let found = findings(&user("alice@pve", role), requirement, true, &factors, at(NOW));
        assert_eq!(found, expected, "{role:?} {requirement:?} {factors:?}");
    }
    // A policy that lets no key pass where codes are required.
    let cases = [
        (vec![key("a")], vec![KeysNotAccepted, LacksRequiredFactor, OnlyOneFactor, NoRecoveryKeys]),
        (vec![key("a"), key("b")], vec![KeysNotAccepted, LacksRequiredFactor, NoRecoveryKeys]),
        (vec![key("a"), paper(10)], vec![LacksRequiredFactor]),
        (vec![key("a"), app(6), paper(10)], vec![]),
        (vec![app(6), paper(10)], vec![]),
    ];
    for (factors, expected) in cases {
        let found = findings(&user("alice@pve", Role::User), OATH, false, &factors, at(NOW));
        assert_eq!(found, expected, "{factors:?}");
    }
}

#[test]
fn locks_are_found_until_they_end() {
    let locked = |until| {
        let user = User { locked_until: Some(at(until)), totp_locked: true, ..user("alice@pve", Role::User) };
        findings(&user, Requirement::None, true, &[key("a"), paper(10)], at(NOW))
    };
    assert_eq!(locked(NOW + 1), [Finding::Locked, Finding::TotpLocked]);
    assert_eq!(locked(NOW), [Finding::TotpLocked]);
}

fn report() -> AuditReport {
    let alice = User { last_login: Some(at(NOW)), ..user("alice@pve", Role::Administrator) };
    let bob = User { locked_until: Some(at(NOW + 3600)), enabled: false, ..user("bob@pam", Role::User) };
    let evil = Factor { description: "=cmd|' /C calc'!A0, \"x\"".to_owned(), ..key("k1") };
    let audited = |user: User, requirement, factors: Vec<Factor>| {
        let findings = findings(&user, requirement, true, &factors, at(NOW));
        AuditedUser { user, requirement, factors, tokens: Vec::new(), findings }
    };
    let token = |name: &str, privilege_separated, expires: Option<u64>| ApiToken {
        name: name.to_owned(),
        comment: if privilege_separated { String::new() } else { "=backup".to_owned() },
        privilege_separated,
        privileges: Privileges::default(),
        expires: expires.map(at),
        created: at(NOW - 60),
    };
    let bob = AuditedUser {
        tokens: vec![token("ci", false, None), token("old", true, Some(NOW))],
        ..audited(bob, Requirement::None, vec![])
    };
    AuditReport { time: at(NOW), users: vec![bob, audited(alice, OATH, vec![evil, app(6), paper(2)])] }
}

#[test]
fn the_text_is_for_people() {
    assert_eq!(
        report().text(),
        "bob@pam  user, never logged in
    api token ci  \"=backup\"  added 2026-11-24T21:59:00Z; may do what its user may, never expires
    api token old  added 2026-11-24T21:59:00Z; may do what any user may, expires 2026-11-24T22:00:00Z
  ! is locked until 2026-11-24T23:00:00Z
  ! has no second factor
  ! is disabled
alice@pve  administrator, last login 2026-11-24T22:00:00Z
    realm pve requires oath, 6 digits every 30 s
    webauthn  k1  \"=cmd|' /C calc'!A0, \\\"x\\\"\"  added 2026-11-24T21:59:00Z, last used 2026-11-24T22:00:00Z; for localhost, counter 7
    totp      app  \"the app\"  added 2026-11-24T21:59:00Z, last used 2026-11-24T22:00:00Z; SHA1, 6 digits every 30 s, clock off by -1 steps
    recovery  paper  \"the paper\"  added 2026-11-24T21:59:00Z, last used 2026-11-24T22:00:00Z; 2 of 10 left
  ! is an administrator with only one security key
  ! has few recovery keys left

2 users: 1 without a second factor, 0 with only one, 1 locked, 0 locked out of TOTP, 1 with API tokens
"
    );
}

#[test]
fn one_user_is_not_several() {
    let mut report = report();
    report.users.pop();
    assert!(report.text().ends_with(
        "\n1 user: 1 without a second factor, 0 with only one, 1 locked, 0 locked out of TOTP, 1 with API tokens\n"
    ));
}

/// RFC 4180: commas and quotes in quotes, quotes doubled, CRLF; and no formula.
#[test]
fn the_csv_is_one_that_spreadsheets_read_as_text() {
    let csv = report().csv();
    let lines: Vec<_> = csv.split("\r\n").collect();
    let bob = "bob@pam,user,false,,2026-11-24T23:00:00Z,false,,locked no_factor user_disabled";
    assert_eq!(
        lines[1],
        format!("{bob},api_token,ci,'=backup,2026-11-24T21:59:00Z,,true,\"may do what its user may, never expires\"")
    );
    assert_eq!(
        lines[2],
        format!(
            "{bob},api_token,old,,2026-11-24T21:59:00Z,,false,\"may do what any user may, expires 2026-11-24T22:00:00Z\""
        )
    );
    assert_eq!(
        lines[3],
        "alice@pve,administrator,true,2026-11-24T22:00:00Z,,false,\"type=oath,digits=6,step=30\",\
         only_one_security_key few_recovery_keys,webauthn,k1,\"'=cmd|' /C calc'!A0, \"\"x\"\"\",2026-11-24T21:59:00Z,\
         2026-11-24T22:00:00Z,true,\"for localhost, counter 7\""
    );
    assert_eq!(lines.len(), 7, "a heading, two lines for bob, three for alice, and the end");
    let nobody =
        AuditReport { users: vec![AuditedUser { tokens: Vec::new(), ..report().users.remove(0) }], ..report() };
    let csv = nobody.csv();
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(lines[1], format!("{bob},,,,,,,"));
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
}

#[test]
fn the_json_has_the_findings_by_name() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["time"], NOW);
    assert_eq!(json["users"][0]["name"], "bob@pam");
    assert_eq!(json["users"][0]["findings"], serde_json::json!(["locked", "no_factor", "user_disabled"]));
    let token = serde_json::json!({
        "name": "ci", "comment": "=backup", "privilege_separated": false, "privileges": [], "expires": null, "created": NOW - 60
    });
    assert_eq!(json["users"][0]["tokens"][0], token);
    assert_eq!(json["users"][1]["factors"][1]["type"], "totp");
    assert_eq!(json["users"][1]["requirement"]["type"], "oath");
    for user in report().users {
        let names: Vec<_> = user.findings.iter().map(|finding| finding.name()).collect();
        assert_eq!(serde_json::to_value(&user.findings).unwrap(), serde_json::json!(names));
    }
}
