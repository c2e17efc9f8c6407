//! Debian's stock kernel, fetched once and unpacked beside nothing else: never installed.
//!
//! The generic image is the one with `vhci_hcd` and `usbhid`; the cloud image has neither. Which package that is
//! today, the metapackage `linux-image-amd64` says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, io};

use super::{BootError, Unavailable, host_error};

const METAPACKAGE: &str = "linux-image-amd64";

/// An unpacked kernel package.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The bootable image.
    pub(super) image: PathBuf,
    /// The folder `lib/modules/VERSION`.
    pub(super) modules: PathBuf,
}

/// Finds the kernel in the cache, or fetches it there.
pub(super) fn fetch() -> Result<Kernel, BootError> {
    let package = package_name()?;
    let cache = cache_folder()?.join("kernels");
    fs::create_dir_all(&cache).map_err(|error| host_error("create", &cache, error))?;

    // The second to come waits here for the first, and finds its work done.
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(|error| host_error("create", &lock_path, error))?;
    lock.lock().map_err(|error| host_error("lock", &lock_path, error))?;

    let unpacked = cache.join(&package);
    if !unpacked.exists() {
        // Only a whole kernel ever has the final name; what an interrupted run left behind goes.
        let partial = cache.join("partial");
        remove(&partial)?;
        fs::create_dir(&partial).map_err(|error| host_error("create", &partial, error))?;
        let whole = download_and_unpack(&package, &partial)?;
        fs::rename(&whole, &unpacked).map_err(|error| host_error("rename", &whole, error))?;
        remove(&partial)?;
    }
    locate(&unpacked)
}

fn remove(folder: &Path) -> Result<(), BootError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(host_error("remove", folder, error)),
        _ => Ok(()),
    }
}

/// `$KEYRIG_CACHE`, else `$XDG_CACHE_HOME/keyrig`, else `~/.cache/keyrig`.
fn cache_folder() -> Result<PathBuf, BootError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("KEYRIG_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("keyrig")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/keyrig")))
        .ok_or(BootError::Unavailable(Unavailable::NoCacheFolder))
}

fn package_name() -> Result<String, BootError> {
    let answer = output(Command::new("apt-cache").args(["depends", "--no-recommends", METAPACKAGE]), "apt")?;
    let text = String::from_utf8_lossy(&answer.stdout);
    dependency(&text).map(str::to_owned).ok_or_else(|| {
        kernel_package(format!(
            "apt-cache knows no dependency of {METAPACKAGE} (run apt-get update on a Debian system): {}",
            String::from_utf8_lossy(&answer.stderr).trim()
        ))
    })
}

fn dependency(apt_cache_depends: &str) -> Option<&str> {
    apt_cache_depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
}

fn download_and_unpack(package: &str, folder: &Path) -> Result<PathBuf, BootError> {
    succeed(
        Command::new("apt-get")
            .args(["-q", "-o", "Acquire::http::Timeout=30", "download", package])
            .current_dir(folder),
        "apt",
    )?;
    let archive = only_entry(folder, |name| name.ends_with(".deb"))?
        .ok_or_else(|| kernel_package(format!("apt-get download {package} left no file")))?;
    let whole = folder.join("whole");
    succeed(Command::new("dpkg").arg("-x").arg(&archive).arg(&whole), "dpkg")?;
    Ok(whole)
}

fn locate(unpacked: &Path) -> Result<Kernel, BootError> {
    let missing = |what: &str| {
        kernel_package(format!("{} holds no {what}: remove the folder to fetch it again", unpacked.display()))
    };
    let image = only_entry(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))?
        .ok_or_else(|| missing("boot/vmlinuz-*"))?;
    // Debian 13 and later ship the modules where /lib points to.
    let folder = ["usr/lib/modules", "lib/modules"]
        .map(|folder| unpacked.join(folder))
        .into_iter()
        .find(|folder| folder.exists())
        .ok_or_else(|| missing("lib/modules"))?;
    let modules = only_entry(&folder, |_| true)?.ok_or_else(|| missing("lib/modules/*"))?;
    Ok(Kernel { image, modules })
}

fn only_entry(folder: &Path, matches: impl Fn(&str) -> bool) -> Result<Option<PathBuf>, BootError> {
    let entries = fs::read_dir(folder).map_err(|error| host_error("read", folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| host_error("read", folder, error))?;
        if entry.file_name().to_str().is_some_and(&matches) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn kernel_package(reason: String) -> BootError {
    BootError::Unavailable(Unavailable::KernelPackage { reason })
}

/// Runs a program whose success the kernel depends on, and returns its standard output.
pub(super) fn succeed(command: &mut Command, package: &'static str) -> Result<Vec<u8>, BootError> {
    let output = output(command, package)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(kernel_package(format!(
        "{}: {}: {}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// Runs a program whose words will be read, so in the C locale; a missing one is named with its package.
fn output(command: &mut Command, package: &'static str) -> Result<Output, BootError> {
    command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| {
        let program = PathBuf::from(command.get_program());
        match error.kind() {
            io::ErrorKind::NotFound => BootError::Unavailable(Unavailable::ProgramMissing { program, package }),
            _ => host_error("run", &program, error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metapackage_names_the_image() {
        let bookworm = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n";
        assert_eq!(dependency(bookworm), Some("linux-image-6.1.0-56-amd64"));
        let trixie = "linux-image-amd64\n  Depends: linux-base\n  Depends: linux-image-6.12.57+deb13-amd64\n";
        assert_eq!(dependency(trixie), Some("linux-image-6.12.57+deb13-amd64"));
        assert_eq!(dependency(""), None);
        assert_eq!(dependency("linux-image-amd64\n  Suggests: linux-image-x\n"), None);
    }

    #[test]
    fn a_folder_without_a_kernel_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("boot")).unwrap();
        let error = locate(folder.path()).unwrap_err();
        assert!(error.to_string().contains("boot/vmlinuz-*"), "{error}");
    }
}
