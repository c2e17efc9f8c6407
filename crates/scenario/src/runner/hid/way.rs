//! The way to a real key: everything that passes is heard, and what must not be sent is not.

use std::io;
use std::sync::Arc;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_client::randomness::Randomness;
use keyrig_ctap::hid::{KeepaliveStatus, Report};
use keyrig_ctap::{Request, parse_response, u2f};
use keyrig_faults::transcript::{Direction, Tap, Touch, What};
use keyrig_ways::Hidraw;

use super::attention::Attention;
use super::guard;

/// Reports that are heard on their way.
pub(super) struct Tapped {
    pipe: Hidraw,
    key: String,
    tap: Tap,
}

impl ReportPipe for Tapped {
    async fn send(&mut self, report: Report) -> io::Result<()> {
        self.tap.report(&self.key, Direction::Out, &report);
        self.pipe.send(report).await
    }

    async fn receive(&mut self) -> io::Result<Report> {
        let report = self.pipe.receive().await?;
        self.tap.report(&self.key, Direction::In, &report);
        Ok(report)
    }
}

/// A way to a real key.
pub(crate) struct HidWay {
    channel: CtapHidChannel<Tapped>,
    key: String,
    tap: Tap,
    attention: Arc<Attention>,
    may_destroy: bool,
    /// Whether an APDU is repeated until the key is touched.
    u2f_waits: bool,
}

impl HidWay {
    pub(super) fn new(
        pipe: Hidraw,
        key: &str,
        tap: Tap,
        attention: Arc<Attention>,
        may_destroy: bool,
        random: Arc<dyn Randomness>,
    ) -> Self {
        let tapped = Tapped { pipe, key: key.to_owned(), tap: tap.clone() };
        let channel = CtapHidChannel::new(tapped).with_randomness(random);
        Self { channel, key: key.to_owned(), tap, attention, may_destroy, u2f_waits: false }
    }

    fn withhold<T>(&self, why: String) -> Result<T, ChannelError> {
        self.attention.withhold(&self.key, &why);
        Err(ChannelError::Carrier(why))
    }

    /// Holds back what is not to be sent.
    async fn look_at(&mut self, request: &[u8]) -> Result<(), ChannelError> {
        if !self.may_destroy
            && let Some(what) = guard::destroys(request)
        {
            return self.withhold(format!("{what} was not sent to it: that was not allowed for this key"));
        }
        if guard::tries_a_pin(request) {
            let answer = self.channel.transact(&guard::asks_for_tries(), Cancel::never(), &mut |_| {}).await?;
            // A key that does not say how many tries are left might have one.
            match guard::tries(&answer) {
                Some(tries) if tries > guard::TRIES_LEFT => {}
                Some(tries) => {
                    return self.withhold(format!(
                        "its PIN was not tried: it has {tries} tries left, and is left with {}",
                        guard::TRIES_LEFT
                    ));
                }
                None => {
                    return self.withhold("its PIN was not tried: it does not say how many tries are left".to_owned());
                }
            }
        }
        Ok(())
    }
}

impl Channel for HidWay {
    async fn transact(
        &mut self,
        request: &[u8],
        cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        self.look_at(request).await?;
        let waiting = Waiting { attention: self.attention.clone(), key: &self.key };
        let mut heard = |status| {
            if status == KeepaliveStatus::UpNeeded {
                waiting.attention.waits(waiting.key);
            }
            on_status(status);
        };
        let answer = self.channel.transact(request, cancel, &mut heard).await;
        if matches!(&answer, Ok(answer) if parse_response(answer).is_ok()) {
            match Request::decode(request) {
                Ok(Request::MakeCredential(request)) if request.options.rk == Some(true) => {
                    self.attention.stored(&self.key);
                }
                Ok(Request::Reset) => self.attention.forgot(&self.key),
                _ => {}
            }
        }
        answer
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let answer = self.channel.transact_u2f(apdu).await;
        // That is how a key of U2F asks for a touch (FIDO U2F Raw Message Formats 1.2 §3.3).
        let waits = matches!(&answer, Ok(answer) if u2f::parse_response(answer) == Err(u2f::StatusWord::ConditionsNotSatisfied));
        if waits && !self.u2f_waits {
            let command = if apdu.get(1) == Some(&1) { "U2F_REGISTER" } else { "U2F_AUTHENTICATE" };
            self.tap.became(&self.key, What::Waiting { command: command.to_owned(), for_verification: false });
            self.attention.waits(&self.key);
        } else if !waits && self.u2f_waits {
            self.tap.became(&self.key, What::WaitEnded { touch: Touch::Touched });
            self.attention.waits_no_more(&self.key);
        }
        self.u2f_waits = waits;
        answer
    }
}

/// A key that may wait for a touch: once this is over, however that was, it waits no more.
struct Waiting<'k> {
    attention: Arc<Attention>,
    key: &'k str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.attention.waits_no_more(self.key);
    }
}
