//! What has its fate and is not there yet: transfers of one connection that end late, and those that end badly.
//!
//! Without a [`Host`] all of it is nothing.

use core::time::Duration;
use std::collections::VecDeque;

use tokio::time::{Instant, sleep_until};

use crate::Report;
use crate::fate::{Fate, Host, Transfer};
use crate::urbs::Urbs;
use crate::wire::transfers::Reply;

/// The endings of one connection.
pub(crate) struct Endings {
    host: Option<Host>,
    /// A report on its way to the host, and when it is there.
    held: Option<(Instant, Report)>,
    /// The OUT URB of which was asked already.
    asked_out: Option<u32>,
    unlinks: VecDeque<(Instant, Vec<u8>)>,
}

/// The host's connection is to end.
pub(crate) struct Disconnected;

impl Endings {
    pub(crate) fn new(host: Option<Host>) -> Self {
        Self { host, held: None, asked_out: None, unlinks: VecDeque::new() }
    }

    fn fate(&self, transfer: Transfer) -> Fate {
        self.host.as_ref().map_or(Fate::Good, |host| host(transfer))
    }

    /// Whether another report for the host may be taken from the key.
    pub(crate) fn has_room(&self) -> bool {
        self.held.is_none()
    }

    /// Takes back what was just answered, if that is late: the replies from `before` on.
    pub(crate) fn answered(&mut self, replies: &mut Vec<u8>, before: usize) -> Result<(), Disconnected> {
        if self.host.is_none() || !replies.get(before..).is_some_and(Reply::is_unlink) {
            return Ok(());
        }
        match self.fate(Transfer::Unlink) {
            Fate::Late(by) => self.unlinks.push_back((after(by), replies.split_off(before))),
            Fate::Disconnected => return Err(Disconnected),
            Fate::Good | Fate::Short(_) | Fate::Failed(_) => {}
        }
        Ok(())
    }

    /// Gives a report to the host, or has that end otherwise.
    pub(crate) fn deliver(
        &mut self,
        urbs: &mut Urbs,
        report: Report,
        replies: &mut Vec<u8>,
    ) -> Result<(), Disconnected> {
        match self.fate(Transfer::In) {
            Fate::Good => urbs.deliver(&report, replies),
            Fate::Late(by) => self.held = Some((after(by), report)),
            Fate::Short(length) => urbs.deliver_short(&report, length, replies),
            Fate::Failed(failure) => urbs.fail_in(failure.status(), replies),
            Fate::Disconnected => return Err(Disconnected),
        }
        Ok(())
    }

    /// The oldest report for the key, after those that end badly.
    pub(crate) fn next_out<'u>(
        &mut self,
        urbs: &'u mut Urbs,
        replies: &mut Vec<u8>,
    ) -> Result<Option<&'u Report>, Disconnected> {
        if self.host.is_none() {
            return Ok(urbs.next_out());
        }
        while let Some(seqnum) = urbs.oldest_out().filter(|seqnum| self.asked_out != Some(*seqnum)) {
            match self.fate(Transfer::Out) {
                Fate::Good | Fate::Late(_) | Fate::Short(_) => self.asked_out = Some(seqnum),
                Fate::Failed(failure) => urbs.fail_out(failure.status(), replies),
                Fate::Disconnected => return Err(Disconnected),
            }
        }
        Ok(urbs.next_out())
    }

    /// The key has the oldest report.
    pub(crate) fn out_taken(&mut self, urbs: &mut Urbs, replies: &mut Vec<u8>) {
        urbs.out_taken(replies);
        // Another one may have the same number.
        self.asked_out = None;
    }

    /// Ends what is due.
    pub(crate) fn end_due(&mut self, urbs: &mut Urbs, replies: &mut Vec<u8>) {
        if self.host.is_none() {
            return;
        }
        let now = Instant::now();
        while let Some((_, reply)) = self.unlinks.pop_front_if(|(due, _)| *due <= now) {
            replies.extend_from_slice(&reply);
        }
        if urbs.wants_report()
            && let Some((_, report)) = self.held.take_if(|(due, _)| *due <= now)
        {
            urbs.deliver(&report, replies);
        }
    }

    /// Waits until something is due that can end. Cancel-safe.
    pub(crate) async fn due(&self, wants_report: bool) {
        let held = self.held.as_ref().filter(|_| wants_report).map(|(due, _)| *due);
        let unlink = self.unlinks.front().map(|(due, _)| *due);
        match [held, unlink].into_iter().flatten().min() {
            Some(due) => sleep_until(due).await,
            None => core::future::pending().await,
        }
    }
}

/// Longer than a host waits for anything.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn after(by: Duration) -> Instant {
    Instant::now() + by.min(LONGEST)
}
