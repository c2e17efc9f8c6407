//! Everything random follows from a seed: the keys', the client's and the relying party's. The same scenario sends the same
//! bytes again, PINs and sessions among them.

#![cfg(test)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrig_client::channel::Cancel;
use keyrig_client::{Client, Key, Pin, randomness};
use keyrig_rack::{KeySpecification, Options as RackOptions, Rack};
use keyrig_relying_party::{
    By, Clock, DangerSeeded, Options, PasswordCost, PasswordHash, RelyingParty, Role, Settings, Store, serve,
};
use keyrig_scenario::site::{Answer, PasswordStep, Site};
use keyrig_ways::InProcess;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

const USER: &str = "root@pam";
const PASSWORD: &str = "correct horse battery staple";

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
    }
}

fn accepted<T>(answer: Answer<T>) -> T {
    answer.unwrap().unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

/// A key gets a PIN, is registered, and logs in; recovery keys and TOTP are made. All that the client sends to the key, and
/// all that the relying party answers.
async fn transcript(seed: u8, listener: &std::net::TcpListener) -> Vec<String> {
    let address = listener.local_addr().unwrap();
    let origin = format!("http://localhost:{}", address.port());
    let specification = KeySpecification::built_in("keyrig", "key").unwrap();
    let options = RackOptions { seed: Some(seed.into()), ..RackOptions::default() };
    let rack = Rack::start(options, vec![specification]).await.unwrap();
    let channel = InProcess(rack.key(&"key".parse().unwrap()).unwrap());
    let key = Key::new("key", channel).with_randomness(Arc::new(randomness::DangerSeeded::new([seed; 32])));
    let mut keys = [key];

    let random = Arc::new(DangerSeeded::new([seed; 32]));
    let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &*random).unwrap();
    let store = Store::in_memory().unwrap().with_randomness(random);
    store.add_user(&USER.parse().unwrap(), Role::User, &hash, &By::command_line(StoppedClock.now())).unwrap();
    let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store) };
    let relying_party = RelyingParty::new(Ok(Settings::new("localhost", &origin)), options, Arc::new(StoppedClock));
    let listener = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let server = serve(listener, Arc::new(relying_party)).unwrap();

    let mut transcript = Vec::new();
    let client = Client::new(origin.parse().unwrap()).with_pin(Pin::new("1234"));
    keys[0].set_pin(&Pin::new("1234"), &Cancel::never()).await.unwrap();
    let sent = |keys: &[Key<InProcess>], transcript: &mut Vec<String>| {
        transcript.extend(keys[0].exchanges().iter().map(|exchange| hex::encode(&exchange.request)));
    };
    sent(&keys, &mut transcript);
    let mut site = Site::new(&origin, "localhost", address).unwrap();
    assert!(matches!(accepted(site.log_in(USER, PASSWORD).await), PasswordStep::LoggedIn));
    accepted(site.confirm(PASSWORD).await);
    let begun = accepted(site.begin_registration(false).await);
    let made = client.create(&begun.options, &mut keys, Cancel::never()).await.unwrap();
    sent(&keys, &mut transcript);
    let made = serde_json::from_str(&made.to_json()).unwrap();
    transcript.push(accepted(site.finish_registration(&begun.challenge, "key", &made).await).to_string());
    for (path, body) in
        [("/api/factors/totp/begin", json!({})), ("/api/factors/recovery", json!({ "description": "paper" }))]
    {
        transcript.push(accepted(site.request(Method::POST, path, Some(&body)).await).to_string());
    }
    let mut browser = site.another_browser();
    let PasswordStep::SecondFactor(offered) = accepted(browser.log_in(USER, PASSWORD).await) else {
        panic!("the key is asked for");
    };
    let begun = offered.webauthn.unwrap();
    let signed = client.get(&begun.options, &mut keys, Cancel::never()).await.unwrap();
    sent(&keys, &mut transcript);
    let signed = serde_json::from_str(&signed.to_json()).unwrap();
    transcript.push(accepted(browser.finish_login_by_key(&offered.login, &begun.challenge, &signed).await).to_string());
    server.shutdown().await.unwrap();
    transcript
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    // The port is part of the origin, which is signed.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let first = transcript(7, &listener).await;
    assert!(first.len() > 10, "{first:#?}");
    assert_eq!(transcript(7, &listener).await, first);
    let other = transcript(8, &listener).await;
    // Only what has nothing random in it is the same: getInfo, and clientPin's getPINRetries and getKeyAgreement.
    let same = first.iter().zip(&other).filter(|(one, other)| one == other);
    for (request, _) in same {
        assert!(["04", "06a10201", "06a201020202"].contains(&request.as_str()), "{request}");
    }
}
