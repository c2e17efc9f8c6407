//! What Proxmox VE takes, and what guides say that it takes.

use super::*;

#[test]
fn options_are_read_and_written() {
    for (text, expected, written) in [
        ("type=oath", Requirement::Oath { digits: 6, step: 30 }, "type=oath,digits=6,step=30"),
        ("type=oath,digits=6,step=30", Requirement::Oath { digits: 6, step: 30 }, "type=oath,digits=6,step=30"),
        ("digits=8,step=10,type=oath", Requirement::Oath { digits: 8, step: 10 }, "type=oath,digits=8,step=10"),
        ("type=oath,step=3600", Requirement::Oath { digits: 6, step: 3600 }, "type=oath,digits=6,step=3600"),
        ("type=any", Requirement::Any, "type=any"),
        ("type=webauthn", Requirement::Webauthn, "type=webauthn"),
    ] {
        assert_eq!(text.parse::<Requirement>(), Ok(expected), "{text}");
        assert_eq!(expected.tfa_option().as_deref(), Some(written));
        assert_eq!(written.parse::<Requirement>(), Ok(expected));
    }
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let digits = |found: &str| TfaOptionProblem::Digits { found: found.to_owned() };
    let step = |found: &str| TfaOptionProblem::Step { found: found.to_owned() };
    let cases = [
        ("type=totp", 6, TfaOptionProblem::Oath { found: "totp".to_owned() }),
        ("type=yubico,id=1,key=x", 6, TfaOptionProblem::Yubico),
        ("none", 1, TfaOptionProblem::Nothing),
        ("type=OATH", 6, TfaOptionProblem::UnknownType { found: "OATH".to_owned() }),
        ("digits=6", 1, TfaOptionProblem::NoType),
        ("oath", 1, PropertyProblem::NoValue { found: "oath".to_owned() }.into()),
        ("", 1, PropertyProblem::Nothing.into()),
        ("type=oath,", 10, PropertyProblem::Nothing.into()),
        ("type=oath, digits=6", 11, PropertyProblem::Space.into()),
        ("type=oath,digits=5", 18, digits("5")),
        ("type=oath,digits=9", 18, digits("9")),
        ("type=oath,digits=06", 18, digits("06")),
        ("type=oath,step=9", 16, step("9")),
        ("type=oath,step=3601", 16, step("3601")),
        ("type=oath,step=30s", 16, step("30s")),
        ("type=oath,step=+30", 16, step("+30")),
        ("type=oath,step=99999999999999999999", 16, step("99999999999999999999")),
        (
            "type=oath,period=30",
            11,
            TfaOptionProblem::UnknownProperty { found: "period".to_owned(), known: "oath has digits and step" },
        ),
        (
            "type=any,digits=6",
            10,
            TfaOptionProblem::UnknownProperty { found: "digits".to_owned(), known: "any has no other property" },
        ),
    ];
    for (text, column, problem) in cases {
        let error = text.parse::<Requirement>().unwrap_err();
        assert_eq!((error.place.column, &error.problem), (column, &problem), "{text:?}");
    }
}

#[test]
fn the_error_names_the_right_form_and_shows_the_place() {
    let error = "type=totp".parse::<Requirement>().unwrap_err().to_string();
    assert_eq!(
        error,
        "the --tfa option cannot be read: a realm's type is called oath, not totp: write type=oath,digits=6,step=30\n\
         1 | type=totp\n  |      ^^^^"
    );
}

#[test]
fn what_asks_for_nothing_has_no_option() {
    assert_eq!(Requirement::None.tfa_option(), None);
}
