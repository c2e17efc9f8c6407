//! The questions, in their order: those that nobody has to touch the key for come first.

use keyrig_client::Info;
use keyrig_client::channel::ChannelError;
use keyrig_client::ctap_hid::ReportPipe;
use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::client_pin::{Request as PinRequest, Subcommand};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, RelyingParty, User};
use keyrig_ctap::u2f::{self, Encoding};
use keyrig_ctap::{Request, Status, get_assertion, make_credential, parse_response};

use super::CannotRecord;
use super::ask::{Answered, Asking, KEY};
use super::form::{Answer, Including, Question, hexadecimal};
use crate::hardware::person::Ask;

/// A site that is none (RFC 2606 §2).
const SITE: &str = "keyrig.invalid";

/// What is signed for it: nothing.
const HASH: [u8; 32] = [0; 32];

/// The length of the id of no credential, bytes: that of many keys.
const ID_OF_NONE: usize = 64;

/// A byte of no command (CTAP 2.3 §6).
const NO_COMMAND: u8 = 0x3E;

/// Asks them all.
pub(super) async fn ask_all<P: ReportPipe>(
    asking: &mut Asking<'_, P>,
    info: Option<&Info>,
    including: Including,
    left_out: &mut Vec<String>,
    answers: &mut Vec<Answer>,
) -> Result<(), CannotRecord> {
    let touch = Ask::Touch { key: KEY.to_owned() };
    if let Some(info) = info {
        for question in [
            Question::NoCredentialSilently,
            Question::OptionRk,
            Question::NextAssertionOfNone,
            Question::UnknownCommand,
            Question::PinRetries,
            Question::NoCredential,
            Question::NoCredentialOfList,
        ] {
            asking.person.tell(told(question));
            let message = message(question, info, None);
            let answered = asking.transact(&message, Some(&touch)).await?;
            answers.push(answer(question, &message, &answered));
        }
        credentials(asking, info, including, left_out, answers).await?;
    }
    let has_u2f = info.is_none_or(|info| info.versions.iter().any(|version| version == u2f::VERSION));
    if has_u2f {
        asking.person.tell(told(Question::U2fRegistration));
        let apdu = u2f::Request::Register { challenge: HASH, application: HASH }.encode(Encoding::Extended);
        let answered = match asking.transact_u2f(&apdu).await {
            // A key that says U2F_V2 and does not take it.
            Err(ChannelError::Refused(_)) => return Ok(()),
            answered => answered?,
        };
        answers.push(u2f_answer(&apdu, &answered));
    }
    Ok(())
}

/// Credentials that are stored nowhere, and what comes of nobody's touch.
async fn credentials<P: ReportPipe>(
    asking: &mut Asking<'_, P>,
    info: &Info,
    including: Including,
    left_out: &mut Vec<String>,
    answers: &mut Vec<Answer>,
) -> Result<(), CannotRecord> {
    let touch = Ask::Touch { key: KEY.to_owned() };
    asking.person.tell(told(Question::Credential));
    let asked = message(Question::Credential, info, None);
    let answered = asking.transact(&asked, Some(&touch)).await?;
    let made = parse_response(&answered.response).ok().and_then(|made| make_credential::Response::decode(made).ok());
    let data = made.as_ref().and_then(|made| AuthenticatorData::decode(&made.authenticator_data).ok());
    let id = data.and_then(|data| data.attested_credential_data).map(|credential| credential.credential_id);
    let mut first = answer(Question::Credential, &asked, &answered);
    first.id_length = id.as_ref().map(Vec::len);
    if made.is_some() {
        if including.certificates {
            first.answered = answered.response.get(1..).map(hexadecimal);
        } else {
            left_out.push("attestation certificates".to_owned());
        }
    }
    answers.push(first);
    // Without a credential, what is excluded is nothing, and a PIN would be asked for where a touch is not.
    let Some(id) = id else { return Ok(()) };
    for (question, ask) in
        [(Question::Excluded, &touch), (Question::TouchTimeout, &Ask::LeaveAlone { key: KEY.to_owned() })]
    {
        if question == Question::TouchTimeout && !including.touch_timeout {
            continue;
        }
        asking.person.tell(told(question));
        let message = message(question, info, Some(&id));
        let answered = asking.transact(&message, Some(ask)).await?;
        // Whose credential it is, is nobody's business.
        let told = self::message(question, info, Some(&vec![0; id.len()]));
        answers.push(answer(question, &told, &answered));
    }
    Ok(())
}

/// What a person is told of a question before it is asked.
fn told(question: Question) -> &'static str {
    match question {
        Question::NoCredentialSilently => "a login at a site that it does not know, without a touch",
        Question::OptionRk => "the same with an option that logins do not have",
        Question::NextAssertionOfNone => "the next account of no login",
        Question::UnknownCommand => "a command that there is not",
        Question::PinRetries => "how many tries its PIN has",
        Question::NoCredential => "a login at a site that it does not know: if it blinks, touch it",
        Question::NoCredentialOfList => "a login with a credential that is none: if it blinks, touch it",
        Question::Credential => "a credential that is stored nowhere: touch it when it blinks",
        Question::Excluded => "the same again, where that credential is excluded: if it blinks, touch it",
        Question::U2fRegistration => "a registration over U2F, which stores nothing: touch it when it blinks",
        Question::TouchTimeout => "a credential that nobody touches it for: leave it alone until it gives up",
    }
}

fn message(question: Question, info: &Info, id: Option<&[u8]>) -> Vec<u8> {
    let login = |allow_list, options| {
        let request = get_assertion::Request {
            relying_party_id: SITE.to_owned(),
            client_data_hash: HASH,
            allow_list,
            extensions: None,
            options,
            pin_uv_auth: Default::default(),
        };
        Request::GetAssertion(request).encode()
    };
    let silent = Options { up: Some(false), ..Options::default() };
    match question {
        Question::NoCredentialSilently => login(Vec::new(), silent),
        Question::OptionRk => login(Vec::new(), Options { rk: Some(true), ..silent }),
        Question::NextAssertionOfNone => Request::GetNextAssertion.encode(),
        Question::UnknownCommand => vec![NO_COMMAND],
        Question::PinRetries => {
            let protocol = info.pin_uv_auth_protocols.first().copied();
            let request = PinRequest { pin_uv_auth_protocol: protocol, ..PinRequest::new(Subcommand::GetPinRetries) };
            Request::ClientPin(request).encode()
        }
        Question::NoCredential => login(Vec::new(), Options::default()),
        Question::NoCredentialOfList => {
            login(vec![CredentialDescriptor::public_key(vec![0xA5; ID_OF_NONE])], Options::default())
        }
        Question::Credential | Question::Excluded | Question::TouchTimeout | Question::U2fRegistration => {
            let excluded = id.filter(|_| question == Question::Excluded);
            credential(info, excluded)
        }
    }
}

fn credential(info: &Info, excluded: Option<&[u8]>) -> Vec<u8> {
    let algorithm = info.algorithms.first().map_or(Algorithm::Es256.identifier(), |parameters| parameters.algorithm);
    let request = make_credential::Request {
        client_data_hash: HASH,
        relying_party: RelyingParty { id: SITE.to_owned(), name: Some("keyrig".to_owned()) },
        user: User { id: vec![1], name: Some("nobody".to_owned()), display_name: Some("Nobody".to_owned()) },
        parameters: vec![CredentialParameters::public_key(algorithm)],
        exclude_list: excluded.map(|id| CredentialDescriptor::public_key(id.to_vec())).into_iter().collect(),
        extensions: None,
        // Not discoverable: nothing is stored. A key whose credentials are all stored says so in its profile alone.
        options: Options::default(),
        pin_uv_auth: Default::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    };
    Request::MakeCredential(request).encode()
}

fn answer(question: Question, asked: &[u8], answered: &Answered) -> Answer {
    let code = answered.response.first().copied();
    let status = code.map_or_else(|| "(none)".to_owned(), |byte| Status::from(byte).to_string());
    // Of others nothing is of use, or it is left out.
    let tells = matches!(question, Question::PinRetries);
    Answer {
        question,
        asked: hexadecimal(asked),
        asked_for_touch_ms: answered.asked_for_touch_ms.map(rounded),
        status,
        status_code: code.map_or(u16::MAX, u16::from),
        ms: rounded(answered.ms),
        answered: answered.response.get(1..).filter(|rest| tells && !rest.is_empty()).map(hexadecimal),
        id_length: None,
    }
}

fn u2f_answer(asked: &[u8], answered: &Answered) -> Answer {
    let word = match u2f::parse_response(&answered.response) {
        Ok(_) => u2f::StatusWord::NoError,
        Err(word) => word,
    };
    let registration = u2f::parse_response(&answered.response).ok();
    let registration = registration.and_then(|data| u2f::Registration::decode(data).ok());
    Answer {
        question: Question::U2fRegistration,
        asked: hexadecimal(asked),
        asked_for_touch_ms: answered.asked_for_touch_ms.map(rounded),
        status: word.to_string(),
        status_code: word.into(),
        ms: rounded(answered.ms),
        answered: None,
        id_length: registration.map(|registration| registration.key_handle.len()),
    }
}

/// To a tenth of a millisecond: more is noise.
fn rounded(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked must be harmless: no question stores, changes or tries anything (CTAP 2.3 §6.1.2, §6.5.5, §6.6).
    #[test]
    fn no_question_stores_changes_or_tries_anything() {
        let info = Info::default();
        let all = [
            Question::NoCredentialSilently,
            Question::OptionRk,
            Question::NextAssertionOfNone,
            Question::PinRetries,
            Question::NoCredential,
            Question::NoCredentialOfList,
            Question::Credential,
            Question::Excluded,
            Question::TouchTimeout,
        ];
        for question in all {
            match Request::decode(&message(question, &info, Some(&[1; 16]))).unwrap() {
                Request::MakeCredential(request) => assert_eq!(request.options.rk, None, "{question:?}"),
                Request::GetAssertion(_) | Request::GetNextAssertion => {}
                Request::ClientPin(request) => assert_eq!(request.subcommand, Subcommand::GetPinRetries),
                other => panic!("{question:?}: {other:?}"),
            }
        }
        assert_eq!(Request::decode(&[NO_COMMAND]), Err(Status::InvalidCommand));
    }
}
