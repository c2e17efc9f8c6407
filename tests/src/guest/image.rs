//! The initramfs: busybox, two scripts, and the modules in the order of their dependencies.
//!
//! The archive is cpio's "new ASCII" format, which is all that the kernel reads
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kernel::{self, Kernel};
use super::{BootError, Unavailable, host_error};

/// What the guest needs; what these need follows from the modules themselves.
const MODULES: [&str; 10] = [
    // The control channel and the host's files.
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "overlay",
    // A USB/IP device as an HID device, and HID devices from user space.
    "vhci_hcd",
    "usbhid",
    "hid_generic",
    "uhid",
    // What passes on a bus.
    "usbmon",
];

const BUSYBOX: &str = "/bin/busybox";

/// The whole archive.
pub(super) fn build(kernel: &Kernel) -> Result<Vec<u8>, BootError> {
    let busybox = fs::read(BUSYBOX).map_err(|_| {
        BootError::Unavailable(Unavailable::ProgramMissing { program: BUSYBOX.into(), package: "busybox-static" })
    })?;
    if !is_static_elf(&busybox) {
        return Err(BootError::Unavailable(Unavailable::BusyboxNotStatic));
    }

    let mut archive = Archive::default();
    archive.folder("bin");
    archive.file("bin/busybox", 0o755, &busybox);
    archive.file("init", 0o755, include_bytes!("init.sh"));
    archive.file("agent", 0o644, include_bytes!("agent.sh"));
    archive.folder("modules");
    let mut order = String::new();
    for module in modules(kernel)? {
        archive.file(&format!("modules/{}", module.name), 0o644, &module.content);
        order.push_str(&module.name);
        order.push('\n');
    }
    archive.file("modules/order", 0o644, order.as_bytes());
    Ok(archive.finish())
}

struct Module {
    name: String,
    content: Vec<u8>,
}

/// Every module of [`MODULES`] after those it depends on.
///
/// The package carries no `modules.dep` (depmod writes it at installation), but each module names its own
/// dependencies in its `.modinfo` section.
fn modules(kernel: &Kernel) -> Result<Vec<Module>, BootError> {
    let mut files = HashMap::new();
    find_modules(&kernel.modules, &mut files)?;
    let builtin_path = kernel.modules.join("modules.builtin");
    let builtin: HashSet<String> = fs::read_to_string(&builtin_path)
        .map_err(|error| host_error("read", &builtin_path, error))?
        .lines()
        .filter_map(|line| module_name(Path::new(line)))
        .collect();

    let mut ordered = Vec::new();
    let mut seen = builtin;
    for name in MODULES {
        add_module(name, &files, &mut seen, &mut ordered)?;
    }
    Ok(ordered)
}

fn add_module(
    name: &str,
    files: &HashMap<String, PathBuf>,
    seen: &mut HashSet<String>,
    ordered: &mut Vec<Module>,
) -> Result<(), BootError> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let unusable = |reason: &str| {
        BootError::Unavailable(Unavailable::KernelPackage { reason: format!("the module {name} {reason}") })
    };
    let path = files.get(name).ok_or_else(|| unusable("is missing"))?;
    let content = read_module(path)?;
    let dependencies = dependencies(&content).ok_or_else(|| unusable("does not name its dependencies"))?;
    for dependency in dependencies {
        add_module(&dependency.replace('-', "_"), files, seen, ordered)?;
    }
    ordered.push(Module { name: name.to_owned(), content });
    Ok(())
}

fn find_modules(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<(), BootError> {
    let entries = fs::read_dir(folder).map_err(|error| host_error("read", folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| host_error("read", folder, error))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| host_error("read", &path, error))?;
        if kind.is_dir() {
            find_modules(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The kernel's name of a module: `vhci_hcd` for `…/vhci-hcd.ko.xz`.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(stem.replace('-', "_"))
}

fn read_module(path: &Path) -> Result<Vec<u8>, BootError> {
    if path.extension().is_some_and(|extension| extension == "ko") {
        return fs::read(path).map_err(|error| host_error("read", path, error));
    }
    kernel::succeed(Command::new("xz").arg("-dc").arg(path), "xz-utils")
}

/// The names in the `depends=` entry of a module's `.modinfo` section (kernel: `MODULE_INFO`, scripts/mod/modpost.c).
fn dependencies(module: &[u8]) -> Option<Vec<String>> {
    const ENTRY: &[u8] = b"\0depends=";
    let start = module.windows(ENTRY.len()).position(|window| window == ENTRY)?;
    let list = module.get(start + ENTRY.len()..)?.split(|byte| *byte == 0).next()?;
    let list = str::from_utf8(list).ok()?;
    Some(list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Whether a 64-bit ELF file runs without a program interpreter (elf(5), `PT_INTERP`).
fn is_static_elf(file: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| file.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u16::from_le_bytes(*bytes));
    let types = || -> Option<Vec<u32>> {
        let table = usize::try_from(u64::from_le_bytes(*file.get(0x20..)?.first_chunk()?)).ok()?;
        let (size, count) = (usize::from(u16_at(0x36)?), usize::from(u16_at(0x38)?));
        (0..count)
            .map(|index| {
                let at = table.checked_add(index * size)?;
                Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?))
            })
            .collect()
    };
    file.starts_with(b"\x7fELF\x02") && types().is_some_and(|types| !types.contains(&PT_INTERP))
}

/// A cpio archive in the making.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: usize,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, permissions: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | permissions, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let inode = self.entries;
        let length = content.len();
        let name_length = name.len() + 1;
        // Magic, inode, mode, uid, gid, links, mtime, size, device (4 fields), name size, checksum.
        let header = format!(
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{length:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_length:08x}{0:08x}",
            0, 1
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_the_kernel_names_them() {
        for (path, name) in [
            ("kernel/drivers/usb/usbip/vhci-hcd.ko", Some("vhci_hcd")),
            ("kernel/fs/9p/9p.ko.xz", Some("9p")),
            ("modules.order", None),
        ] {
            assert_eq!(module_name(Path::new(path)).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn dependencies_are_read_from_modinfo() {
        let modinfo = |entry: &str| format!("\x7fELF…\0license=GPL\0{entry}\0retpoline=Y\0");
        assert_eq!(dependencies(modinfo("depends=usbcore,hid").as_bytes()).unwrap(), ["usbcore", "hid"]);
        assert_eq!(dependencies(modinfo("depends=").as_bytes()).unwrap(), [""; 0]);
        assert_eq!(dependencies(modinfo("name=x").as_bytes()), None);
    }

    #[test]
    fn a_dynamically_linked_program_is_told_from_a_static_one() {
        // This test program has an interpreter; a header that points outside the file is no program at all.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!is_static_elf(&own));
        assert!(!is_static_elf(&own[..0x30]));
        assert!(!is_static_elf(b"#!/bin/sh\n"));
    }

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_documents() {
        let mut archive = Archive::default();
        archive.file("a", 0o644, b"hello");
        let bytes = archive.finish();
        assert!(bytes.starts_with(
            b"070701\
              00000001000081a4000000000000000000000001000000000000000500000000000000000000000000000000\
              0000000200000000a\0hello\0\0\x00070701"
        ));
        assert_eq!(bytes.len() % 4, 0);
    }
}
