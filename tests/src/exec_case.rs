//! Programs under `keyrig exec`, wherever it is to work: as root and as an ordinary user, with the keys shown by a namespace and
//! without one, under the rules of containers and of distributions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::judge::{self, Output};
use crate::program;

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(900);

/// The user and group nobody of every distribution.
const NOBODY: &str = "65534";

/// How the program under test is named in a case's script. It may lie in a directory that an ordinary user cannot enter.
const KEYRIG: &str = "/proc/self/fd/9";

/// Where `keyrig exec` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the user nobody: only root can become that.
    pub nobody: bool,
    /// Under the rules that `confine.c` has by this name.
    pub rules: Option<&'static str>,
    /// The view that is asked for.
    pub view: &'static str,
}

impl Place {
    /// Whether calls by path are answered there, rather than a namespace made.
    #[must_use]
    pub fn is_without_namespace(self) -> bool {
        self.view == "paths" || self.rules.is_some()
    }
}

/// Both views, as every user that there is here; and what is chosen under the rules of containers and of distributions.
#[must_use]
pub fn places() -> Vec<Place> {
    let users: &[bool] = if rustix::process::geteuid().is_root() { &[false, true] } else { &[false] };
    let plain = ["namespace", "paths"].map(|view| (None, view));
    let confined = ["docker", "apparmor"].map(|rules| (Some(rules), "auto"));
    let all = users.iter().flat_map(|nobody| {
        plain.into_iter().chain(confined).map(|(rules, view)| Place { nobody: *nobody, rules, view })
    });
    all.collect()
}

/// A directory with the programs that cases use, which every user can enter.
#[derive(Debug)]
pub struct Bench {
    directory: TempDir,
}

impl Bench {
    /// Makes the directory, empty but for a place for temporary files.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        for (name, mode) in [(".", 0o755), ("tmp", 0o1777)] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(&path).expect("a directory");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let bench = Self { directory };
        bench.compile("confine", &[]);
        bench
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Compiles a C program of `tests/exec`, and returns where it is.
    ///
    /// # Panics
    /// If it is not compiled.
    pub fn compile(&self, name: &str, options: &[&str]) -> PathBuf {
        self.compile_with("gcc", name, options)
    }

    /// The same with a compiler of this name.
    ///
    /// # Panics
    /// If it is not compiled.
    pub fn compile_with(&self, compiler: &str, name: &str, options: &[&str]) -> PathBuf {
        let path = self.directory.path().join(name);
        let compiled = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .arg(&path)
            .arg(judge::tree("tests/exec").join(name).with_extension("c"))
            .args(options)
            .output()
            .expect("a C compiler runs");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        path
    }

    /// Runs a script under `keyrig exec` with options. It has `$keyrig`, the program under test, and `$bench`, this directory.
    pub async fn run(&self, place: Place, options: &[&str], script: &str) -> Output {
        let path = self.path().display();
        let script = format!("keyrig={KEYRIG} bench='{path}'\n{script}");
        self.exec(place, options, &["sh", "-c", &script]).await
    }

    /// Runs a command under `keyrig exec` with options.
    pub async fn exec(&self, place: Place, options: &[&str], command: &[&str]) -> Output {
        let mut command_line = self.place(place);
        command_line.args(["exec", "--view", place.view]).args(options).arg("--").args(command);
        judge::run(&mut command_line, b"", LIMIT).await
    }

    /// The program under test in a place, without arguments yet.
    #[must_use]
    pub fn place(&self, place: Place) -> tokio::process::Command {
        // Opened before its directory is out of reach; every process from here on inherits it.
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", "exec 9<\"$0\"; exec \"$@\"", program::keyrig()]);
        if place.nobody {
            command.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        }
        if let Some(rules) = place.rules {
            command.arg(self.path().join("confine")).arg(rules);
        }
        command
            .arg(KEYRIG)
            .current_dir(self.path())
            .env("TMPDIR", self.path().join("tmp"))
            .env("HOME", "/nonexistent")
            .env_remove("KEYRIG_LOG")
            .env_remove("KEYRIG_CONTROL");
        command
    }

    /// What `keyrig exec` has left: files in the directory for temporary ones, and sockets and mounts anywhere below.
    ///
    /// # Panics
    /// If it cannot be looked at.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join("tmp")).expect("it is there");
        let files = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let below = self.path().to_string_lossy().into_owned();
        let listed =
            ["/proc/net/unix", "/proc/self/mountinfo"].map(|list| std::fs::read_to_string(list).expect("Linux"));
        let named = listed.iter().flat_map(|list| list.lines()).filter(|line| line.contains(&below)).map(str::to_owned);
        files.chain(named).collect()
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}
