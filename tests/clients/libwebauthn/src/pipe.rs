//! A key behind a datagram socket, as libwebauthn knows devices: it hands over whole messages, and frames and reassembles them
//! itself, one 64-byte report per datagram.

use std::net::UdpSocket;
use std::time::Duration;

use libwebauthn::transport::hid::HidPipeBackend;
use libwebauthn::transport::hid::framing::{HidMessage, HidMessageParser, HidMessageParserState};

/// Longer than any answer takes, keepalives included.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Pipe(UdpSocket);

impl Pipe {
    pub fn connect(address: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(socket)
    }
}

impl HidPipeBackend for Pipe {
    fn send(&mut self, msg: &HidMessage) {
        for mut packet in msg.packets(64).expect("packets") {
            packet.resize(64, 0);
            self.0.send(&packet).expect("sent");
        }
    }

    fn recv(&mut self) -> HidMessage {
        let mut parser = HidMessageParser::new();
        loop {
            let mut report = [0; 64];
            let length = self.0.recv(&mut report).expect("the key answers");
            assert_eq!(length, 64, "a report has 64 bytes");
            if let HidMessageParserState::Done = parser.update(&report).expect("a packet in order") {
                return parser.message().expect("a message");
            }
        }
    }
}
