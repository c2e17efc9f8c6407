//! Lines as Proxmox VE takes them, and lines that are half one. A case shows the place by a mark under the character.

use super::*;
use crate::place::Place;
use crate::settings::{OriginProblem, RpIdProblem};

/// As [`Settings::load`] takes it: the first thing that is wrong refuses it.
fn parse(text: &str) -> Result<Settings, Wrong> {
    let (settings, problems) = read(text)?;
    problems.into_iter().next().map_or(Ok(settings), Err)
}

const WHOLE: &str = "\
# the cluster's settings
keyboard: de
migration: secure,network=10.1.1.0/24
u2f: appid=https://pve.example.com,origin=https://pve.example.com
webauthn: rp=Example GmbH,origin=https://pve.example.com:8006,id=example.com,allow-subdomains=0

mac_prefix: BC:24:11
";

#[test]
fn a_whole_file_is_read_as_it_is() {
    let settings = parse(WHOLE).unwrap();
    assert_eq!(
        (settings.name.as_str(), settings.rp_id.as_str(), settings.allow_subdomains),
        ("Example GmbH", "example.com", false)
    );
    assert_eq!(settings.origins, ["https://pve.example.com:8006"]);
    assert_eq!(parse(&WHOLE.replace('\n', "\r\n")), Ok(settings));
}

/// Proxmox VE: subdomains are allowed unless told otherwise, and a boolean is written in eight ways.
#[test]
fn what_is_left_out_is_as_in_proxmox() {
    let settings = parse("webauthn: rp=x,id=example.com").unwrap();
    assert_eq!((settings.origins, settings.allow_subdomains), (Vec::<String>::new(), true));
    for (written, expected) in [
        ("1", true),
        ("yes", true),
        ("On", true),
        ("TRUE", true),
        ("0", false),
        ("no", false),
        ("off", false),
        ("false", false),
    ] {
        let line = format!("webauthn: allow-subdomains={written},rp=x,id=example.com");
        assert_eq!(parse(&line).map(|settings| settings.allow_subdomains), Ok(expected), "{written}");
    }
}

#[test]
fn a_line_that_is_half_one_is_pointed_at() {
    let space = || ConfigProblem::Properties(PropertyProblem::Space);
    let origin = |problem| ConfigProblem::Origin(problem);
    let outside =
        |host: &str, rp_id: &str| origin(OriginProblem::OutsideRpId { host: host.to_owned(), rp_id: rp_id.to_owned() });
    let cases = [
        ("webauthn rp=x,id=example.com", "        ^", ConfigProblem::NotTheWebauthnLine),
        ("webauthn=rp=x,id=example.com", "        ^", ConfigProblem::NotTheWebauthnLine),
        ("webauthn", "        ^", ConfigProblem::NotTheWebauthnLine),
        (" webauthn: rp=x,id=example.com", "^", ConfigProblem::NotTheWebauthnLine),
        ("WebAuthn: rp=x,id=example.com", "^^^^^^^^", ConfigProblem::NotTheWebauthnLine),
        ("web-authn: rp=x,id=example.com", "^^^^^^^^^", ConfigProblem::NotTheWebauthnLine),
        ("webauthn:", "         ^", PropertyProblem::Nothing.into()),
        ("webauthn: rp=x, id=example.com", "               ^", space()),
        ("webauthn: rp=x,id= example.com", "                  ^", space()),
        ("webauthn: rp=x,id=", "                 ^", PropertyProblem::EmptyValue { key: "id".to_owned() }.into()),
        ("webauthn: rp=x,id", "               ^^", PropertyProblem::NoValue { found: "id".to_owned() }.into()),
        (
            "webauthn: rp=x,rp=y,id=example.com",
            "               ^^",
            PropertyProblem::Twice { key: "rp".to_owned() }.into(),
        ),
        (
            "webauthn: rp=x,rpid=example.com",
            "               ^^^^",
            ConfigProblem::UnknownProperty { found: "rpid".to_owned() },
        ),
        (
            "webauthn: rp=x,id=example.com,allow-subdomains=maybe",
            "                                               ^^^^^",
            ConfigProblem::NotABoolean { found: "maybe".to_owned() },
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://a.example.com,https://b.example.com",
            "                                                           ^^^^^^^^^^^^^^^^^^^^^",
            ConfigProblem::SecondOrigin,
        ),
        (
            "webauthn: rp=x,id=example.com:8006",
            "                             ^^^^^",
            ConfigProblem::RpId(RpIdProblem::Port),
        ),
        (
            "webauthn: rp=x,id=https://example.com",
            "                  ^^^^^^^^",
            ConfigProblem::RpId(RpIdProblem::Scheme),
        ),
        ("webauthn: rp=x,id=pve.Example.com", "                      ^", ConfigProblem::RpId(RpIdProblem::UpperCase)),
        ("webauthn: rp=x,id=münchen.example", "                   ^", ConfigProblem::RpId(RpIdProblem::NotAscii)),
        ("webauthn: rp=x,id=example.com/", "                             ^", ConfigProblem::RpId(RpIdProblem::Path)),
        (
            "webauthn: rp=x,id=example.com.",
            "                             ^",
            ConfigProblem::RpId(RpIdProblem::OuterDot),
        ),
        ("webauthn: rp=x,id=192.0.2.7", "                  ^^^^^^^^^", ConfigProblem::RpId(RpIdProblem::IpAddress)),
        (
            "webauthn: rp=x,id=example.com,origin=pve.example.com:8006",
            "                                     ^^^^^^^^^^^^^^^^^^^^",
            origin(OriginProblem::NoScheme),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=http://example.com",
            "                                     ^^^^",
            origin(OriginProblem::InsecureScheme),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://pve.example.org:8006",
            "                                             ^^^^^^^^^^^^^^^",
            outside("pve.example.org", "example.com"),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://evil-example.com",
            "                                             ^^^^^^^^^^^^^^^^",
            outside("evil-example.com", "example.com"),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://192.0.2.7:8006",
            "                                             ^^^^^^^^^",
            origin(OriginProblem::IpAddress),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://[2001:db8::1]:8006",
            "                                             ^^^^^^^^^^^^^",
            origin(OriginProblem::IpAddress),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://root@example.com",
            "                                             ^^^^^",
            origin(OriginProblem::UserInfo),
        ),
        (
            "webauthn: rp=x,id=example.com,origin=https://example.com/pve",
            "                                                        ^^^^",
            origin(OriginProblem::Path { should_be: "https://example.com".to_owned() }),
        ),
    ];
    for (line, mark, expected) in cases {
        let text = format!("keyboard: de\n{line}\nlanguage: de\n");
        let (at, problem) = parse(&text).unwrap_err();
        assert_eq!(problem, expected, "{line}");
        let shown = Place::of(&text, at).to_string();
        assert_eq!(shown, format!("2 | {line}\n  | {mark}"), "\n{shown}");
    }
}

#[test]
fn what_is_missing_is_named_at_the_end() {
    for (text, what) in [("webauthn: rp=x", "id"), ("webauthn: id=example.com\n", "rp")] {
        let (at, problem) = parse(text).unwrap_err();
        assert!(matches!(problem, ConfigProblem::Missing { what: found, .. } if found == what), "{problem:?}");
        assert_eq!(at.start, text.trim_end().len());
    }
    assert_eq!(parse("keyboard: de\n").unwrap_err().1, ConfigProblem::NoWebauthnLine);
    assert_eq!(parse("").unwrap_err().1, ConfigProblem::NoWebauthnLine);
    assert_eq!(parse("#webauthn: rp=x,id=example.com\n").unwrap_err().1, ConfigProblem::NoWebauthnLine);
}

#[test]
fn a_second_line_is_pointed_at() {
    let text = "webauthn: rp=x,id=example.com\nkeyboard: de\nwebauthn: rp=y,id=example.org\n";
    let (at, problem) = parse(text).unwrap_err();
    assert_eq!(problem, ConfigProblem::SecondWebauthnLine { first: 1 });
    assert_eq!(Place::of(text, at).line, 3);
}

/// Proxmox VE reads the origin as a URL: what works there is not refused here.
#[test]
fn an_origin_is_read_as_a_url_and_said_as_browsers_write_it() {
    for (written, read) in [
        ("https://pve.example.com:8006/", "https://pve.example.com:8006"),
        ("https://pve.EXAMPLE.com", "https://pve.example.com"),
        ("https://pve.example.com:443", "https://pve.example.com"),
    ] {
        let settings = parse(&format!("webauthn: rp=x,id=example.com,origin={written}")).unwrap();
        assert_eq!(settings.origins, [read]);
        assert_eq!(settings.warnings(), [format!("the origin {written:?} is read as {read}, as browsers write it")]);
    }
    let settings = parse("webauthn: rp=x,id=example.com,origin=https://pve.example.com").unwrap();
    assert!(settings.warnings().is_empty());
}

/// Whoever asks what is wrong is told all of it, and what the rest says.
#[test]
fn what_cannot_work_is_read_all_the_same() {
    let (settings, problems) = read_line("origin=https://pve.example.org:8006/,id=Example.com").unwrap();
    assert_eq!((settings.rp_id.as_str(), settings.name.as_str()), ("Example.com", "Example.com"));
    assert_eq!(settings.origins, ["https://pve.example.org:8006"]);
    let [(_, first), (at, second), (_, third)] = &problems[..] else { panic!("{problems:?}") };
    assert!(matches!(first, ConfigProblem::Missing { what: "rp", .. }), "{first:?}");
    assert_eq!((at, second), (&(40..41), &ConfigProblem::RpId(RpIdProblem::UpperCase)));
    assert!(matches!(third, ConfigProblem::Origin(OriginProblem::OutsideRpId { .. })), "{third:?}");
}
