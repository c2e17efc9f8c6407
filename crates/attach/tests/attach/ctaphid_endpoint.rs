//! Keys without USB: programs that speak CTAPHID over datagram sockets, several at a time and beside a USB host.

use core::future::pending;
use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use keyrig_attach::ctaphid_endpoint::{Endpoint, EndpointAddress, EndpointError};
use keyrig_control::socket::{ControlError, ControlSocket};
use keyrig_ctap::Request;
use keyrig_rack::Rack;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send, socket_with,
};
use tempfile::TempDir;
use tokio::net::{UdpSocket, UnixStream};
use tokio::time::timeout;

use crate::requests::{asserted, get_assertion, made, make_credential, silent_assertion};
use crate::support::{Channel, name, on_key, plug, power_cycle, rack, serve_usbip, state, touch_key, transact, unplug};

const PING: u8 = 0x81;
const LOCK: u8 = 0x84;
const INIT: u8 = 0x86;
const CBOR: u8 = 0x90;
const CANCEL: u8 = 0x91;
const KEEPALIVE: u8 = 0xBB;
const ERROR: u8 = 0xBF;
const CHANNEL_BUSY: u8 = 0x06;
const INVALID_CHANNEL: u8 = 0x0B;

/// What is silent for so long is not coming. Waited for in full only where silence is what is tested.
const PATIENCE: Duration = Duration::from_secs(30);

/// The key "a" of a rack, served at both kinds of address.
struct Served {
    rack: Rack,
    _directory: TempDir,
    path: PathBuf,
    udp: SocketAddr,
}

async fn served(policy: &str) -> Served {
    let rack = rack(policy, &["a"]).await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("key");
    serve(&rack, EndpointAddress::Unix(path.clone())).await;
    let EndpointAddress::Udp(udp) = serve(&rack, "udp:127.0.0.1:0".parse().unwrap()).await else { panic!() };
    Served { rack, _directory: directory, path, udp }
}

async fn serve(rack: &Rack, address: EndpointAddress) -> EndpointAddress {
    let endpoint = Endpoint::bind(address).await.unwrap();
    let address = endpoint.address().clone();
    let key = rack.key(&name("a")).unwrap();
    tokio::spawn(async move { endpoint.serve(key).await });
    address
}

enum Socket {
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// A program that takes nothing for granted: a report that is not for it fails the test.
pub(crate) struct Program {
    socket: Socket,
    nonces: BTreeSet<[u8; 8]>,
    channels: BTreeSet<[u8; 4]>,
}

fn seqpacket(path: &Path) -> UnixStream {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    UnixStream::from_std(socket.into()).unwrap()
}

impl Program {
    fn over(socket: Socket) -> Self {
        Self { socket, nonces: BTreeSet::new(), channels: BTreeSet::new() }
    }

    fn unix(served: &Served) -> Self {
        Self::at(&served.path)
    }

    pub(crate) fn at(path: &Path) -> Self {
        Self::over(Socket::Unix(seqpacket(path)))
    }

    /// Opens a channel and is answered on it.
    pub(crate) async fn pings(&mut self) {
        let channel = self.open([7; 8]).await;
        assert_eq!(self.transact(channel, PING, &[1, 2, 3]).await, (PING, vec![1, 2, 3]));
    }

    async fn udp(served: &Served) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(served.udp).await.unwrap();
        Self::over(Socket::Udp(socket))
    }

    /// One of each kind.
    async fn both(served: &Served) -> [Self; 2] {
        [Self::unix(served), Self::udp(served).await]
    }

    async fn send_datagram(&mut self, datagram: &[u8]) {
        match &self.socket {
            Socket::Unix(stream) => loop {
                stream.writable().await.unwrap();
                match stream.try_write(datagram) {
                    Ok(length) => break assert_eq!(length, datagram.len()),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            },
            Socket::Udp(socket) => drop(socket.send(datagram).await.unwrap()),
        }
    }

    async fn send(&mut self, channel: [u8; 4], command: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let (first, rest) = payload.split_at(payload.len().min(57));
        let packets = [[&channel, &[command][..], &length, first].concat()]
            .into_iter()
            .chain(rest.chunks(59).zip(0..).map(|(data, sequence)| [&channel, &[sequence][..], data].concat()));
        for mut packet in packets {
            packet.resize(64, 0);
            self.send_datagram(&packet).await;
        }
    }

    /// The next report; `None` when the connection has ended.
    async fn next(&mut self) -> Option<[u8; 64]> {
        let mut datagram = [0; 100];
        let length = timeout(PATIENCE, async {
            match &self.socket {
                Socket::Unix(stream) => loop {
                    stream.readable().await.unwrap();
                    match stream.try_read(&mut datagram) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        read => break read.unwrap(),
                    }
                },
                Socket::Udp(socket) => socket.recv(&mut datagram).await.unwrap(),
            }
        });
        let length = length.await.expect("the key answers");
        if length == 0 {
            return None;
        }
        assert_eq!(length, 64);
        let report: [u8; 64] = datagram[..64].try_into().unwrap();
        let channel: [u8; 4] = report[..4].try_into().unwrap();
        let nonce: [u8; 8] = report[7..15].try_into().unwrap();
        let own = if report[..5] == [0xFF, 0xFF, 0xFF, 0xFF, INIT] {
            self.nonces.contains(&nonce)
        } else {
            self.channels.contains(&channel)
        };
        assert!(own, "a report for another program: {report:02x?}");
        Some(report)
    }

    /// A whole message; keepalives are passed over.
    async fn message(&mut self) -> (u8, Vec<u8>) {
        let first = loop {
            let report = self.next().await.unwrap();
            if report[4] != KEEPALIVE {
                break report;
            }
        };
        let length = usize::from(u16::from_be_bytes([first[5], first[6]]));
        let mut payload = first[7..].to_vec();
        while payload.len() < length {
            payload.extend_from_slice(&self.next().await.unwrap()[5..]);
        }
        payload.truncate(length);
        (first[4], payload)
    }

    async fn open(&mut self, nonce: [u8; 8]) -> [u8; 4] {
        self.nonces.insert(nonce);
        self.send([0xFF; 4], INIT, &nonce).await;
        let (command, payload) = self.message().await;
        assert_eq!((command, &payload[..8]), (INIT, &nonce[..]));
        let channel = payload[8..12].try_into().unwrap();
        self.channels.insert(channel);
        channel
    }

    async fn transact(&mut self, channel: [u8; 4], command: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        self.send(channel, command, payload).await;
        self.message().await
    }

    async fn wait_for_up_needed(&mut self) {
        loop {
            let report = self.next().await.unwrap();
            assert_eq!(report[4], KEEPALIVE);
            if report[7] == 2 {
                return;
            }
        }
    }

    /// Waits until the connection ends.
    pub(crate) async fn ended(&mut self) {
        while self.next().await.is_some() {}
    }
}

#[tokio::test]
async fn a_program_uses_a_key_over_either_socket() {
    let served = served("auto").await;
    for mut program in Program::both(&served).await {
        let channel = program.open([1; 8]).await;
        assert_eq!(state(&served.rack, "a").await.programs, 1);
        let udp = matches!(program.socket, Socket::Udp(_));
        assert_eq!(state(&served.rack, "a").await.programs_over_udp, usize::from(udp));
        let ping: Vec<u8> = (0..=255).cycle().take(7609).collect();
        assert_eq!(program.transact(channel, PING, &ping).await, (PING, ping));
        let (command, answer) = program.transact(channel, CBOR, &make_credential("user", true)).await;
        assert_eq!(command, CBOR);
        made(&answer);
        // A connection ends with its program. Over UDP nobody says goodbye: the key loses power.
        drop(program);
        on_key(&served.rack, power_cycle, "a").await.unwrap();
        assert_eq!(state(&served.rack, "a").await.programs, 0);
    }
}

#[tokio::test]
async fn programs_hear_of_their_own_channels_only() {
    let served = served("manual").await;
    let [mut waiting, mut udp] = Program::both(&served).await;
    let mut unix = Program::unix(&served);
    // The same nonce: each has its own answer all the same.
    let channel = waiting.open([7; 8]).await;
    waiting.send(channel, CBOR, &Request::Selection.encode()).await;
    waiting.wait_for_up_needed().await;
    for other in [&mut udp, &mut unix] {
        let channel = other.open([7; 8]).await;
        assert_eq!(other.transact(channel, CBOR, &[4]).await, (ERROR, vec![CHANNEL_BUSY]));
    }
    // A channel is its opener's: another program neither cancels nor aborts what goes on there.
    udp.channels.insert(channel);
    udp.send(channel, CANCEL, &[]).await;
    assert_eq!(udp.transact(channel, INIT, &[9; 8]).await, (ERROR, vec![INVALID_CHANNEL]));
    on_key(&served.rack, touch_key, "a").await.unwrap();
    assert_eq!(waiting.message().await, (CBOR, vec![0]));
}

/// What one program has begun is neither another's, nor ended by it; without CTAPHID one is another too.
#[tokio::test]
async fn assertions_go_on_for_the_program_that_asked() {
    let served = served("auto").await;
    let [mut first, mut second] = Program::both(&served).await;
    let (own, foreign) = (first.open([1; 8]).await, second.open([2; 8]).await);
    let another = first.open([3; 8]).await;
    let next = Request::GetNextAssertion.encode();
    for user in ["one", "two"] {
        made(&first.transact(own, CBOR, &make_credential(user, true)).await.1);
    }
    let (newest, _) = asserted(&first.transact(own, CBOR, &get_assertion(&[])).await.1);
    for (program, channel) in [(&mut second, foreign), (&mut first, another)] {
        assert_eq!(program.transact(channel, CBOR, &next).await, (CBOR, vec![0x30]), "CTAP2_ERR_NOT_ALLOWED");
        assert_eq!(program.transact(channel, CBOR, &Request::GetInfo.encode()).await.1[0], 0);
    }
    assert_eq!(transact(&served.rack, "a", next.clone()).await, [0x30]);
    let (older, _) = asserted(&first.transact(own, CBOR, &next).await.1);
    assert_ne!(older, newest);
}

#[tokio::test]
async fn a_datagram_that_is_no_report_is_dropped_and_the_next_is_served() {
    let served = served("auto").await;
    for mut program in Program::both(&served).await {
        let channel = program.open([1; 8]).await;
        for length in [0, 1, 63, 65, 66, 1000] {
            let mut datagram = [&channel[..], &[PING, 0, 1, 1]].concat();
            datagram.resize(length, 0);
            program.send_datagram(&datagram).await;
        }
        assert_eq!(program.transact(channel, PING, &[2]).await, (PING, vec![2]));
    }
}

#[tokio::test]
async fn a_program_that_does_not_read_harms_no_other() {
    let served = served("auto").await;
    let [mut mute_unix, mut mute_udp] = Program::both(&served).await;
    let channel = mute_udp.open([1; 8]).await;
    for _ in 0..2_000 {
        mute_udp.send(channel, PING, &[1]).await;
    }
    let channel = mute_unix.open([1; 8]).await;
    // As much as the sockets take; then its own sending waits, and nobody else's.
    for _ in 0..100 {
        mute_unix.send(channel, PING, &[3; 57]).await;
    }
    for mut program in Program::both(&served).await {
        let channel = program.open([2; 8]).await;
        loop {
            match program.transact(channel, CBOR, &Request::Selection.encode()).await {
                (ERROR, code) => assert_eq!(code, [CHANNEL_BUSY]),
                answer => break assert_eq!(answer, (CBOR, vec![0])),
            }
        }
    }
}

/// Waits until so many programs are left: the ends of those that have gone are heard of.
async fn programs_left(served: &Served, count: usize) {
    while state(&served.rack, "a").await.programs != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_program_wrote_before_it_went_is_received() {
    let served = served("auto").await;
    made(&transact(&served.rack, "a", make_credential("user", true)).await);
    let (_, before) = asserted(&transact(&served.rack, "a", silent_assertion(&[])).await);
    for round in 0..40 {
        let mut program = Program::unix(&served);
        let channel = program.open([1; 8]).await;
        if round % 2 == 0 {
            // An answer that is there and not read: the kernel says so before it gives out what was written.
            program.send(channel, PING, &[1]).await;
            let Socket::Unix(stream) = &program.socket else { panic!() };
            while recv(stream, &mut [0; 64][..], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_err() {
                tokio::task::yield_now().await;
            }
        }
        program.send(channel, CBOR, &silent_assertion(&[])).await;
        drop(program);
    }
    programs_left(&served, 0).await;
    let (_, after) = asserted(&transact(&served.rack, "a", silent_assertion(&[])).await);
    assert_eq!(after - before, 41, "each has counted");
}

#[tokio::test]
async fn a_program_that_goes_leaves_neither_a_wait_nor_a_lock() {
    let served = served("manual").await;
    let mut other = Program::unix(&served);
    let channel = other.open([2; 8]).await;
    for cancels in [true, false] {
        let mut gone = Program::unix(&served);
        let its_own = gone.open([1; 8]).await;
        assert_eq!(gone.transact(its_own, LOCK, &[10]).await, (LOCK, vec![]));
        gone.send(its_own, CBOR, &make_credential("theirs", true)).await;
        gone.wait_for_up_needed().await;
        assert_eq!(other.transact(channel, PING, &[1]).await, (ERROR, vec![CHANNEL_BUSY]));
        if cancels {
            gone.send(its_own, CANCEL, &[]).await;
        }
        drop(gone);
        programs_left(&served, 1).await;
        assert_eq!(state(&served.rack, "a").await.waiting_for, None);
        other.send(channel, CBOR, &Request::Selection.encode()).await;
        other.wait_for_up_needed().await;
        on_key(&served.rack, touch_key, "a").await.unwrap();
        assert_eq!(other.message().await, (CBOR, vec![0]));
        assert_eq!(state(&served.rack, "a").await.discoverable_credentials, 0, "the touch was not theirs");
    }
}

#[tokio::test]
async fn a_program_that_goes_takes_what_u2f_waits_for_with_it() {
    use keyrig_ctap::u2f;

    const MSG: u8 = 0x83;
    let served = served("manual").await;
    let register = u2f::Request::Register { challenge: [1; 32], application: [2; 32] };
    let register = register.encode(u2f::Encoding::Extended);
    let mut stays = Program::unix(&served);
    let channel = stays.open([2; 8]).await;
    let mut gone = Program::unix(&served);
    let its_own = gone.open([1; 8]).await;
    assert_eq!(gone.transact(its_own, MSG, &register).await, (MSG, vec![0x69, 0x85]));
    assert_eq!(state(&served.rack, "a").await.waiting_for.as_deref(), Some("U2F_REGISTER"));
    drop(gone);
    programs_left(&served, 1).await;
    assert_eq!(state(&served.rack, "a").await.waiting_for, None);
    // That of a program that stays stays, whichever other goes.
    let other = Program::unix(&served);
    programs_left(&served, 2).await;
    assert_eq!(stays.transact(channel, MSG, &register).await, (MSG, vec![0x69, 0x85]));
    drop(other);
    programs_left(&served, 1).await;
    assert_eq!(state(&served.rack, "a").await.waiting_for.as_deref(), Some("U2F_REGISTER"));
}

#[tokio::test]
async fn newcomers_over_udp_do_not_displace_the_program_that_waits_for_a_touch() {
    let served = served("manual").await;
    let mut waiting = Program::udp(&served).await;
    let channel = waiting.open([1; 8]).await;
    waiting.send(channel, CBOR, &Request::Selection.encode()).await;
    waiting.wait_for_up_needed().await;
    let mut newcomers = Vec::new();
    for _ in 0..40 {
        let mut newcomer = Program::udp(&served).await;
        newcomer.open([2; 8]).await;
        newcomers.push(newcomer);
    }
    assert_eq!(state(&served.rack, "a").await.programs, 32);
    on_key(&served.rack, touch_key, "a").await.unwrap();
    assert_eq!(waiting.message().await, (CBOR, vec![0]));
}

#[tokio::test]
async fn a_usb_host_that_leaves_its_answer_unread_holds_up_no_program() {
    let served = served("auto").await;
    let (usbip, _) = serve_usbip(&served.rack).await;
    let mut host = Channel::open(usbip, "1-1").await;
    // More reports than there is room for on the way.
    host.request(Request::GetInfo.encode()).await;
    for mut program in Program::both(&served).await {
        let channel = program.open([1; 8]).await;
        for _ in 0..10 {
            let (command, answer) = program.transact(channel, CBOR, &Request::GetInfo.encode()).await;
            assert_eq!((command, answer[0]), (CBOR, 0));
            let selection = program.transact(channel, CBOR, &Request::Selection.encode()).await;
            assert_eq!(selection, (CBOR, vec![0]));
        }
    }
    assert_eq!(host.answer().await.unwrap()[0], 0, "it is still there for the host");
}

#[tokio::test]
async fn a_program_that_does_not_read_is_heard_all_the_same() {
    let served = served("manual").await;
    let mut mute = Program::unix(&served);
    let channel = mute.open([1; 8]).await;
    // More answers than its socket holds.
    for _ in 0..2000 {
        mute.send(channel, PING, &[3; 57]).await;
    }
    mute.send(channel, CBOR, &Request::Selection.encode()).await;
    while state(&served.rack, "a").await.waiting_for.is_none() {
        tokio::task::yield_now().await;
    }
    mute.send(channel, CANCEL, &[]).await;
    while state(&served.rack, "a").await.waiting_for.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unplugged_key_ends_connections_and_a_plugged_one_is_there_again() {
    let served = served("auto").await;
    let [mut unix, mut udp] = Program::both(&served).await;
    unix.open([1; 8]).await;
    let channel = udp.open([1; 8]).await;
    on_key(&served.rack, unplug, "a").await.unwrap();
    unix.ended().await;
    Program::unix(&served).ended().await;
    on_key(&served.rack, plug, "a").await.unwrap();
    // UDP has no connection to end, but the channel is gone.
    assert_eq!(udp.transact(channel, PING, &[2]).await, (ERROR, vec![INVALID_CHANNEL]));
    for mut program in [Program::unix(&served), udp] {
        let channel = program.open([2; 8]).await;
        assert_eq!(program.transact(channel, PING, &[3]).await, (PING, vec![3]));
    }
}

#[tokio::test]
async fn a_power_cycle_ends_what_a_program_waits_for() {
    let served = served("manual").await;
    let mut program = Program::unix(&served);
    let channel = program.open([1; 8]).await;
    program.send(channel, CBOR, &Request::Selection.encode()).await;
    program.wait_for_up_needed().await;
    on_key(&served.rack, power_cycle, "a").await.unwrap();
    program.ended().await;
    assert_eq!(state(&served.rack, "a").await.waiting_for, None);
}

#[tokio::test]
async fn a_key_is_used_over_usb_and_by_programs_at_the_same_time() {
    let served = served("manual").await;
    let (usbip, _) = serve_usbip(&served.rack).await;
    let mut before = Program::unix(&served);
    before.open([1; 8]).await;
    // That a host takes the key is a power-up, as ever.
    let mut host = Channel::open(usbip, "1-1").await;
    before.ended().await;

    for mut program in Program::both(&served).await {
        let channel = program.open([2; 8]).await;
        host.request_until_up_needed(Request::Selection.encode()).await;
        assert_eq!(program.transact(channel, CBOR, &[4]).await, (ERROR, vec![CHANNEL_BUSY]));
        on_key(&served.rack, touch_key, "a").await.unwrap();
        assert_eq!(host.answer().await.unwrap(), [0]);

        program.send(channel, CBOR, &Request::Selection.encode()).await;
        program.wait_for_up_needed().await;
        on_key(&served.rack, touch_key, "a").await.unwrap();
        assert_eq!(program.message().await, (CBOR, vec![0]));
    }

    let mut after = Program::unix(&served);
    after.open([3; 8]).await;
    host.close().await;
    after.ended().await;
    let mut next = Program::unix(&served);
    let channel = next.open([4; 8]).await;
    assert_eq!(next.transact(channel, PING, &[5]).await, (PING, vec![5]));
}

#[tokio::test]
async fn a_thirty_third_program_displaces_the_one_that_was_silent_longest() {
    let served = served("auto").await;
    let mut programs = Vec::new();
    for _ in 0..32 {
        let mut program = Program::unix(&served);
        let channel = program.open([1; 8]).await;
        programs.push((program, channel));
    }
    let (first, channel) = &mut programs[0];
    assert_eq!(first.transact(*channel, PING, &[1]).await, (PING, vec![1]));
    Program::unix(&served).open([2; 8]).await;
    programs[1].0.ended().await;
    for index in [0, 2, 31] {
        let (program, channel) = &mut programs[index];
        assert_eq!(program.transact(*channel, PING, &[1]).await, (PING, vec![1]), "{index}");
    }

    let mut programs = Vec::new();
    for _ in 0..33 {
        let mut program = Program::udp(&served).await;
        let channel = program.open([1; 8]).await;
        programs.push((program, channel));
    }
    let (second, channel) = &mut programs[1];
    assert_eq!(second.transact(*channel, PING, &[1]).await, (PING, vec![1]));
    let (first, channel) = &mut programs[0];
    assert_eq!(first.transact(*channel, PING, &[1]).await, (ERROR, vec![INVALID_CHANNEL]));
    let channel = first.open([3; 8]).await;
    assert_eq!(first.transact(channel, PING, &[1]).await, (PING, vec![1]));
}

#[tokio::test]
async fn a_program_that_waits_for_a_touch_is_displaced_by_none_that_is_idle() {
    let served = served("manual").await;
    let mut waiting = Program::unix(&served);
    let channel = waiting.open([1; 8]).await;
    waiting.send(channel, CBOR, &Request::Selection.encode()).await;
    waiting.wait_for_up_needed().await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut program = Program::unix(&served);
        program.open([2; 8]).await;
        idle.push(program);
    }
    on_key(&served.rack, touch_key, "a").await.unwrap();
    assert_eq!(waiting.message().await, (CBOR, vec![0]));
    // With the answer it is one of the others again, and the youngest.
    for _ in 0..31 {
        let mut program = Program::unix(&served);
        program.open([3; 8]).await;
        idle.push(program);
    }
    assert_eq!(waiting.transact(channel, PING, &[1]).await, (PING, vec![1]));
}

#[tokio::test]
async fn the_socket_is_its_owner_s_and_never_another_s() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("key");
    let address = || EndpointAddress::Unix(path.clone());
    // One that a killed program left is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let endpoint = Endpoint::bind(address()).await.unwrap();
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(matches!(Endpoint::bind(address()).await, Err(EndpointError::InUse(named)) if named == address()));
    assert!(matches!(ControlSocket::bind(&path).await, Err(ControlError::InUse { .. })));
    drop(endpoint);
    assert!(!path.exists());

    let control = ControlSocket::bind(&path).await.unwrap();
    assert!(matches!(Endpoint::bind(address()).await, Err(EndpointError::InUse(named)) if named == address()));
    drop(control);
    fs::write(&path, "mine").unwrap();
    assert!(matches!(Endpoint::bind(address()).await, Err(EndpointError::NotASocket { path: named }) if named == path));
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = EndpointAddress::Udp(taken.local_addr().unwrap());
    assert!(matches!(Endpoint::bind(address.clone()).await, Err(EndpointError::InUse(named)) if named == address));
}

/// A program that goes right behind its last report: the runtime has heard of the report, and perhaps not yet of the end.
#[test]
fn programs_that_go_behind_a_report_hold_up_nobody() {
    let (ready, served_at) = mpsc::channel();
    // A runtime of its own, so that one that stands still is found out.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let served = served("auto").await;
            ready.send(served.path.clone()).unwrap();
            pending::<()>().await
        })
    });
    let path = served_at.recv().unwrap();
    let mut init = [0; 64];
    init[..7].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF, INIT, 0, 8]);
    for _ in 0..5000 {
        send(waiting_seqpacket(&path), &init, SendFlags::empty()).unwrap();
    }
    let program = waiting_seqpacket(&path);
    send(&program, &init, SendFlags::empty()).unwrap();
    let mut answer = [0; 64];
    assert_eq!(recv(&program, &mut answer[..], RecvFlags::empty()).unwrap().0, 64);
    assert_eq!(answer[4], INIT);
}

/// A report that is there already when its key is removed.
#[test]
fn an_endpoint_outlives_its_key() {
    // The key has a thread of its own, so that it can go while the endpoint's stands still.
    let keys = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let endpoints = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rack = keys.block_on(rack("auto", &["a"]));
    let (key, watched) = (rack.key(&name("a")).unwrap(), rack.key(&name("a")).unwrap());
    endpoints.block_on(async {
        let endpoint = Endpoint::bind("udp:127.0.0.1:0".parse().unwrap()).await.unwrap();
        let EndpointAddress::Udp(address) = *endpoint.address() else { panic!() };
        let serving = tokio::spawn(async move { match endpoint.serve(key).await {} });
        let mut program = Program::over(Socket::Udp(UdpSocket::bind("127.0.0.1:0").await.unwrap()));
        let Socket::Udp(socket) = &program.socket else { panic!() };
        socket.connect(address).await.unwrap();
        program.open(*b"a report").await;
        // What wakes this task wakes the endpoint too, and this task is first.
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        here.writable().await.unwrap();
        program.send([0xFF; 4], INIT, b"the last").await;
        here.try_send_to(&[0], here.local_addr().unwrap()).unwrap();
        here.readable().await.unwrap();
        let removed = async {
            rack.remove(&name("a")).await.unwrap();
            while watched.connect().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        thread::scope(|scope| scope.spawn(|| keys.block_on(removed)).join().unwrap());
        // Behind the report that nobody took, one that the endpoint has to look at.
        for _ in 0..100 {
            program.send([0xFF; 4], INIT, b"too late").await;
            tokio::task::yield_now().await;
            assert!(!serving.is_finished(), "the endpoint ended with its key");
        }
    });
}

/// A socket whose calls wait, and fail when nothing happens for too long.
fn waiting_seqpacket(path: &Path) -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    for direction in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(&socket, direction, Some(PATIENCE)).unwrap();
    }
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}
