//! One case of a program that uses libfido2, without a kernel: a script on this machine, with a key at a datagram endpoint.
//!
//! A preloaded library (`tests/shim`) gives the programs that key in the place of those at `/dev/hidraw*`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::judge::{self, Output};
use crate::program;

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(120);

const PRELUDE: &str = concat!(include_str!("../tools.sh"), include_str!("prelude.sh"));

/// Runs a case, or says that it is skipped and returns `None`: `needs` are files of packages that `scripts/test` installs.
///
/// The script is POSIX shell, after `tools.sh` and `prelude.sh` beside this file. It has `$keyrig`, the program under test, and
/// `$terminal`, which types what programs ask for.
///
/// # Panics
///
/// If the script fails or takes too long.
pub async fn run(terminal: &str, needs: &[&str], script: &str) -> Option<Output> {
    let header = "/usr/include/fido.h";
    if let Some(missing) = needs.iter().chain([&header]).find(|path| !Path::new(path).exists()) {
        judge::skip(&format!("{missing} is not installed: scripts/test installs it"));
        return None;
    }
    let (keyrig, shim) = (program::keyrig(), shim());
    let variables = format!("keyrig='{keyrig}'\nterminal='{terminal}'\nshim='{}'\n", shim.display());
    // coreutils' timeout ends what the script has started too.
    let mut command = tokio::process::Command::new("timeout");
    command
        .args(["--kill-after=10", &LIMIT.as_secs().to_string(), "sh", "-c"])
        .arg(format!("{variables}{PRELUDE}\n{script}"))
        .env_remove("KEYRIG_LOG");
    let output = judge::run(&mut command, b"", LIMIT + Duration::from_secs(20)).await;
    assert!(output.success, "{output}");
    Some(output)
}

/// The preloaded library, compiled once in each test binary, beside the program under test.
fn shim() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = Path::new(program::keyrig()).with_file_name("fido_datagrams.so");
        // Under another name first: the tests of another binary may be using it.
        let new = path.with_extension(format!("{}.so", std::process::id()));
        let compiled = Command::new("gcc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .arg(&new)
            .arg(judge::tree("tests/shim/fido_datagrams.c"))
            .output()
            .expect("gcc runs");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        fs::rename(&new, &path).expect("it is there");
        path
    })
}
