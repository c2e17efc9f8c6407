//! Authenticator data, read as far as it goes, and the checks of its head that both ceremonies share (WebAuthn Level 3,
//! §6.1).

use std::borrow::Cow;

use keyrig_ctap::Aaguid;
use keyrig_ctap::authenticator_data::Flags;
use keyrig_ctap::cbor::Item;
use sha2::{Digest, Sha256};

use crate::cbor;
use crate::check::Check;
use crate::expectations::{BackupPolicy, FlagPolicy};
use crate::report::{Findings, Outcome};
use crate::shown::hex;
use crate::strictness::{Deviation, Strictness};

/// rpIdHash, flags and signCount: what authenticator data is at least.
const HEAD_BYTES: usize = 32 + 1 + 4;

pub(crate) struct AuthenticatorData<'a> {
    pub(crate) head: Option<Head>,
    pub(crate) attested: Option<Attested<'a>>,
    /// In canonical form.
    pub(crate) extensions: Option<Cow<'a, [u8]>>,
    pub(crate) problem: Option<String>,
    /// What deviates from the specification in form, and whether that refuses the ceremony.
    deviations: Vec<(String, Deviation)>,
}

#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) rp_id_hash: [u8; 32],
    pub(crate) flags: Flags,
    pub(crate) sign_count: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Attested<'a> {
    pub(crate) aaguid: Aaguid,
    pub(crate) credential_id: &'a [u8],
    /// `None` if what follows the credential id is not CBOR.
    pub(crate) public_key: Option<&'a [u8]>,
}

impl<'a> AuthenticatorData<'a> {
    pub(crate) fn parse(bytes: &'a [u8], strictness: &Strictness) -> Self {
        let mut parsed = Self { head: None, attested: None, extensions: None, problem: None, deviations: Vec::new() };
        parsed.problem = parsed.read(bytes, strictness).err();
        parsed
    }

    fn read(&mut self, bytes: &'a [u8], strictness: &Strictness) -> Result<(), String> {
        let form = strictness.cbor_form;
        let short = || format!("{} bytes, fewer than the {HEAD_BYTES} of the head", bytes.len());
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let ([flags], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
        let (sign_count, mut rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let flags = Flags(*flags);
        self.head = Some(Head { rp_id_hash: *rp_id_hash, flags, sign_count: u32::from_be_bytes(*sign_count) });
        if flags.contains(Flags::AT) {
            let short = |part: &str| format!("it ends inside the {part} that the AT flag announces");
            let (aaguid, tail) = rest.split_first_chunk::<16>().ok_or_else(|| short("AAGUID"))?;
            let (length, tail) = tail.split_first_chunk::<2>().ok_or_else(|| short("credential id's length"))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (credential_id, tail) = tail.split_at_checked(length).ok_or_else(|| short("credential id"))?;
            let attested = self.attested.insert(Attested { aaguid: Aaguid(*aaguid), credential_id, public_key: None });
            // What is not canonical in it is for the check of the key to say, where that refuses nothing.
            let key =
                cbor::read_prefix(tail, form).map_err(|problem| format!("the credential public key is {problem}"))?;
            attested.public_key = Some(key.written);
            rest = key.rest;
        }
        if flags.contains(Flags::ED) {
            let what = "the extensions that the ED flag announces are";
            let extensions = cbor::read_prefix(rest, form).map_err(|problem| format!("{what} {problem}"))?;
            let is_map = Item::parse(&extensions.canonical).is_ok_and(|item| item.map().is_ok());
            if !is_map {
                return Err(format!("{what} not a map"));
            }
            self.deviations.extend(extensions.deviation.map(|problem| (format!("{what} {problem}"), form)));
            self.extensions = Some(extensions.canonical);
            rest = extensions.rest;
        }
        if !rest.is_empty() {
            let problem = format!("{} bytes follow what the flags announce", rest.len());
            self.deviations.push((problem, strictness.trailing_bytes));
        }
        Ok(())
    }

    pub(crate) fn flag(&self, flag: Flags) -> Option<bool> {
        self.head.map(|head| head.flags.contains(flag))
    }
}

pub(crate) struct Expected<'a> {
    pub(crate) rp_id: &'a str,
    /// If the appid extension was used.
    pub(crate) app_id: Option<&'a str>,
    pub(crate) user_presence: bool,
    pub(crate) user_verification: bool,
    pub(crate) backup: BackupPolicy,
    /// At authentication, what the BE flag was at registration: `Err` if there is no record to compare with.
    pub(crate) backup_eligible: Option<Result<bool, Check>>,
}

/// Checks authenticator data, from [`Check::AuthenticatorData`] to [`Check::BackupState`].
pub(crate) fn check(findings: &mut Findings, data: &AuthenticatorData<'_>, expected: &Expected<'_>) {
    let shape = "the parts that the flags announce";
    findings.decide_shape(Check::AuthenticatorData, shape, data.problem.as_ref(), &data.deviations);
    let Some(head) = data.head else {
        let unread = [Check::RpIdHash, Check::UserPresent, Check::UserVerified, Check::BackupStateConsistent];
        let unchanged = expected.backup_eligible.map(|_| Check::BackupEligibilityUnchanged);
        for check in unread.into_iter().chain(unchanged).chain([Check::BackupEligibility, Check::BackupState]) {
            findings.not_evaluated(check, Check::AuthenticatorData);
        }
        return;
    };
    check_rp_id_hash(findings, head, expected);
    let flag = |name: &'static str, unset: &'static str, set: bool| if set { name } else { unset };
    let (up, uv) = (head.flags.contains(Flags::UP), head.flags.contains(Flags::UV));
    if expected.user_presence {
        findings.decide(Check::UserPresent, up, "UP set", flag("UP set", "UP not set", up));
    } else {
        findings.not_applicable(Check::UserPresent, "a conditional creation needs no user presence");
    }
    if expected.user_verification {
        let finding = findings.decide(Check::UserVerified, uv, "UV set", flag("UV set", "UV not set", uv));
        if !uv {
            finding.explanation = Some(
                "the key asked for neither PIN nor biometrics; it may have none set, and some browsers then go on without"
                    .into(),
            );
        }
    } else {
        findings.not_applicable(Check::UserVerified, "user verification is not required");
    }
    let (be, bs) = (head.flags.contains(Flags::BE), head.flags.contains(Flags::BS));
    let found = match (be, bs) {
        (false, false) => "neither BE nor BS set",
        (true, false) => "BE set, BS not set",
        (true, true) => "BE and BS set",
        (false, true) => "BS set without BE",
    };
    findings.decide(Check::BackupStateConsistent, be || !bs, "BS only with BE", found);
    match expected.backup_eligible {
        Some(Ok(before)) => {
            let finding = findings.decide(
                Check::BackupEligibilityUnchanged,
                before == be,
                flag("BE set, as at registration", "BE not set, as at registration", before),
                flag("BE set", "BE not set", be),
            );
            if before != be {
                finding.explanation = Some("a credential cannot become synchronisable, or cease to be".into());
            }
        }
        Some(Err(because)) => findings.not_evaluated(Check::BackupEligibilityUnchanged, because),
        None => {}
    }
    check_flag(findings, Check::BackupEligibility, expected.backup.eligibility, be, ["BE set", "BE not set"]);
    check_flag(findings, Check::BackupState, expected.backup.state, bs, ["BS set", "BS not set"]);
}

fn check_flag(
    findings: &mut Findings,
    check: Check,
    policy: FlagPolicy,
    is_set: bool,
    [set, unset]: [&'static str; 2],
) {
    let found = if is_set { set } else { unset };
    match policy {
        FlagPolicy::Any => {
            findings.add(check, Outcome::NotApplicable, "either is acceptable", found);
        }
        FlagPolicy::Required => {
            findings.decide(check, is_set, set, found);
        }
        FlagPolicy::Refused => {
            findings.decide(check, !is_set, unset, found);
        }
    }
}

fn check_rp_id_hash(findings: &mut Findings, head: Head, expected: &Expected<'_>) {
    let (name, kind) = match expected.app_id {
        Some(app_id) => (app_id, "AppID"),
        None => (expected.rp_id, "RP ID"),
    };
    let hash: [u8; 32] = Sha256::digest(name).into();
    let pass = hash == head.rp_id_hash;
    let finding = findings.decide(
        Check::RpIdHash,
        pass,
        format!("{}, the hash of the {kind} {name}", hex(&hash)),
        hex(&head.rp_id_hash),
    );
    if !pass {
        finding.explanation = Some(
            "the credential belongs to another RP ID: the relying party's was changed, or the ceremony was another's"
                .into(),
        );
    }
}
