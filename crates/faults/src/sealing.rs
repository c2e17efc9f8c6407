//! What goes wrong with what a key says of credentials: before it is signed, so that the signature is valid, and after.

use std::sync::Arc;

use keyrig_authenticator::attestation::Attestation;
use keyrig_authenticator::environment::{Crypto, Environment, Sealed, U2fRegistration, Unsealed};
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_ctap::attestation::Statement;
use keyrig_ctap::authenticator_data::{AuthenticatorData, Flags};
use keyrig_ctap::cbor::{Item, Writer};
use keyrig_ctap::cose::{Algorithm, PublicKey};
use keyrig_ctap::{get_assertion, make_credential};

use crate::fault::Fault;
use crate::kind::{Kind, Layer};
use crate::lies;
use crate::switch::{Switches, Way};

const MAKE_CREDENTIAL: &str = "authenticatorMakeCredential";
const GET_ASSERTION: &str = "authenticatorGetAssertion";

/// RS256, with which no key here signs.
const RS256: i64 = -257;

/// The environment of one key.
pub(crate) struct FaultyEnvironment {
    inner: Box<dyn Environment>,
    switches: Arc<Switches>,
    root: PrivateKey,
    attestation: Attestation,
    /// The counter that was said last; the highest that there is while none was.
    counter: u32,
}

impl FaultyEnvironment {
    pub(crate) fn new(
        inner: Box<dyn Environment>,
        switches: Arc<Switches>,
        root: PrivateKey,
        attestation: Attestation,
    ) -> Self {
        Self { inner, switches, root, attestation, counter: u32::MAX }
    }

    /// What a login is an answer to.
    fn login(&self) -> &'static str {
        [Way::Host, Way::Direct]
            .into_iter()
            .filter_map(|way| self.switches.command(way))
            .find(|command| matches!(*command, "U2F_AUTHENTICATE" | "authenticatorGetNextAssertion"))
            .unwrap_or(GET_ASSERTION)
    }

    /// Lets those faults happen that have something to change: `change` is tried on a copy, and then done.
    fn apply<T: Clone + PartialEq>(&self, command: &str, said: &mut T, change: impl Fn(&Fault, &mut T) -> Option<()>) {
        let could = |fault: &Fault| {
            let mut tried = said.clone();
            change(fault, &mut tried).is_some()
        };
        for fault in self.switches.happen(Layer::Sealing, Some(command), usize::MAX, could) {
            // One fault may have taken away what another would change.
            let mut changed = said.clone();
            if change(&fault, &mut changed).is_some() {
                *said = changed;
            }
        }
    }

    fn certificate(&self, kind: Kind, certificate: &mut Vec<u8>) -> Option<()> {
        *certificate = lies::certificate(kind, certificate, &self.root, self.attestation.private_key())?;
        Some(())
    }

    fn registered(&self, fault: &Fault, response: &mut make_credential::Response) -> Option<()> {
        let (algorithm, signature, certificate) = match &mut response.statement {
            Statement::Packed { algorithm, signature, certificates } => {
                (Some(algorithm), signature, certificates.first_mut()?)
            }
            Statement::FidoU2f { signature, certificate } => (None, signature, certificate),
            Statement::None | Statement::Other { .. } => return None,
        };
        match fault.kind() {
            Kind::AttestationBadSignature => flip_last(signature),
            Kind::AttestationWrongAlgorithm => {
                *algorithm? = RS256;
                Some(())
            }
            kind => self.certificate(kind, certificate),
        }
    }
}

impl Environment for FaultyEnvironment {
    fn random(&mut self, bytes: &mut [u8]) {
        self.inner.random(bytes);
    }

    fn crypto(&self) -> &dyn Crypto {
        self.inner.crypto()
    }

    fn position(&self) -> Option<u64> {
        self.inner.position()
    }

    fn before_sealing(&mut self, unsealed: Unsealed<'_>) {
        match unsealed {
            Unsealed::AuthenticatorData(data) => {
                if self.switches.any(Layer::Sealing) {
                    let is_registration = data.attested_credential_data.is_some();
                    let command = if is_registration { MAKE_CREDENTIAL } else { self.login() };
                    let last = self.counter;
                    self.apply(command, data, |fault, data| authenticator_data(fault, data, last));
                }
                self.counter = data.counter;
                self.inner.before_sealing(Unsealed::AuthenticatorData(data));
            }
            Unsealed::U2fRegistration(registration) => {
                if self.switches.any(Layer::Sealing) {
                    self.apply("U2F_REGISTER", registration, u2f_registration);
                }
                self.inner.before_sealing(Unsealed::U2fRegistration(registration));
            }
            other => self.inner.before_sealing(other),
        }
    }

    fn after_sealing(&mut self, mut sealed: Sealed<'_>) {
        if self.switches.any(Layer::Sealing) {
            match &mut sealed {
                Sealed::MakeCredential(response) => {
                    self.apply(MAKE_CREDENTIAL, *response, |fault, response| self.registered(fault, response));
                }
                Sealed::GetAssertion(response) => self.apply(self.login(), *response, asserted),
                Sealed::U2fRegistration(registration) => {
                    self.apply("U2F_REGISTER", *registration, |fault, registration| match fault.kind() {
                        Kind::AttestationBadSignature => flip_last(&mut registration.signature),
                        kind => self.certificate(kind, &mut registration.certificate),
                    });
                }
                Sealed::U2fAuthentication(authentication) => {
                    self.apply("U2F_AUTHENTICATE", *authentication, |fault, authentication| {
                        (fault.kind() == Kind::BadSignature).then(|| flip_last(&mut authentication.signature))?
                    });
                }
                _ => {}
            }
        }
        self.inner.after_sealing(sealed);
    }
}

/// Another byte at the end: of a signature that is still one in its form.
fn flip_last(bytes: &mut [u8]) -> Option<()> {
    *bytes.last_mut()? ^= 0x01;
    Some(())
}

fn flip_first(bytes: &mut [u8]) -> Option<()> {
    *bytes.first_mut()? ^= 0x01;
    Some(())
}

fn authenticator_data(fault: &Fault, data: &mut AuthenticatorData, last: u32) -> Option<()> {
    match fault.kind() {
        Kind::WrongRpIdHash => flip_first(&mut data.rp_id_hash),
        Kind::UpCleared => flag(data, Flags::UP, false),
        Kind::UpSet => flag(data, Flags::UP, true),
        Kind::UvCleared => flag(data, Flags::UV, false),
        Kind::UvSet => flag(data, Flags::UV, true),
        Kind::BeCleared => flag(data, Flags::BE, false),
        Kind::BeSet => flag(data, Flags::BE, true),
        Kind::BsCleared => flag(data, Flags::BS, false),
        Kind::BsSet => flag(data, Flags::BS, true),
        Kind::OtherAaguid => flip_first(&mut data.attested_credential_data.as_mut()?.aaguid.0),
        Kind::OtherCredentialId => flip_first(&mut data.attested_credential_data.as_mut()?.credential_id),
        Kind::OtherPublicKey => {
            let public_key = &mut data.attested_credential_data.as_mut()?.public_key;
            // Of the same algorithm, of which a stranger has a key.
            let is_es256 = PublicKey::from_cose(public_key).is_ok_and(|key| key.algorithm() == Algorithm::Es256);
            let stranger = lies::stranger().filter(|_| is_es256)?;
            *public_key = Portable.public_key(&stranger).ok()?.to_cose();
            Some(())
        }
        // The y coordinate is the last of its members (RFC 9053 §7.1.1).
        Kind::PublicKeyOffCurve => flip_last(&mut data.attested_credential_data.as_mut()?.public_key),
        Kind::CounterFrozen => {
            data.counter = said_last(data, last)?;
            Some(())
        }
        Kind::CounterBack => {
            data.counter = said_last(data, last)?.saturating_sub(u32::try_from(fault.value()).unwrap_or(u32::MAX));
            Some(())
        }
        Kind::CounterHuge => {
            data.counter = u32::MAX;
            Some(())
        }
        Kind::AuthenticatorDataTrailingBytes => {
            data.extensions.get_or_insert_default().push(0);
            Some(())
        }
        Kind::ExtensionMissing => {
            data.extensions.take()?;
            data.flags.0 &= !Flags::ED.0;
            Some(())
        }
        Kind::ExtensionWrong => {
            let changed =
                outputs(data.extensions.as_deref()?, |name, value| (!is_secret(name, value)).then(|| wrong(value))?)?;
            data.extensions = Some(changed);
            Some(())
        }
        Kind::HmacSecretWrong => {
            let changed =
                outputs(data.extensions.as_deref()?, |name, value| is_secret(name, value).then(|| wrong(value))?)?;
            data.extensions = Some(changed);
            Some(())
        }
        Kind::ExtensionUnasked => {
            data.extensions = Some(unasked(data.extensions.as_deref())?);
            data.flags.0 |= Flags::ED.0;
            Some(())
        }
        _ => None,
    }
}

/// What a login would say that has not counted. Of a registration nothing: nobody compares its counter with anything. Nor of a credential
/// without a counter, and not 0, which would say that it has none.
fn said_last(data: &AuthenticatorData, last: u32) -> Option<u32> {
    let before = data.counter.checked_sub(1)?.min(last);
    (data.attested_credential_data.is_none() && before > 0).then_some(before)
}

fn flag(data: &mut AuthenticatorData, flag: Flags, set: bool) -> Option<()> {
    (data.flags.contains(flag) != set).then(|| data.flags.0 ^= flag.0)
}

/// Whether an output is one of hmac-secret's, encrypted, so that nobody sees whether it is right.
fn is_secret(name: &str, value: Item<'_>) -> bool {
    matches!(name, "hmac-secret" | "hmac-secret-mc") && value.bytes().is_ok()
}

/// A map of outputs, in which the first that `change` has another value for has that.
fn outputs(map: &[u8], change: impl Fn(&str, Item<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut writer = Writer::new();
    let entries: Vec<_> = Item::parse(map).ok()?.map().ok()?.collect();
    writer.head(5, u64::try_from(entries.len()).ok()?);
    for (key, value) in entries {
        let other = if changed { None } else { key.text().ok().and_then(|name| change(name, value)) };
        changed |= other.is_some();
        writer.raw(key.encoded()).raw(other.as_deref().unwrap_or(value.encoded()));
    }
    changed.then(|| writer.finish())
}

/// Another value of the same type.
fn wrong(value: Item<'_>) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    if let Ok(truth) = value.boolean() {
        writer.boolean(!truth);
    } else if let Ok(number) = value.unsigned() {
        // Of credProtect another level, of the three that there are (CTAP 2.3 §12.1).
        writer.unsigned(number % 3 + 1);
    } else {
        let mut bytes = value.bytes().ok()?.to_vec();
        // In the last block that is encrypted, so that what is decrypted is another.
        flip_last(&mut bytes)?;
        writer.bytes(&bytes);
    }
    Some(writer.finish())
}

/// Outputs with one more, of an extension that nobody has.
fn unasked(outputs: Option<&[u8]>) -> Option<Vec<u8>> {
    const NAME: &str = "keyrig-unasked-for";
    let entries: Vec<_> = match outputs {
        Some(outputs) => Item::parse(outputs).ok()?.map().ok()?.collect(),
        None => Vec::new(),
    };
    let mut key = Writer::new();
    key.text(NAME);
    let key = key.finish();
    let is_before = |other: Item<'_>| (other.encoded().len(), other.encoded()) < (key.len(), &key[..]);
    if entries.iter().any(|(other, _)| other.encoded() == key) {
        return None;
    }
    let (before, behind): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(other, _)| is_before(*other));
    let mut writer = Writer::new();
    writer.head(5, u64::try_from(before.len() + 1 + behind.len()).ok()?);
    let write = |writer: &mut Writer, entries: Vec<(Item<'_>, Item<'_>)>| {
        for (key, value) in entries {
            writer.raw(key.encoded()).raw(value.encoded());
        }
    };
    write(&mut writer, before);
    writer.text(NAME).boolean(true);
    write(&mut writer, behind);
    Some(writer.finish())
}

fn asserted(fault: &Fault, response: &mut get_assertion::Response) -> Option<()> {
    match fault.kind() {
        Kind::BadSignature => flip_last(&mut response.signature),
        Kind::OtherCredentialId => flip_first(&mut response.credential.as_mut()?.id),
        Kind::OtherUserHandle => flip_first(&mut response.user.as_mut()?.id),
        _ => None,
    }
}

fn u2f_registration(fault: &Fault, registration: &mut U2fRegistration) -> Option<()> {
    match fault.kind() {
        Kind::WrongRpIdHash => flip_first(&mut registration.application),
        Kind::OtherCredentialId => flip_first(&mut registration.key_handle),
        Kind::PublicKeyOffCurve => flip_last(&mut registration.public_key),
        _ => None,
    }
}
