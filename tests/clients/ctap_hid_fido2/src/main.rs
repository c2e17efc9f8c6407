//! Drives the crate `ctap-hid-fido2` against the first of the keys that it finds by hidapi, and says each step that was right.

use std::error::Error;

use ctap_hid_fido2::fidokey::{GetAssertionArgsBuilder, MakeCredentialArgsBuilder};
use ctap_hid_fido2::verifier::{create_challenge, verify_assertion, verify_attestation};
use ctap_hid_fido2::{Cfg, FidoKeyHidFactory, get_fidokey_devices};

const RP_ID: &str = "example.com";
const PIN: &str = "123456";

fn main() -> Result<(), Box<dyn Error>> {
    let found = get_fidokey_devices();
    for device in &found {
        println!("found {:04x}:{:04x}", device.vid, device.pid);
    }
    let first = found.first().ok_or("no key was found")?;
    // It would say each time that a touch is wanted.
    let settings = Cfg { enable_keep_alive_msg: false, ..Cfg::init() };
    let key = FidoKeyHidFactory::create_by_params(std::slice::from_ref(&first.param), &settings)?;
    for pin in [None, Some(PIN)] {
        if let Some(pin) = pin {
            key.set_new_pin(pin)?;
            println!("ok set a PIN");
        }
        let challenge = create_challenge();
        let wanted = MakeCredentialArgsBuilder::new(RP_ID, &challenge);
        let wanted = match pin {
            Some(pin) => wanted.pin(pin),
            None => wanted.without_pin_and_uv(),
        };
        let made = verify_attestation(RP_ID, &challenge, &key.make_credential_with_args(&wanted.build())?);
        if !made.is_success {
            return Err("the attestation is wrong".into());
        }
        println!("ok register");
        let challenge = create_challenge();
        let wanted = GetAssertionArgsBuilder::new(RP_ID, &challenge).credential_id(&made.credential_id);
        let wanted = match pin {
            Some(pin) => wanted.pin(pin),
            None => wanted.without_pin_and_uv(),
        };
        let used = key.get_assertion_with_args(&wanted.build())?;
        let assertion = used.first().ok_or("no assertion")?;
        if !verify_assertion(RP_ID, &made.credential_public_key, &challenge, assertion) {
            return Err("the assertion is wrong".into());
        }
        println!("ok sign");
    }
    Ok(())
}
