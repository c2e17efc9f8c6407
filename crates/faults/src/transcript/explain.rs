//! Who said no: ceremonies that failed, explained from what keys heard.
//!
//! What keys are asked belongs to one ceremony if it has the same hash of client data. What has none (getInfo, a touch to choose a key,
//! PINs, questions whether there is a credential) goes by key and time: a ceremony begins with getInfo, at each of its keys.
//! Firefox may end one without a key ever hearing its client data.

mod browsers;
mod ceremony;
mod page;
mod programs;
mod verdict;
mod words;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use self::ceremony::Role;
pub(crate) use self::ceremony::SILENCE_US;

use self::ceremony::Heard;
use self::page::Page;
use super::event::{Event, What};
use super::exchange::{Exchange, Exchanges};
use super::explanation::{Explanation, JoinedBy};
use super::note::Note;

/// How many ceremonies are remembered, to know which of them an answer or a request belongs to.
const MAX_CEREMONIES: usize = 64;

/// Explains ceremonies that fail, as events come.
#[derive(Debug, Default)]
pub struct Explainer {
    exchanges: Exchanges,
    ceremonies: VecDeque<Heard>,
    /// What pages noted, as far as it is not known to have failed: the latest last.
    pages: VecDeque<Page>,
    /// When the latest event was.
    last_at_us: u64,
}

impl Explainer {
    /// Takes an event, and returns what of it explains: ceremonies that are over with it, and have failed. Explanations among the
    /// events are ignored.
    pub fn take(&mut self, event: &Event) -> Vec<Event> {
        self.last_at_us = self.last_at_us.max(event.at_us);
        let mut told = self.tell_where(|heard| {
            !heard.may_wait_for_user() && heard.last_at_us.saturating_add(SILENCE_US) < event.at_us
        });
        let has_gone = matches!(event.what, What::Unplugged | What::Attached | What::Detached);
        for ended in self.exchanges.take(event) {
            self.end(ended, event.at_us, has_gone);
        }
        if let Some(key) = event.key.as_deref().filter(|_| has_gone) {
            self.ceremonies.iter_mut().for_each(|heard| heard.leave(key, event.at_us));
        }
        if let (Some(key), What::Disconnected { peer }) = (event.key.as_deref(), &event.what) {
            self.ceremonies.iter_mut().for_each(|heard| heard.disconnect(key, peer, event.at_us));
        }
        if let What::Observed(note) = &event.what {
            self.observe(note, event.at_us);
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
        let is_silent = |heard: &Heard| !heard.may_wait_for_user() && !is_awaited(&self.pages, heard);
        self.ceremonies.iter().any(|heard| is_to_be_told(heard) && is_silent(heard))
    }

    /// Explains what has failed, or was not answered, and nothing more comes.
    #[must_use]
    pub fn end_of_transcript(mut self) -> Vec<Event> {
        for left in core::mem::take(&mut self.exchanges).end() {
            let at_us = left.at_us;
            self.end(left, at_us, false);
        }
        for heard in &mut self.ceremonies {
            heard.keys.clone().iter().for_each(|key| heard.leave(key, self.last_at_us));
        }
        self.tell(true, |_| true)
    }

    fn tell_where(&mut self, is_wanted: impl Fn(&Heard) -> bool) -> Vec<Event> {
        self.tell(false, is_wanted)
    }

    /// `is_last`: no page's note comes any more.
    fn tell(&mut self, is_last: bool, is_wanted: impl Fn(&Heard) -> bool) -> Vec<Event> {
        let told = self
            .ceremonies
            .iter_mut()
            .filter(|heard| is_to_be_told(heard) && is_wanted(heard) && (is_last || !is_awaited(&self.pages, heard)));
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
        let Some(role) = Role::of_exchange(&exchange) else { return };
        let key = exchange.key.as_str();
        let current = self.ceremonies.iter().rposition(|heard| {
            heard.keys.contains(key)
                && !heard.is_over
                && !(heard.has_succeeded() && (role == Role::Info || heard.has_succeeded_at(key)))
        });
        let fits = |at: &usize| self.ceremonies.get(*at).is_some_and(|heard| heard.may_be_for(&role, &exchange));
        let joined = match &role {
            Role::Real(_, hash) => {
                let is_new = |at: &usize| self.ceremonies.get(*at).is_some_and(|heard| heard.hash.is_none());
                let known = self.ceremonies.iter().rposition(|heard| heard.hash.as_ref() == Some(hash));
                let unknown = || current.filter(fits).or_else(|| self.beginning_elsewhere(&role, &exchange));
                known.or_else(|| unknown().filter(is_new))
            }
            // Another begins where one is under way.
            Role::Info => current
                .filter(|at| self.ceremonies.get(*at).is_some_and(|heard| !heard.is_under_way_at(key)))
                .or_else(|| self.beginning_elsewhere(&role, &exchange)),
            _ => current.filter(fits).or_else(|| self.beginning_elsewhere(&role, &exchange)),
        };
        let moved = current.filter(|current| joined != Some(*current)).and_then(|left| self.ceremonies.get_mut(left));
        let moved = moved.map(|left| left.let_go(key, role != Role::Info, exchange.at_us)).unwrap_or_default();
        let heard = match joined {
            Some(joined) => self.ceremonies.get_mut(joined),
            None => self.begin(moved.first().map_or(exchange.at_us, |part| part.exchange.at_us)),
        };
        if let Some(heard) = heard {
            heard.parts.extend(moved);
            heard.ask(role, exchange);
        }
    }

    fn begin(&mut self, at_us: u64) -> Option<&mut Heard> {
        // One that nobody was told of by now is asked for no more.
        if self.ceremonies.len() >= MAX_CEREMONIES {
            self.ceremonies.pop_front();
        }
        self.ceremonies.push_back(Heard::new(at_us));
        self.ceremonies.back_mut()
    }

    /// Joins what a page noted with what keys heard.
    fn observe(&mut self, note: &Note, at_us: u64) {
        if let Note::Began(began) = note {
            let told = self.ceremonies.iter_mut().filter_map(|heard| heard.page.as_mut());
            if let Some(known) = told.chain(&mut self.pages).find(|page| page.is_also(began)) {
                known.also = Some(began.id.clone());
                return;
            }
            if self.pages.len() >= MAX_CEREMONIES {
                self.pages.pop_front();
            }
            return self.pages.push_back(Page::new((**began).clone(), at_us));
        }
        let Some(known) = self.pages.iter().rposition(|page| page.has_id(note.id())) else { return };
        match note {
            Note::Ended(ended) => {
                if let Some(page) = self.pages.get_mut(known) {
                    page.ended = Some((**ended).clone());
                }
                if ended.exception.is_some() {
                    self.join(known, at_us);
                }
            }
            Note::Answered(answered) if !(200..400).contains(&answered.status) => {
                if let Some(page) = self.pages.get_mut(known) {
                    page.answered = Some((**answered).clone());
                }
                self.join(known, at_us);
            }
            Note::Answered(_) | Note::Began(_) => {}
        }
    }

    /// What a page noted has failed: it is told with what keys heard, if they heard anything.
    fn join(&mut self, page: usize, at_us: u64) {
        let Some(mut page) = self.pages.remove(page) else { return };
        let joined = self.ceremonies.iter().enumerate().filter_map(|(at, heard)| {
            let by = page.joins(heard, at_us)?;
            // By time goes what is not surely another page's, and rather what is said to be for this site.
            let rank = match by {
                JoinedBy::ClientDataHash => 0,
                JoinedBy::Time if surely_of(&self.pages, heard).is_some() => return None,
                JoinedBy::Time if heard.rp_id.is_some() => 1,
                JoinedBy::Time => 2,
            };
            Some((rank, at, by))
        });
        let found = joined.min_by_key(|(rank, ..)| *rank);
        page.joined_by = found.map(|(.., by)| by);
        let heard = match found {
            Some((_, found, _)) => self.ceremonies.get_mut(found),
            None => self.begin(page.began_at_us),
        };
        if let Some(heard) = heard {
            heard.last_at_us = heard.last_at_us.max(at_us);
            heard.page = Some(page);
            heard.is_over = true;
            heard.is_told = false;
        }
    }

    /// The ceremony that other keys are asked in, and this one not yet.
    fn beginning_elsewhere(&self, role: &Role, exchange: &Exchange) -> Option<usize> {
        self.ceremonies.iter().rposition(|heard| {
            let is_present = heard.is_open() || heard.last_at_us.saturating_add(SILENCE_US) >= exchange.at_us;
            let is_new_to_it = !heard.keys.contains(&exchange.key);
            is_present && !heard.is_over && !heard.has_succeeded() && is_new_to_it && heard.may_be_for(role, exchange)
        })
    }
}

fn is_to_be_told(heard: &Heard) -> bool {
    !heard.is_told && !heard.is_open() && heard.has_failed()
}

/// Whether a page that has not got its answer yet may have asked for it.
fn is_awaited(pages: &VecDeque<Page>, heard: &Heard) -> bool {
    match surely_of(pages, heard) {
        Some(page) => page.ended.is_none(),
        None => pages.iter().any(|page| page.ended.is_none() && page.joins(heard, u64::MAX).is_some()),
    }
}

/// The page whose client data was signed, or was to be.
fn surely_of<'a>(pages: &'a VecDeque<Page>, heard: &Heard) -> Option<&'a Page> {
    pages.iter().find(|page| page.joins(heard, u64::MAX) == Some(JoinedBy::ClientDataHash))
}

fn explained(heard: &Heard) -> Event {
    let explanation: Explanation = words::explain(heard);
    Event { at_us: heard.last_at_us, key: None, what: What::Explained(explanation) }
}
