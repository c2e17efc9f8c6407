//! What the other suites of the kernel tier take for granted about the guest.

use std::fs;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use keyrig_tests::guest::{self, Accelerator, Guest, Options, Output, RunError};

const LIMIT: Duration = Duration::from_secs(240);

fn run(guest: &mut MutexGuard<'static, Guest>, script: &str) -> Output {
    match guest.run(script, LIMIT) {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn output_and_status_are_the_script_s() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let output = run(&mut guest, "echo out; echo err >&2");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status, 0);
    assert_eq!(run(&mut guest, "exit 3").status, 3);
    assert_eq!(run(&mut guest, "kill -TERM $$").status, 128 + 15);
    assert_eq!(run(&mut guest, "kill -KILL $$").status, 128 + 9);
    assert_eq!(run(&mut guest, "no-such-program").status, 127);
    assert_eq!(run(&mut guest, "").status, 0);
    assert_eq!(run(&mut guest, "cat").stdout, b"", "standard input is empty");
}

#[test]
fn a_script_over_its_limit_is_killed_with_all_it_started() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let limit = Duration::from_secs(2);
    let started = Instant::now();
    let result = guest.run("setsid sleep 987654 & echo before; trap '' TERM INT; sleep 987654; echo after", limit);
    let Err(RunError::TimeLimit { limit: said, output }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(said, limit);
    assert_eq!(output.stdout, b"before\n");
    assert!(started.elapsed() >= limit);
    let left = run(&mut guest, "pgrep -f 'sleep [9]87654'");
    assert_eq!((left.text().as_str(), left.status), ("", 1));
}

#[test]
fn the_kernel_log_since_the_previous_script_is_returned() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let output = run(&mut guest, "echo '<3>keyrig: first' >/dev/kmsg; echo '<7>keyrig: debug' >/dev/kmsg");
    let ours: Vec<_> = output.kernel_log.iter().filter(|line| line.contains("keyrig: ")).collect();
    assert_eq!(ours.len(), 2, "{:?}", output.kernel_log);
    assert!(ours[0].ends_with("] keyrig: first"), "{ours:?}");
    assert!(ours[1].ends_with("] keyrig: debug"), "{ours:?}");
    let next = run(&mut guest, "true");
    assert!(!next.kernel_log.iter().any(|line| line.contains("keyrig: ")), "{:?}", next.kernel_log);
}

#[test]
fn vhci_has_fifteen_ports_of_each_speed() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let status = run(&mut guest, "cat /sys/devices/platform/vhci_hcd.0/status").text();
    // A line for each port of the two hubs (drivers/usb/usbip/vhci_sysfs.c, status_show_vhci); Debian builds with
    // CONFIG_USBIP_VHCI_HC_PORTS=15.
    let ports = |hub: &str| status.lines().filter(|line| line.starts_with(hub)).count();
    assert_eq!((ports("hs "), ports("ss ")), (15, 15), "{status}");
    let tool = run(&mut guest, "usbip port");
    assert_eq!(tool.status, 0, "{tool:?}");
}

#[test]
fn an_hid_security_key_gets_its_node_and_its_tag() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    // A key by uhid: UHID_CREATE2 (include/uapi/linux/uhid.h) with the report descriptor of the CTAP specification.
    let output = run(
        &mut guest,
        r#"
        exec 5<>/dev/uhid
        {
            printf '\013\000\000\000'
            printf 'guest test key'; head -c 114 /dev/zero
            head -c 64 /dev/zero; head -c 64 /dev/zero
            printf '\042\000' # 34 bytes of descriptor
            printf '\003\000' # BUS_USB
            printf '\011\022\000\000\001\000\000\000'
            printf '\001\000\000\000\000\000\000\000'
            printf '\006\320\361\011\001\241\001\011\040\025\000\046\377\000\165\010\225\100\201\002'
            printf '\011\041\025\000\046\377\000\165\010\225\100\221\002\300'
            head -c 4062 /dev/zero
        } | dd obs=4376 iflag=fullblock status=none >&5
        udevadm wait --timeout=20 --settle /dev/hidraw0
        udevadm info --query=property --property=ID_FIDO_TOKEN,DEVNAME /dev/hidraw0
        "#,
    );
    assert_eq!(output.text(), "DEVNAME=/dev/hidraw0\nID_FIDO_TOKEN=1\n", "{output:?}");
}

#[test]
fn the_host_s_files_are_visible_and_safe() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let own = std::env::current_exe().unwrap();
    let listed = run(&mut guest, &format!("'{}' --list", own.display()));
    assert!(listed.text().contains("the_host_s_files_are_visible_and_safe: test"), "{listed:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "host").unwrap();
    let output = run(
        &mut guest,
        &format!("cd '{}' && cat file && echo guest >file && echo new >new && cat file new", folder.path().display()),
    );
    assert_eq!(output.text(), "hostguest\nnew\n", "{output:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "host");
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_background_process_lives_on() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let output = run(
        &mut guest,
        "mkfifo /run/question /run/answer
        { read -r line; echo \"heard $line\" >/run/answer; } </run/question &
        echo $!",
    );
    let answer = run(&mut guest, "echo hello >/run/question; cat /run/answer");
    assert_eq!(answer.text(), "heard hello\n");
    let ended = run(&mut guest, &format!("ls -d /proc/{}", output.text().trim()));
    assert_ne!(ended.status, 0, "process 1 left it a zombie: {ended:?}");
}

#[test]
fn output_of_any_size_and_content_is_whole() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let large = run(&mut guest, "yes 0123456 | head -c 1048576; yes error | head -c 65536 >&2");
    assert_eq!(large.stdout, b"0123456\n".repeat(1024 * 1024 / 8));
    assert_eq!(large.stderr.len(), 65536);
    let bytes = run(&mut guest, r"printf '\000\377done 0 0 0 0\n\r\004\032\033'");
    assert_eq!(bytes.stdout, b"\0\xffdone 0 0 0 0\n\r\x04\x1a\x1b");
    let script = format!("cat <<'END'\n{}END\n", "lines of a long script\n".repeat(4000));
    assert_eq!(run(&mut guest, &script).stdout.len(), 23 * 4000);
}

#[test]
fn the_system_is_as_programs_expect_it() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let output = run(
        &mut guest,
        r#"set -e
        test "$(id -u)" = 0
        test "$(readlink /proc/1/root)" = /
        test -c /dev/null -a -c /dev/ptmx -a -d /dev/pts -a -c /dev/uhid
        test "$(stat -c %a /tmp)" = 1777 -a "$(stat -c %a /dev/shm)" = 1777
        echo word | cat /dev/stdin
        grep -q '^Linux' /proc/version
        test "$(cat /sys/class/net/lo/operstate)" != down
        usbip version
        "#,
    );
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.text().starts_with("word\nusbip "), "{output:?}");
}

#[test]
fn the_accelerator_is_the_one_that_runs() {
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    // QEMU's emulated processors say so in their name.
    let emulated = run(&mut guest, "grep -q 'model name.*QEMU TCG' /proc/cpuinfo").status == 0;
    assert_eq!(emulated, guest.accelerator() == Accelerator::Tcg);
}

#[test]
fn a_crashed_guest_says_so_and_stays_dead() {
    let Some(shared) = guest::required_or_skip() else {
        return;
    };
    let mut guest = Guest::boot(&Options {
        accelerators: vec![shared.accelerator()],
        memory_mib: 512,
        ..Options::from_environment().unwrap()
    })
    .unwrap();
    let crash = guest.run("echo c >/proc/sysrq-trigger", LIMIT).unwrap_err();
    let RunError::Died { console, .. } = &crash else {
        panic!("{crash}");
    };
    assert!(console.iter().any(|line| line.contains("Kernel panic")), "{crash}");
    assert_eq!(guest.run("true", LIMIT), Err(crash));
}
