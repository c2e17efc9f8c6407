//! Who said no: ceremonies that failed, explained from what keys heard.
//!
//! What keys are asked belongs to one ceremony if it has the same hash of client data. What has none (getInfo, a touch to choose a key,
//! PINs, questions whether there is a credential) goes by key and time: a ceremony begins with getInfo, at each of its keys.
//! Firefox may end one without a key ever hearing its client data.

mod ceremony;
mod words;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::ceremony::{Heard, Role};
use super::event::{Event, What};
use super::exchange::{Exchange, Exchanges};
use super::explanation::Explanation;

/// How long a ceremony is silent until it counts as over, if nobody can be typing a PIN: microseconds. CTAP1/U2F is asked again each 200 ms.
pub(crate) const SILENCE_US: u64 = 1_000_000;

/// How many ceremonies are remembered, to know which of them an answer or a request belongs to.
const MAX_CEREMONIES: usize = 64;

/// Explains ceremonies that fail, as events come.
#[derive(Debug, Default)]
pub struct Explainer {
    exchanges: Exchanges,
    ceremonies: VecDeque<Heard>,
}

impl Explainer {
    /// Takes an event, and returns what of it explains: ceremonies that are over with it, and have failed. Explanations among the
    /// events are ignored.
    pub fn take(&mut self, event: &Event) -> Vec<Event> {
        let mut told = self.tell_where(|heard| {
            !heard.may_wait_for_user() && heard.last_at_us.saturating_add(SILENCE_US) < event.at_us
        });
        let has_gone = matches!(event.what, What::Unplugged | What::Attached | What::Detached);
        for ended in self.exchanges.take(event) {
            self.end(ended, event.at_us, has_gone);
        }
        if let Some(key) = event.key.as_deref().filter(|_| has_gone) {
            for heard in &mut self.ceremonies {
                heard.keys.remove(key);
            }
        }
        if let What::Request { exchange, .. } = &event.what
            && let Some(asked) = self.exchanges.open(*exchange).cloned()
        {
            self.ask(asked);
        }
        told.extend(self.tell_where(|heard| heard.is_over));
        told
    }

    /// Explains what has failed and is silent, as nothing has come for a while: [`SILENCE_US`].
    pub(crate) fn fall_silent(&mut self) -> Vec<Event> {
        self.tell_where(|heard| !heard.may_wait_for_user())
    }

    /// Whether something could be explained if nothing came for a while.
    pub(crate) fn waits_for_silence(&self) -> bool {
        self.ceremonies.iter().any(|heard| is_to_be_told(heard) && !heard.may_wait_for_user())
    }

    /// Explains what has failed, or was not answered, and nothing more comes.
    #[must_use]
    pub fn end_of_transcript(mut self) -> Vec<Event> {
        for left in core::mem::take(&mut self.exchanges).end() {
            let at_us = left.at_us;
            self.end(left, at_us, false);
        }
        self.tell_where(|_| true)
    }

    fn tell_where(&mut self, is_wanted: impl Fn(&Heard) -> bool) -> Vec<Event> {
        let told = self.ceremonies.iter_mut().filter(|heard| is_to_be_told(heard) && is_wanted(heard));
        told.map(|heard| {
            heard.is_told = true;
            explained(heard)
        })
        .collect()
    }

    fn end(&mut self, exchange: Exchange, at_us: u64, has_gone: bool) {
        for heard in self.ceremonies.iter_mut().rev() {
            if heard.end(exchange.clone(), at_us, has_gone) {
                return;
            }
        }
    }

    /// Finds the ceremony that a request belongs to.
    fn ask(&mut self, exchange: Exchange) {
        let Some(role) = Role::of(&exchange.command, exchange.subcommand.as_deref(), &exchange.request) else { return };
        let key = exchange.key.as_str();
        let current = self
            .ceremonies
            .iter()
            .rposition(|heard| heard.keys.contains(key) && !heard.is_over && !heard.has_succeeded());
        let joined = match &role {
            Role::Real(_, hash) => match self.ceremonies.iter().rposition(|heard| heard.hash.as_ref() == Some(hash)) {
                Some(known) => {
                    self.move_key(key, current, known);
                    Some(known)
                }
                None => {
                    let is_new = |at: &usize| self.ceremonies.get(*at).is_some_and(|heard| heard.hash.is_none());
                    current.filter(is_new).or_else(|| self.beginning_elsewhere(&exchange).filter(is_new))
                }
            },
            // Another begins where one is under way.
            Role::Info => current
                .filter(|at| self.ceremonies.get(*at).is_some_and(|heard| !heard.is_under_way_at(key)))
                .or_else(|| self.beginning_elsewhere(&exchange)),
            _ => current.or_else(|| self.beginning_elsewhere(&exchange)),
        };
        if let Some(left) = current.filter(|current| joined != Some(*current))
            && let Some(heard) = self.ceremonies.get_mut(left)
        {
            heard.is_over = true;
        }
        let heard = match joined {
            Some(joined) => self.ceremonies.get_mut(joined),
            None => {
                // One that nobody was told of by now is asked for no more.
                if self.ceremonies.len() >= MAX_CEREMONIES {
                    self.ceremonies.pop_front();
                }
                self.ceremonies.push_back(Heard::new(exchange.at_us));
                self.ceremonies.back_mut()
            }
        };
        if let Some(heard) = heard {
            heard.ask(role, exchange);
        }
    }

    /// The ceremony that other keys are asked in, and this one not yet.
    fn beginning_elsewhere(&self, exchange: &Exchange) -> Option<usize> {
        self.ceremonies.iter().rposition(|heard| {
            let is_present = heard.is_open() || heard.last_at_us.saturating_add(SILENCE_US) >= exchange.at_us;
            is_present && !heard.is_over && !heard.has_succeeded() && !heard.keys.contains(&exchange.key)
        })
    }

    /// What a key was asked in one ceremony turns out to belong to another.
    fn move_key(&mut self, key: &str, from: Option<usize>, to: usize) {
        let Some(from) = from.filter(|from| *from != to).and_then(|from| self.ceremonies.get_mut(from)) else { return };
        if from.hash.is_some() {
            return;
        }
        from.keys.remove(key);
        let moved: Vec<_> = from.parts.extract_if(.., |part| part.exchange.key == key).collect();
        if let Some(to) = self.ceremonies.get_mut(to) {
            to.parts.extend(moved);
        }
    }
}

fn is_to_be_told(heard: &Heard) -> bool {
    !heard.is_told && !heard.is_open() && heard.has_failed()
}

fn explained(heard: &Heard) -> Event {
    let explanation: Explanation = words::explain(heard);
    Event { at_us: heard.last_at_us, key: None, what: What::Explained(explanation) }
}
