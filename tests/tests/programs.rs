//! Programs that nobody here wrote, under `keyrig exec`: libfido2's own tools, OpenSSH, PAM's module, systemd.
//!
//! Every case is a script; what it checks, it checks with the tools themselves.

#![cfg(test)]

use keyrig_tests::judge::Output;
use keyrig_tests::program_case;

const TOOLS: [&str; 3] = ["/usr/bin/fido2-token", "/usr/bin/fido2-cred", "/usr/bin/fido2-assert"];

async fn run(needs: &[&str], profile: &str, script: &str) -> Vec<Output> {
    program_case::run(env!("CARGO_BIN_EXE_terminal"), needs, profile, script).await
}

async fn tools(script: &str) {
    run(&TOOLS, "keyrig", script).await;
}

#[tokio::test]
async fn fido2_token_lists_a_key_and_shows_what_it_is() {
    for output in run(&TOOLS, "keyrig", "fido2-token -L; fido2-token -I $node").await {
        let keys = "/dev/hidraw0: vendor=0x1209, product=0x0001 (keyrig keyrig software security key)\n\
                    /dev/hidraw1: vendor=0x1050, product=0x0120 (Yubico Security Key by Yubico)\n";
        assert!(output.stdout.starts_with(keys), "{output}");
        assert!(output.stdout.contains("\naaguid: 6b657972696740008000000000000001\n"), "{output}");
    }
}

#[tokio::test]
async fn fido2_token_sets_and_changes_a_pin() {
    tools("pin_case").await;
}

#[tokio::test]
async fn fido2_cred_and_assert_with_a_pin() {
    for algorithm in ["es256", "eddsa", "es384"] {
        tools(&format!(
            "set_pin 123456
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
            refused FIDO_ERR_INVALID_PARAM fido2-assert -V -v -i assertion c.pem {algorithm}"
        ))
        .await;
    }
}

#[tokio::test]
async fn fido2_cred_and_assert_discoverable() {
    tools(
        "set_pin 123456
        credential_request >request
        with_pin 123456 fido2-cred -M -r -i request -o credential $node
        fido2-cred -V -i credential -o verified
        tail -n +2 verified >c.pem
        { random 32; echo example.com; } >challenge
        with_pin 123456 fido2-assert -G -r -v -i challenge -o assertion $node
        fido2-assert -V -p -v -i assertion c.pem
        # The fifth line is the user handle, as it was given.
        test \"$(sed -n 5p assertion)\" = \"$(sed -n 4p request)\" || fail 'another user handle'",
    )
    .await;
}

#[tokio::test]
async fn fido2_assert_derives_secrets() {
    tools(
        "set_pin 123456
        credential_request >request
        fido2-cred -M -h -i request -o credential $node
        fido2-cred -V -h -i credential -o verified
        head -n 1 verified >c.id
        tail -n +2 verified >c.pem
        # Leaves the secret of a salt in $secret: SALT [COMMAND...]
        derive() {
            salt=$1
            shift
            { random 32; echo example.com; cat c.id; echo $salt; } >challenge
            \"$@\" -i challenge -o assertion $node
            fido2-assert -V -h -p -i assertion c.pem
            secret=$(sed -n 5p assertion)
            test \"$(printf %s $secret | base64 -d | wc -c)\" = 32 || fail \"no secret: $(cat assertion)\"
        }
        one=$(random 32) other=$(random 32)
        derive $one fido2-assert -G -h
        first=$secret
        derive $one fido2-assert -G -h
        test $secret = $first || fail 'the same salt, another secret'
        derive $other fido2-assert -G -h
        test $secret != $first || fail 'another salt, the same secret'
        # CTAP 2.1 §12.5: with user verification it is another secret.
        derive $one with_pin 123456 fido2-assert -G -h -v
        test $secret != $first || fail 'the same secret with and without user verification'",
    )
    .await;
}

#[tokio::test]
async fn fido2_token_manages_credentials() {
    tools(
        "set_pin 123456
        for rp in example.com example.net; do
            credential_request $rp >request
            with_pin 123456 fido2-cred -M -r -i request -o credential $node eddsa
        done
        sed -n 5p credential >id
        with_pin 123456 fido2-token -I -c $node >metadata
        grep -q '^existing rk(s): 2' metadata || fail \"$(cat metadata)\"
        with_pin 123456 fido2-token -L -r $node >parties
        grep -q ' example.com' parties && grep -q ' example.net' parties || fail \"$(cat parties)\"
        with_pin 123456 fido2-token -L -k example.net $node >listed
        grep -qF \"$(cat id)\" listed && grep -q eddsa listed || fail \"$(cat listed)\"
        with_pin 123456 fido2-token -I -k example.net -i \"$(cat id)\" $node >shown
        grep -q 'BEGIN PUBLIC KEY' shown || fail \"$(cat shown)\"
        # No -S -c: libfido2 1.12 renames by the prototype's command, 0x41, which cannot.
        with_pin 123456 fido2-token -D -i \"$(cat id)\" $node
        with_pin 123456 fido2-token -L -r $node >parties
        grep -q ' example.com' parties && ! grep -q ' example.net' parties || fail \"$(cat parties)\"
        refused FIDO_ERR_NO_CREDENTIALS with_pin 123456 fido2-token -D -i \"$(cat id)\" $node",
    )
    .await;
}

#[tokio::test]
async fn fido2_token_stores_large_blobs() {
    tools(
        "set_pin 123456
        credential_request >request
        with_pin 123456 fido2-cred -M -r -b -i request -o credential $node
        head -c 3000 /dev/urandom >blob
        with_pin 123456 fido2-token -S -b -n example.com blob $node
        # Compressed, and as it was. Whose it is, libfido2 1.12 cannot say of any key: 1.13 can, say its NEWS.
        with_pin 123456 fido2-token -L -b $node >listed
        grep -q '^00: *30[0-9][0-9] 3000 ' listed || fail \"$(cat listed)\"
        with_pin 123456 fido2-token -G -b -n example.com got $node
        cmp blob got
        with_pin 123456 fido2-token -D -b -n example.com $node
        ! with_pin 123456 fido2-token -G -b -n example.com gone $node || fail 'the blob is still there'",
    )
    .await;
}

#[tokio::test]
async fn fido2_token_configures() {
    tools(
        "set_pin 123456
        with_pin 123456 fido2-token -S -u $node
        fido2-token -I $node | grep -q 'options: .*\\balwaysUv\\b' || fail 'alwaysUv is not on'
        with_pin 123456 fido2-token -D -u $node
        fido2-token -I $node | grep -q 'options: .*\\bnoalwaysUv\\b' || fail 'alwaysUv is not off'
        with_pin 123456 fido2-token -S -m example.com $node
        with_pin 123456 fido2-token -S -l 8 $node
        fido2-token -I $node >info
        grep -q '^minpinlen: 8$' info && grep -q '^pin change required: true$' info || fail \"$(cat info)\"
        refused FIDO_ERR_PIN_POLICY_VIOLATION change_pin 123456 1234567
        change_pin 123456 12345678
        with_pin 12345678 fido2-token -S -f $node
        fido2-token -I $node | grep -q '^pin change required: true$' || fail 'no change is required'",
    )
    .await;
}

/// A Bio from its box to the last finger removed. Each sample is a touch of the rack's.
#[tokio::test]
async fn fido2_token_enrols_names_and_removes_fingers() {
    let script = "set_pin 123456
        fido2-token -I $node >info
        grep -q 'options: .*\\bnobioEnroll\\b' info || fail \"$(cat info)\"
        refused FIDO_ERR_INVALID_OPTION with_pin 123456 fido2-token -L -e $node
        # What the sensor makes of samples, in libfido2's words for CTAP's numbers.
        \"$keyrig\" key uv-policy a script=too-fast,too-skewed,exists,merge-failure >/dev/null
        with_pin 123456 fido2-token -S -e $node >told
        test \"$(tr -d '\\r' <told | sed -n 's/^Sample \\(.*\\)\\.$/\\1/p' | tr '\\n' ,)\" = \\
            'too fast,too skewed,exists,merge failure,ok,ok,ok,ok,ok,' || fail \"$(cat told)\"
        fido2-token -I $node >info
        grep -q 'options: .*\\bbioEnroll\\b' info && grep -q 'options: .*\\buv\\b' info || fail \"$(cat info)\"
        with_pin 123456 fido2-token -L -e $node >listed
        id=$(sed -n 's/^[0-9]*: *\\([A-Za-z0-9+/=]*\\).*/\\1/p' listed)
        test -n \"$id\" || fail \"$(cat listed)\"
        with_pin 123456 fido2-token -S -e -i $id -n thumb $node
        with_pin 123456 fido2-token -L -e $node >listed
        grep -q thumb listed || fail \"$(cat listed)\"
        credential_request >request
        # By the finger, which the tool prefers where it is not told to use a PIN.
        fido2-cred -M -r -v -i request -o credential $node
        fido2-cred -V -v -i credential -o verified
        tail -n +2 verified >c.pem
        { random 32; echo example.com; } >challenge
        # Its -v would ask for the PIN first.
        fido2-assert -G -r -t uv=true -i challenge -o assertion $node
        fido2-assert -V -p -v -i assertion c.pem
        with_pin 123456 fido2-token -D -e -i $id $node
        fido2-token -I $node >info
        grep -q 'options: .*\\bnobioEnroll\\b' info || fail \"$(cat info)\"";
    run(&TOOLS, "yubikey-bio-5.7", script).await;
}

#[tokio::test]
async fn fido2_cred_and_assert_by_u2f() {
    tools(
        "make_credential $node es256 c -u
        { random 32; echo example.com; cat c.id; } >challenge
        fido2-assert -G -u -i challenge -o assertion $node
        fido2-assert -V -p -i assertion c.pem es256",
    )
    .await;
}

/// Of every profile: what has no CTAP2 is used by U2F.
#[tokio::test]
async fn every_profile_is_used_by_libfido2_and_openssh() {
    for profile in ["keyrig", "yubikey-5.7", "yubikey-5.4", "security-key-5.1", "ctap-2.1", "ctap-2.0", "u2f-only"] {
        openssh(
            profile,
            "make_credential $node es256 c
            assert $node es256 c
            ssh-keygen -q -t ecdsa-sk -N '' -f id
            ssh_sign_and_verify id",
        )
        .await;
    }
}

#[tokio::test]
async fn ssh_keygen_resident_and_verify_required() {
    for profile in ["keyrig", "yubikey-5.7", "yubikey-5.4"] {
        for key_type in ["ed25519-sk", "ecdsa-sk"] {
            openssh(profile, &format!("ssh_resident_case {key_type}")).await;
        }
    }
}

#[tokio::test]
async fn fido2_token_resets_a_key_that_has_just_got_power() {
    tools(
        "set_pin 123456
        key power-cycle a
        fido2-token -R $node
        fido2-token -I $node | grep -q '^pin retries: undefined$' || fail 'the PIN is still there'",
    )
    .await;
}

async fn openssh(profile: &str, script: &str) {
    run(&["/usr/bin/fido2-token", "/usr/bin/ssh-keygen", "/usr/lib/openssh/ssh-sk-helper"], profile, script).await;
}

#[tokio::test]
async fn ssh_keygen_signs_and_verifies() {
    for key_type in ["ed25519-sk", "ecdsa-sk"] {
        openssh("keyrig", &format!("ssh-keygen -q -t {key_type} -N '' -f id; ssh_sign_and_verify id")).await;
    }
}

#[tokio::test]
async fn pam_u2f_lets_in_who_has_the_key() {
    run(
        &["/usr/bin/pamu2fcfg", "/usr/bin/pamtester", "/usr/share/doc/libpam-wrapper"],
        "keyrig",
        "mkdir pam.d
        pam_service >pam.d/keyrig-test
        echo 'auth required pam_deny.so' >pam.d/other
        pam_case env PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=$work/pam.d LD_PRELOAD=libpam_wrapper.so",
    )
    .await;
}

#[tokio::test]
async fn ssh_logs_in_at_a_real_server_by_touch() {
    run(
        &["/usr/bin/ssh", "/usr/sbin/sshd", "/usr/lib/openssh/ssh-sk-helper"],
        "keyrig",
        "ssh-keygen -q -t ed25519 -N '' -f host
        ssh-keygen -q -t ed25519-sk -N '' -f id
        cat >sshd_config <<END
HostKey $work/host
AuthorizedKeysFile $work/id.pub
AuthenticationMethods publickey
PubkeyAuthOptions touch-required
StrictModes no
UsePAM no
PidFile none
END
        echo \"server $(cat host.pub)\" >known_hosts
        [ \"$(id -u)\" != 0 ] || mkdir -p /run/sshd
        # The server is on the other end of a pipe.
        log_in() {
            ssh -F none -i id -o IdentitiesOnly=yes -o UserKnownHostsFile=known_hosts -o HostKeyAlias=server \\
                -o BatchMode=yes -o ProxyCommand=\"/usr/sbin/sshd -i -e -f $work/sshd_config\" \"$(id -un)@server\" \"$@\"
        }
        test \"$(log_in echo in)\" = in || fail 'nobody was let in'
        # Another finger: the other key does not know it.
        \"$keyrig\" key touch-policy deny >/dev/null
        ! log_in true || fail 'let in without a touch'
        \"$keyrig\" key touch-policy auto >/dev/null
        \"$keyrig\" key unplug a >/dev/null
        ! log_in true || fail 'let in without the key'
        \"$keyrig\" key plug a >/dev/null
        test \"$(log_in echo again)\" = again || fail 'nobody was let in again'",
    )
    .await;
}

#[tokio::test]
async fn systemd_lists_the_keys_and_asks_them_for_a_volume() {
    run(
        &["/usr/bin/systemd-cryptenroll", "/usr/sbin/cryptsetup"],
        "keyrig",
        "systemd-cryptenroll --fido2-device=list >listed
        grep -q '^/dev/hidraw0 *keyrig *keyrig software security key' listed || fail \"$(cat listed)\"
        grep -q '^/dev/hidraw1 *Yubico ' listed || fail \"$(cat listed)\"
        truncate -s 32M volume
        printf password >password
        cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 volume password
        PASSWORD=password systemd-cryptenroll --fido2-device=$node --fido2-with-client-pin=no volume
        cryptsetup luksDump volume >dump
        grep -q systemd-fido2 dump || fail \"$(cat dump)\"
        # Opened by the token alone, without making a device of it: that would take root.
        opened() { cryptsetup open --test-passphrase --token-only volume; }
        opened
        key touch-policy deny
        ! opened || fail 'opened without a touch'
        key touch-policy auto
        key unplug a
        ! opened || fail 'opened by another key'
        key plug a
        opened",
    )
    .await;
}
