//! A password takes its time to be compared, and may be replaced meanwhile.

use super::*;
use crate::password::{PasswordCost, PasswordHash};
use crate::store::Store;
use crate::users::Role;
use crate::{Options, Settings, SystemClock, SystemRandomness};

#[tokio::test]
async fn a_password_that_is_replaced_while_it_is_compared_lets_nobody_in() {
    let store = Arc::new(Store::in_memory().unwrap());
    let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store.clone()) };
    let settings = Ok(Settings::new("localhost", "http://localhost:8006"));
    let relying_party = Arc::new(RelyingParty::new(settings, options, Arc::new(SystemClock)));
    let (name, now) = ("alice@pve".parse::<UserName>().unwrap(), SystemTime::now());
    let hash = |password| PasswordHash::new(password, PasswordCost::DangerNone, &SystemRandomness).unwrap();
    store.add_user(&name, Role::User, &hash("correct horse"), &By::command_line(now)).unwrap();
    let given = async || {
        let password = Zeroizing::new("correct horse".to_owned());
        relying_party.compare_password(&Asker::default(), name.clone(), password).await.unwrap()
    };
    let settle = |given: &GivenPassword| {
        store
            .write(|transaction| relying_party.settle_password(transaction, given, Occasion { now, address: None }))
            .unwrap()
    };
    assert!(matches!(settle(&given().await), Ok(Step::Session(_))));
    let compared = given().await;
    store.set_password(&name, &hash("another password"), &By::command_line(now)).unwrap();
    assert!(matches!(settle(&compared), Err(Refusal::AuthenticationFailed { .. })));
    let detail = &store.events(&Default::default()).unwrap()[0].detail;
    assert_eq!(detail, "another password was set while this one was being checked");
    // The same password again is a new one all the same: its hash is another.
    let compared = given().await;
    store.set_password(&name, &hash("correct horse"), &By::command_line(now)).unwrap();
    assert!(matches!(settle(&compared), Err(Refusal::AuthenticationFailed { .. })));
    assert!(matches!(settle(&given().await), Ok(Step::Session(_))));
}
