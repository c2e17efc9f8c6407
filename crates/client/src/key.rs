//! One key as a client knows it: a name, a way to it, and what it said of itself.

use std::sync::Arc;

use keyrig_ctap::hid::{ErrorCode, KeepaliveStatus};
use keyrig_ctap::{Command, Request, Status, get_assertion, get_info, make_credential, parse_response};

use crate::channel::{Cancel, Channel, ChannelError};
use crate::error::{Cause, InvalidResponse};
use crate::randomness::{self, Randomness, SystemRandomness};
use crate::u2f;

/// A key that ceremonies can ask.
#[derive(Debug)]
pub struct Key<C> {
    name: String,
    channel: C,
    info: Option<get_info::Response>,
    exchanges: Vec<Exchange>,
    dropped_out: bool,
    random: randomness::Shared,
}

/// Which protocol a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// CTAP2: a command byte and CBOR.
    Ctap2,
    /// CTAP1/U2F: an APDU. A request that was repeated until the key was touched is one exchange.
    U2f,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The protocol of the messages.
    pub protocol: Protocol,
    /// The request: command byte and parameters, or an APDU.
    pub request: Vec<u8>,
    /// What the key said it was doing, each change once.
    pub statuses: Vec<KeepaliveStatus>,
    /// The response: status byte and what follows, or data and status word. `None` if the client gave up waiting.
    pub response: Option<Result<Vec<u8>, ChannelError>>,
}

impl Exchange {
    /// The command that was sent, of CTAP2.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        let first = self.request.first().filter(|_| self.protocol == Protocol::Ctap2);
        first.map(|byte| Command::from(*byte))
    }

    /// The status that was answered, of CTAP2, if any was.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match &self.response {
            Some(Ok(response)) if self.protocol == Protocol::Ctap2 => response.first().map(|byte| Status::from(*byte)),
            _ => None,
        }
    }

    /// How often the key asked for a touch: once, however long it kept asking.
    #[must_use]
    pub fn touch_prompts(&self) -> usize {
        self.statuses.iter().filter(|status| **status == KeepaliveStatus::UpNeeded).count()
    }

    /// Whether the key asked for a touch, and its answer is neither that nobody came nor that the user or the client refused.
    fn ended_by_touch(&self) -> bool {
        let Some(Ok(response)) = self.response.as_ref().filter(|_| self.touch_prompts() > 0) else { return false };
        match self.protocol {
            Protocol::Ctap2 => !matches!(
                response.first().map(|byte| Status::from(*byte)),
                None | Some(
                    Status::KeepaliveCancel
                        | Status::OperationDenied
                        | Status::UserActionTimeout
                        | Status::ActionTimeout
                        | Status::ChannelBusy
                )
            ),
            Protocol::U2f => keyrig_ctap::u2f::parse_response(response).is_ok(),
        }
    }
}

impl<C> Key<C> {
    /// A key that has not been asked anything yet.
    pub fn new(name: impl Into<String>, channel: C) -> Self {
        let random = Arc::new(SystemRandomness);
        Self { name: name.into(), channel, info: None, exchanges: Vec::new(), dropped_out: false, random }
    }

    /// The same key, with which a client takes its randomness from elsewhere than the operating system.
    #[must_use]
    pub fn with_randomness(self, random: Arc<dyn Randomness>) -> Self {
        Self { random, ..self }
    }

    pub(crate) fn random(&self) -> &randomness::Shared {
        &self.random
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything that the last ceremony sent to this key, in order.
    #[must_use]
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Whether it asked for a touch in the last ceremony.
    #[must_use]
    pub fn blinked(&self) -> bool {
        self.exchanges.iter().any(|exchange| exchange.touch_prompts() > 0)
    }

    /// Whether it was touched in the last ceremony: it asked for a touch, and answered what takes one.
    #[must_use]
    pub fn was_touched(&self) -> bool {
        self.exchanges.iter().any(Exchange::ended_by_touch)
    }

    /// Whether the last ceremony, a conditional one, went on without it though it was there: its user refused, or its answer was of no use.
    #[must_use]
    pub fn dropped_out(&self) -> bool {
        self.dropped_out
    }

    pub(crate) fn drop_out(&mut self) {
        self.dropped_out = true;
    }

    /// What the key last said of itself, if it was asked. Ceremonies ask once per key.
    #[must_use]
    pub fn info(&self) -> Option<&get_info::Response> {
        self.info.as_ref()
    }

    /// Forgets what the key said of itself, so that the next ceremony asks again: after a reset, a new PIN, another
    /// configuration.
    pub fn forget_info(&mut self) {
        self.info = None;
    }

    #[cfg(test)]
    pub(crate) fn channel_mut(&mut self) -> &mut C {
        &mut self.channel
    }

    pub(crate) fn begin_ceremony(&mut self) {
        self.exchanges.clear();
        self.dropped_out = false;
    }
}

impl<C: Channel> Key<C> {
    /// Sends a request and awaits what follows an OK.
    pub(crate) async fn transact(&mut self, request: &Request, cancel: &Cancel) -> Result<Vec<u8>, Cause> {
        let command = request.command();
        let exchange = self.exchanges.push_mut(Exchange {
            protocol: Protocol::Ctap2,
            request: request.encode(),
            statuses: Vec::new(),
            response: None,
        });
        let statuses = &mut exchange.statuses;
        let mut on_status = |status| {
            if statuses.last() != Some(&status) {
                statuses.push(status);
            }
        };
        let response = self.channel.transact(&exchange.request, cancel.clone(), &mut on_status).await;
        let status = response.as_ref().map(|response| response.first().map(|byte| Status::from(*byte)));
        tracing::debug!(key = self.name, ?command, ?status, "exchange");
        let response = exchange.response.insert(response).as_ref().map_err(Clone::clone)?;
        if response.is_empty() {
            return Err(undecodable(command)(Status::InvalidLength));
        }
        parse_response(response).map(<[u8]>::to_vec).map_err(|status| Cause::Status { command, status })
    }

    /// What the key says of itself (authenticatorGetInfo); asked only once, until something changes it.
    ///
    /// # Errors
    /// [`Cause`]: why it does not say.
    pub async fn get_info(&mut self, cancel: &Cancel) -> Result<get_info::Response, Cause> {
        if let Some(info) = &self.info {
            return Ok(info.clone());
        }
        let info = match self.transact(&Request::GetInfo, cancel).await {
            Ok(response) => get_info::Response::decode(&response).map_err(undecodable(Command::GetInfo))?,
            // A key from before CTAP2.
            Err(
                Cause::Channel(ChannelError::Refused(ErrorCode::InvalidCmd))
                | Cause::Status { status: Status::InvalidCommand, .. },
            ) if self.speaks_u2f(cancel).await? => u2f::as_info(),
            Err(other) => return Err(other),
        };
        Ok(self.info.insert(info).clone())
    }

    /// Sends an APDU. `again` if it is the last one once more, of which only the last answer is kept.
    pub(crate) async fn transact_u2f(&mut self, apdu: Vec<u8>, again: bool) -> Result<Vec<u8>, Cause> {
        let response = self.channel.transact_u2f(&apdu).await;
        tracing::trace!(key = self.name, ok = response.is_ok(), "U2F exchange");
        match self.exchanges.last_mut() {
            Some(exchange) if again => exchange.response = Some(response.clone()),
            _ => {
                let (statuses, response) = (Vec::new(), Some(response.clone()));
                self.exchanges.push(Exchange { protocol: Protocol::U2f, request: apdu, statuses, response });
            }
        }
        response.map_err(Cause::from)
    }

    /// Remembers that a U2F key asked for a touch: its way to say so is to refuse.
    pub(crate) fn blinks(&mut self) {
        if let Some(exchange) = self.exchanges.last_mut()
            && exchange.statuses.is_empty()
        {
            exchange.statuses.push(KeepaliveStatus::UpNeeded);
        }
    }

    pub(crate) async fn make_credential(
        &mut self,
        request: make_credential::Request,
        cancel: &Cancel,
    ) -> Result<make_credential::Response, Cause> {
        let response = self.transact(&Request::MakeCredential(request), cancel).await?;
        // It may have less room now than it said.
        self.forget_info();
        make_credential::Response::decode(&response).map_err(undecodable(Command::MakeCredential))
    }

    pub(crate) async fn get_assertion(
        &mut self,
        request: get_assertion::Request,
        cancel: &Cancel,
    ) -> Result<get_assertion::Response, Cause> {
        let response = self.transact(&Request::GetAssertion(request), cancel).await?;
        get_assertion::Response::decode(&response).map_err(undecodable(Command::GetAssertion))
    }

    pub(crate) async fn get_next_assertion(&mut self, cancel: &Cancel) -> Result<get_assertion::Response, Cause> {
        let response = self.transact(&Request::GetNextAssertion, cancel).await?;
        get_assertion::Response::decode(&response).map_err(undecodable(Command::GetNextAssertion))
    }
}

pub(crate) fn undecodable(command: Command) -> impl Fn(Status) -> Cause {
    move |status| Cause::InvalidResponse { command, error: InvalidResponse::Undecodable(status) }
}
