//! One QEMU process: its arguments, its console, its certain end.
//!
//! A small shell stands between: it starts QEMU, waits for our end of a pipe to close, and kills QEMU. So the machine
//! ends with this process however that ends (a `SIGKILL` included), and whatever state its kernel is in.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{env, fmt};

use super::kernel::Kernel;
use super::{BootError, Options, Unavailable, host_error};

pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// QEMU with the control socket as its standard input and output, and nothing else that holds that socket.
const SUPERVISOR: &str = r#""$@" <&1 & exec >&-; read -r _; kill -KILL $! 2>/dev/null; wait"#;

/// How much of the console is kept for when the guest dies, in lines.
const CONSOLE_LINES: usize = 100;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself, by `/dev/kvm`.
    Kvm,
    /// QEMU's software emulation: works everywhere, some ten times slower.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

/// Whether QEMU is there at all.
pub(super) fn check_installed() -> Result<(), BootError> {
    let found =
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file()));
    if found {
        return Ok(());
    }
    Err(BootError::Unavailable(Unavailable::ProgramMissing { program: PROGRAM.into(), package: "qemu-system-x86" }))
}

/// Whether `/dev/kvm` opens, which is necessary but says little: under some hypervisors it opens and no guest runs.
pub(super) fn kvm_opens() -> bool {
    File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// A running machine. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub(super) struct Qemu {
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    console: Arc<Mutex<VecDeque<String>>>,
    console_reader: Option<JoinHandle<()>>,
}

impl Qemu {
    /// Starts the machine and returns our end of its control channel.
    pub(super) fn start(
        kernel: &Kernel,
        initramfs: &Path,
        accelerator: Accelerator,
        options: &Options,
    ) -> Result<(Self, UnixStream), BootError> {
        let program = Path::new(PROGRAM);
        let start_error = |error| host_error("start", program, error);
        let (ours, theirs) = UnixStream::pair().map_err(start_error)?;
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "sh", PROGRAM])
            .args([
                "-accel",
                match accelerator {
                    Accelerator::Kvm => "kvm",
                    Accelerator::Tcg => "tcg,thread=multi",
                },
            ])
            .args(["-cpu", "max", "-smp", "2"])
            .args(["-m", &options.memory_mib.to_string()])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-nic", "none"])
            // What the kernel prints, and QEMU's own complaints, arrive on standard error.
            .args(["-chardev", "file,id=console,path=/dev/fd/2"])
            .args(["-serial", "chardev:console"])
            .args(["-chardev", "stdio,id=control,signal=off"])
            .args(["-device", "virtio-serial-pci"])
            .args(["-device", "virtserialport,chardev=control,name=keyrig"])
            .args(["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"])
            .args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(initramfs)
            // An emulated timer may be late on a machine that does other things; the kernel would take it for broken.
            .args(["-append", "console=ttyS0 quiet panic=-1 log_buf_len=4M printk.devkmsg=on no_timer_check"])
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start_error)?;
        let lifeline = supervisor.stdin.take();
        let console = Arc::new(Mutex::new(VecDeque::new()));
        let console_reader = supervisor.stderr.take().map(|stderr| {
            let console = Arc::clone(&console);
            thread::spawn(move || keep_last_lines(stderr, &console))
        });
        let qemu = Self { supervisor, lifeline, console, console_reader };
        Ok((qemu, ours))
    }

    /// Kills the machine and returns the last that was on its console.
    pub(super) fn kill(&mut self) -> Vec<String> {
        drop(self.lifeline.take());
        // Nothing to be done about a failure: the supervisor is our own child and was not waited for elsewhere.
        let _ = self.supervisor.wait();
        if let Some(reader) = self.console_reader.take() {
            let _ = reader.join();
        }
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        console.iter().cloned().collect()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep_last_lines(stderr: ChildStderr, console: &Mutex<VecDeque<String>>) {
    /// A line longer than this is cut, in bytes.
    const LINE: u64 = 4096;
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match stderr.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let mut lines = console.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == CONSOLE_LINES {
                    lines.pop_front();
                }
                lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supervised `sleep`, and our end of the control socket that it holds.
    fn supervise(lifeline: Stdio) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "sh", "sleep", "600"])
            .stdin(lifeline)
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        (supervisor, ours)
    }

    /// The end of file comes when nobody holds the other end any more.
    fn assert_all_ended(mut supervisor: Child, mut control: UnixStream) {
        assert_eq!(control.read(&mut [0]).unwrap(), 0);
        supervisor.wait().unwrap();
    }

    #[test]
    fn the_machine_ends_when_its_handle_is_dropped() {
        let (mut supervisor, control) = supervise(Stdio::piped());
        drop(supervisor.stdin.take());
        assert_all_ended(supervisor, control);
    }

    #[test]
    fn the_machine_ends_when_this_process_is_killed() {
        // `cat` stands for this process: it alone holds the other end of the lifeline.
        let mut holder = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (supervisor, control) = supervise(holder.stdout.take().unwrap().into());
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_all_ended(supervisor, control);
    }

    #[test]
    fn the_end_of_the_machine_closes_the_control_socket() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "sh", "true"])
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let mut control = &ours;
        assert_eq!(control.read(&mut [0]).unwrap(), 0);
        drop(supervisor.stdin.take());
        supervisor.wait().unwrap();
    }
}
