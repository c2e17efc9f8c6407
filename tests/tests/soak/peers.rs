//! Peers that begin something and are gone, or stay and do nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyrig_control::request::Transact;
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::program::Program;
use crate::{Counts, count};

/// How many stay at once.
const STAYING: usize = 60;

const PATIENCE: Duration = Duration::from_secs(5);

/// What is sent to the site.
const REQUESTS: [&str; 4] = [
    "",
    "GET / HTTP/1.1\r\nHost: local",
    "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"user\"",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
];

/// What is sent to the USB/IP port: nothing, half a request for a device, another protocol.
const USBIP: [&[u8]; 3] = [b"", b"\x01\x11\x80\x03\0\0\0\x001-2", b"GET / HTTP/1.1\r\n\r\n"];

/// One by one, for as long as it is let.
pub(crate) async fn vanish(rack: Arc<Program>, site: Arc<Program>, directory: PathBuf, counts: Arc<Counts>) {
    let mut staying: VecDeque<TcpStream> = VecDeque::new();
    for number in 0_usize.. {
        let listening = site.listening().await;
        let address = listening.pointer("/listen/0").and_then(Value::as_str).expect("an address").to_owned();
        staying.extend(begin(&address, REQUESTS[number % REQUESTS.len()].as_bytes()).await);
        let listening = rack.listening().await;
        let address = listening.get("usbip").and_then(Value::as_str).expect("an address").to_owned();
        staying.extend(begin(&address, USBIP[number % USBIP.len()]).await);
        count(&counts.vanished);
        while staying.len() > STAYING {
            staying.pop_front();
        }
        // A program at the datagram endpoint that asks for a channel, begins a message, and is gone.
        let path = directory.join("datagrams");
        let spoken = tokio::task::spawn_blocking(move || speak_and_go(&path)).await.expect("it does not panic");
        // The rack may be away.
        if spoken.is_ok() {
            count(&counts.vanished);
        }
        // One at the control socket that asks for half of something.
        if let Ok(mut control) = UnixStream::connect(directory.join("control")).await {
            let _ = control.write_all(b"{\"command\":").await;
            count(&counts.vanished);
        }
        // One that waits for a key and gives up: its command is ended with it.
        let key: KeyName = "a".parse().expect("a name");
        let get_info = Transact { key, message: vec![0x04] };
        let _ = timeout(Duration::from_millis(1), send(&directory.join("control"), get_info)).await;
        sleep(Duration::from_millis(30)).await;
    }
}

async fn begin(address: &str, sent: &[u8]) -> Option<TcpStream> {
    let mut stream = timeout(PATIENCE, TcpStream::connect(address)).await.ok()?.ok()?;
    timeout(PATIENCE, stream.write_all(sent)).await.ok()?.ok()?;
    Some(stream)
}

fn speak_and_go(path: &std::path::Path) -> rustix::io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    // CTAPHID_INIT, and CTAPHID_CBOR on a channel that nobody gave it.
    let mut init = [0; 64];
    init[..15].copy_from_slice(b"\xff\xff\xff\xff\x86\x00\x08a nonce!");
    rustix::net::send(&socket, &init, SendFlags::NOSIGNAL)?;
    let mut begun = [0; 64];
    begun[..7].copy_from_slice(b"\0\0\0\x01\x90\x01\x00");
    rustix::net::send(&socket, &begun, SendFlags::NOSIGNAL)?;
    Ok(())
}
