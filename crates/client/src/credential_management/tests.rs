use keyrig_ctap::Response as Answer;

use super::*;
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::testing::*;

fn token() -> PinUvAuthToken {
    PinUvAuthToken::new(PinUvAuthProtocol::Two, zeroize::Zeroizing::new(TOKEN.to_vec()))
}

fn managed(
    option: &str,
    mut script: impl FnMut(&Request) -> Result<Response, Status> + Send + 'static,
) -> Key<Scripted> {
    let mut info = info();
    info.options.push((option.to_owned(), true));
    let preview = option != "credMgmt";
    key("A", info, move |request| {
        let request = match request {
            Message::CredentialManagement(request) if !preview => request,
            Message::CredentialManagementPreview(request) if preview => request,
            other => panic!("it was asked {other:?}"),
        };
        Reply::Now(match script(request) {
            Ok(response) => ok(Answer::CredentialManagement(Box::new(response))),
            Err(refused) => status(refused),
        })
    })
    .0
}

fn site(id: &str, total: Option<u64>) -> Response {
    Response {
        relying_party: Some(RelyingParty { id: id.to_owned(), name: None }),
        rp_id_hash: Some([id.as_bytes()[0]; 32]),
        total_rps: total,
        ..Response::default()
    }
}

fn stored(id: u8, total: Option<u64>) -> Response {
    Response {
        user: Some(User { id: vec![id], name: Some("root@pam".to_owned()), display_name: None }),
        credential_id: Some(CredentialDescriptor::public_key(vec![id; 4])),
        public_key: None,
        total_credentials: total,
        credential_protection: Some(CredentialProtection::UserVerificationRequired),
        ..Response::default()
    }
}

/// Two relying parties, of which one has two credentials: in CTAP 2.3 §6.8.3's and §6.8.4's order, and by its prototype.
#[tokio::test]
async fn all_credentials_are_listed() {
    for option in ["credMgmt", "credentialMgmtPreview"] {
        let mut key = managed(option, |request| {
            let hash = request.parameters().rp_id_hash.map(|hash| hash[0]);
            let authenticated = request.pin_uv_auth.param.is_some();
            let next = matches!(
                request.subcommand(),
                Subcommand::EnumerateRpsGetNextRp | Subcommand::EnumerateCredentialsGetNextCredential
            );
            assert_eq!(authenticated, !next, "what continues takes no token");
            match (request.subcommand(), hash) {
                (Subcommand::GetCredsMetadata, None) => Ok(Response {
                    existing_resident_credentials_count: Some(3),
                    max_possible_remaining_resident_credentials_count: Some(22),
                    ..Response::default()
                }),
                (Subcommand::EnumerateRpsBegin, None) => Ok(site("a.example", Some(2))),
                (Subcommand::EnumerateRpsGetNextRp, None) => Ok(site("b.example", None)),
                (Subcommand::EnumerateCredentialsBegin, Some(b'a')) => Ok(stored(1, Some(2))),
                (Subcommand::EnumerateCredentialsGetNextCredential, None) => Ok(stored(2, None)),
                (Subcommand::EnumerateCredentialsBegin, Some(b'b')) => Ok(stored(3, Some(1))),
                other => panic!("{other:?}"),
            }
        });
        let never = Cancel::never();
        let counts = key.credential_counts(&token(), &never).await.unwrap();
        assert_eq!(counts, CredentialCounts { existing: 3, remaining: 22 });
        let list = key.credentials(&token(), &never).await.unwrap();
        let seen: Vec<_> = list
            .iter()
            .map(|listed| {
                let ids = listed.credentials.iter().map(|credential| credential.credential_id[0]).collect::<Vec<_>>();
                (listed.relying_party.id.as_str(), ids)
            })
            .collect();
        assert_eq!(seen, [("a.example", vec![1, 2]), ("b.example", vec![3])]);
        let protection = list[1].credentials[0].protection;
        assert_eq!(protection, Some(CredentialProtection::UserVerificationRequired));
    }
}

/// CTAP 2.3 §6.8.2 and §6.8.5: the messages by hand, and what authenticates them.
#[tokio::test]
async fn messages_and_what_authenticates_them_are_the_specifications() {
    let mut key = managed("credMgmt", |_| Err(Status::NoCredentials));
    let never = Cancel::never();
    assert_eq!(key.credentials(&token(), &never).await, Ok(Vec::new()), "none is not a failure");
    let gone = Cause::Status { command: Command::CredentialManagement, status: Status::NoCredentials };
    assert_eq!(key.delete_credential(&[1, 2], &token(), &never).await, Err(gone.clone()));
    let user = User { id: vec![9], name: Some("n".to_owned()), display_name: None };
    assert_eq!(key.update_user(&[1, 2], user, &token(), &never).await, Err(gone));
    let sent: Vec<_> = key
        .exchanges()
        .iter()
        .filter(|exchange| exchange.command() == Some(Command::CredentialManagement))
        .map(|exchange| hex::encode(&exchange.request))
        .collect();
    let signed = |message: &str| hex::encode(PinUvAuthProtocol::Two.authenticate(&TOKEN, &unhex(message)));
    let credential = "a2626964420102647479706 56a7075626c69632d6b6579".replace(' ', "");
    let deleted = format!("a102{credential}");
    let updated = format!("a202{credential}03a26269644109646e616d65616e");
    assert_eq!(
        sent,
        [
            format!("0aa301020302045820{}", signed("02")),
            format!("0aa4010602{deleted}0302045820{}", signed(&format!("06{deleted}"))),
            format!("0aa4010702{updated}0302045820{}", signed(&format!("07{updated}"))),
        ]
    );
}

#[tokio::test]
async fn answers_that_no_key_should_give() {
    let never = Cancel::never();
    let missing =
        |name| Cause::InvalidResponse { command: Command::CredentialManagement, error: InvalidResponse::Missing(name) };
    let mut silent = managed("credMgmt", |_| Ok(Response::default()));
    assert_eq!(silent.credentials(&token(), &never).await, Err(missing("totalRPs")));
    assert_eq!(silent.credential_counts(&token(), &never).await, Err(missing("existingResidentCredentialsCount")));
    let mut nameless = managed("credMgmt", |_| Ok(Response { total_rps: Some(u64::MAX), ..Response::default() }));
    assert_eq!(nameless.credentials(&token(), &never).await, Err(missing("rp")));
    let (mut without, _) = key("A", info(), |request| panic!("it was asked {request:?}"));
    assert_eq!(without.credentials(&token(), &never).await, Err(Unsuitable::CredentialManagement.into()));
}
