//! Who said no: ceremonies that failed, explained from what keys heard.
//!
//! What keys are asked belongs to one ceremony if it has the same hash of client data. What has none (getInfo, a touch to choose a key,
//! PINs, questions whether there is a credential) goes by key and time: a ceremony begins with getInfo, at each of its keys.
//! Firefox may end one without a key ever hearing its client data.

mod ceremony;
mod page;
mod words;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::ceremony::{Heard, Role};
use self::page::Page;
use super::event::{Event, What};
use super::exchange::{Exchange, Exchanges};
use super::explanation::{Explanation, JoinedBy};
use super::note::Note;

/// How long a ceremony is silent until it counts as over, if nobody can be typing a PIN: microseconds. CTAP1/U2F is asked again each 200 ms.
pub(crate) const SILENCE_US: u64 = 1_000_000;

/// How many ceremonies are remembered, to know which of them an answer or a request belongs to.
const MAX_CEREMONIES: usize = 64;

/// Explains ceremonies that fail, as events come.
#[derive(Debug, Default)]
pub struct Explainer {
    exchanges: Exchanges,
    ceremonies: VecDeque<Heard>,
    /// What pages noted, as far as it is not known to have failed: the latest last.
    pages: VecDeque<Page>,
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
        let Some(role) = Role::of(&exchange.command, exchange.subcommand.as_deref(), &exchange.request) else { return };
        let key = exchange.key.as_str();
        let current = self.ceremonies.iter().rposition(|heard| {
            heard.keys.contains(key)
                && !heard.is_over
                && !(heard.has_succeeded() && (role == Role::Info || heard.has_succeeded_at(key)))
        });
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
            None => self.begin(exchange.at_us),
        };
        if let Some(heard) = heard {
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
        let joined: Vec<_> = self.ceremonies.iter().map(|heard| page.joins(heard, at_us)).collect();
        let surest = joined.iter().position(|by| *by == Some(JoinedBy::ClientDataHash));
        let found = surest.or_else(|| joined.iter().position(Option::is_some));
        page.joined_by = found.and_then(|found| joined.get(found).copied().flatten());
        let heard = match found {
            Some(found) => self.ceremonies.get_mut(found),
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

/// Whether a page that has not got its answer yet may have asked for it.
fn is_awaited(pages: &VecDeque<Page>, heard: &Heard) -> bool {
    pages.iter().any(|page| page.ended.is_none() && page.joins(heard, u64::MAX).is_some())
}

fn explained(heard: &Heard) -> Event {
    let explanation: Explanation = words::explain(heard);
    Event { at_us: heard.last_at_us, key: None, what: What::Explained(explanation) }
}
