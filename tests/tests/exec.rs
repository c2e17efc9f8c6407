//! `keyrig exec`: what programs see of keys that are plugged into them alone, and what becomes of programs that misbehave.

#![cfg(test)]

use std::fs;
use std::path::Path;

use keyrig_tests::exec_case::{Bench, Place, places};
use keyrig_tests::judge;

/// Two keys, whose products libfido2 tells apart.
const TWO_KEYS: [&str; 4] = ["--key", "a=keyrig", "--key", "b=yubikey-5.7"];

/// A program for i386 that ends at once: a header (System V ABI, ELF), a segment of all of it, and `exit(0)` by interrupt 0x80.
const THIRTY_TWO_BITS: [u8; 93] = {
    let mut file = [0; 93];
    let header = *b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0\x54\x80\x04\x08\x34\0\0\0\0\0\0\0\0\0\0\0\x34\0\x20\0\x01\0\0\0\0\0\0\0";
    let segment = *b"\x01\0\0\0\0\0\0\0\0\x80\x04\x08\0\x80\x04\x08\x5d\0\0\0\x5d\0\0\0\x05\0\0\0\0\x10\0\0";
    let code = *b"\xb8\x01\0\0\0\x31\xdb\xcd\x80";
    file.split_at_mut(52).0.copy_from_slice(&header);
    file.split_at_mut(52).1.split_at_mut(32).0.copy_from_slice(&segment);
    file.split_at_mut(84).1.copy_from_slice(&code);
    file
};

/// One place for each view: what does not depend on more.
fn both_views() -> impl Iterator<Item = Place> {
    places().into_iter().filter(|place| place.rules.is_none() && !place.nobody)
}

/// Both views, as each user that there is here.
fn every_user() -> impl Iterator<Item = Place> {
    places().into_iter().filter(|place| place.rules.is_none())
}

fn installed(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|path| !Path::new(path).exists());
    if let Some(missing) = missing {
        judge::skip(&format!("{missing} is not installed: scripts/test installs it"));
    }
    missing.is_none()
}

#[tokio::test]
async fn a_static_program_finds_a_node_that_behaves_as_hidraw_does() {
    let bench = Bench::new();
    bench.compile("hidraw", &["-static", "-pthread"]);
    for place in places() {
        // Docker's rules forbid what a copy of a descriptor is recognised by.
        let what = if place.rules == Some("docker") { "without-copies" } else { "" };
        let output = bench.run(place, &[], &format!("$bench/hidraw /dev/hidraw0 {what}")).await;
        assert!(output.success, "{place:?}: {output}");
        assert_eq!(output.to_string(), "", "{place:?}");
        assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}");
    }
}

/// What a program does without glibc.
#[tokio::test]
async fn a_program_with_musl_finds_a_node_that_behaves_as_hidraw_does() {
    if !installed(&["/usr/bin/musl-gcc"]) {
        return;
    }
    let bench = Bench::new();
    // The kernel's headers are not musl's.
    let headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"];
    bench.compile_with("musl-gcc", "hidraw", &[&["-static", "-pthread"], &headers[..]].concat());
    for place in both_views() {
        let output = bench.run(place, &[], "$bench/hidraw /dev/hidraw0").await;
        assert!(output.success && output.to_string().is_empty(), "{place:?}: {output}");
    }
}

/// Without any C library: Go's own calls, and its signals.
#[tokio::test]
async fn a_go_program_finds_the_keys_by_sysfs() {
    if !installed(&["/usr/bin/go"]) {
        return;
    }
    let bench = Bench::new();
    let built = std::process::Command::new("go")
        .args(["build", "-o"])
        .arg(bench.path().join("keys"))
        .arg(judge::tree("tests/exec/go/main.go"))
        .envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOFLAGS", "")])
        .env("GOCACHE", bench.path().join("cache"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for place in places() {
        let output = bench.run(place, &TWO_KEYS, "$bench/keys").await;
        let seen = "hidraw0 keyrig keyrig software security key 34 true\nhidraw1 Yubico YubiKey FIDO 34 true\n";
        assert_eq!(output.to_string(), seen, "{place:?}");
    }
}

#[tokio::test]
async fn python_fido2_registers_and_logs_in_by_its_own_backend() {
    let python = judge::tree(".cache/verifiers/venv/bin/python3");
    if !python.exists() {
        return judge::skip(&format!("{} is not installed: scripts/test installs it", python.display()));
    }
    let bench = Bench::new();
    for place in both_views() {
        let script =
            format!("exec {} {} $keyrig", python.display(), judge::tree("tests/exec/python_fido2.py").display());
        let output = bench.run(place, &TWO_KEYS, &script).await;
        // ECONNRESET, where Linux has EIO: docs/src/how-to/exec.md.
        let seen = "[('/dev/hidraw0', 'keyrig keyrig software security key'), ('/dev/hidraw1', 'Yubico YubiKey FIDO')]\n\
                    registered and logged in\nOSError 104\n['/dev/hidraw1']\n";
        assert_eq!(output.stdout, seen, "{place:?}: {output}");
    }
}

#[tokio::test]
async fn what_programs_are_not_expected_to_do_works_all_the_same() {
    let bench = Bench::new();
    bench.compile("misuse", &[]);
    for place in places() {
        for what in ["thousand", "closed", "forked", "openat2"] {
            let output = bench.run(place, &[], &format!("$bench/misuse {what}")).await;
            assert!(output.success && output.to_string().is_empty(), "{place:?}: {what}: {output}");
            assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}: {what}");
        }
        // Docker's rules forbid what it takes to watch for another process.
        if place.rules == Some("docker") {
            continue;
        }
        let script = "$keyrig key unplug keyrig >/dev/null
            mkfifo $TMPDIR/said
            $bench/misuse watched >$TMPDIR/said &
            exec 3<$TMPDIR/said
            rm $TMPDIR/said
            read -r line <&3 || exit 1
            $keyrig key plug keyrig >/dev/null
            wait $!";
        let output = bench.run(place, &[], script).await;
        assert!(output.success, "{place:?}: {output}");
    }
}

#[tokio::test]
async fn a_key_that_has_no_room_for_its_files_is_told_of_and_comes_when_there_is_some() {
    let bench = Bench::new();
    let script = "mount -t tmpfs -o size=2m,nr_inodes=2000 tmpfs \"$2\" && export TMPDIR=$2 && exec \"$1\" exec --view paths -- sh -c \"$3\" sh \"$1\"";
    let inner = "\"$1\" key unplug keyrig >/dev/null
        # Every block and every inode.
        dd if=/dev/zero of=$TMPDIR/full bs=64k 2>/dev/null
        i=0; while true 2>/dev/null >$TMPDIR/file$i; do i=$((i + 1)); done
        \"$1\" key plug keyrig >/dev/null
        ls /dev/hidraw0
        rm -f $TMPDIR/file* $TMPDIR/full
        \"$1\" key unplug keyrig >/dev/null; \"$1\" key plug keyrig >/dev/null
        \"$1\" key wait keyrig --for plugged >/dev/null
        ls /dev/hidraw0";
    let mut command = tokio::process::Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh", keyrig_tests::program::keyrig()])
        .arg(bench.path().join("tmp"))
        .arg(inner)
        .env("KEYRIG_LOG", "warn");
    let output = judge::run(&mut command, b"", std::time::Duration::from_secs(60)).await;
    assert!(output.success, "{output}");
    assert_eq!(output.stdout, "/dev/hidraw0\n", "{output}");
    assert!(output.stderr.contains("a key cannot be plugged in again"), "{output}");
}

#[tokio::test]
async fn libfido2_finds_two_keys_with_an_empty_environment_too() {
    if !installed(&["/usr/bin/fido2-token"]) {
        return;
    }
    let bench = Bench::new();
    for place in places() {
        let script = "fido2-token -L; env -i fido2-token -L; fido2-token -I /dev/hidraw1";
        let output = bench.run(place, &TWO_KEYS, script).await;
        assert!(output.success, "{place:?}: {output}");
        let (listed, information) = output.stdout.split_once("proto: 0x02\n").unwrap();
        let keys = "/dev/hidraw0: vendor=0x1209, product=0x0001 (keyrig keyrig software security key)\n\
                    /dev/hidraw1: vendor=0x1050, product=0x0402 (Yubico YubiKey FIDO)\n";
        assert_eq!(listed, keys.repeat(2), "{place:?}");
        assert!(information.contains("\naaguid: a25342c03cdc44148e46f4807fca511c\n"), "{place:?}: {information}");
    }
}

#[tokio::test]
async fn a_key_that_is_pulled_out_is_gone_for_who_has_it_open_and_for_all_others() {
    let bench = Bench::new();
    bench.compile("hidraw", &["-static", "-pthread"]);
    for place in places() {
        let what = if place.rules == Some("docker") { "unplug-without-copies" } else { "unplug" };
        let script = "mkfifo $TMPDIR/said
            $bench/hidraw /dev/hidraw0 WHAT >$TMPDIR/said &
            exec 3<$TMPDIR/said
            rm $TMPDIR/said
            read -r line <&3; test \"$line\" = ready || { echo \"$line\"; cat <&3; exit 1; }
            $keyrig key unplug a
            ls /sys/class/hidraw
            cat <&3
            wait $! || exit 1
            for round in 1 2 3 4 5 6 7 8; do
                $keyrig key plug a >/dev/null
                test -e /dev/hidraw0 || echo no node yet
                $keyrig key power-cycle a >/dev/null
                test -e /dev/hidraw0 || echo no node again yet
                $keyrig key unplug a >/dev/null
                test -e /dev/hidraw0 && echo still a node
            done
            $keyrig key plug a >/dev/null
            ls /sys/class/hidraw
            fido2-token -I /dev/hidraw0 | head -n 1";
        let output = bench.run(place, &TWO_KEYS, &script.replace("WHAT", what)).await;
        assert!(output.success, "{place:?}: {output}");
        let (_, seen) = output.stdout.split_once("touch policy: auto\n").unwrap();
        // A command is answered when the node is there or gone; the number that was free is taken again, as the kernel does.
        assert_eq!(seen, "hidraw1\ngone\nhidraw0\nhidraw1\nproto: 0x02\n", "{place:?}: {output}");
    }
}

#[tokio::test]
async fn a_key_that_is_created_has_a_node_until_it_is_removed() {
    if !installed(&["/usr/include/libudev.h"]) {
        return;
    }
    let bench = Bench::new();
    bench.compile("monitor", &["-ludev"]);
    for place in places() {
        let script = "mkfifo $TMPDIR/said
            $bench/monitor 4 >$TMPDIR/said &
            exec 3<$TMPDIR/said
            rm $TMPDIR/said
            while read -r line <&3 && test \"$line\" != ready; do :; done
            for command in 'create c --profile keyrig' 'remove b' 'create d --profile yubikey-5.7 --unplugged' 'remove a'; do
                $keyrig key $command >/dev/null || exit 1
                echo $command: $(ls /sys/class/hidraw)
            done
            $keyrig key plug d >/dev/null
            for event in 1 2 3 4; do read -r line <&3 && echo \"$line\"; done
            wait $!
            fido2-token -L
            test -S ${KEYRIG_CTAPHID_A#unix:} || echo the endpoint of a is gone
            test -S ${KEYRIG_CONTROL#unix:} && test -S $(dirname ${KEYRIG_CONTROL#unix:})/d.ctaphid && echo d has one";
        let output = bench.run(place, &TWO_KEYS, script).await;
        assert!(output.success, "{place:?}: {output}");
        // The lowest number that is free is taken, as by the kernel; a command is answered when the node is there or gone.
        let seen = "create c --profile keyrig: hidraw0 hidraw1 hidraw2\nremove b: hidraw0 hidraw2\n\
            create d --profile yubikey-5.7 --unplugged: hidraw0 hidraw2\nremove a: hidraw2\n\
            add /dev/hidraw2 token=1 keyrig software security key\nremove /dev/hidraw1 token=1\n\
            remove /dev/hidraw0 token=1\nadd /dev/hidraw0 token=1 YubiKey FIDO\n\
            /dev/hidraw2: vendor=0x1209, product=0x0001 (keyrig keyrig software security key)\n\
            /dev/hidraw0: vendor=0x1050, product=0x0402 (Yubico YubiKey FIDO)\n\
            the endpoint of a is gone\nd has one\n";
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(lines(&output.stdout), lines(seen), "{place:?}: {output}");
    }
}

#[tokio::test]
async fn udev_tells_of_keys_that_come_and_go() {
    if !installed(&["/usr/include/libudev.h"]) {
        return;
    }
    let bench = Bench::new();
    bench.compile("monitor", &["-ludev"]);
    for place in places() {
        let script = "mkfifo $TMPDIR/said
            $bench/monitor 4 >$TMPDIR/said &
            exec 3<$TMPDIR/said
            rm $TMPDIR/said
            while read -r line <&3 && test \"$line\" != ready; do echo \"$line\"; done
            for command in unplug plug unplug plug; do
                $keyrig key $command b >/dev/null
                read -r line <&3 && echo \"$line\"
            done
            wait $!";
        let output = bench.run(place, &TWO_KEYS, script).await;
        assert!(output.success, "{place:?}: {output}");
        let product = "/dev/hidraw1 token=1 YubiKey FIDO\n";
        // Of a device that is gone libudev finds no parent.
        let gone = "remove /dev/hidraw1 token=1\n";
        let seen = format!(
            "there /dev/hidraw0 token=1 keyrig software security key\nthere {product}{gone}add {product}{gone}add {product}"
        );
        assert_eq!(output.stdout, seen, "{place:?}: {output}");
    }
}

#[tokio::test]
async fn sysfs_is_as_a_machine_with_the_keys_on_usb_would_have_it() {
    let bench = Bench::new();
    for place in places() {
        let script = "cd /dev && ls -d hidraw* && cd / &&
            realpath /sys/class/hidraw/hidraw1/device/../.. &&
            cat /sys/class/hidraw/hidraw1/device/uevent | grep HID_ID &&
            cat /sys/class/hidraw/hidraw1/device/../../manufacturer &&
            cat /sys/class/hidraw/hidraw1/dev /sys/dev/char/$(cat /sys/class/hidraw/hidraw1/dev)/uevent | grep -c : &&
            ls /sys/bus/hid/devices | wc -l &&
            ls /sys/class | grep -x hidraw && ls /sys/class | grep -cx net &&
            echo lost >/dev/null && test -c /dev/null && test -d /dev/pts && test -L /dev/stdin &&
            python3 -c 'import os; a, b = os.openpty(); os.write(a, b\"typed\\n\"); assert os.read(b, 9) == b\"typed\\n\"' && find /dev -path /dev/shm -prune -o -name null -type c -print";
        let output = bench.run(place, &TWO_KEYS, script).await;
        assert!(output.success, "{place:?}: {output}");
        // Of /dev/shm others' 'keyrig exec' may have a part.
        let seen = "hidraw0\nhidraw1\n/sys/devices/keyrig/usb1/1-2\nHID_ID=0003:00001050:00000402\nYubico\n1\n2\nhidraw\n1\n/dev/null\n";
        assert_eq!(output.stdout, seen, "{place:?}: {output}");
    }
}

#[tokio::test]
async fn nothing_else_about_a_program_is_changed() {
    let bench = Bench::new();
    let script = "id -u; umask; ulimit -n; ulimit -Hn; pwd; awk '/^Sig(Blk|Ign|Cgt)/ { print $1, substr($2, 9) }' /proc/self/status; cat; \
                  ls /dev /sys /sys/class /sys/bus /sys/dev /sys/dev/char | grep -v -e hidraw -e '^hid$' -e ^245:6; \
                  env | grep -v -e ^KEYRIG_ -e ^_= | sort; ls -l /proc/self/fd | grep -c -e socket -e seccomp";
    for place in every_user() {
        let mut without = bench.place(place);
        without.args(["exec", "--plug", "none", "--", "sh", "-c", script]);
        let mut with = bench.place(place);
        with.args(["exec", "--view", place.view, "--", "sh", "-c", script]);
        let limit = std::time::Duration::from_secs(60);
        let (without, with) =
            (judge::run(&mut without, b"input", limit).await, judge::run(&mut with, b"input", limit).await);
        assert!(without.stdout.contains("input"), "{without}");
        assert_eq!(with.to_string(), without.to_string(), "{place:?}");
    }
}

#[tokio::test]
async fn exit_statuses_are_those_of_the_program() {
    let bench = Bench::new();
    let text = bench.path().join("text");
    fs::write(&text, "no program").unwrap();
    for place in every_user() {
        for (command, code) in [
            (&["true"][..], 0),
            (&["sh", "-c", "exit 7"], 7),
            (&["sh", "-c", "kill -TERM $$"], 128 + 15),
            (&["sh", "-c", "kill -KILL $$"], 128 + 9),
            (&["/nonexistent/program"], 127),
            (&[text.to_str().unwrap()], 126),
        ] {
            let output = bench.exec(place, &[], command).await;
            assert_eq!(output.code, Some(code), "{place:?}: {command:?}: {output}");
            assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}: {command:?}");
        }
        let output = bench.exec(place, &[], &["/nonexistent/program"]).await;
        assert_eq!(output.stderr, "error: /nonexistent/program was not found: is it installed, and in PATH?\n");
    }
}

#[tokio::test]
async fn what_a_program_leaves_running_is_ended_and_named() {
    let bench = Bench::new();
    for place in every_user() {
        // A daemon, one that does not want to end, and one with no descriptor left.
        let script = "setsid sleep 1000 >/dev/null 2>&1 &
            sh -c 'trap \"\" TERM; echo $$ >$TMPDIR/stubborn; exec 3>&-; sleep 1000; sleep 1000' >/dev/null 2>&1 &
            sh -c 'exec sleep 1000 0<&- 1>&- 2>&-' &
            while ! test -s $TMPDIR/stubborn; do :; done
            cat $TMPDIR/stubborn; rm $TMPDIR/stubborn; exit 3";
        let output = bench.run(place, &[], script).await;
        assert_eq!(output.code, Some(3), "{place:?}: {output}");
        assert!(
            output.stderr.starts_with("keyrig exec: ended what the program had left running: "),
            "{place:?}: {output}"
        );
        assert!(output.stderr.contains("sleep ("), "{place:?}: {output}");
        let stubborn = output.stdout.trim();
        assert!(!Path::new("/proc").join(stubborn).exists(), "{place:?}: {stubborn} runs on");
        assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}");
    }
}

#[tokio::test]
async fn nothing_outlives_keyrig_however_that_is_killed() {
    let bench = Bench::new();
    for place in every_user() {
        // The process that was called, and the one within it that does the work.
        for (whom, code) in [("$(cut -d ' ' -f 4 /proc/$PPID/stat)", None), ("$PPID", None)] {
            // One that has left the program's session and its descriptors, and heeds no signal that can be ignored.
            let script = format!(
                "setsid sh -c 'trap \"\" TERM HUP INT; exec <&- >&- 2>&-; sleep 1000; sleep 1000' & echo $$ $!; kill -KILL {whom}; sleep 1000"
            );
            let output = bench.run(place, &[], &script).await;
            assert_eq!(output.code, code, "{place:?}: {whom}: {output}");
            for process in output.stdout.split_whitespace() {
                let mut ended = tokio::process::Command::new("tail");
                ended.args(["--pid", process, "-f", "/dev/null"]);
                judge::run(&mut ended, b"", std::time::Duration::from_secs(10)).await;
            }
        }
        assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}");
    }
}

#[tokio::test]
async fn signals_are_passed_on() {
    let bench = Bench::new();
    for place in every_user() {
        let script = "trap 'echo interrupted; exit 5' USR1; kill -USR1 $PPID; while :; do read -r line; done";
        let output = bench.run(place, &[], script).await;
        assert_eq!((output.code, output.stdout.as_str()), (Some(5), "interrupted\n"), "{place:?}: {output}");
    }
}

#[tokio::test]
async fn where_no_key_can_be_plugged_in_the_reason_is_said() {
    let bench = Bench::new();
    let place = Place { nobody: false, rules: Some("old"), view: "auto" };
    let output = bench.exec(place, &[], &["true"]).await;
    assert_eq!(output.code, Some(125), "{output}");
    let reason = "error: keys cannot be plugged into a program here: this kernel has no seccomp notification";
    assert!(output.stderr.starts_with(reason), "{output}");
    // Without nodes it runs all the same.
    assert!(bench.exec(place, &["--plug", "none"], &["true"]).await.success);
    for place in every_user() {
        let output = bench.run(place, &[], "$keyrig exec -- true").await;
        assert_eq!(output.code, Some(125), "{place:?}: {output}");
        assert_eq!(bench.left(), Vec::<String>::new(), "{place:?}");
        assert!(output.stderr.contains("a 'keyrig exec' around it"), "{place:?}: {output}");
        assert!(output.stderr.contains("leave out the inner 'keyrig exec'"), "{place:?}: {output}");
        // That one has no view.
        let output = bench.run(place, &[], "$keyrig exec --plug none -- test -c /dev/hidraw0").await;
        assert!(output.success, "{place:?}: {output}");
    }
}

/// util-linux's `unshare` tells the same.
#[tokio::test]
async fn whether_user_namespaces_can_be_had_is_found_by_trying() {
    let bench = Bench::new();
    for place in places() {
        let script = "unshare --user --map-root-user --mount mount --bind /tmp /tmp && echo can; /proc/self/fd/9 env";
        let output = bench.exec(place, &["--plug", "none"], &["sh", "-c", script]).await;
        assert!(output.success, "{place:?}: {output}");
        let can = output.stdout.starts_with("can\n");
        assert_eq!(can, place.rules.is_none(), "{place:?}: {output}");
        let said = if can { "ok   user-namespaces " } else { "no   user-namespaces " };
        assert!(output.stdout.contains(said), "{place:?}: {output}");
    }
}

#[tokio::test]
async fn who_blinks_is_said_on_a_terminal_and_nowhere_else() {
    if !installed(&["/usr/bin/ssh-keygen", "/usr/lib/openssh/ssh-sk-helper"]) {
        return;
    }
    let bench = Bench::new();
    let make = "ssh-keygen -q -t ecdsa-sk -N '' -f $(mktemp -d)/id";
    let said = "keyrig exec: key keyrig blinks (authenticatorMakeCredential)\r\n";
    for (options, is_said) in [("", true), ("-q", false)] {
        let mut command = tokio::process::Command::new("script");
        let called = format!("{} exec {options} -- sh -c \"{make}\"", keyrig_tests::program::keyrig());
        command.args(["-qec", &called, "/dev/null"]).env("TMPDIR", bench.path().join("tmp")).env("NO_COLOR", "1");
        let output = judge::run(&mut command, b"", std::time::Duration::from_secs(60)).await;
        assert!(output.success, "{output}");
        assert_eq!(output.stdout.contains(said), is_said, "{options}: {output}");
    }
    let output = bench.run(both_views().next().unwrap(), &[], make).await;
    assert!(output.success && output.to_string().is_empty(), "{output}");
}

#[tokio::test]
async fn what_the_keys_do_not_reach_is_said() {
    let bench = Bench::new();
    for place in both_views() {
        let output =
            bench.run(place, &[], "ulimit -n 512; $keyrig exec --plug none -- true; su --version >/dev/null").await;
        let said = "gets no other user's rights in here";
        assert_eq!(output.stderr.contains(said), !rustix::process::geteuid().is_root(), "{place:?}: {output}");
    }
    for place in places().into_iter().filter(|place| place.nobody) {
        let output = bench.run(place, &[], "su --version >/dev/null").await;
        assert!(output.stderr.contains("/su gets no other user's rights in here"), "{place:?}: {output}");
        let output = bench.run(place, &["-q"], "su --version >/dev/null").await;
        assert_eq!(output.stderr, "", "{place:?}");
    }
}

#[tokio::test]
async fn programs_that_do_not_see_the_keys_are_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.compile("misuse", &[]);
    let executable = |name: &str, content: &[u8]| {
        fs::write(bench.path().join(name), content).unwrap();
        fs::set_permissions(bench.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    executable("flatpak", b"#!/bin/sh\n");
    executable("snap", b"#!/bin/sh\n");
    executable("old", &THIRTY_TWO_BITS);
    for place in places() {
        for (what, said) in [
            ("flatpak", "/flatpak starts programs in a sandbox of flatpak, which may hide the keys: use a package"),
            ("snap", "/snap starts programs in a sandbox of snap, which may hide the keys: use a package"),
            ("old", "/old is a 32-bit program, which does not see the keys: use a 64-bit one"),
            ("misuse io_uring", "misuse uses io_uring: what it opens that way is not seen"),
        ] {
            // Docker's rules refuse io_uring themselves.
            if place.rules == Some("docker") && what == "misuse io_uring" {
                continue;
            }
            let output = bench.run(place, &[], &format!("$bench/{what}; true")).await;
            assert!(output.stderr.contains(said), "{place:?}: {what}: {output}");
        }
    }
}

#[tokio::test]
async fn a_low_limit_of_open_files_costs_recognition_only_and_is_said() {
    let bench = Bench::new();
    let place = both_views().next().unwrap();
    let mut command = tokio::process::Command::new("sh");
    let script = "ulimit -n 256; exec \"$0\" exec -- sh -c 'exec 5<>/dev/hidraw0 && ulimit -n'";
    command.args(["-c", script, keyrig_tests::program::keyrig()]).env("TMPDIR", bench.path().join("tmp"));
    let output = judge::run(&mut command, b"", std::time::Duration::from_secs(60)).await;
    assert!(output.success, "{place:?}: {output}");
    assert_eq!(output.stdout, "256\n");
    assert!(output.stderr.contains("Run: ulimit -n 1024"), "{output}");
}

#[tokio::test]
async fn a_directory_for_files_that_is_missing_or_full_is_named() {
    let bench = Bench::new();
    let missing = bench.path().join("missing");
    let limit = std::time::Duration::from_secs(60);
    for place in every_user() {
        let mut command = bench.place(place);
        command.args(["exec", "--view", place.view, "--", "true"]).env("TMPDIR", &missing);
        let output = judge::run(&mut command, b"", limit).await;
        assert_eq!(output.code, Some(125), "{place:?}: {output}");
        let said = format!("error: files for the keys cannot be made in {}: No such file", missing.display());
        assert!(output.stderr.starts_with(&said), "{place:?}: {output}");
    }
    for place in both_views() {
        // A file system of its own, with room for a few files only.
        let script = "mount -t tmpfs -o nr_inodes=20 tmpfs \"$2\" && export TMPDIR=$2 && ! \"$1\" exec --view \"$3\" -- true && ls \"$2\"";
        let mut command = tokio::process::Command::new("unshare");
        let directory = bench.path().join("tmp");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh", keyrig_tests::program::keyrig()])
            .arg(&directory)
            .arg(place.view);
        let output = judge::run(&mut command, b"", limit).await;
        assert!(output.success && output.stdout.is_empty(), "{place:?}: {output}");
        assert!(output.stderr.contains("No space left on device"), "{place:?}: {output}");
    }
}

#[tokio::test]
async fn files_are_in_memory_where_tmpdir_names_no_place() {
    let bench = Bench::new();
    let script = "exec 5<>/dev/hidraw0; dirname ${KEYRIG_CONTROL#unix:}";
    for place in every_user() {
        let mut command = bench.place(place);
        command.args(["exec", "--view", place.view, "--", "sh", "-c", script]).env_remove("TMPDIR");
        let output = judge::run(&mut command, b"", std::time::Duration::from_secs(60)).await;
        assert!(output.success, "{place:?}: {output}");
        let directory = output.stdout.trim();
        assert!(directory.starts_with("/dev/shm/keyrig-exec-"), "{place:?}: {output}");
        assert!(!Path::new(directory).exists(), "{place:?}: {directory} is left");
    }
}

#[tokio::test]
async fn a_home_that_cannot_be_written_is_not_needed() {
    let bench = Bench::new();
    for place in every_user() {
        let mut command = bench.place(place);
        command.args(["exec", "--view", place.view, "--", "sh", "-c", "exec 5<>/dev/hidraw0"]).env("HOME", "/sys");
        let output = judge::run(&mut command, b"", std::time::Duration::from_secs(60)).await;
        assert!(output.success && output.to_string().is_empty(), "{place:?}: {output}");
    }
}

#[tokio::test]
async fn the_environment_leads_to_the_keys() {
    let bench = Bench::new();
    let place = both_views().next().unwrap();
    let options = ["--plug", "none", "--key", "My.Key-1=keyrig", "--key", "b=yubikey-5.7"];
    let script = "$keyrig key list; for name in MY_KEY_1 B; do eval echo \\$KEYRIG_CTAPHID_$name; done | sed s,$TMPDIR,,; \
                  eval \"test -S ${KEYRIG_CTAPHID_MY_KEY_1#unix:}\" && ls /dev/hidraw0";
    let output = bench.run(place, &options, script).await;
    assert!(output.stdout.contains("My.Key-1  keyrig"), "{output}");
    assert!(output.stdout.contains("/My.Key-1.ctaphid\n"), "{output}");
    assert!(output.stdout.contains("/b.ctaphid\n"), "{output}");
    // Without nodes there are none.
    assert!(!output.success, "{output}");
    let output = bench.exec(place, &["--key", "a-b=keyrig", "--key", "A_B=keyrig"], &["true"]).await;
    assert_eq!(output.code, Some(125), "{output}");
    let said = "error: the keys a-b and A_B would share the variable KEYRIG_CTAPHID_A_B: give one another name\n";
    assert_eq!(output.stderr, said);
}
