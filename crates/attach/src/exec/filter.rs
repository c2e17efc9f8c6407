//! The filter: which system calls of the tree are asked about. It sees numbers only, never what a pointer points to.
//!
//! A classic BPF program over `seccomp_data` (`seccomp(2)`), built once before the tree starts.

use core::mem::offset_of;

use libc::{c_long, seccomp_data};

use super::view::View;

/// The descriptors that the tree is given lie here, so that a number tells which calls concern them: above what programs
/// count to by themselves, below `FD_SETSIZE` and the usual limit of open files.
pub(super) const WINDOW: core::ops::RangeInclusive<i32> = 960..=1023;

/// `_IOC_TYPE` of hidraw's requests (`linux/hidraw.h`).
const HID: u32 = 0x48;

/// An instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

// linux/bpf_common.h
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// What a call is asked about for.
#[derive(Clone, Copy)]
enum When {
    /// Always.
    Always,
    /// If none of these bits is set in this argument.
    Without(u8, i32),
    /// If the descriptor in this argument is in the window.
    Window(u8),
    /// If bits of an argument ask for the descriptor itself (`AT_EMPTY_PATH`), and that is in the window; by path in path mode.
    EmptyPathOr(u8, View),
    /// If an argument has one of these values, and the first is a descriptor in the window.
    WindowFor(u8, [i32; 2]),
    /// hidraw's requests, on any descriptor.
    HidRequest,
    /// The kernel's announcements of devices.
    Uevents,
}

/// The calls by path that exist on x86-64 beside those that take a directory.
#[cfg(target_arch = "x86_64")]
fn legacy(view: View, not_asked: i32) -> Vec<(c_long, When)> {
    let mut rules = vec![(libc::SYS_open, When::Without(1, not_asked))];
    if view == View::Paths {
        rules.extend(
            [libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_access].map(|call| (call, When::Always)),
        );
    }
    rules
}

#[cfg(target_arch = "aarch64")]
fn legacy(_: View, _: i32) -> Vec<(c_long, When)> {
    Vec::new()
}

fn rules(view: View, reads: bool) -> Vec<(c_long, When)> {
    // A file that must not be there yet is none of ours; in a namespace directories show by themselves what there is.
    let not_asked = match view {
        View::Namespace => libc::O_EXCL | libc::O_DIRECTORY | libc::O_PATH,
        View::Paths => libc::O_EXCL,
    };
    let mut rules = vec![(libc::SYS_openat, When::Without(2, not_asked))];
    rules.extend(legacy(view, not_asked));
    rules.extend([
        (libc::SYS_ioctl, When::HidRequest),
        (libc::SYS_fstat, When::Window(0)),
        (libc::SYS_newfstatat, When::EmptyPathOr(3, view)),
        (libc::SYS_statx, When::EmptyPathOr(2, view)),
        (libc::SYS_recvmsg, When::Window(0)),
        (libc::SYS_fcntl, When::WindowFor(1, [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC])),
        (libc::SYS_dup, When::Window(0)),
        (libc::SYS_socket, When::Uevents),
        (libc::SYS_bind, When::Window(0)),
        (libc::SYS_openat2, When::Always),
        (libc::SYS_statfs, When::Always),
        (libc::SYS_fstatfs, When::Always),
        (libc::SYS_execve, When::Always),
        (libc::SYS_execveat, When::Always),
        (libc::SYS_io_uring_setup, When::Always),
    ]);
    if view == View::Paths {
        rules.extend(
            [
                libc::SYS_readlinkat,
                libc::SYS_faccessat,
                libc::SYS_faccessat2,
                libc::SYS_chdir,
                libc::SYS_inotify_add_watch,
                libc::SYS_getxattr,
                libc::SYS_lgetxattr,
                libc::SYS_listxattr,
                libc::SYS_llistxattr,
            ]
            .map(|call| (call, When::Always)),
        );
    }
    if reads {
        rules.extend([libc::SYS_read, libc::SYS_readv].map(|call| (call, When::Window(0))));
    }
    rules
}

/// The filter for a view. `reads` are asked about where a key that is pulled out cannot make them fail by itself.
pub(super) fn build(view: View, reads: bool) -> Vec<Instruction> {
    let mut program = vec![
        load(offset_of!(seccomp_data, arch)),
        Instruction { code: JUMP_EQUAL, if_true: 1, if_false: 0, operand: ARCHITECTURE },
        give(libc::SECCOMP_RET_ALLOW),
        load(offset_of!(seccomp_data, nr)),
    ];
    for (call, when) in rules(view, reads) {
        let body = body(when);
        let skip = u8::try_from(body.len()).expect("a rule has few instructions");
        let operand = u32::try_from(call).expect("calls are counted from 0");
        program.push(Instruction { code: JUMP_EQUAL, if_true: 0, if_false: skip, operand });
        program.extend(body);
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Decides, and returns in any case.
fn body(when: When) -> Vec<Instruction> {
    let (ask, allow) = (give(libc::SECCOMP_RET_USER_NOTIF), give(libc::SECCOMP_RET_ALLOW));
    let jump = |code, operand, if_true, if_false| Instruction { code, if_true, if_false, operand };
    let window = |argument| {
        let (first, last) = (WINDOW.start().cast_unsigned(), WINDOW.end().cast_unsigned());
        [load_argument(argument), jump(JUMP_GREATER_OR_EQUAL, first, 0, 2), jump(JUMP_GREATER, last, 1, 0), ask, allow]
    };
    match when {
        When::Always => vec![ask],
        When::Without(argument, bits) => {
            vec![load_argument(argument), jump(JUMP_ANY_BIT, bits.cast_unsigned(), 0, 1), allow, ask]
        }
        When::Window(argument) => window(argument).to_vec(),
        When::EmptyPathOr(argument, view) => {
            let by_path = if view == View::Paths { ask } else { allow };
            let empty_path = libc::AT_EMPTY_PATH.cast_unsigned();
            let mut body = vec![load_argument(argument), jump(JUMP_ANY_BIT, empty_path, 1, 0), by_path];
            body.extend(window(0));
            body
        }
        When::WindowFor(argument, [first, second]) => {
            let is = |value: i32, if_true| jump(JUMP_EQUAL, value.cast_unsigned(), if_true, 0);
            let mut body = vec![load_argument(argument), is(first, 2), is(second, 1), allow];
            body.extend(window(0));
            body
        }
        When::HidRequest => vec![
            load_argument(1),
            Instruction { code: AND, if_true: 0, if_false: 0, operand: 0xff00 },
            jump(JUMP_EQUAL, HID << 8, 0, 1),
            ask,
            allow,
        ],
        When::Uevents => vec![
            load_argument(0),
            jump(JUMP_EQUAL, libc::AF_NETLINK.cast_unsigned(), 0, 3),
            load_argument(2),
            jump(JUMP_EQUAL, libc::NETLINK_KOBJECT_UEVENT.cast_unsigned(), 0, 1),
            ask,
            allow,
        ],
    }
}

fn load(offset: usize) -> Instruction {
    let operand = u32::try_from(offset).expect("seccomp_data is small");
    Instruction { code: LOAD, if_true: 0, if_false: 0, operand }
}

/// Loads the lower half of an argument.
fn load_argument(index: u8) -> Instruction {
    load(offset_of!(seccomp_data, args) + 8 * usize::from(index))
}

fn give(action: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, operand: action }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of the kernel's documentation (`Documentation/networking/filter.rst`), for the instructions that are used here.
    fn run(program: &[Instruction], architecture: u32, call: c_long, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(i32::try_from(call).unwrap().to_ne_bytes());
        data.extend(architecture.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            let holds = match code {
                0x20 => {
                    let offset = usize::try_from(operand).unwrap();
                    accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                    continue;
                }
                0x54 => {
                    accumulator &= operand;
                    continue;
                }
                0x06 => return operand,
                0x15 => accumulator == operand,
                0x25 => accumulator > operand,
                0x35 => accumulator >= operand,
                0x45 => accumulator & operand != 0,
                _ => panic!("{code:#x}"),
            };
            at += usize::from(if holds { if_true } else { if_false });
        }
    }

    fn asks(view: View, reads: bool, call: c_long, arguments: &[i32]) -> bool {
        let mut all = [0; 6];
        for (place, argument) in all.iter_mut().zip(arguments) {
            // The upper half is whatever the program left there.
            *place = u64::from(argument.cast_unsigned()) | 0xdead_beef << 32;
        }
        match run(&build(view, reads), ARCHITECTURE, call, all) {
            libc::SECCOMP_RET_USER_NOTIF => true,
            libc::SECCOMP_RET_ALLOW => false,
            other => panic!("{other:#x}"),
        }
    }

    #[test]
    fn only_what_may_concern_a_key_is_asked_about() {
        const HIDIOCGRDESCSIZE: i32 = 0x8004_4801_u32.cast_signed();
        for view in [View::Namespace, View::Paths] {
            let by_path = view == View::Paths;
            for (call, arguments, expected) in [
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_RDWR][..], true),
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_RDONLY | libc::O_CLOEXEC], true),
                // A shell's `<>` and `>`.
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_RDWR | libc::O_CREAT], true),
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC], true),
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL], false),
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_DIRECTORY], by_path),
                (libc::SYS_openat, &[libc::AT_FDCWD, 0, libc::O_PATH], by_path),
                (libc::SYS_ioctl, &[3, HIDIOCGRDESCSIZE], true),
                (libc::SYS_ioctl, &[3, 0x5401], false),
                (libc::SYS_fstat, &[959], false),
                (libc::SYS_fstat, &[960], true),
                (libc::SYS_fstat, &[1023], true),
                (libc::SYS_fstat, &[1024], false),
                (libc::SYS_fstat, &[-1], false),
                (libc::SYS_newfstatat, &[3, 0, 0, libc::AT_EMPTY_PATH], false),
                (libc::SYS_newfstatat, &[1000, 0, 0, libc::AT_EMPTY_PATH], true),
                (libc::SYS_newfstatat, &[libc::AT_FDCWD, 0, 0, libc::AT_SYMLINK_NOFOLLOW], by_path),
                (libc::SYS_statx, &[1000, 0, libc::AT_EMPTY_PATH], true),
                (libc::SYS_statx, &[libc::AT_FDCWD, 0, 0], by_path),
                (libc::SYS_fcntl, &[1000, libc::F_DUPFD_CLOEXEC, 3], true),
                (libc::SYS_fcntl, &[1000, libc::F_DUPFD, 3], true),
                (libc::SYS_fcntl, &[1000, libc::F_GETFL], false),
                (libc::SYS_fcntl, &[3, libc::F_DUPFD], false),
                (libc::SYS_dup, &[1000], true),
                (libc::SYS_dup, &[3], false),
                (libc::SYS_socket, &[libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT], true),
                (libc::SYS_socket, &[libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE], false),
                (libc::SYS_socket, &[libc::AF_UNIX, libc::SOCK_STREAM, 0], false),
                (libc::SYS_bind, &[1000], true),
                (libc::SYS_recvmsg, &[3], false),
                (libc::SYS_readlinkat, &[libc::AT_FDCWD], by_path),
                (libc::SYS_execve, &[], true),
                (libc::SYS_read, &[1000], false),
                (libc::SYS_write, &[1000], false),
                (libc::SYS_ppoll, &[], false),
                (libc::SYS_close, &[1000], false),
            ] {
                assert_eq!(asks(view, false, call, arguments), expected, "{view:?} {call} {arguments:?}");
            }
        }
    }

    #[test]
    fn reads_of_keys_are_asked_about_where_they_could_not_fail_otherwise() {
        for (call, descriptor, expected) in
            [(libc::SYS_read, 960, true), (libc::SYS_readv, 1023, true), (libc::SYS_read, 3, false)]
        {
            assert_eq!(asks(View::Paths, true, call, &[descriptor]), expected, "{call} {descriptor}");
        }
    }

    #[test]
    fn calls_of_another_architecture_are_left_alone() {
        // i386's open has the number of x86-64's fstat, and so on.
        for call in 0..500 {
            assert_eq!(run(&build(View::Paths, true), 0x4000_0003, call, [960; 6]), libc::SECCOMP_RET_ALLOW);
        }
    }
}
