//! Two keys are registered, one is lost, the other logs in; a page on another origin gets nothing.
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rig = keyrig_test::Rig::start(["a=keyrig", "b=yubikey-5.7"]).await?;
    let page = rig.client("https://login.example.com")?;
    let mut ids: Vec<Value> = Vec::new();
    for key in ["a", "b"] {
        rig.touch_next(key).await?;
        let user = json!({"id": "AQ", "name": "root", "displayName": "Root"});
        let options = json!({"rp": {"id": "example.com", "name": "Example"}, "challenge": "q83vEjRWeJA", "user": user,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "excludeCredentials": ids});
        let made: Value = serde_json::from_str(&page.create(options).await?)?;
        ids.push(json!({"type": "public-key", "id": made.get("id")}));
    }
    let login = json!({"rpId": "example.com", "challenge": "q83vEjRWeJA", "allowCredentials": ids});
    rig.unplug("a").await?;
    let signed: Value = serde_json::from_str(&page.get(&login).await?)?;
    assert_eq!(signed.get("id"), ids.last().and_then(|of_b| of_b.get("id")));
    let phished = rig.client("https://example.net")?.get(&login).await.expect_err("a page from elsewhere");
    assert_eq!((phished.name.as_str(), phished.refused_by), ("SecurityError", keyrig_test::RefusedBy::Client));
    println!("a is lost, b logs in; from https://example.net: {phished}");
    Ok(())
}
