//! A real kernel without a real machine: Debian's stock kernel under QEMU, on this host's own files.
//!
//! The kernels of build machines seldom have `vhci_hcd`, `uhid` or a hidraw device; Debian's has all of them. A
//! [`Guest`] boots it in seconds, with or without KVM, and runs shell scripts as root. The host's root file system is
//! the guest's, read-only under a tmpfs: whatever is installed or built on the host runs in the guest, and nothing that
//! happens there reaches the host. Only `/dev`, `/proc`, `/sys` and `/run` are the guest's own. What the host writes
//! after the guest has booted may stay unseen there (9p caches): pass it in the script instead.
//!
//! One guest serves all cases of a test binary:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use keyrig_tests::guest;
//! # fn case() {
//! let Some(mut guest) = guest::required_or_skip() else { return };
//! let output = guest.run("usbip version", Duration::from_secs(10)).unwrap();
//! assert_eq!(output.status, 0);
//! # }
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `KEYRIG_CACHE` | where the kernel is kept; else `$XDG_CACHE_HOME/keyrig`, else `~/.cache/keyrig` |
//! | `KEYRIG_GUEST_ACCEL` | `kvm` or `tcg` forces one; unset or `auto` tries KVM, then TCG |
//! | `CI` | `true`: a guest that cannot be had is a failure, not a skip |

mod image;
mod kernel;
mod qemu;
mod session;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use qemu::Qemu;
use session::{Session, Silence, Verdict};
use thiserror::Error;

pub use qemu::Accelerator;
pub use session::Output;

/// The Debian packages that the kernel tier needs, one per line, with `#` comments.
pub const PACKAGES: &str = include_str!("../../../scripts/packages/kernel.txt");

/// How long KVM may take to boot before it counts as unusable and TCG is tried: TCG takes 4 to 7 seconds.
const KVM_BOOT_LIMIT: Duration = Duration::from_secs(12);

/// How long after a script's limit the guest may take to kill it and say so.
const KILL_GRACE: Duration = Duration::from_secs(30);

/// What kind of guest to boot.
#[derive(Clone, Debug)]
pub struct Options {
    /// What may execute it, in the order tried.
    pub accelerators: Vec<Accelerator>,
    /// Memory in MiB, taken from the host only as it is used. Half of it at most holds what the guest writes to files.
    pub memory_mib: u32,
    /// How long each accelerator may take until the guest answers.
    pub boot_limit: Duration,
}

impl Options {
    /// KVM where `/dev/kvm` opens, then TCG, unless `KEYRIG_GUEST_ACCEL` says otherwise; 4 GiB; two minutes.
    ///
    /// # Errors
    ///
    /// [`BootError::AcceleratorUnknown`] for another value of the variable.
    pub fn from_environment() -> Result<Self, BootError> {
        let wanted = env::var_os("KEYRIG_GUEST_ACCEL").unwrap_or_default();
        let accelerators = match wanted.to_str() {
            Some("kvm") => vec![Accelerator::Kvm],
            Some("tcg") => vec![Accelerator::Tcg],
            Some("" | "auto") if qemu::kvm_opens() => vec![Accelerator::Kvm, Accelerator::Tcg],
            Some("" | "auto") => vec![Accelerator::Tcg],
            _ => return Err(BootError::AcceleratorUnknown(wanted.to_string_lossy().into_owned())),
        };
        Ok(Self { accelerators, memory_mib: 4096, boot_limit: Duration::from_secs(600) })
    }
}

/// Why there can be no guest on this host, though nothing is broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// The guest runs the host's own programs, so both are x86-64.
    #[error("the guest is x86-64 Linux, this host is {0}")]
    Platform(&'static str),
    /// A program is not installed.
    #[error("{} is not installed (Debian package {package})", program.display())]
    ProgramMissing {
        /// The program.
        program: PathBuf,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The busybox here needs shared libraries, which an initramfs does not have.
    #[error("/bin/busybox is dynamically linked (install the Debian package busybox-static)")]
    BusyboxNotStatic,
    /// None of the variables that would tell is set.
    #[error("no folder to keep the kernel in: set KEYRIG_CACHE")]
    NoCacheFolder,
    /// The kernel package could not be found, fetched, unpacked or used.
    #[error("no usable kernel package: {reason}")]
    KernelPackage {
        /// What was tried, and the answer.
        reason: String,
    },
}

/// Why no guest came up.
#[derive(Debug, Error)]
pub enum BootError {
    /// It cannot run here.
    #[error("no guest here: {0}")]
    Unavailable(#[from] Unavailable),
    /// `KEYRIG_GUEST_ACCEL` was set to something else.
    #[error("KEYRIG_GUEST_ACCEL is kvm, tcg or auto, not {0:?}")]
    AcceleratorUnknown(String),
    /// [`Options::accelerators`] was empty.
    #[error("no accelerator was given")]
    NoAccelerator,
    /// The host's own files or processes failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Host {
        /// What was done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// QEMU ran, but the guest's agent never answered.
    #[error("the guest did not boot with {accelerator}: {reason}\n{}", console.join("\n"))]
    NotBooted {
        /// What executed it.
        accelerator: Accelerator,
        /// What was seen of it.
        reason: String,
        /// The last lines of its console, and QEMU's own messages.
        console: Vec<String>,
    },
}

fn host_error(action: &'static str, path: &Path, source: io::Error) -> BootError {
    BootError::Host { action, path: path.to_owned(), source }
}

/// The guest's device nodes are named and tagged by the host's own udevd.
fn check_udev() -> Result<(), BootError> {
    let program = Path::new("/usr/lib/systemd/systemd-udevd");
    if program.exists() {
        return Ok(());
    }
    Err(BootError::Unavailable(Unavailable::ProgramMissing { program: program.to_owned(), package: "udev" }))
}

/// Why a script has no ordinary [`Output`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// The script was over its limit and was killed with all it started; the guest lives on.
    #[error("killed after its limit of {limit:?}; until then: {output:?}")]
    TimeLimit {
        /// The limit.
        limit: Duration,
        /// What it had written by then.
        output: Box<Output>,
    },
    /// The guest is gone: its kernel crashed, or a process could not be killed. No script will run in it any more.
    #[error("the guest died: {reason}\n{}", console.join("\n"))]
    Died {
        /// What was seen of it.
        reason: String,
        /// The last lines of its console.
        console: Vec<String>,
    },
}

/// A booted guest. Dropping it ends it; so does the end of this process, of whatever kind.
#[derive(Debug)]
pub struct Guest {
    qemu: Qemu,
    session: Session,
    accelerator: Accelerator,
    boot_time: Duration,
    death: Option<RunError>,
}

impl Guest {
    /// Boots a guest with the first accelerator that works.
    ///
    /// # Errors
    ///
    /// [`BootError::Unavailable`] where this host lacks something; every other variant is a defect.
    pub fn boot(options: &Options) -> Result<Self, BootError> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(Unavailable::Platform(env::consts::ARCH).into());
        }
        qemu::check_installed()?;
        check_udev()?;
        let kernel = kernel::fetch()?;
        let archive = image::build(&kernel)?;
        let scratch = env::temp_dir();
        let mut initramfs =
            tempfile::NamedTempFile::new().map_err(|error| host_error("create a file in", &scratch, error))?;
        initramfs.write_all(&archive).map_err(|error| host_error("write", initramfs.path(), error))?;

        let mut failure = BootError::NoAccelerator;
        for (index, accelerator) in options.accelerators.iter().enumerate() {
            let another_follows = index + 1 < options.accelerators.len();
            let limit = match accelerator {
                Accelerator::Kvm if another_follows => options.boot_limit.min(KVM_BOOT_LIMIT),
                _ => options.boot_limit,
            };
            match Self::boot_with(*accelerator, limit, &kernel, initramfs.path(), options) {
                Ok(guest) => return Ok(guest),
                Err(error @ BootError::NotBooted { .. }) => failure = error,
                Err(error) => return Err(error),
            }
            if another_follows {
                notice(&format!("guest: {failure}"));
            }
        }
        Err(failure)
    }

    fn boot_with(
        accelerator: Accelerator,
        limit: Duration,
        kernel: &kernel::Kernel,
        initramfs: &Path,
        options: &Options,
    ) -> Result<Self, BootError> {
        let started = Instant::now();
        let (mut qemu, control) = Qemu::start(kernel, initramfs, accelerator, options)?;
        let mut session = Session::new(control);
        match session.receive(started + limit) {
            Ok(_) => Ok(Self { qemu, session, accelerator, boot_time: started.elapsed(), death: None }),
            Err(silence) => {
                Err(BootError::NotBooted { accelerator, reason: describe(silence, limit), console: qemu.kill() })
            }
        }
    }

    /// What executes this guest.
    #[must_use]
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Runs a script with `/bin/sh` as root, and returns when that shell has ended.
    ///
    /// Background processes live on to later scripts (their later output is lost unless redirected), except those of a
    /// script that is killed at its limit. Standard input is empty; the environment is `PATH`, `HOME`, `LANG`, `TERM`.
    ///
    /// # Errors
    ///
    /// [`RunError::TimeLimit`] when the script was over `limit`; [`RunError::Died`] when the guest is gone, then and
    /// for every later script.
    pub fn run(&mut self, script: &str, limit: Duration) -> Result<Output, RunError> {
        if let Some(death) = &self.death {
            return Err(death.clone());
        }
        let patience = limit + KILL_GRACE;
        let until = Instant::now() + patience;
        let answer = self.session.send(script, limit, until).and_then(|()| self.session.receive(until));
        match answer {
            Ok((Verdict::Done, output)) => Ok(output),
            Ok((Verdict::Killed, output)) => Err(RunError::TimeLimit { limit, output: Box::new(output) }),
            Err(silence) => {
                let death = RunError::Died { reason: describe(silence, patience), console: self.qemu.kill() };
                self.death = Some(death.clone());
                Err(death)
            }
        }
    }
}

fn describe(silence: Silence, limit: Duration) -> String {
    match silence {
        Silence::Late => format!("no answer within {limit:?}"),
        Silence::Broken(reason) => reason,
    }
}

/// The guest of this test binary, booted for the first test that asks; `None` says that the calling test is to return.
///
/// Where there can be no guest, each test that asks is named as skipped on standard error, with the reason (libtest
/// does not capture it): a line beginning with `SKIPPED`, to be counted. The lock is poisoned by no failed test.
///
/// # Panics
///
/// When the guest is [`BootError::Unavailable`] and the environment has `CI=true`; for every other [`BootError`].
#[must_use]
pub fn required_or_skip() -> Option<MutexGuard<'static, Guest>> {
    static SHARED: OnceLock<Result<Mutex<Guest>, BootError>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let guest = Guest::boot(&Options::from_environment()?)?;
        notice(&format!("guest: booted with {} in {:.1?}", guest.accelerator, guest.boot_time));
        Ok(Mutex::new(guest))
    });
    match shared {
        Ok(guest) => Some(guest.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(error) => {
            let in_ci = env::var_os("CI").is_some_and(|value| value == "true");
            let test = thread::current().name().unwrap_or("a test").to_owned();
            notice(&skip_notice(error, &test, in_ci));
            None
        }
    }
}

fn skip_notice(error: &BootError, test: &str, in_ci: bool) -> String {
    match error {
        BootError::Unavailable(reason) if !in_ci => format!("SKIPPED {test} (kernel tier): {reason}"),
        _ => panic!("the kernel tier cannot run: {error}"),
    }
}

/// Says something even when the test passes: the test harness captures `eprintln!`, but not this.
fn notice(text: &str) {
    // There is nowhere left to report a standard error that cannot be written to.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> BootError {
        Unavailable::BusyboxNotStatic.into()
    }

    #[test]
    fn a_skip_names_the_test_and_the_reason() {
        assert_eq!(
            skip_notice(&unavailable(), "attaches", false),
            "SKIPPED attaches (kernel tier): /bin/busybox is dynamically linked (install the Debian package busybox-static)"
        );
    }

    #[test]
    #[should_panic(expected = "the kernel tier cannot run: no guest here: /bin/busybox is dynamically linked")]
    fn in_ci_a_skip_is_a_failure() {
        skip_notice(&unavailable(), "attaches", true);
    }

    #[test]
    #[should_panic(expected = "did not boot with TCG: no answer within 1s\nKernel panic")]
    fn a_guest_that_does_not_boot_is_never_a_skip() {
        let error = BootError::NotBooted {
            accelerator: Accelerator::Tcg,
            reason: "no answer within 1s".to_owned(),
            console: vec!["Kernel panic".to_owned()],
        };
        skip_notice(&error, "attaches", false);
    }

    #[test]
    fn every_package_that_is_named_as_missing_is_listed() {
        for package in ["qemu-system-x86", "busybox-static", "xz-utils", "udev"] {
            assert!(PACKAGES.lines().any(|line| line == package), "{package}");
        }
    }
}
