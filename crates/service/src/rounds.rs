//! A conditional ceremony goes in rounds: keys that come, or come back, are asked in the next.

use core::future::pending;
use core::pin::pin;

use keyrig_client::channel::{Canceller, ChannelError};
use keyrig_client::error::{DomException, KeyFailure, Refusal};
use keyrig_client::{ClientError, Key};
use keyrig_rack::KeyName;
use keyrig_rack::events::{Reader, What};

use crate::client::{Asked, Outcome, Page, chosen, is_aborted, keys};
use crate::error::Refused;
use crate::service::Service;

/// How many events are taken from the log at once.
const AT_ONCE: usize = 64;

impl Page {
    /// Waits for a touch at the keys that are named, or at any: with those that are plugged in, and again with those that have come
    /// since. A key whose user has refused is asked again if it is plugged in again.
    pub(crate) async fn carry_out_conditionally(
        &self,
        asked: &Asked,
        on: &[KeyName],
        service: &Service,
    ) -> Result<Outcome, Refused> {
        let mut changes = Changes { reader: service.rack.events(), after: service.rack.events().last(), on };
        let (mut blinked, mut refused) = (Vec::new(), Vec::new());
        loop {
            if !on.is_empty() && on.iter().all(|name| service.rack.key(name).is_none()) {
                return Ok(Outcome { credential: Err(nothing_left(on)), blinked, touched: Vec::new() });
            }
            let mut names = chosen(service, on).await?;
            names.retain(|name| !refused.contains(name));
            let mut keys = keys(service, &names);
            let place = service.conditionals.enter(names).await;
            let mut replaced = place.canceller().token();
            let again = Canceller::new();
            let mut came = Vec::new();
            let mut outcome = {
                let mut round = pin!(self.carry_out(asked, &mut keys, again.token()));
                let ended = tokio::select! {
                    biased;
                    () = replaced.requested() => None,
                    outcome = &mut round => Some(outcome),
                    changed = changes.next() => {
                        came = changed;
                        None
                    }
                };
                match ended {
                    Some(outcome) => outcome,
                    None => {
                        again.cancel();
                        round.await
                    }
                }
            };
            drop(place);
            for name in outcome.blinked {
                if !blinked.contains(&name) {
                    blinked.push(name);
                }
            }
            outcome.blinked = blinked.clone();
            let was_aborted = is_aborted(&outcome);
            if let Err(error) = &mut outcome.credential
                && was_aborted
            {
                // Nobody else aborts it.
                error.reason = Refusal::Replaced;
            }
            if !was_aborted || replaced.is_requested() {
                return Ok(outcome);
            }
            let out = keys.iter().filter(|key| key.dropped_out()).map(Key::name);
            refused.extend(out.filter_map(|name| name.parse::<KeyName>().ok()));
            refused.retain(|name| !came.contains(name));
        }
    }
}

fn nothing_left(on: &[KeyName]) -> ClientError {
    let gone = |name: &KeyName| KeyFailure { key: name.to_string(), cause: ChannelError::Removed.into() };
    ClientError { name: DomException::NotAllowedError, reason: Refusal::EveryKey(on.iter().map(gone).collect()) }
}

/// What becomes of the keys that are named, or of any.
struct Changes<'a> {
    reader: &'a Reader,
    after: u64,
    on: &'a [KeyName],
}

impl Changes<'_> {
    /// The keys that have to be asked anew, or are no more; none if there were too many changes to tell. Cancel-safe.
    async fn next(&mut self) -> Vec<KeyName> {
        loop {
            let events = self.reader.behind(self.after, AT_ONCE).await;
            let Some(last) = events.last() else {
                // The rack has ended, and the connection ends with it.
                return pending().await;
            };
            self.after = last.id;
            let is_gap = events.iter().any(|event| matches!(event.what, What::Gap { .. }));
            let changed = events.into_iter().filter_map(|event| changed(event.what));
            let names: Vec<_> = changed.filter(|name| self.on.is_empty() || self.on.contains(name)).collect();
            if is_gap || !names.is_empty() {
                return names;
            }
        }
    }
}

/// The key that has other credentials now, or another life.
fn changed(what: What) -> Option<KeyName> {
    match what {
        What::Plugged { key }
        | What::Removed { key }
        | What::Reset { key }
        | What::Restored { key }
        | What::Stored { key, .. } => Some(key),
        _ => None,
    }
}
