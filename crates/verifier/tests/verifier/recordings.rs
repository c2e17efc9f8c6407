//! One ceremony in the forms in which people have it: what is found is the same.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyrig_verifier::{InvalidRecording, Recording, Scrap, Structure};
use serde_json::{Value, json};

/// The vectors of WebAuthn Level 3, §16.
fn vector() -> Value {
    let file: Value = serde_json::from_str(include_str!("webauthn-level-3.json")).unwrap();
    file["vectors"][0].clone()
}

fn bytes(vector: &Value, path: &str) -> Vec<u8> {
    hex::decode(vector.pointer(path).unwrap().as_str().unwrap()).unwrap()
}

/// Options and responses of both ceremonies, with bytes as `write` has them.
fn ceremonies(write: fn(&[u8]) -> Value) -> [Value; 4] {
    let vector = vector();
    let at = |path: &str| write(&bytes(&vector, path));
    let id = URL_SAFE_NO_PAD.encode(bytes(&vector, "/credential_id"));
    [
        json!({
            "rp": { "id": "example.org", "name": "x" }, "user": { "id": write(&[1, 2, 3, 4]), "name": "a", "displayName": "a" },
            "challenge": at("/registration/challenge"), "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
            "authenticatorSelection": { "userVerification": "required" },
        }),
        json!({
            "id": id, "rawId": at("/credential_id"), "type": "public-key",
            "response": {
                "clientDataJSON": at("/registration/client_data_json"),
                "attestationObject": at("/registration/attestation_object"),
                "transports": ["usb"],
            },
        }),
        json!({
            "rpId": "example.org", "challenge": at("/authentication/challenge"),
            "allowCredentials": [{ "type": "public-key", "id": at("/credential_id") }],
        }),
        json!({
            "id": id, "rawId": at("/credential_id"), "type": "public-key",
            "response": {
                "clientDataJSON": at("/authentication/client_data_json"),
                "authenticatorData": at("/authentication/authenticator_data"),
                "signature": at("/authentication/signature"),
                "userHandle": null,
            },
        }),
    ]
}

fn base64url(bytes: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

fn assert_is_the_vector(recording: &Recording, what: &str) {
    let vector = vector();
    let [creation] = &recording.creations[..] else { panic!("{what}: {recording:?}") };
    assert_eq!(creation.challenge, bytes(&vector, "/registration/challenge"), "{what}");
    assert_eq!((creation.rp_id.as_deref(), &creation.user_id[..]), (Some("example.org"), &[1, 2, 3, 4][..]), "{what}");
    assert_eq!((&creation.algorithms[..], creation.user_verification), (&[-7][..], true), "{what}");
    let [request] = &recording.requests[..] else { panic!("{what}: {recording:?}") };
    assert_eq!(request.challenge, bytes(&vector, "/authentication/challenge"), "{what}");
    assert_eq!(request.allow_credentials, [bytes(&vector, "/credential_id")], "{what}");
    let [registration] = &recording.registrations[..] else { panic!("{what}: {recording:?}") };
    assert_eq!(registration.raw_id, bytes(&vector, "/credential_id"), "{what}");
    assert_eq!(registration.attestation_object, bytes(&vector, "/registration/attestation_object"), "{what}");
    assert_eq!(
        (&registration.transports[..], registration.credential_type.as_str()),
        (&["usb".to_owned()][..], "public-key")
    );
    let [authentication] = &recording.authentications[..] else { panic!("{what}: {recording:?}") };
    assert_eq!(authentication.signature, bytes(&vector, "/authentication/signature"), "{what}");
    assert_eq!((&authentication.user_handle, authentication.client_data_json.is_empty()), (&None, false), "{what}");
}

/// A value as node's console.log prints it with all of its depth, and as Python's print does: bytes are written as `bytes` has them.
fn printed(value: &Value, is_python: bool, bytes: Written) -> String {
    let nested = |value: &Value| printed(value, is_python, bytes);
    match value {
        Value::Object(members) => {
            let name = |name: &str| if is_python { format!("'{name}'") } else { name.to_owned() };
            let members: Vec<_> =
                members.iter().map(|(it, value)| format!("{}: {}", name(it), nested(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(elements) if elements.len() > 3 && elements.iter().all(Value::is_u64) => {
            bytes(&elements.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect::<Vec<_>>())
        }
        Value::Array(elements) => format!("[ {} ]", elements.iter().map(nested).collect::<Vec<_>>().join(", ")),
        Value::String(text) => format!("'{text}'"),
        Value::Null if is_python => "None".to_owned(),
        Value::Null => "undefined".to_owned(),
        other => other.to_string(),
    }
}

/// How bytes are written.
type Written = fn(&[u8]) -> String;

#[test]
fn what_node_and_python_print_is_read_between_lines_of_a_log() {
    let forms: [(bool, Written); 4] = [
        (false, |bytes| {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("Uint8Array({}) [\n  {}\n]", bytes.len(), numbers.join(", "))
        }),
        (false, |bytes| {
            let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("<Buffer {}>", digits.join(" "))
        }),
        (false, |bytes| {
            let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("ArrayBuffer {{ [Uint8Contents]: <{}>, byteLength: {} }}", digits.join(" "), bytes.len())
        }),
        (true, |bytes| {
            let shown = |byte: u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            };
            format!("b'{}'", bytes.iter().copied().map(shown).collect::<String>())
        }),
    ];
    for (is_python, bytes) in forms {
        let printed = ceremonies(|bytes| json!(bytes)).map(|it| printed(&it, is_python, bytes));
        let log = format!("12:00:00 [info] options {}\n", printed.join("\n{ not of it\nresponse "));
        let recording = Recording::read(log.as_bytes()).unwrap();
        assert_is_the_vector(&recording, &log);
        assert!(recording.notes.iter().any(|note| note.contains("no JSON")), "{:?}", recording.notes);
    }
    // As py_webauthn's dataclasses print themselves.
    let options = "PublicKeyCredentialRequestOptions(challenge=b'\\x01\\x02\\x03\\x04', timeout=60000, rp_id='example.com', \
                   allow_credentials=[PublicKeyCredentialDescriptor(id=b'abcd', type=<PublicKeyCredentialType.PUBLIC_KEY: \
                   'public-key'>, transports=None)], user_verification=<UserVerificationRequirement.REQUIRED: 'required'>)";
    let recording = Recording::read(format!("[{options}]").as_bytes()).unwrap();
    let [request] = &recording.requests[..] else { panic!("{recording:?}") };
    assert_eq!((&request.challenge[..], request.rp_id.as_deref()), (&[1, 2, 3, 4][..], Some("example.com")));
    assert_eq!((&request.allow_credentials[..], request.user_verification), (&[b"abcd".to_vec()][..], true));
}

/// Every byte but letters is escaped, as a form may.
#[test]
fn answers_in_fields_of_forms_are_read() {
    let escaped = |value: &Value| {
        let text = value.to_string();
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let [creation, registration, request, authentication] = ceremonies(base64url);
    let form = format!("a=1&credential={}&b=%zz+%", escaped(&registration));
    // Proxmox VE's, in the place of a password.
    let login = format!("username=root%40pam&password=webauthn%3A{}", escaped(&authentication));
    let har = json!({ "log": { "entries": [creation, { "request": { "postData": { "text": form } } }, request, {
        "request": { "postData": { "params": [{ "name": "password", "value": format!("webauthn:{authentication}") }] } } }] } });
    assert_is_the_vector(&Recording::read(har.to_string().as_bytes()).unwrap(), "HAR");
    // As it is copied out of a browser's tools.
    let read = Recording::read(login.as_bytes()).unwrap();
    assert_eq!(read.authentications.len(), 1);
}

/// HAR 1.2, `postData`: a form has its text and its fields, some browsers' escaped. It is one answer.
#[test]
fn forms_in_har_files_are_read_once() {
    let [.., login] = ceremonies(base64url);
    let escaped: String = login.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let text = format!("csrf=x&credential={escaped}");
    let multipart =
        format!("------a\r\nContent-Disposition: form-data; name=\"credential\"\r\n\r\n{login}\r\n------a--\r\n");
    for data in [
        json!({ "mimeType": "application/x-www-form-urlencoded", "text": text }),
        json!({ "params": [{ "name": "credential", "value": escaped }] }),
        json!({ "params": [{ "name": "credential", "value": login.to_string() }] }),
        json!({ "text": text, "params": [{ "name": "credential", "value": escaped }] }),
        json!({ "text": text, "params": [{ "name": "credential", "value": login.to_string() }] }),
        json!({ "text": multipart }),
        json!({ "encoding": "base64", "text": STANDARD.encode(&text) }),
    ] {
        let har = json!({ "log": { "entries": [{ "request": { "postData": data } }] } });
        let recording = Recording::read(har.to_string().as_bytes()).unwrap();
        assert_eq!(recording.authentications.len(), 1, "{har}");
    }
}

#[test]
fn utf_16_with_its_mark_is_text() {
    let text = json!(ceremonies(base64url)).to_string();
    for (mark, bytes) in [([0xFF, 0xFE], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xFE, 0xFF], u16::to_be_bytes)] {
        let written: Vec<u8> = mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect();
        assert_is_the_vector(&Recording::read(&written).unwrap(), "UTF-16");
    }
}

#[test]
fn bytes_are_read_in_every_form_and_what_is_not_base64url_is_told() {
    for (form, write, told) in [
        ("base64url", base64url as fn(&[u8]) -> Value, None),
        ("base64", |bytes| STANDARD.encode(bytes).into(), Some("")),
        ("numbers", |bytes| json!(bytes), Some("an array of numbers")),
        ("signed numbers", |bytes| bytes.iter().map(|byte| byte.cast_signed()).collect(), Some("an array of numbers")),
        ("a Buffer of Node", |bytes| json!({ "type": "Buffer", "data": bytes }), Some("an array of numbers")),
        (
            "a Uint8Array",
            |bytes| {
                let members = bytes.iter().enumerate().map(|(index, byte)| (index.to_string(), json!(byte)));
                Value::Object(members.collect())
            },
            Some("Uint8Array"),
        ),
    ] {
        let recording = Recording::read(json!(ceremonies(write)).to_string().as_bytes()).unwrap();
        assert_is_the_vector(&recording, form);
        let is_told = recording.notes.iter().any(|note| note.contains(told.unwrap_or("written in")));
        assert_eq!(is_told, told.is_some(), "{form}: {:?}", recording.notes);
    }
    // Whole structures in hexadecimal; a handle of four bytes could be anything.
    let [creation, mut registration, ..] = ceremonies(base64url);
    let vector = vector();
    for (member, path) in [
        ("clientDataJSON", "/registration/client_data_json"),
        ("attestationObject", "/registration/attestation_object"),
    ] {
        registration["response"][member] = vector.pointer(path).unwrap().clone();
    }
    let recording = Recording::read(json!([creation, registration]).to_string().as_bytes()).unwrap();
    assert_eq!(recording.registrations[0].attestation_object, bytes(&vector, "/registration/attestation_object"));
    assert!(recording.notes.iter().any(|note| note.contains("hexadecimal")), "{:?}", recording.notes);
}

/// Where libraries put them.
#[test]
fn ceremonies_are_found_wherever_they_are() {
    let [creation, registration, request, authentication] = ceremonies(base64url);
    let snake = |credential: &Value| {
        let text = credential.to_string();
        let names = [
            ("rawId", "raw_id"),
            ("clientDataJSON", "client_data_json"),
            ("attestationObject", "attestation_object"),
            ("authenticatorData", "authenticator_data"),
            ("userHandle", "user_handle"),
        ];
        names.iter().fold(text, |text, (camel, snake)| text.replace(&format!("\"{camel}\""), &format!("\"{snake}\"")))
    };
    let all = json!([creation, registration, request, authentication]);
    let entry = |body: &Value| json!({ "request": { "postData": { "mimeType": "application/json", "text": body.to_string() } } });
    let answer = |body: &Value| json!({ "response": { "content": { "encoding": "base64", "text": STANDARD.encode(body.to_string()) } } });
    for (what, recorded) in [
        ("a list", all.to_string()),
        (
            "publicKey around options, as browsers' calls and webauthn-rs have them",
            json!([{ "publicKey": creation }, registration, { "publicKey": request }, authentication]).to_string(),
        ),
        (
            "java-webauthn-server",
            json!([
                { "request": { "publicKeyCredentialCreationOptions": creation }, "credential": registration },
                { "request": { "publicKeyCredentialRequestOptions": request, "username": "a" }, "credential": authentication },
            ])
            .to_string(),
        ),
        (
            "SimpleWebAuthn",
            json!([
                { "optionsJSON": creation }, { "response": registration, "expectedChallenge": "x" },
                { "optionsJSON": request }, { "response": authentication, "expectedRPID": "example.org" },
            ])
            .to_string(),
        ),
        (
            "py_webauthn",
            format!("[{creation},{},{request},{}]", snake(&registration), snake(&authentication)),
        ),
        (
            "options as text, as Proxmox VE sends them",
            json!([
                { "data": { "challenge": json!({ "publicKey": creation }).to_string() } }, registration,
                { "data": { "challenge": json!({ "publicKey": request }).to_string() } }, authentication,
            ])
            .to_string(),
        ),
        (
            "a HAR file",
            json!({ "log": { "entries": [answer(&creation), entry(&registration), answer(&request), entry(&authentication)] } })
                .to_string(),
        ),
        (
            "lines of a console",
            format!(
                "options {creation}\n[vite] connected.\nresult: {registration} login.js:12\n{request}\n(3) {authentication}\ndone [1, {{"
            ),
        ),
        ("a byte-order mark", format!("\u{feff}{all}")),
    ] {
        let recording = Recording::read(recorded.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_is_the_vector(&recording, what);
    }
}

#[test]
fn a_structure_alone_is_told_by_what_it_is() {
    let vector = vector();
    let read = |path: &str| {
        let bytes = bytes(&vector, path);
        let text = format!("\"{}\",\n", URL_SAFE_NO_PAD.encode(&bytes));
        (bytes, Recording::read(text.as_bytes()).unwrap().scraps)
    };
    let (bytes, scraps) = read("/registration/client_data_json");
    assert_eq!(scraps, [Scrap::ClientDataJson(bytes)]);
    let (bytes, scraps) = read("/registration/attestation_object");
    assert_eq!(scraps, [Scrap::AttestationObject(bytes)]);
    let (bytes, scraps) = read("/authentication/authenticator_data");
    assert_eq!(scraps, [Scrap::AuthenticatorData(bytes)]);
}

#[test]
fn what_is_no_recording_is_told_where_it_is_none() {
    let error = |bytes: &[u8]| Recording::read(bytes).unwrap_err();
    assert_eq!(error(b""), InvalidRecording::Nothing);
    assert_eq!(error(b"{}"), InvalidRecording::Nothing);
    assert_eq!(error(b"hello"), InvalidRecording::Nothing);
    assert_eq!(error(b"ab\xffcd"), InvalidRecording::NotText { offset: 2 });
    assert!(matches!(error(b"{\"a\": 1,\n \"b\": ]}"), InvalidRecording::Json { line: 2, column: 7, .. }));
    assert_eq!(error(&vec![b' '; 1 + (16 << 20)]), InvalidRecording::TooLong);
    let deep = "[".repeat(100_000);
    assert!(matches!(error(deep.as_bytes()), InvalidRecording::Json { line: 1, .. }));
    let mut response = ceremonies(base64url)[1].clone();
    response["response"]["clientDataJSON"] = json!("not base64 at all!");
    let found = error(response.to_string().as_bytes());
    assert!(matches!(&found, InvalidRecording::Member { member, .. } if member == "clientDataJSON"), "{found:?}");
}

/// A response that a server cannot read is no answer that nobody gave.
#[test]
fn a_response_that_breaks_is_told_beside_sound_options() {
    let [.., options, login] = ceremonies(base64url);
    let told = |change: fn(&mut Value)| {
        let mut login = login.clone();
        change(&mut login["response"]);
        let recording = Recording::read(json!([options, login]).to_string().as_bytes()).unwrap();
        assert_eq!((recording.requests.len(), recording.authentications.len()), (1, 0));
        recording.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = "base64url, base64, hexadecimal or array of bytes";
    assert_eq!(told(|it| it["signature"] = "!!!".into()), [format!("signature is no {expected}")]);
    assert_eq!(told(|it| it["clientDataJSON"] = "***".into()), [format!("clientDataJSON is no {expected}")]);
    for missing in [
        told(|it| it["signature"] = Value::Null),
        told(|it| it["authenticatorData"] = Value::Null),
        told(|it| it["clientDataJSON"] = Value::Null),
    ] {
        assert!(matches!(&missing[..], [only] if only.ends_with(" is not there")), "{missing:?}");
    }
    // Options that break keep the sound response, and are told.
    let mut broken = options.clone();
    broken["challenge"] = "!!!".into();
    let recording = Recording::read(json!([broken, login]).to_string().as_bytes()).unwrap();
    assert_eq!((recording.authentications.len(), recording.unreadable.len()), (1, 0));
    assert!(recording.notes[0].contains("cannot be read: challenge is no"), "{:?}", recording.notes);
}

/// `id` is the bytes of rawId, however somebody printed both.
#[test]
fn an_id_that_is_no_text_in_base64url_is_read_as_the_others_are() {
    let vector = vector();
    let raw_id = bytes(&vector, "/credential_id");
    for id in [json!(raw_id), json!(hex::encode(&raw_id))] {
        let [.., mut login] = ceremonies(base64url);
        login["id"] = id.clone();
        login["rawId"] = id;
        let recording = Recording::read(login.to_string().as_bytes()).unwrap();
        let [authentication] = &recording.authentications[..] else { panic!("{recording:?}") };
        assert_eq!(authentication.id, URL_SAFE_NO_PAD.encode(&raw_id));
        assert!(recording.notes.iter().any(|note| note.starts_with("id is written in")), "{:?}", recording.notes);
    }
}

/// WebAuthn Level 3, §6.1 and §16: each field is where the specification has it.
#[test]
fn authenticator_data_is_taken_apart() {
    let vector = vector();
    let object = bytes(&vector, "/registration/attestation_object");
    let structure = Structure::of_attestation_object(&object);
    assert_eq!(structure.broken, None);
    let start = structure.fields.iter().find(|field| field.name == "authData").unwrap().offset;
    let field =
        |name: &str| structure.fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name}"));
    for (name, offset, length) in [
        ("rpIdHash", 0, 32),
        ("flags", 32, 1),
        ("signCount", 33, 4),
        ("aaguid", 37, 16),
        ("credentialIdLength", 53, 2),
        ("credentialId", 55, 32),
        ("credentialPublicKey", 87, 77),
    ] {
        assert_eq!((field(name).offset - start, field(name).length), (offset, length), "{name}");
    }
    assert_eq!(field("flags").value, "0x59 UP BE BS AT");
    assert_eq!(field("aaguid").value, "8446ccb9-ab1d-b374-750b-2367ff6f3a1f");
    assert_eq!(field("alg (3)").value, "-7, ES256");

    // Cut off anywhere, it says where it ends; one byte more is too many.
    let data = bytes(&vector, "/authentication/authenticator_data");
    for length in 0..data.len() {
        let broken = Structure::of_authenticator_data(&data[..length]).broken.unwrap();
        assert_eq!(broken.offset, length, "{broken:?}");
    }
    assert_eq!(Structure::of_authenticator_data(&data).broken, None);
    let longer = [&data[..], &[0]].concat();
    assert_eq!(Structure::of_authenticator_data(&longer).broken.unwrap().offset, data.len());
    for length in 0..object.len() {
        assert!(Structure::of_attestation_object(&object[..length]).broken.is_some(), "{length}");
    }
}

/// WebAuthn Level 3, §16.12, with the places counted by hand: TPM 2.0 Library, Part 2, has the structures, and X.690 the certificate's.
#[test]
fn what_a_tpm_says_and_certificates_are_taken_apart() {
    let file: Value = serde_json::from_str(include_str!("webauthn-level-3.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "tpm-es256").unwrap();
    let object = bytes(vector, "/registration/attestation_object");
    let structure = Structure::of_attestation_object(&object);
    assert_eq!(structure.broken, None);
    for (name, offset, length, value) in [
        ("sig", 29, 70, "3044"),
        ("[0]", 115, 570, "570 bytes: a certificate of nobody who is named, issued by "),
        ("version", 125, 3, "V3"),
        ("serialNumber", 130, 16, "311fc42da0ab10c43a9b1bf3a75e34e2"),
        ("subject", 294, 0, "nobody who is named"),
        ("pubArea", 695, 86, "86 bytes"),
        ("objectAttributes", 699, 4, "0x00040000 sign"),
        ("curveID", 709, 2, "0x0003 TPM_ECC_NIST_P256"),
        ("unique.x", 715, 32, "41202698c9d9753f"),
        ("unique.y", 749, 32, "d8735115cdb330a6"),
        ("certInfo", 792, 105, "105 bytes"),
        ("extraData", 802, 32, "277d0e05579dd013"),
        ("restartCount", 846, 4, "572662306"),
        ("attested.name", 861, 34, "000b9c42d8aad593"),
        ("x (-2)", 1005, 32, "41202698c9d9753f"),
    ] {
        let field = structure.fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((field.offset, field.length), (offset, length), "{name}");
        assert!(field.value.starts_with(value), "{field:?}");
    }
    // A length of 32 becomes 33, and what follows is a byte short.
    let mut longer = object.clone();
    longer[748] = 33;
    let broken = Structure::of_attestation_object(&longer).broken.unwrap();
    assert_eq!((broken.offset, broken.reason.split_once(':').unwrap().0), (781, "pubArea"), "{broken:?}");
}

#[test]
fn client_data_that_is_no_json_has_the_byte() {
    let broken = Structure::of_client_data_json(b"{\"type\":\"webauthn.get\",\n\"challenge\":}").broken.unwrap();
    assert_eq!(broken.offset, 36);
    let whole = Structure::of_client_data_json(br#"{"type":"webauthn.get","crossOrigin":false}"#);
    assert_eq!(whole.broken, None);
    let places: Vec<_> = whole.fields.iter().map(|field| (field.name.as_str(), field.offset, field.length)).collect();
    assert_eq!(places, [("type", 8, 14), ("crossOrigin", 37, 5)]);
}

/// HAR 1.2: a log with entries, of which a video in one is more than is read of anything.
#[test]
fn a_har_file_of_tens_of_megabytes_is_read_entry_by_entry() {
    let [creation, registration, request, authentication] = ceremonies(base64url);
    let entry = |body: &Value| json!({ "request": { "postData": { "text": body.to_string() } } }).to_string();
    let filler = |mib: usize| format!("{{\"response\":{{\"content\":{{\"text\":\"{}\"}}}}}}", "A".repeat(mib << 20));
    let head = r#"{"log":{"version":"1.2","creator":{"entries":["none"]},"pages":[],"entries":["#;
    let har = |entries: &[String]| format!("{head}{}]}}}}", entries.join(","));
    let found =
        [entry(&creation), filler(9), entry(&registration), filler(17), entry(&request), entry(&authentication)];
    let whole = har(&found);
    assert!(whole.len() > 26 << 20);
    let recording = Recording::read(whole.as_bytes()).unwrap();
    assert_is_the_vector(&recording, "a HAR file");
    assert_eq!(recording.notes, ["entry 4 of the HAR file has more than 16 MiB: it was passed over"]);
    // One that breaks off is told where, unless there was something before.
    let whole = har(&[filler(17), entry(&creation)]);
    let cut = whole.get(..whole.len() - 4).unwrap();
    let refused = Recording::read(cut.as_bytes()).unwrap_err();
    let column = cut.len();
    assert!(matches!(&refused, InvalidRecording::Json { line: 1, column: at, .. } if *at == column), "{refused}");
    let cut = whole.get(..whole.len() - 2).unwrap();
    assert_eq!(Recording::read(cut.as_bytes()).unwrap().creations.len(), 1);
    // JSON of another kind, and what is none.
    for other in [format!("{{\"log\":{{\"text\":\"{}\"}}}}", "A".repeat(17 << 20)), " NotAllowedError ".repeat(2 << 20)]
    {
        let refused = Recording::read(other.as_bytes()).unwrap_err();
        assert_eq!(refused, InvalidRecording::TooLong, "{refused}");
        assert_eq!(
            refused.to_string(),
            "it has more than 16 MiB and is no HAR file with entries: keep what belongs to one ceremony"
        );
    }
}

/// What browsers' own parsers make of options was observed: padding is taken by Firefox alone, the other alphabet by none.
#[test]
fn options_in_another_form_are_told_with_what_pages_get() {
    let read = |bytes: &str| {
        let options = json!({
            "rp": {"id": "example.org", "name": "site"},
            "user": {"id": bytes, "name": "alice", "displayName": "Alice"},
            "challenge": bytes,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "excludeCredentials": [{"type": "public-key", "id": bytes}],
        });
        Recording::read(options.to_string().as_bytes()).unwrap().notes
    };
    for (bytes, told) in [("q83vEjRWeJo=", "Firefox's parse"), ("q83v+RI/Rnia", "browsers' parse")] {
        let notes = read(bytes);
        for member in ["user.id", "excludeCredentials[].id", "challenge"] {
            let is_told = notes.iter().any(|note| note.starts_with(member) && note.contains(told));
            assert!(is_told, "{member}: {notes:?}");
        }
    }
    assert_eq!(read("q83vEjRWeJo"), Vec::<String>::new());
}
