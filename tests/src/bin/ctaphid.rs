//! A small program that uses a security key packet by packet, for what other programs do not do on demand. It is run in the
//! guest.
//!
//! - `ctaphid abandon NODE`: begins a message, sends its first packet only, and closes the node; then hears from another opening
//!   of it that the key gave that message up.
//! - `ctaphid channel NODE`: opens a channel, says so, waits for a line on standard input, and uses the same channel again.
//! - `ctaphid time COUNT NODE` and `ctaphid time COUNT ADDRESS:PORT BUSID`: the median of COUNT times from opening a key to the
//!   answer to getInfo, and of COUNT times of another getInfo, by hidraw or by a USB/IP import without a kernel, in µs.
//! - `ctaphid ping COUNT NODE` and `ctaphid ping COUNT ADDRESS:PORT BUSID`: the median of COUNT times of a PING of one packet on a
//!   channel that is open, in µs.
//!
//! It is run under `keyrig exec` too, by the bench of that.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use keyrig_usb::client::{self, FidoDevice};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

const PACKET: usize = 64;
const BROADCAST: [u8; 4] = [0xff; 4];
const INIT: u8 = 0x86;
const PING: u8 = 0x81;
const CBOR: u8 = 0x90;
const KEEPALIVE: u8 = 0xbb;
const ERROR: u8 = 0xbf;
const ERR_MSG_TIMEOUT: u8 = 0x05;
/// What a message's first packet carries, and every other one.
const FIRST: usize = PACKET - 7;
const NEXT: usize = PACKET - 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["abandon", node] => abandon(node),
        ["channel", node] => channel(node),
        ["time", count, node] => time(count, || Link::hidraw(node)),
        ["time", count, server, busid] => time(count, || Link::usbip(server, busid)),
        ["ping", count, node] => ping(count, Link::hidraw(node)),
        ["ping", count, server, busid] => ping(count, Link::usbip(server, busid)),
        _ => {
            eprintln!(
                "usage: ctaphid abandon NODE | channel NODE | time|ping COUNT NODE | time|ping COUNT ADDRESS:PORT BUSID"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn abandon(node: &str) -> io::Result<()> {
    let mut key = Key::open(Link::hidraw(node)?)?;
    // Every opening gets every report, from now on.
    let mut witness = Key { link: Link::hidraw(node)?, channel: key.channel };
    // makeCredential (0x01), of which 500 bytes are announced.
    key.send(CBOR, 500, &[0x01; FIRST])?;
    drop(key);
    let answer = witness.receive()?;
    if answer.get(4..8) == Some(&[ERROR, 0, 1, ERR_MSG_TIMEOUT]) {
        println!("the key gave it up");
        Ok(())
    } else {
        Err(unexpected("half a message", &answer))
    }
}

fn channel(node: &str) -> io::Result<()> {
    let mut key = Key::open(Link::hidraw(node)?)?;
    println!("open");
    io::stdin().lock().read_line(&mut String::new())?;
    key.send(PING, 4, b"ping")?;
    let answer = key.receive()?;
    if answer.get(4..11) == Some(b"\x81\0\x04ping") {
        println!("the channel is as it was");
        Ok(())
    } else {
        Err(unexpected("a PING", &answer))
    }
}

fn time(count: &str, open: impl Fn() -> io::Result<Link>) -> io::Result<()> {
    let count: usize = count.parse().map_err(io::Error::other)?;
    let (mut opened, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let started = Instant::now();
        let mut key = Key::open(open()?)?;
        key.get_info()?;
        opened.push(started.elapsed());
        let started = Instant::now();
        key.get_info()?;
        asked.push(started.elapsed());
    }
    println!("open and getInfo {}, getInfo {}", median(opened), median(asked));
    Ok(())
}

fn ping(count: &str, link: io::Result<Link>) -> io::Result<()> {
    let count: usize = count.parse().map_err(io::Error::other)?;
    let mut key = Key::open(link?)?;
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        key.send(PING, 8, b"one ping")?;
        let answer = key.receive()?;
        times.push(started.elapsed());
        if answer.get(4..15) != Some(b"\x81\0\x08one ping") {
            return Err(unexpected("a PING", &answer));
        }
    }
    times.sort_unstable();
    println!("{:.1}", times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64) * 1e6);
    Ok(())
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_micros)
}

fn unexpected(request: &str, answer: &[u8]) -> io::Error {
    io::Error::other(format!("the answer to {request} is {answer:02x?}"))
}

/// How packets travel.
enum Link {
    Hidraw(File),
    UsbIp(Runtime, Box<FidoDevice<TcpStream>>),
}

impl Link {
    fn hidraw(node: &str) -> io::Result<Self> {
        File::options().read(true).write(true).open(node).map(Self::Hidraw)
    }

    fn usbip(server: &str, busid: &str) -> io::Result<Self> {
        let server: SocketAddr = server.parse().map_err(io::Error::other)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let device = runtime.block_on(client::import(server, busid)).map_err(io::Error::other)?;
        Ok(Self::UsbIp(runtime, Box::new(device)))
    }

    fn send(&mut self, packet: &[u8; PACKET]) -> io::Result<()> {
        match self {
            Self::Hidraw(node) => {
                // hidraw wants the report's number first, which is 0 where there are no numbers.
                let report = [&[0], packet.as_slice()].concat();
                let written = node.write(&report)?;
                if written == report.len() {
                    Ok(())
                } else {
                    Err(io::Error::other(format!("a write of 65 returned {written}")))
                }
            }
            Self::UsbIp(runtime, device) => runtime.block_on(device.send(packet)).map_err(io::Error::other),
        }
    }

    fn receive(&mut self) -> io::Result<[u8; PACKET]> {
        match self {
            Self::Hidraw(node) => {
                let mut packet = [0; PACKET];
                match node.read(&mut packet)? {
                    PACKET => Ok(packet),
                    read => Err(io::Error::other(format!("a report of {read} bytes"))),
                }
            }
            Self::UsbIp(runtime, device) => runtime.block_on(device.recv()).map_err(io::Error::other),
        }
    }
}

/// A key with an open channel (CTAP 2.3 §11.2).
struct Key {
    link: Link,
    channel: [u8; 4],
}

impl Key {
    fn open(link: Link) -> io::Result<Self> {
        let mut key = Self { link, channel: BROADCAST };
        let nonce = *b"a nonce!";
        key.send(INIT, 8, &nonce)?;
        loop {
            let answer = key.receive()?;
            if answer.get(4..15) == Some([&[INIT, 0, 17][..], &nonce].concat().as_slice())
                && let Some(channel) = answer.get(15..).and_then(|rest| rest.first_chunk())
            {
                key.channel = *channel;
                return Ok(key);
            }
        }
    }

    fn get_info(&mut self) -> io::Result<()> {
        self.send(CBOR, 1, &[0x04])?;
        loop {
            let first = self.receive()?;
            match first.get(4..8) {
                Some([KEEPALIVE, ..]) => {}
                // The status is 0.
                Some([CBOR, high, low, 0]) => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    for _ in 0..length.saturating_sub(FIRST).div_ceil(NEXT) {
                        self.receive()?;
                    }
                    return Ok(());
                }
                _ => return Err(unexpected("getInfo", &first)),
            }
        }
    }

    /// Sends the first packet of a message.
    fn send(&mut self, command: u8, length: u16, payload: &[u8]) -> io::Result<()> {
        let mut packet = [0; PACKET];
        let [high, low] = length.to_be_bytes();
        let head = [&self.channel[..], &[command, high, low]].concat();
        for (byte, value) in packet.iter_mut().zip(head.iter().chain(payload)) {
            *byte = *value;
        }
        self.link.send(&packet)
    }

    /// Receives the next packet for this channel.
    fn receive(&mut self) -> io::Result<[u8; PACKET]> {
        loop {
            let packet = self.link.receive()?;
            if packet.starts_with(&self.channel) {
                return Ok(packet);
            }
        }
    }
}
