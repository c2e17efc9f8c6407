//! Programs that use libfido2, with a key at a datagram endpoint: libfido2's own tools, OpenSSH, PAM's module.
//!
//! Every case is a script; what it checks, it checks with the tools themselves.

#![cfg(test)]

use keyrig_tests::judge::Output;
use keyrig_tests::program_case;

const TOOLS: [&str; 3] = ["/usr/bin/fido2-token", "/usr/bin/fido2-cred", "/usr/bin/fido2-assert"];

async fn run(needs: &[&str], script: &str) -> Option<Output> {
    program_case::run(env!("CARGO_BIN_EXE_terminal"), needs, script).await
}

async fn tools(script: &str) {
    run(&TOOLS, script).await;
}

#[tokio::test]
async fn fido2_token_lists_a_key_and_shows_what_it_is() {
    let Some(output) = run(&TOOLS, "serve_a keyrig; fido2-token -L; fido2-token -I $node; stop").await else { return };
    let text = output.stdout;
    assert!(text.starts_with("key: "), "{text}");
    assert!(text.contains("\naaguid: 6b657972696740008000000000000001\n"), "{text}");
}

#[tokio::test]
async fn over_udp_too() {
    tools(
        "serve_a keyrig
        KEYRIG_CTAPHID=$udp
        make_credential $node es256 c
        assert $node es256 c
        stop",
    )
    .await;
}

#[tokio::test]
async fn fido2_token_sets_and_changes_a_pin() {
    tools("serve_a keyrig; pin_case; stop").await;
}

#[tokio::test]
async fn fido2_cred_and_assert_with_a_pin() {
    for algorithm in ["es256", "eddsa", "es384"] {
        tools(&format!(
            "serve_a keyrig
            set_pin 123456
            credential_request >request
            with_pin 123456 fido2-cred -M -v -i request -o credential $node {algorithm}
            fido2-cred -V -v -i credential -o verified {algorithm}
            head -n 1 verified >c.id
            tail -n +2 verified >c.pem
            {{ random 32; echo example.com; cat c.id; }} >challenge
            with_pin 123456 fido2-assert -G -v -i challenge -o assertion $node
            fido2-assert -V -p -v -i assertion c.pem {algorithm}
            # Without the PIN the user is not verified, and the tool notices.
            fido2-assert -G -i challenge -o assertion $node
            fido2-assert -V -p -i assertion c.pem {algorithm}
            refused FIDO_ERR_INVALID_PARAM fido2-assert -V -v -i assertion c.pem {algorithm}
            stop"
        ))
        .await;
    }
}

#[tokio::test]
async fn fido2_cred_and_assert_discoverable() {
    tools(
        "serve_a keyrig
        set_pin 123456
        credential_request >request
        with_pin 123456 fido2-cred -M -r -i request -o credential $node
        fido2-cred -V -i credential -o verified
        tail -n +2 verified >c.pem
        { random 32; echo example.com; } >challenge
        with_pin 123456 fido2-assert -G -r -v -i challenge -o assertion $node
        fido2-assert -V -p -v -i assertion c.pem
        # The fifth line is the user handle, as it was given.
        test \"$(sed -n 5p assertion)\" = \"$(sed -n 4p request)\" || fail 'another user handle'
        stop",
    )
    .await;
}

#[tokio::test]
async fn fido2_token_resets_a_key_that_has_just_got_power() {
    tools(
        "serve_a keyrig
        set_pin 123456
        key power-cycle a
        fido2-token -R $node
        fido2-token -I $node | grep -q '^pin retries: undefined$' || fail 'the PIN is still there'
        stop",
    )
    .await;
}

async fn openssh(script: &str) {
    run(&["/usr/bin/ssh-keygen", "/usr/lib/openssh/ssh-sk-helper"], script).await;
}

#[tokio::test]
async fn ssh_keygen_signs_and_verifies() {
    for key_type in ["ed25519-sk", "ecdsa-sk"] {
        openssh(&format!("serve_a keyrig; ssh-keygen -q -t {key_type} -N '' -f id; ssh_sign_and_verify id; stop"))
            .await;
    }
}

#[tokio::test]
async fn pam_u2f_lets_in_who_has_the_key() {
    run(
        &["/usr/bin/pamu2fcfg", "/usr/bin/pamtester", "/usr/share/doc/libpam-wrapper"],
        "serve_a keyrig
        mkdir pam.d
        pam_service >pam.d/keyrig-test
        echo 'auth required pam_deny.so' >pam.d/other
        # The module is opened without lending its libraries to others: the preloaded one needs libfido2 by itself.
        pam_case env PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=$work/pam.d \"LD_PRELOAD=libpam_wrapper.so $LD_PRELOAD libfido2.so.1\"
        stop",
    )
    .await;
}
