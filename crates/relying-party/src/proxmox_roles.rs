//! Proxmox VE's privileges, and the roles that it has built in: those of Proxmox VE 9, and `VM.Monitor`, which 8 had.
//!
//! Sources: pve-access-control's documentation (`pveum`, "Privileges" and "Roles"), and `pvesh get /access/roles` of 9.

/// Privileges of one kind, by who has them in the built-in roles.
struct Kind {
    /// As in `PVE…Admin` and `PVE…User`.
    name: &'static str,
    /// Those of the role `Administrator` alone.
    root: &'static [&'static str],
    /// What administrators of the kind may beside all that users and auditors may.
    admin: &'static [&'static str],
    user: &'static [&'static str],
    audit: &'static [&'static str],
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "VM",
        root: &[],
        admin: &[
            "VM.Allocate",
            "VM.Clone",
            "VM.Config.CPU",
            "VM.Config.Disk",
            "VM.Config.HWType",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.Options",
            "VM.GuestAgent.Unrestricted",
            "VM.Migrate",
            "VM.Replicate",
            "VM.Snapshot",
            "VM.Snapshot.Rollback",
        ],
        user: &[
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        ],
        audit: &["VM.Audit", "VM.GuestAgent.Audit"],
    },
    Kind {
        name: "Sys",
        root: &["Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"],
        admin: &["Sys.Console", "Sys.Syslog"],
        user: &[],
        audit: &["Sys.Audit"],
    },
    Kind {
        name: "Datastore",
        root: &[],
        admin: &["Datastore.Allocate", "Datastore.AllocateTemplate"],
        user: &["Datastore.AllocateSpace"],
        audit: &["Datastore.Audit"],
    },
    Kind { name: "SDN", root: &[], admin: &["SDN.Allocate"], user: &["SDN.Use"], audit: &["SDN.Audit"] },
    Kind {
        name: "User",
        root: &["Realm.Allocate"],
        admin: &["Group.Allocate", "Realm.AllocateUser", "User.Modify"],
        user: &[],
        audit: &[],
    },
    Kind { name: "Pool", root: &[], admin: &["Pool.Allocate"], user: &[], audit: &["Pool.Audit"] },
    Kind { name: "Mapping", root: &[], admin: &["Mapping.Modify"], user: &["Mapping.Use"], audit: &["Mapping.Audit"] },
];

/// Of no kind.
const PERMISSIONS: &str = "Permissions.Modify";

/// What Proxmox VE 9 has no more, and guides still name.
const FORMER: &str = "VM.Monitor";

impl Kind {
    fn of_admin(&self) -> impl Iterator<Item = &'static str> {
        self.admin.iter().chain(self.user).chain(self.audit).copied()
    }

    fn of_user(&self) -> impl Iterator<Item = &'static str> {
        self.user.iter().chain(self.audit).copied()
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    let of_kinds = KINDS.iter().flat_map(|kind| kind.root.iter().copied().chain(kind.of_admin()));
    of_kinds.chain([PERMISSIONS])
}

/// Whether a privilege is one of Proxmox VE's.
pub(crate) fn is_known(privilege: &str) -> bool {
    privilege == FORMER || all().any(|known| known == privilege)
}

/// What a built-in role has, in order.
pub(crate) fn of_role(role: &str) -> Option<Vec<String>> {
    let mut privileges: Vec<&str> = match role {
        "Administrator" => all().collect(),
        "NoAccess" => Vec::new(),
        // Devices of the host are for administrators, and for those of mappings.
        "PVEAdmin" => KINDS.iter().flat_map(Kind::of_admin).filter(|name| *name != "Mapping.Modify").collect(),
        "PVEAuditor" => KINDS.iter().flat_map(|kind| kind.audit).copied().collect(),
        "PVETemplateUser" => vec!["VM.Audit", "VM.Clone"],
        _ => {
            let of = |suffix: &str| {
                let name = role.strip_prefix("PVE")?.strip_suffix(suffix)?;
                KINDS.iter().find(|kind| kind.name == name)
            };
            // There is PVEPoolUser, and no user of what has only administrators.
            let has_users = |kind: &&Kind| !kind.user.is_empty() || kind.name == "Pool";
            match of("Admin") {
                Some(kind) => kind.of_admin().collect(),
                None => of("User").filter(has_users)?.of_user().collect(),
            }
        }
    };
    privileges.sort_unstable();
    Some(privileges.into_iter().map(str::to_owned).collect())
}
