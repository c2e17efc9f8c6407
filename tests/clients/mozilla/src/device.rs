//! A key behind a datagram socket, as Mozilla's client knows devices: one 64-byte CTAPHID report per datagram.

use std::fmt;
use std::io::{self, Error};
use std::net::UdpSocket;
use std::time::Duration;

use authenticator::crypto::SharedSecret;
use authenticator::ctap2::commands::{RequestCtap1, RequestCtap2};
use authenticator::errors::HIDError;
use authenticator::{AuthenticatorInfo, FidoDevice, FidoDeviceIO, FidoProtocol};

const INIT: u8 = 0x06;
const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3B;

/// Longer than any answer takes, keepalives included: without it a silent key would hang the client.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Device {
    socket: UdpSocket,
    channel: [u8; 4],
    initialized: bool,
    info: Option<AuthenticatorInfo>,
    shared_secret: Option<SharedSecret>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:02x?})", self.channel)
    }
}

impl Device {
    pub fn connect(address: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, channel: [0xFF; 4], initialized: false, info: None, shared_secret: None })
    }

    fn send(&self, command: u8, payload: &[u8]) -> io::Result<()> {
        let length = u16::try_from(payload.len()).map_err(Error::other)?;
        let (first, rest) = payload.split_at(payload.len().min(57));
        self.report(&[&[command | 0x80], &length.to_be_bytes()[..], first].concat())?;
        for (sequence, part) in (0..=127).zip(rest.chunks(59)) {
            self.report(&[&[sequence], part].concat())?;
        }
        Ok(())
    }

    fn report(&self, packet: &[u8]) -> io::Result<()> {
        let mut report = [&self.channel[..], packet].concat();
        report.resize(64, 0);
        self.socket.send(&report).map(drop)
    }

    /// The next message on this device's channel.
    fn receive(&self) -> io::Result<(u8, Vec<u8>)> {
        let mut report = self.next()?;
        let command = report[4] & 0x7F;
        let length = usize::from(u16::from_be_bytes([report[5], report[6]]));
        let mut payload = report[7..].to_vec();
        let mut sequence = 0;
        while payload.len() < length {
            report = self.next()?;
            if report[4] != sequence {
                return Err(Error::other(format!("packet {} where {sequence} was due", report[4])));
            }
            sequence += 1;
            payload.extend_from_slice(&report[5..]);
        }
        payload.truncate(length);
        Ok((command, payload))
    }

    fn next(&self) -> io::Result<[u8; 64]> {
        let mut report = [0; 64];
        let length = self.socket.recv(&mut report)?;
        if length != 64 || report[..4] != self.channel {
            return Err(Error::other(format!("{length} bytes on channel {:02x?}", &report[..4])));
        }
        Ok(report)
    }

    fn transact(&self, command: u8, payload: &[u8], keep_alive: &dyn Fn() -> bool) -> io::Result<(u8, Vec<u8>)> {
        self.send(command, payload)?;
        loop {
            let (answer, payload) = self.receive()?;
            if answer != KEEPALIVE {
                return Ok((answer, payload));
            }
            if !keep_alive() {
                self.send(CANCEL, &[])?;
            }
        }
    }
}

impl FidoDeviceIO for Device {
    fn send_msg_cancellable<Out, Req: RequestCtap1<Output = Out> + RequestCtap2<Output = Out>>(
        &mut self,
        msg: &Req,
        keep_alive: &dyn Fn() -> bool,
    ) -> Result<Out, HIDError> {
        self.send_cbor_cancellable(msg, keep_alive)
    }

    fn send_cbor_cancellable<Req: RequestCtap2>(
        &mut self,
        msg: &Req,
        keep_alive: &dyn Fn() -> bool,
    ) -> Result<Req::Output, HIDError> {
        let message = [vec![msg.command() as u8], msg.wire_format()?].concat();
        match self.transact(CBOR, &message, keep_alive)? {
            (CBOR, response) => msg.handle_response_ctap2(self, &response),
            (other, _) => Err(HIDError::UnexpectedCmd(other)),
        }
    }

    /// The crate keeps the type of a status word to itself: no device outside of it can answer with a refusal.
    fn send_ctap1_cancellable<Req: RequestCtap1>(
        &mut self,
        _: &Req,
        _: &dyn Fn() -> bool,
    ) -> Result<Req::Output, HIDError> {
        Err(HIDError::UnsupportedCommand)
    }
}

impl FidoDevice for Device {
    fn pre_init(&mut self) -> Result<(), HIDError> {
        let nonce = *b"8 octets";
        match self.transact(INIT, &nonce, &|| true)? {
            (INIT, answer) if answer.len() == 17 && answer[..8] == nonce => {
                self.channel.copy_from_slice(&answer[8..12]);
                self.initialized = true;
                Ok(())
            }
            (INIT, _) => Err(HIDError::NonceMismatch),
            (other, _) => Err(HIDError::UnexpectedCmd(other)),
        }
    }

    fn initialized(&self) -> bool {
        self.initialized
    }

    fn is_u2f(&mut self) -> bool {
        true
    }

    fn should_try_ctap2(&self) -> bool {
        true
    }

    fn get_authenticator_info(&self) -> Option<&AuthenticatorInfo> {
        self.info.as_ref()
    }

    fn set_authenticator_info(&mut self, info: AuthenticatorInfo) {
        self.info = Some(info);
    }

    fn get_protocol(&self) -> FidoProtocol {
        FidoProtocol::CTAP2
    }

    fn downgrade_to_ctap1(&mut self) {
        unreachable!("every key that this program is given speaks CTAP2");
    }

    fn get_shared_secret(&self) -> Option<&SharedSecret> {
        self.shared_secret.as_ref()
    }

    fn set_shared_secret(&mut self, secret: SharedSecret) {
        self.shared_secret = Some(secret);
    }
}
