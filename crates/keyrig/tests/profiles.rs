//! The book's table of profiles is made from the profiles.

use std::fmt::Write;
use std::fs;

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::{Known, Stated};

const BEGIN: &str = "<!-- profiles: made from the profiles, which a test compares -->\n";
const END: &str = "<!-- end of profiles -->\n";

fn table() -> String {
    let mut table = String::from("| profile | it is | speaks | behaves otherwise than specified | compared with |\n");
    table.push_str("|---|---|---|---|---|\n");
    for profile in Profile::built_in_names().filter_map(Profile::built_in) {
        let deviations: Vec<_> = profile.behaviour.stated().filter(Stated::deviates).collect();
        let guessed = deviations.iter().filter(|stated| stated.source.known == Known::Guessed).count();
        let behaves = match (deviations.len(), guessed) {
            (0, _) => "in nothing".to_owned(),
            (all, 0) => format!("in {all} things"),
            (all, guessed) => format!("in {all} things, {guessed} of them guessed"),
        };
        let behaves = behaves.replace("in 1 things", "in one thing");
        let record = profile.compared_with.as_deref().unwrap_or("");
        let versions = profile.info().versions.join(", ");
        writeln!(table, "| `{}` | {} | {versions} | {behaves} | {record} |", profile.name, profile.description)
            .expect("a string takes it");
    }
    table
}

#[test]
fn the_book_has_the_table_of_profiles() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference/profiles.md");
    let page = fs::read_to_string(page).expect("it is there");
    let (_, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (found, _) = rest.split_once(END).expect("the end of the table");
    let table = table();
    assert!(found == table, "between its marks docs/src/reference/profiles.md has to have:\n{table}");
}
