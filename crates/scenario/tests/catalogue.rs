//! Each row of the catalogue of misconfigurations is carried out, and comes to what was written down before; the page of the
//! catalogue is what came of it. `KEYRIG_PRINTED=write` writes that anew.

#![cfg(test)]

use std::path::Path;

use keyrig_client::Browser;
use keyrig_scenario::catalogue::{
    Detector, Row, Taken, execute, execute_caught, in_the_words_of_webauthn_rs, row, rows, table,
};
use passkey::client::{Origin, RpIdVerifier};
use url::Url;

#[test]
fn every_row_is_there_and_says_who_notices() {
    let rows = rows();
    assert_eq!(rows.len(), 56);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.number, number);
        assert!(!row.why.is_empty() && !row.mend.is_empty() && !row.evidence.is_empty(), "{number}");
        // That nobody has to notice is shown, and who does here.
        let nobody = row.detector == Detector::Nobody;
        assert!(!nobody || row.caught.is_some(), "{number}: who catches it?");
        let is_silent = Browser::ALL.iter().all(|browser| row.expected.in_browser(*browser).by == Detector::Nobody);
        assert!(!nobody || is_silent, "{number}: who is silent?");
    }
    let variants: usize = rows.iter().map(|row| row.variants.len()).sum();
    assert!(variants > 15, "{variants}");
    assert_eq!(row(18).unwrap().title, rows[17].title);
    assert!(row(0).is_none() && row(57).is_none());
}

/// What real browsers say is compared word by word: where they refuse, a row has the words.
#[test]
fn every_row_that_real_browsers_are_compared_with_has_their_words() {
    for row in rows() {
        for way in [&row].into_iter().chain(&row.variants) {
            for browser in way.expected.observed() {
                let expected = way.expected.in_browser(browser.parse().unwrap());
                let has_words = expected.name.is_none() || expected.message.is_some();
                assert!(has_words, "{} {}: no message in {browser}", way.number, way.title);
            }
        }
    }
}

/// As executed against webauthn-rs 0.6.2 alone: it compares origins as URLs, and asks for one that is.
#[tokio::test(start_paused = true)]
async fn settings_that_are_refused_here_have_a_second_opinion() {
    for (number, expected) in [
        (6, &["webauthn-rs accepts it"][..]),
        (7, &["webauthn-rs accepts it", "webauthn-rs accepts it"]),
        (8, &["webauthn-rs: Configuration", "webauthn-rs: RelativeUrlWithoutBase"]),
        (9, &["webauthn-rs: Configuration"]),
        (56, &["webauthn-rs: Configuration"]),
    ] {
        let row = row(number).unwrap();
        let mut told = Vec::new();
        for way in [&row].into_iter().chain(&row.variants) {
            assert_eq!(way.expected.settings, Taken::Refused);
            told.push(in_the_words_of_webauthn_rs(way).await.unwrap().unwrap());
        }
        assert_eq!(told, expected, "{number}");
    }
}

async fn differences(row: &Row) -> Vec<String> {
    let mut differences = Vec::new();
    for browser in Browser::ALL {
        let executed = match execute(row, browser).await {
            Ok(executed) => executed,
            Err(broken) => {
                differences.push(format!("{browser}: {broken}"));
                continue;
            }
        };
        let expected = row.expected.in_browser(browser);
        if executed.outcome != *expected {
            differences.push(format!("{browser}: expected {expected:?}\n      found    {:?}", executed.outcome));
        }
        if executed.settings.is_some() != (row.expected.settings == Taken::Refused) {
            differences.push(format!("settings: {:?}", executed.settings));
        }
        if row.expected.doctor.is_some() && executed.doctor != row.expected.doctor {
            differences.push(format!("doctor: expected {:?}, found {:?}", row.expected.doctor, executed.doctor));
        }
        if let Some(code) = &row.expected.warned
            && !executed.warned.contains(&code.as_str())
        {
            differences.push(format!("doctor: warns of {:?}, not of {code}", executed.warned));
        }
    }
    match (execute_caught(row).await, &row.caught) {
        (Ok(Some(outcome)), Some(caught)) => {
            if (outcome.by, outcome.code.as_deref()) != (caught.by, Some(caught.code.as_str())) {
                differences.push(format!("caught: expected {caught:?}\n      found    {outcome:?}"));
            }
        }
        (Ok(None), None) => {}
        (other, _) => differences.push(format!("caught: {other:?}")),
    }
    differences
}

/// What others say: of an RP ID passkey, of an answer webauthn-rs.
async fn second_opinion(row: &Row) -> String {
    if row.detector == Detector::Browser {
        return of_passkey(row).await.unwrap_or_default();
    }
    in_the_words_of_webauthn_rs(row).await.ok().flatten().unwrap_or_default()
}

async fn of_passkey(row: &Row) -> Option<String> {
    let url = Url::parse(row.address()).ok()?;
    let judged_by_rp_id = row.expected.in_browser(Browser::Chromium).code.as_deref()?;
    if !judged_by_rp_id.starts_with("rp-id-")
        && !judged_by_rp_id.starts_with("origin-ip")
        && judged_by_rp_id != "insecure-context"
    {
        return None;
    }
    let verifier = RpIdVerifier::new(public_suffix::DEFAULT_PROVIDER, None::<()>).allows_insecure_localhost(true);
    let origin = Origin::from(url);
    let verdict = verifier.assert_domain(&origin, Some(row.rp_id())).await;
    Some(match verdict {
        Ok(_) => "passkey accepts it".to_owned(),
        Err(error) => format!("passkey: {error:?}"),
    })
}

#[tokio::test(start_paused = true)]
async fn every_row_comes_to_what_was_expected() {
    let rows = rows();
    let (mut failed, mut found) = (String::new(), Vec::new());
    for row in &rows {
        for way in [row].into_iter().chain(&row.variants) {
            let differences = differences(way).await;
            if !differences.is_empty() {
                failed.push_str(&format!("\n{} {}:\n    {}", way.number, way.title, differences.join("\n    ")));
            }
        }
        found.push((row, second_opinion(row).await));
    }
    let page = table(&found);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/misconfigurations/README.md");
    if std::env::var_os("KEYRIG_PRINTED").is_some_and(|what| what == "write") {
        std::fs::write(&file, &page).unwrap();
    }
    assert!(failed.is_empty(), "{failed}");
    assert_eq!(page, std::fs::read_to_string(&file).unwrap_or_default(), "{}", file.display());
}
