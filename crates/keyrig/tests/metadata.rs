//! Keys out of FIDO metadata, on the command line.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{keyrig, run};
use crate::support::schema::assert_is;

const KEY: &str = "mds:00112233-4455-6677-8899-aabbccddeeff";

/// A BLOB of a key, of a part of a telephone, and of a key of U2F.
const BLOB: &str = r#"{"no": 3, "nextUpdate": "2026-11-01", "entries": [
  {"aaguid": "00112233-4455-6677-8899-aabbccddeeff", "timeOfLastStatusChange": "2024-01-01",
   "statusReports": [{"status": "NOT_FIDO_CERTIFIED"}, {"status": "FIDO_CERTIFIED_L1", "effectiveDate": "2024-01-01"}],
   "metadataStatement": {"description": "Some key", "protocolFamily": "fido2", "attachmentHint": ["external", "wired"],
     "authenticatorGetInfo": {"versions": ["FIDO_2_0"], "aaguid": "00112233445566778899aabbccddeeff", "extensions": ["uvm"],
       "options": {"rk": true, "clientPin": true}, "pinUvAuthProtocols": [1], "maxMsgSize": 1200}}},
  {"aaguid": "11112233-4455-6677-8899-aabbccddeeff", "timeOfLastStatusChange": "2024-01-01", "statusReports": [],
   "metadataStatement": {"description": "Telephone", "attachmentHint": ["internal"],
     "authenticatorGetInfo": {"versions": ["FIDO_2_0"], "options": {"plat": true}, "transports": ["internal"]}}},
  {"attestationCertificateKeyIdentifiers": ["00"], "timeOfLastStatusChange": "2024-01-01", "statusReports": []}
]}"#;

struct Files {
    _directory: TempDir,
    blob: PathBuf,
}

impl Files {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let blob = directory.path().join("blob.json");
        fs::write(&blob, text).expect("a file");
        Self { _directory: directory, blob }
    }

    fn blob(&self) -> &str {
        self.blob.to_str().expect("text")
    }
}

fn printed(arguments: &[&str], input: &str) -> String {
    let output = run(&mut keyrig(arguments), input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn profiles_lists_what_metadata_has() {
    let files = Files::new(BLOB);
    assert_eq!(
        printed(&["profiles", "--mds", files.blob()], ""),
        "2 models of FIDO2; 1 of them can be keys here\n\
         mds:00112233-4455-6677-8899-aabbccddeeff  Some key\n    \
             FIDO_CERTIFIED_L1\n    \
             speaks    FIDO_2_0\n    \
             options   clientPin=no, rk\n    \
             withheld  extensions: uvm\n\
         mds:11112233-4455-6677-8899-aabbccddeeff  Telephone\n    \
             no status; without USB\n    \
             no key    it is part of a platform (plat), and no security key\n"
    );
    let listed: Value =
        serde_json::from_str(&printed(&["profiles", "--mds", files.blob(), "--json"], "")).expect("JSON");
    assert_is("certified-profiles", &listed);
    assert_eq!(listed["profiles"][1]["usb"], false);
    let one: Value =
        serde_json::from_str(&printed(&["profiles", KEY, "--mds", files.blob(), "--json"], "")).expect("JSON");
    assert_is("profile", &one);
    assert_eq!(one, listed["profiles"][0]["key"]);
    let text = printed(&["profiles", KEY, "--mds", files.blob()], "");
    assert!(text.contains("imitation of a certified key, attested by keyrig's TEST root"), "{text}");
}

#[test]
fn a_certified_key_registers() {
    let files = Files::new(BLOB);
    let options = r#"{"publicKey": {"rp": {"id": "example.com", "name": "Example"}, "challenge": "AAAAAAAAAAAAAAAAAAAAAA",
        "user": {"id": "AA", "name": "a", "displayName": "a"}, "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "attestation": "direct"}}"#;
    let key = format!("a={KEY}");
    let arguments =
        ["client", "create", "--origin", "https://example.com", "--with", &key, "--mds", files.blob(), "--json"];
    let made: Value = serde_json::from_str(&printed(&arguments, options)).expect("JSON");
    assert_eq!(made["touched"][0], "a");
}

#[test]
fn what_is_wrong_with_metadata_or_its_key_is_said() {
    let (files, wrong) = (Files::new(BLOB), Files::new("{\"entries\": [3]}"));
    let key = format!("a={KEY}");
    let other = format!("a={}", KEY.replace("ff", "00"));
    let telephone = "a=mds:11112233-4455-6677-8899-aabbccddeeff";
    for (arguments, status, says) in [
        (&["serve", "--key", &key][..], 2, "give a BLOB, or the key's metadata statement, with --mds FILE"),
        (&["serve", "--key", KEY, "--mds", files.blob()], 2, "write NAME=mds:AAGUID, such as a=mds:0011"),
        (&["serve", "--key", &other, "--mds", files.blob()], 2, "'keyrig profiles --mds FILE' lists those"),
        (&["serve", "--key", telephone, "--mds", files.blob()], 2, "it is part of a platform"),
        (&["serve", "--key", "a=mds:0011", "--mds", files.blob()], 2, "an AAGUID is 32 hexadecimal digits"),
        (&["serve", "--key", &key, "--mds", "/nowhere"], 1, "cannot read /nowhere"),
        (&["profiles", "--mds", wrong.blob()], 1, "at entries[0], line 1, column 14"),
        (&["profiles", KEY, "--mds", wrong.blob()], 1, "blob.json: at entries[0]"),
    ] {
        let output = run(&mut keyrig(arguments), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn metadata_that_is_read_is_not_written_over() {
    let files = Files::new(BLOB);
    let output = run(&mut keyrig(&["mds", "--seed", "1", "--mds", files.blob(), "--out", files.blob()]), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && told.contains("is what is read: name another file with --out"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(files.blob()).expect("text"), BLOB);
}
