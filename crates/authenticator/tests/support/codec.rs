//! CTAP2 requests and responses by an independent CBOR implementation, sharing no type with keyrig's own.
//!
//! Numbers are those of CTAP 2.3 §6 and §6.3, written out again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sk_cbor::Value;

use super::platform::Token;

pub(crate) const MAKE_CREDENTIAL: u8 = 0x01;
pub(crate) const GET_ASSERTION: u8 = 0x02;
pub(crate) const GET_INFO: u8 = 0x04;
pub(crate) const CLIENT_PIN: u8 = 0x06;
pub(crate) const RESET: u8 = 0x07;
pub(crate) const GET_NEXT_ASSERTION: u8 = 0x08;
pub(crate) const SELECTION: u8 = 0x0B;

pub(crate) mod status {
    pub(crate) const OK: u8 = 0x00;
    pub(crate) const INVALID_COMMAND: u8 = 0x01;
    pub(crate) const INVALID_PARAMETER: u8 = 0x02;
    pub(crate) const INVALID_LENGTH: u8 = 0x03;
    pub(crate) const INVALID_SEQ: u8 = 0x04;
    pub(crate) const CBOR_UNEXPECTED_TYPE: u8 = 0x11;
    pub(crate) const INVALID_CBOR: u8 = 0x12;
    pub(crate) const MISSING_PARAMETER: u8 = 0x14;
    pub(crate) const LIMIT_EXCEEDED: u8 = 0x15;
    pub(crate) const LARGE_BLOB_STORAGE_FULL: u8 = 0x18;
    pub(crate) const CREDENTIAL_EXCLUDED: u8 = 0x19;
    pub(crate) const INVALID_CREDENTIAL: u8 = 0x22;
    pub(crate) const UNSUPPORTED_ALGORITHM: u8 = 0x26;
    pub(crate) const OPERATION_DENIED: u8 = 0x27;
    pub(crate) const KEY_STORE_FULL: u8 = 0x28;
    pub(crate) const UNSUPPORTED_OPTION: u8 = 0x2B;
    pub(crate) const INVALID_OPTION: u8 = 0x2C;
    pub(crate) const KEEPALIVE_CANCEL: u8 = 0x2D;
    pub(crate) const NO_CREDENTIALS: u8 = 0x2E;
    pub(crate) const USER_ACTION_TIMEOUT: u8 = 0x2F;
    pub(crate) const NOT_ALLOWED: u8 = 0x30;
    pub(crate) const PIN_INVALID: u8 = 0x31;
    pub(crate) const PIN_BLOCKED: u8 = 0x32;
    pub(crate) const PIN_AUTH_INVALID: u8 = 0x33;
    pub(crate) const PIN_AUTH_BLOCKED: u8 = 0x34;
    pub(crate) const PIN_NOT_SET: u8 = 0x35;
    pub(crate) const ACTION_TIMEOUT: u8 = 0x3A;
    pub(crate) const PUAT_REQUIRED: u8 = 0x36;
    pub(crate) const PIN_POLICY_VIOLATION: u8 = 0x37;
    pub(crate) const REQUEST_TOO_LARGE: u8 = 0x39;
    pub(crate) const UV_BLOCKED: u8 = 0x3C;
    pub(crate) const INTEGRITY_FAILURE: u8 = 0x3D;
    pub(crate) const INVALID_SUBCOMMAND: u8 = 0x3E;
    pub(crate) const UV_INVALID: u8 = 0x3F;
    pub(crate) const UNAUTHORIZED_PERMISSION: u8 = 0x40;
    pub(crate) const OTHER: u8 = 0x7F;
}

pub(crate) const ES256: i64 = -7;
pub(crate) const EDDSA: i64 = -8;
pub(crate) const ES384: i64 = -35;
pub(crate) const ML_DSA_44: i64 = -48;
pub(crate) const ML_DSA_65: i64 = -49;
pub(crate) const ML_DSA_87: i64 = -50;

pub(crate) const UP: u8 = 0x01;
pub(crate) const UV: u8 = 0x04;
pub(crate) const AT: u8 = 0x40;
pub(crate) const ED: u8 = 0x80;

pub(crate) fn text(value: &str) -> Value {
    Value::text_string(value.to_owned())
}

pub(crate) fn bytes(value: &[u8]) -> Value {
    Value::byte_string(value.to_vec())
}

pub(crate) fn int(value: i64) -> Value {
    Value::integer(value)
}

pub(crate) fn boolean(value: bool) -> Value {
    Value::bool_value(value)
}

pub(crate) fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::array(values.into_iter().collect())
}

/// A map with text keys.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::map(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
}

pub(crate) fn encode(value: Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    sk_cbor::writer::write(value, &mut encoded).unwrap();
    encoded
}

/// A `PublicKeyCredentialDescriptor`.
pub(crate) fn descriptor(id: &[u8]) -> Value {
    map([("id", bytes(id)), ("type", text("public-key"))])
}

pub(crate) fn descriptors(ids: &[&[u8]]) -> Value {
    array(ids.iter().map(|id| descriptor(id)))
}

/// `pubKeyCredParams`.
pub(crate) fn algorithms(identifiers: &[i64]) -> Value {
    array(identifiers.iter().map(|identifier| map([("alg", int(*identifier)), ("type", text("public-key"))])))
}

/// The parameters of a command by number.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(pub(crate) BTreeMap<i64, Value>);

impl Parameters {
    /// makeCredential with what it must have; the user handle is the name's bytes.
    pub(crate) fn make_credential(rp_id: &str, user: &str) -> Self {
        let rp = map([("id", text(rp_id)), ("name", text("Example"))]);
        let user = map([("id", bytes(user.as_bytes())), ("name", text(user)), ("displayName", text("A User"))]);
        let hash = Sha256::digest(format!("create {rp_id}"));
        Self(BTreeMap::from([(1, bytes(&hash)), (2, rp), (3, user), (4, algorithms(&[ES256]))]))
    }

    pub(crate) fn discoverable(rp_id: &str, user: &str) -> Self {
        Self::make_credential(rp_id, user).with(7, map([("rk", boolean(true))]))
    }

    /// getAssertion without a list.
    pub(crate) fn get_assertion(rp_id: &str) -> Self {
        Self(BTreeMap::from([(1, text(rp_id)), (2, bytes(&Sha256::digest(format!("get {rp_id}"))))]))
    }

    /// getAssertion with `allowList`.
    pub(crate) fn allow(rp_id: &str, ids: &[&[u8]]) -> Self {
        Self::get_assertion(rp_id).with(3, descriptors(ids))
    }

    /// authenticatorClientPIN with a subcommand.
    pub(crate) fn client_pin(subcommand: i64) -> Self {
        Self(BTreeMap::from([(2, int(subcommand))]))
    }

    /// makeCredential with a `pinUvAuthParam` by this token.
    pub(crate) fn created_by(self, token: &Token) -> Self {
        let param = token.authenticate(&self.hash(1));
        self.with(8, bytes(&param)).with(9, int(token.protocol))
    }

    /// getAssertion with a `pinUvAuthParam` by this token.
    pub(crate) fn got_by(self, token: &Token) -> Self {
        let param = token.authenticate(&self.hash(2));
        self.with(6, bytes(&param)).with(7, int(token.protocol))
    }

    pub(crate) fn with(mut self, number: i64, value: Value) -> Self {
        self.0.insert(number, value);
        self
    }

    pub(crate) fn without(mut self, number: i64) -> Self {
        self.0.remove(&number).expect("was there");
        self
    }

    pub(crate) fn value(&self) -> Value {
        Value::map(self.0.iter().map(|(number, value)| (int(*number), value.clone())).collect())
    }

    pub(crate) fn message(&self, command: u8) -> Vec<u8> {
        [vec![command], encode(self.value())].concat()
    }

    pub(crate) fn create(&self) -> Vec<u8> {
        self.message(MAKE_CREDENTIAL)
    }

    pub(crate) fn get(&self) -> Vec<u8> {
        self.message(GET_ASSERTION)
    }

    /// A member that is a byte string.
    pub(crate) fn hash(&self, number: i64) -> Vec<u8> {
        self.0[&number].clone().extract_byte_string().unwrap()
    }
}

/// The body of a successful answer, by number. The reader takes canonical CBOR only.
pub(crate) fn body(answer: &[u8]) -> BTreeMap<i64, Value> {
    assert_eq!(answer[0], status::OK, "status");
    let entries = sk_cbor::reader::read(&answer[1..]).expect("canonical CBOR").extract_map().unwrap();
    entries.into_iter().map(|(key, value)| (key.extract_integer().unwrap(), value)).collect()
}

/// A map with text keys.
pub(crate) fn fields(value: &Value) -> BTreeMap<String, Value> {
    let entries = value.clone().extract_map().unwrap();
    entries.into_iter().map(|(key, value)| (key.extract_text_string().unwrap(), value)).collect()
}

/// The value of an integer key in a COSE_Key.
pub(crate) fn cose(key: &Value, label: i64) -> Value {
    let entries = key.clone().extract_map().unwrap();
    entries.into_iter().find(|(key, _)| *key == int(label)).expect("the label is there").1
}

/// Authenticator data (WebAuthn Level 3 §6.1).
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatorData {
    pub(crate) raw: Vec<u8>,
    pub(crate) rp_id_hash: Vec<u8>,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) attested: Option<Attested>,
    /// Extension outputs by identifier.
    pub(crate) extensions: Option<BTreeMap<String, Value>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Attested {
    pub(crate) aaguid: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) public_key: Value,
}

impl AuthenticatorData {
    fn read(raw: Vec<u8>) -> Self {
        let (fixed, mut rest) = raw.split_at(37);
        let flags = fixed[32];
        let attested = (flags & AT != 0).then(|| {
            let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
            let (id, tail) = rest[18..].split_at(length);
            let (public_key, tail) = first_item(tail);
            let attested = Attested { aaguid: rest[..16].to_vec(), id: id.to_vec(), public_key };
            rest = tail;
            attested
        });
        let extensions = (flags & ED != 0).then(|| {
            let (extensions, tail) = first_item(rest);
            rest = tail;
            fields(&extensions)
        });
        assert_eq!(rest, [], "nothing follows what the flags announce");
        let counter = u32::from_be_bytes(fixed[33..].try_into().unwrap());
        Self { rp_id_hash: fixed[..32].to_vec(), flags, counter, attested, extensions, raw }
    }

    /// The output of an extension.
    pub(crate) fn extension(&self, identifier: &str) -> Option<Value> {
        self.extensions.as_ref().and_then(|extensions| extensions.get(identifier)).cloned()
    }
}

/// The canonical item that bytes begin with, and what follows it. No item is the beginning of another.
fn first_item(bytes: &[u8]) -> (Value, &[u8]) {
    let item = |end: usize| sk_cbor::reader::read(&bytes[..end]).ok().map(|item| (item, &bytes[end..]));
    (1..=bytes.len()).find_map(item).expect("a canonical item")
}

/// The answer of makeCredential.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) format: String,
    pub(crate) data: AuthenticatorData,
    pub(crate) statement: BTreeMap<String, Value>,
    pub(crate) id: Vec<u8>,
    pub(crate) public_key: Value,
    /// The numbers of its members.
    pub(crate) members: Vec<i64>,
    pub(crate) large_blob_key: Option<Vec<u8>>,
}

impl Created {
    pub(crate) fn read(answer: &[u8]) -> Self {
        let body = body(answer);
        let data = AuthenticatorData::read(body[&2].clone().extract_byte_string().unwrap());
        let attested = data.attested.clone().expect("attested credential data");
        Self {
            format: body[&1].clone().extract_text_string().unwrap(),
            statement: fields(&body[&3]),
            id: attested.id,
            public_key: attested.public_key,
            members: body.keys().copied().collect(),
            large_blob_key: body.get(&5).map(|key| key.clone().extract_byte_string().unwrap()),
            data,
        }
    }
}

/// The answer of getAssertion and getNextAssertion.
#[derive(Clone, Debug)]
pub(crate) struct Assertion {
    pub(crate) id: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) data: AuthenticatorData,
    pub(crate) signature: Vec<u8>,
    pub(crate) user: Option<BTreeMap<String, Value>>,
    pub(crate) number_of_credentials: Option<u64>,
    /// The numbers of its members.
    pub(crate) members: Vec<i64>,
    pub(crate) large_blob_key: Option<Vec<u8>>,
}

impl Assertion {
    pub(crate) fn read(answer: &[u8]) -> Self {
        let body = body(answer);
        let mut credential = fields(&body[&1]);
        Self {
            id: credential.remove("id").unwrap().extract_byte_string().unwrap(),
            kind: credential.remove("type").unwrap().extract_text_string().unwrap(),
            data: AuthenticatorData::read(body[&2].clone().extract_byte_string().unwrap()),
            signature: body[&3].clone().extract_byte_string().unwrap(),
            user: body.get(&4).map(fields),
            number_of_credentials: body.get(&5).map(|number| number.clone().extract_unsigned().unwrap()),
            members: body.keys().copied().collect(),
            large_blob_key: body.get(&7).map(|key| key.clone().extract_byte_string().unwrap()),
        }
    }

    /// The user handle, if there is one.
    pub(crate) fn user_id(&self) -> Option<Vec<u8>> {
        self.user.as_ref().map(|user| user["id"].clone().extract_byte_string().unwrap())
    }
}
