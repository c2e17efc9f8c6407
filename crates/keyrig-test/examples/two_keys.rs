//! Two keys are registered, one is lost, the other logs in; a page elsewhere gets nothing.
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rig = keyrig_test::Rig::start(["a=keyrig", "b=yubikey-5.7"]).await?;
    let page = rig.client("https://login.example.com")?;
    let mut ids: Vec<Value> = Vec::new();
    for key in ["a", "b"] {
        rig.touch_next(key).await?;
        let options = json!({"rp": {"id": "example.com", "name": "Site"}, "excludeCredentials": ids,
            "user": {"id": "AQ", "name": "root", "displayName": "Root"},
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "challenge": "q83vEg"});
        let made: Value = serde_json::from_str(&page.create(options).await?)?;
        ids.push(json!({"type": "public-key", "id": made.get("id")}));
    }
    let login = json!({"rpId": "example.com", "challenge": "q83vEg", "allowCredentials": ids});
    rig.unplug("a").await?;
    let signed: Value = serde_json::from_str(&page.get(&login).await?)?;
    assert_eq!(signed.get("id"), ids.last().and_then(|of_b| of_b.get("id")));
    let refused = rig.client("https://example.net")?.get(&login).await.expect_err("foreign");
    assert_eq!(refused.refused_by, keyrig_test::RefusedBy::Client);
    println!("a is lost, b logs in; from https://example.net: {refused}");
    Ok(())
}
