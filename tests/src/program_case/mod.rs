//! One case of programs that nobody here wrote, without a kernel's help: a script under `keyrig exec`, in either view.

use std::path::Path;
use std::time::Duration;

use crate::judge::{self, Output};
use crate::program;

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(120);

const PRELUDE: &str = concat!(include_str!("../tools.sh"), include_str!("prelude.sh"));

/// The views of `keyrig exec`.
pub const VIEWS: [&str; 2] = ["namespace", "paths"];

/// Runs a case in each view, or says that it is skipped: `needs` are files of packages that `scripts/test` installs. Returns
/// what the runs printed.
///
/// The script is POSIX shell, after `tools.sh` and `prelude.sh` beside this file. It has two keys: one called a, of `profile`, is
/// `$node`; the other, called b, is a `security-key-5.1`. It has `$keyrig`, the program under test, and `$terminal`, which types
/// what programs ask for.
///
/// # Panics
///
/// If the script fails or takes too long.
pub async fn run(terminal: &str, needs: &[&str], profile: &str, script: &str) -> Vec<Output> {
    let mut outputs = Vec::new();
    for view in VIEWS {
        outputs.extend(run_in(view, &[], terminal, needs, profile, script).await);
    }
    outputs
}

/// Runs a case in one view, with further options of `keyrig exec`; see [`run`].
///
/// # Panics
///
/// If the script fails or takes too long.
pub async fn run_in(
    view: &str,
    options: &[&str],
    terminal: &str,
    needs: &[&str],
    profile: &str,
    script: &str,
) -> Option<Output> {
    if let Some(missing) = needs.iter().find(|path| !Path::new(path).exists()) {
        judge::skip(&format!("{missing} is not installed: scripts/test installs it"));
        return None;
    }
    let keyrig = program::keyrig();
    let script = format!("keyrig='{keyrig}'\nterminal='{terminal}'\ncontrol=$KEYRIG_CONTROL\n{PRELUDE}\n{script}");
    // coreutils' timeout ends what the script has started too.
    let mut command = tokio::process::Command::new("timeout");
    command
        .args(["--kill-after=10", &LIMIT.as_secs().to_string(), keyrig, "exec", "--quiet", "--view", view])
        .args(["--key", &format!("a={profile}"), "--key", "b=security-key-5.1"])
        .args(options)
        .args(["--", "sh", "-c", &script])
        .env_remove("KEYRIG_LOG");
    let output = judge::run(&mut command, b"", LIMIT + Duration::from_secs(20)).await;
    assert!(output.success, "{view}: {output}");
    Some(output)
}
