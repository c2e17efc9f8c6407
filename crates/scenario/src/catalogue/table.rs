//! The catalogue as a page: what is in it, and what came of it.

use core::fmt::Write;

use keyrig_client::Browser;

use super::row::{Detector, Outcome, Row, Taken};

const HEAD: &str = "\
# Ways to get WebAuthn wrong

Each row is a file here: settings, where the user opens the site, what the user does, and what was expected of it before it was tried. A
test carries each out, with the client, a key and the relying party, and this page is made of what it finds.

- Behind *also*: variants, other ways to the same, which are carried out as the row is.
- **Noticed by**: who notices where somebody does. *nobody*: it works, and is wrong; who catches it here is said behind.
- **Chromium**, **Firefox**, **Safari**: what comes of it. *site*: the relying party refuses, by the check that is named. *ok*: nobody
  does. Of Safari there is WebKit's source, and nobody has looked.
- **Doctor**: the row that `keyrig doctor` names, or what it warns of. *settings*: the relying party refuses its settings before.
- **Second opinion**: what passkey's `RpIdVerifier` says of the RP ID, or webauthn-rs of the answer, or of settings that the relying party
  refuses.
- **Real**: the browsers in which the test of real browsers has the same name and message, to the letter, or lets the page go on where the relying party
  is the one who refuses, or nobody; *with a key*: the test that asks one, which is run by whoever asks for it. **⚠** in place of that and of a second opinion: only
  what is ours agrees.
";

/// The page. `second` is what others say of each row.
#[must_use]
pub fn table(found: &[(&Row, String)]) -> String {
    let mut page = HEAD.to_owned();
    let heads =
        ["", "What is wrong", "Noticed by", "Chromium", "Firefox", "Safari", "Doctor", "Second opinion", "Real"];
    let _ = writeln!(page, "\n| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for (row, second) in found {
        let [chromium, firefox, safari] =
            [&row.expected.chromium, &row.expected.firefox, &row.expected.safari].map(told);
        let with_key = row.expected.real_with_key.iter().map(|name| format!("{} with a key", title_of(name)));
        let real = row.expected.real.iter().map(|name| title_of(name)).chain(with_key).collect::<Vec<_>>().join(", ");
        let alone = if real.is_empty() && second.is_empty() { "⚠" } else { "" };
        let cells = [
            row.number.to_string(),
            title(row),
            noticed(row),
            chromium,
            firefox,
            safari,
            doctor(row),
            second.clone(),
            if real.is_empty() { alone.to_owned() } else { real },
        ];
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page
}

/// A browser's name as it is spelled in texts.
fn title_of(name: &str) -> String {
    name.parse::<Browser>().map_or_else(|_| name.to_owned(), |browser| browser.title().to_owned())
}

fn title(row: &Row) -> String {
    let variants: Vec<_> = row.variants.iter().map(|variant| variant.title.as_str()).collect();
    let variants = if variants.is_empty() { String::new() } else { format!("; also: {}", variants.join(", ")) };
    let stands_in = row.stands_in.as_ref().map(|text| format!(" (standing in {text})")).unwrap_or_default();
    format!("{}{variants}{stands_in}", row.title)
}

fn noticed(row: &Row) -> String {
    match &row.caught {
        Some(caught) => format!("nobody; here by the {}: `{}`", caught.by.name(), caught.code),
        None => row.detector.name().to_owned(),
    }
}

fn told(outcome: &Outcome) -> String {
    let code = outcome.code.as_deref().unwrap_or_default();
    match (outcome.by, &outcome.name) {
        (Detector::Nobody, _) => "ok".to_owned(),
        (Detector::Key, Some(name)) => format!("{name}, by the key: `{code}`"),
        (_, Some(name)) => format!("{name}: `{code}`"),
        (by, None) => format!("{}: `{code}`", by.name()),
    }
}

fn doctor(row: &Row) -> String {
    let refused = (row.expected.settings == Taken::Refused).then(|| "settings".to_owned());
    let named = row.expected.doctor.map(|number| format!("row {number}"));
    let warned = row.expected.warned.as_ref().map(|code| format!("warns: `{code}`"));
    [refused, named, warned].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
