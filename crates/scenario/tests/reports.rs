//! Reports of runs, and that nothing in a name can be more than a name there.

#![cfg(test)]

use std::path::Path;

use keyrig_scenario::language::parse;
use keyrig_scenario::reports::{html, junit, summary, transcript};
use keyrig_scenario::results::Results;
use keyrig_scenario::runner::{Settings, run};

const HOSTILE: &str = r#"
description = "</script><script>alert(1)</script> & \"quoted\""

[matrix]
page = ["<img src=x onerror=alert(2)>", "a|b`c"]

[[key]]
name = "a"

[[step]]
name = "<b>${page}</b> ]]> --> \u0000\u202E"
register = "a"

[[step]]
name = "*${page}*"
login = "a"
expect = { refused-by = "client", says = "<i>${page}</i>" }
"#;

async fn results() -> Results {
    let mut runs = Vec::new();
    for scenario in parse(Path::new("<u>x</u>.toml"), HOSTILE, &[]).unwrap() {
        runs.push(run(&scenario, &Settings::default(), &mut ()).await);
    }
    Results::new(runs, true, 12.5)
}

#[tokio::test]
async fn names_are_names_in_html_and_it_is_whole_in_itself() {
    let page = html(&results().await);
    for wrong in ["<img src", "<script>alert", "<b><img", "<i>", "<u>", "\0", "\u{202E}"] {
        assert!(!page.contains(wrong), "{wrong:?}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;") && page.contains("Interrupted: these are not all."));
    // Nothing of elsewhere.
    for outside in ["http://", "src=\"", "@import", "url(", "<link"] {
        assert!(!page.replace("http-equiv", "").contains(outside), "{outside}");
    }
    // A diagram for each run, in which keys, browser and site speak.
    assert_eq!(page.matches("<svg ").count(), 2);
    for said in ["authenticatorMakeCredential", "POST /api/login", "blinks", "touched"] {
        assert!(page.contains(said), "{said}");
    }
}

/// Two variables are a row for each value of the one and a column for each of the other. The checks of a refusal are a table, those that
/// failed first.
#[tokio::test]
async fn a_page_has_a_grid_of_two_variables_and_the_checks_of_a_refusal() {
    let text = r#"
        [matrix]
        profile = ["yubikey-5.4", "yubikey-5.7"]
        policy = ["proxmox-9", "strict-l3"]

        [site]
        policy = "${policy}"

        [[key]]
        name = "a"
        profile = "${profile}"
        faults = ["bad-signature,command=getAssertion"]

        [[step]]
        register = "a"

        [[step]]
        login = "a"
    "#;
    let mut runs = Vec::new();
    for scenario in parse(Path::new("grid.toml"), text, &[]).unwrap() {
        runs.push(run(&scenario, &Settings::default(), &mut ()).await);
    }
    let page = html(&Results::new(runs, false, 1.0));
    let (_, grid) = page.split_once("<table class=\"grid\">").expect("a grid");
    let (grid, rest) = grid.split_once("</table>").unwrap();
    for head in ["col\">proxmox-9", "col\">strict-l3", "row\">yubikey-5.4", "row\">yubikey-5.7"] {
        assert_eq!(grid.matches(&format!("<th scope=\"{head}</th>")).count(), 1, "{head}: {grid}");
    }
    assert_eq!((grid.matches("<tr>").count(), grid.matches("class=\"cell failed\"").count()), (3, 4), "{grid}");
    let checks: Vec<_> = rest.split("<div class=\"checks\"").skip(1).collect();
    assert_eq!(checks.len(), 4);
    for table in checks {
        let (_, first) = table.split_once("<tbody>\n").unwrap();
        assert!(
            first.starts_with("<tr class=\"fail\"><td>fail</td>") && first.contains(">signature</a>"),
            "{first:.300}"
        );
    }
}

#[tokio::test]
async fn names_are_names_in_markdown() {
    let text = summary(&results().await);
    assert!(
        text.starts_with("### ❌ keyrig: 0 passed, 2 failed, 0 not run (interrupted: these are not all)\n"),
        "{text}"
    );
    // What is code is shown as it is.
    let outside: String = text.replace("\\`", "").split('`').step_by(2).collect();
    assert!(!outside.contains("<img") && text.contains("a\\|b\\`c"), "{text}");
    // Four cells in each row.
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 5, "{row}");
    }
}

#[tokio::test]
async fn a_test_of_junit_is_a_scenario_in_its_cell() {
    let xml = junit(&results().await).unwrap();
    for part in [
        "<testsuite name=\"&lt;u&gt;x&lt;/u&gt;.toml\" tests=\"2\"",
        "failures=\"2\"",
        "classname=\"&lt;u&gt;x&lt;/u&gt;.toml\"",
        "<property name=\"seed\" value=\"0\"/>",
        "<property name=\"on\" value=\"in-process\"/>",
        "<property name=\"matrix.page\" value=\"a|b`c\"/>",
        "<property name=\"partial\"",
        "refused-by: expected refused by the client, found accepted",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    assert!(!xml.contains('\0'));
}

#[tokio::test]
async fn a_transcript_is_one_that_keyrig_trace_reads() {
    let results = results().await;
    let bytes = transcript(&results.runs[0]);
    let read = keyrig_faults::transcript::Transcript::read(&bytes[..]).unwrap();
    let commands: Vec<_> = read.exchanges().iter().map(|exchange| exchange.command.clone()).collect();
    assert!(commands.contains(&"authenticatorGetAssertion".to_owned()), "{commands:?}");
}
