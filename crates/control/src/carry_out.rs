//! How each command is carried out: by the rack, and waited for as long as it says.

use core::time::Duration;

use keyrig_authenticator::Fingerprint;
use keyrig_authenticator::credential::CredentialSource;
use keyrig_faults::{Faults, On};
use keyrig_rack::command::{Command, RackState, Refusal, WaitFor};
use keyrig_rack::snapshot::Snapshot;
use keyrig_rack::{Answered, KeyName, NewKey, Rack};
use tokio::time::sleep;

use crate::request::{
    Answer, Base64Url, ChangePin, Clone, Create, Credential, CredentialList, DeleteCredential, DeleteFingerprint, Deny,
    EnrollFingerprint, EventList, Events, ExportCredentials, ExportedCredentials, FaultList, FaultState, Finger,
    FingerprintList, ImportCredential, ImportCredentials, LargeBlobs, List, ListCredentials, ListFaults,
    ListFingerprints, ListedCredential, ListedFingerprint, MAX_EVENTS, PinRetries, PinState, Plug, PowerCycle,
    ReadLargeBlobs, Remove, RenameFingerprint, Request, Reset, Restore, RunTimeline, Sample, Secret, SetBackup, SetPin,
    SetTouchPolicy, SetUvPolicy, SwitchFaultOn, SwitchFaultsOff, TakeSnapshot, TakenSnapshot, Touch, Transact,
    TransactU2f, Transacted, Unplug, Verify, Wait, WriteLargeBlobs,
};

impl Request {
    /// How long the answer may take because it waits for something, and not for the rack.
    #[must_use]
    pub fn waits(&self) -> Duration {
        match self {
            Self::Touch(Touch { wait: true, timeout_ms, .. })
            | Self::Verify(Verify { wait: true, timeout_ms, .. })
            | Self::Sample(Sample { wait: true, timeout_ms, .. })
            | Self::Deny(Deny { wait: true, timeout_ms, .. })
            | Self::Wait(Wait { timeout_ms, .. })
            | Self::RunTimeline(RunTimeline { timeout_ms, .. })
            | Self::Events(Events { timeout_ms, .. }) => Duration::from_millis(*timeout_ms),
            // Twice as long as a key waits for a touch.
            Self::Transact(_) => Duration::from_secs(60),
            _ => Duration::ZERO,
        }
    }

    /// Carries it out. If `cancelled` completes while it waits, it is given up; while a key has a message of [`Transact`], the key is
    /// told to cancel as CTAPHID_CANCEL would, and its answer is awaited all the same. What waits for nothing is done. Dropped, it waits
    /// no more.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or the key was pulled out meanwhile.
    pub async fn carry_out(self, rack: &Rack, cancelled: impl Future<Output = ()>) -> Result<Answer, Refusal> {
        let within = self.waits();
        let command = match self {
            Self::List(List {}) => Command::List,
            Self::Touch(Touch { key, wait, .. }) => Command::Touch { key, wait },
            Self::Verify(Verify { key, miss, wait, .. }) => Command::Verify { key, miss, wait },
            Self::Sample(Sample { key, sample, wait, .. }) => Command::Sample { key, sample, wait },
            Self::Deny(Deny { key, wait, .. }) => Command::Deny { key, wait },
            Self::Wait(Wait { key, r#for: what, .. }) => Command::Wait { key, what },
            Self::Unplug(Unplug { key }) => Command::Unplug { key },
            Self::Plug(Plug { key }) => Command::Plug { key },
            Self::PowerCycle(PowerCycle { key }) => Command::PowerCycle { key },
            Self::Finger(Finger { key }) => Command::Finger { key },
            Self::SetTouchPolicy(SetTouchPolicy { policy }) => Command::TouchPolicy { policy },
            Self::SetUvPolicy(SetUvPolicy { key, policy }) => Command::UvPolicy { key, policy },
            Self::Transact(Transact { key, message }) => {
                let answered = rack.transact(&key, message, cancelled).await?;
                return transacted(rack, &key, answered).await;
            }
            Self::TransactU2f(TransactU2f { key, message }) => {
                let answered = rack.transact_u2f(&key, message).await?;
                return transacted(rack, &key, answered).await;
            }
            Self::Create(new) => return create(rack, new).await.map(Answer::State),
            Self::Remove(Remove { key }) => return rack.remove(&key).await.map(Answer::State),
            Self::Reset(Reset { key }) => return rack.reset(&key).await.map(Answer::State),
            Self::TakeSnapshot(TakeSnapshot { key }) => {
                let snapshot = rack.snapshot(&key).await?;
                let profile = snapshot.profile.clone();
                let snapshot = aside(move || Base64Url(snapshot.to_bytes())).await?;
                return Ok(Answer::Snapshot(TakenSnapshot { key, profile, snapshot }));
            }
            Self::Restore(Restore { key, snapshot }) => {
                let snapshot = aside(move || Snapshot::from_bytes(&snapshot.0)).await??;
                return rack.restore(&key, snapshot).await.map(Answer::State);
            }
            Self::Clone(Clone { key, name }) => return rack.clone_key(&key, name).await.map(Answer::State),
            Self::PinRetries(PinRetries { key }) => return pin_state(rack, key).await.map(Answer::Pin),
            Self::SetPin(SetPin { key, pin: Secret(pin) }) => {
                rack.known(&key)?.set_pin(pin).await.map_err(Refusal::of(&key))?;
                return pin_state(rack, key).await.map(Answer::Pin);
            }
            Self::ChangePin(ChangePin { key, pin: Secret(pin), new_pin: Secret(new) }) => {
                rack.known(&key)?.change_pin(pin, new).await.map_err(Refusal::of(&key))?;
                return pin_state(rack, key).await.map(Answer::Pin);
            }
            Self::ListCredentials(ListCredentials { key }) => {
                let all = rack.known(&key)?.export_all().await.map_err(Refusal::of(&key))?;
                let credentials = aside(|| all.into_iter().map(ListedCredential::from).collect()).await?;
                return Ok(Answer::Credentials(CredentialList { key, credentials }));
            }
            Self::ExportCredentials(which) => return export(rack, which).await.map(Answer::Exported),
            Self::ImportCredential(ImportCredential { key, credential }) => {
                return import(rack, key, vec![credential]).await.map(Answer::State);
            }
            Self::ImportCredentials(ImportCredentials { key, credentials }) => {
                return import(rack, key, credentials).await.map(Answer::State);
            }
            Self::DeleteCredential(DeleteCredential { key, credential_id: Base64Url(id) }) => {
                rack.known(&key)?.delete(id).await.map_err(Refusal::of(&key))?;
                Command::Show { key }
            }
            Self::SetBackup(SetBackup { key, credential_id: Base64Url(id), backup_eligible, backup_state }) => {
                rack.known(&key)?.set_backup(id, backup_eligible, backup_state).await.map_err(Refusal::of(&key))?;
                Command::Show { key }
            }
            Self::ReadLargeBlobs(ReadLargeBlobs { key }) => {
                let array = rack.known(&key)?.large_blobs().await.map_err(Refusal::of(&key))?;
                return Ok(Answer::LargeBlobs(LargeBlobs { key, array: Base64Url(array) }));
            }
            Self::WriteLargeBlobs(WriteLargeBlobs { key, array: Base64Url(array) }) => {
                rack.known(&key)?.write_large_blobs(array).await.map_err(Refusal::of(&key))?;
                Command::Show { key }
            }
            Self::ListFingerprints(ListFingerprints { key }) => return fingerprint_list(rack, key).await,
            Self::EnrollFingerprint(EnrollFingerprint { key, name }) => {
                rack.known(&key)?.enroll_fingerprint(name).await.map_err(Refusal::of(&key))?;
                return fingerprint_list(rack, key).await;
            }
            Self::RenameFingerprint(RenameFingerprint { key, template_id: Base64Url(id), name }) => {
                rack.known(&key)?.rename_fingerprint(id, name).await.map_err(Refusal::of(&key))?;
                return fingerprint_list(rack, key).await;
            }
            Self::DeleteFingerprint(DeleteFingerprint { key, template_id: Base64Url(id) }) => {
                rack.known(&key)?.delete_fingerprint(id).await.map_err(Refusal::of(&key))?;
                return fingerprint_list(rack, key).await;
            }
            Self::RunTimeline(RunTimeline { timeline, .. }) => {
                let until = async {
                    tokio::select! {
                        () = cancelled => {}
                        () = sleep(within) => {}
                    }
                };
                return timeline.run(rack, until, |_| {}).await.map(Answer::Timeline);
            }
            Self::SwitchFaultOn(SwitchFaultOn { key, fault }) => {
                Faults::at(rack, &key)?.switch_on(&key, fault).map_err(|error| error.at(&key))?;
                return fault_list(rack, key).map(Answer::Faults);
            }
            Self::SwitchFaultsOff(SwitchFaultsOff { key, fault }) => {
                let off = Faults::at(rack, &key)?.switch_off(&key, fault.as_ref());
                let list = fault_list(rack, key)?;
                return Ok(Answer::Faults(FaultList { off: Some(fault_states(off)), ..list }));
            }
            Self::ListFaults(ListFaults { key }) => return fault_list(rack, key).map(Answer::Faults),
            Self::Events(Events { after, .. }) => {
                let events = tokio::select! {
                    biased;
                    events = rack.events().behind(after, MAX_EVENTS) => events,
                    () = cancelled => Vec::new(),
                    () = sleep(within) => Vec::new(),
                };
                return Ok(Answer::Events(EventList { events }));
            }
        };
        match waiting(&command) {
            Some((key, what)) => tokio::select! {
                biased;
                answer = rack.command(command) => answer,
                () = cancelled => Err(Refusal::GivenUp(key)),
                () = sleep(within) => Err(Refusal::TimedOut { key, what, within }),
            },
            None => rack.command(command).await,
        }
        .map(Answer::State)
    }
}

/// Carries out what takes its time for many credentials, away from the thread of the keys.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Stopped)
}

/// The answer, with the key after it.
async fn transacted(rack: &Rack, key: &KeyName, answered: Answered) -> Result<Answer, Refusal> {
    let state = rack.command(Command::Show { key: key.clone() }).await?;
    let Answered { message, asked_for_touch } = answered;
    Ok(Answer::Transacted(Transacted { state, asked_for_touch, message }))
}

/// What a command waits for, if it waits.
fn waiting(command: &Command) -> Option<(KeyName, WaitFor)> {
    match command {
        Command::Touch { key, wait: true }
        | Command::Verify { key, wait: true, .. }
        | Command::Sample { key, wait: true, .. }
        | Command::Deny { key, wait: true } => Some((key.clone(), WaitFor::Touch)),
        Command::Wait { key, what } => Some((key.clone(), *what)),
        _ => None,
    }
}

async fn fingerprint_list(rack: &Rack, key: KeyName) -> Result<Answer, Refusal> {
    let known = rack.known(&key)?.fingerprints().await.map_err(Refusal::of(&key))?;
    let listed = |Fingerprint { id, name }| ListedFingerprint { template_id: Base64Url(id), name };
    let fingerprints = known.into_iter().map(listed).collect();
    Ok(Answer::Fingerprints(FingerprintList { key, fingerprints }))
}

fn fault_list(rack: &Rack, key: KeyName) -> Result<FaultList, Refusal> {
    let on = Faults::at(rack, &key)?.on(&key);
    Ok(FaultList { key, faults: fault_states(on), off: None })
}

fn fault_states(all: Vec<On>) -> Vec<FaultState> {
    all.into_iter().map(|On { fault, happened }| FaultState { fault, happened }).collect()
}

/// The profile of a key of which nothing else is said.
const DEFAULT_PROFILE: &str = "keyrig";

async fn create(rack: &Rack, create: Create) -> Result<RackState, Refusal> {
    let Create { name, profile, virtual_authenticator, quirks, enterprise_rps, snapshot, pin, uv, plugged } = create;
    let snapshot = match snapshot {
        Some(bytes) => Some(aside(move || Snapshot::from_bytes(&bytes.0)).await??),
        None => None,
    };
    let bad = |reason: String| Refusal::CannotCreate { key: name.clone(), reason };
    if virtual_authenticator.is_some() && (profile.is_some() || snapshot.is_some()) {
        return Err(bad("a virtual authenticator has no other profile, and no snapshot".to_owned()));
    }
    let described = virtual_authenticator.map(|described| described.profile().map_err(|error| bad(error.to_string())));
    let profile = profile.or_else(|| snapshot.as_ref().map(|snapshot| snapshot.profile.clone()));
    let profile = match described {
        Some(described) => described?,
        None => rack.profile(&profile.unwrap_or_else(|| DEFAULT_PROFILE.to_owned()))?,
    };
    let mut key = NewKey { name, profile, snapshot, pin: pin.map(|Secret(pin)| pin), uv, plugged };
    key.add(&quirks, &enterprise_rps)?;
    rack.create(key).await
}

async fn pin_state(rack: &Rack, key: KeyName) -> Result<PinState, Refusal> {
    let state = rack.known(&key)?.pin_state().await.map_err(Refusal::of(&key))?;
    Ok(PinState {
        key,
        pin_set: state.set,
        retries: state.set.then_some(state.retries),
        power_cycle_needed: state.set.then_some(state.power_cycle_needed),
    })
}

async fn export(rack: &Rack, export: ExportCredentials) -> Result<ExportedCredentials, Refusal> {
    let ExportCredentials { key, credential_id, rp_id } = export;
    let handle = rack.known(&key)?;
    let exported = match credential_id {
        Some(id) => handle.export(id.0, rp_id).await.map(|one| vec![one]),
        None => handle.export_all().await,
    };
    let exported = exported.map_err(Refusal::of(&key))?;
    let credentials = aside(|| exported.into_iter().map(Credential::from).collect()).await?;
    Ok(ExportedCredentials { credentials })
}

async fn import(rack: &Rack, key: KeyName, credentials: Vec<Credential>) -> Result<RackState, Refusal> {
    let handle = rack.known(&key)?;
    let of = credentials.len();
    let read = move || -> Result<Vec<_>, String> {
        let numbered = credentials.into_iter().zip(1..);
        let read = numbered.map(|(credential, number)| {
            CredentialSource::try_from(credential).map_err(|error| {
                if of == 1 { error.to_string() } else { format!("credential {number} of {of}: {error}") }
            })
        });
        read.collect()
    };
    let sources = aside(read).await?.map_err(|reason| Refusal::BadCredential { key: key.clone(), reason })?;
    handle.import(sources).await.map_err(Refusal::of(&key))?;
    rack.command(Command::Show { key }).await
}
