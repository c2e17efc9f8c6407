//! Ceremonies of the client here, noted as those of pages are: what a client refuses by itself no key hears of, and who looks at what keys
//! heard is to be told that too.

use core::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use keyrig_client::{ClientError, Origin};
use keyrig_faults::transcript::{Began, Ceremony, Ended, Exception, Note, Options, Recorder, of_client};
use serde_json::{Map, Value};

use crate::service::Service;

/// Counts them.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A ceremony that is under way. One that is dropped was given up.
pub(crate) struct Noted<'a> {
    recorder: Option<&'a Recorder>,
    id: String,
    is_over: bool,
}

impl<'a> Noted<'a> {
    /// Of a page at this origin, in frames of those.
    pub(crate) fn begin(
        service: &'a Service,
        ceremony: Ceremony,
        (origin, ancestors): (&Origin, &[Origin]),
        options: &Map<String, Value>,
    ) -> Self {
        let recorder = service.rack.at_seams::<Recorder>();
        let id = of_client(NUMBER.fetch_add(1, Ordering::Relaxed));
        if let Some(recorder) = recorder {
            recorder.observe(Note::Began(Box::new(Began {
                id: id.clone(),
                at_unix_ms: now(),
                ceremony,
                origin: origin.to_string(),
                top: ancestors.is_empty(),
                ancestors: Some(ancestors.iter().map(ToString::to_string).collect()),
                user_agent: None,
                options: asked(ceremony, options),
            })));
        }
        Self { recorder, id, is_over: false }
    }

    /// What it came to.
    pub(crate) fn end(mut self, credential: &Result<String, ClientError>) {
        self.is_over = true;
        let exception = credential.as_ref().err().map(|error| Exception {
            name: error.name.to_string(),
            // A browser keeps that to itself.
            message: error.reason.to_string(),
        });
        self.note(credential.as_ref().ok().map(String::as_str), exception);
    }

    fn note(&self, credential: Option<&str>, exception: Option<Exception>) {
        let Some(recorder) = self.recorder else { return };
        let credential = credential.and_then(|json| serde_json::from_str::<Value>(json).ok());
        let member = |pointer: &str| credential.as_ref()?.pointer(pointer)?.as_str().map(str::to_owned);
        recorder.observe(Note::Ended(Box::new(Ended {
            id: self.id.clone(),
            at_unix_ms: now(),
            credential: member("/id"),
            client_data_json: member("/response/clientDataJSON"),
            exception,
        })));
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let message = "whoever asked has gone".to_owned();
            self.note(None, Some(Exception { name: "AbortError".to_owned(), message }));
        }
    }
}

/// What of the options a note has, as far as it is what it should be.
fn asked(ceremony: Ceremony, options: &Map<String, Value>) -> Options {
    let public_key = options.get("publicKey").and_then(Value::as_object).unwrap_or(options);
    let rp_id = match ceremony {
        Ceremony::Create => public_key.get("rp").and_then(|rp| rp.get("id")),
        Ceremony::Get => public_key.get("rpId"),
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let selection = |name: &str| public_key.get("authenticatorSelection").and_then(|selection| selection.get(name));
    Options {
        rp_id: text(rp_id),
        challenge: text(public_key.get("challenge")),
        timeout_ms: public_key.get("timeout").and_then(Value::as_f64),
        user_verification: text(match ceremony {
            Ceremony::Create => selection("userVerification"),
            Ceremony::Get => public_key.get("userVerification"),
        }),
        resident_key: text(selection("residentKey")),
        attachment: text(selection("authenticatorAttachment")),
        attestation: text(public_key.get("attestation")),
        mediation: text(options.get("mediation")),
        ..Options::default()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
