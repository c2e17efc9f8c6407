//! One command of WebDriver BiDi to a session's browser, over a WebSocket (RFC 6455): what is put before the scripts of a document stays
//! with the session, and no connection has to.

use core::time::Duration;
use std::io;

use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The longest message that is read, bytes: events of the session come this way, too.
const LONGEST: usize = 16 * 1024 * 1024;

/// What a server has to make of the key (RFC 6455 §1.3).
const ACCEPTS: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Sends a command to `ws://AUTHORITY/PATH`, and reads its result.
pub(crate) async fn command(authority: &str, path: &str, method: &str, parameters: &Value) -> io::Result<Value> {
    let asked = json!({"id": 1, "method": method, "params": parameters}).to_string();
    let answered = async {
        let mut stream = connect(authority, path).await?;
        write(&mut stream, TEXT, asked.as_bytes()).await?;
        loop {
            let message = read(&mut stream).await?;
            let message: Value = serde_json::from_slice(&message).map_err(io::Error::other)?;
            if message.get("id") == Some(&1.into()) {
                write(&mut stream, CLOSE, &1000_u16.to_be_bytes()).await?;
                return result(message);
            }
        }
    };
    timeout(LIMIT, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn result(mut message: Value) -> io::Result<Value> {
    match message.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => {
            let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            Err(io::Error::other(format!("{}: {}", text("error"), text("message"))))
        }
    }
}

async fn connect(authority: &str, path: &str) -> io::Result<TokioIo<Upgraded>> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let key = STANDARD.encode(random);
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .body(axum::body::Body::empty())
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection for BiDi ended");
        }
    });
    let response: axum::http::Response<Incoming> = sender.send_request(request).await.map_err(io::Error::other)?;
    let expected = STANDARD.encode(Sha1::digest(format!("{key}{ACCEPTS}")));
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|told| *told == *expected);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
        return Err(io::Error::other(format!("it is no WebSocket: {}", response.status())));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(io::Error::other)
}

/// One frame, masked as each of a client is (RFC 6455 §5.2, §5.3).
async fn write(stream: &mut (impl AsyncWrite + Unpin), opcode: u8, payload: &[u8]) -> io::Result<()> {
    let mut mask = [0; 4];
    getrandom::fill(&mut mask).map_err(io::Error::other)?;
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            let length = u64::try_from(payload.len()).map_err(io::Error::other)?;
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// A whole message. Pings are answered on the way.
async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let (is_last, opcode, payload) = read_frame(stream, LONGEST - message.len()).await?;
        match opcode {
            PING => write(stream, PONG, &payload).await?,
            PONG => {}
            TEXT if message.is_empty() => message = payload,
            CONTINUATION => message.extend_from_slice(&payload),
            CLOSE => return Err(io::Error::other("the browser closed the connection")),
            _ => return Err(invalid("a frame that there is not")),
        }
        if is_last && matches!(opcode, TEXT | CONTINUATION) {
            return Ok(message);
        }
    }
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin), longest: usize) -> io::Result<(bool, u8, Vec<u8>)> {
    let [first, second] = (stream.read_u16().await?).to_be_bytes();
    if second & 0x80 != 0 || first & 0x70 != 0 {
        return Err(invalid("a frame that is masked, or of an extension"));
    }
    let length = match second {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        length => u64::from(length),
    };
    if usize::try_from(length).ok().is_none_or(|length| length > longest) {
        return Err(invalid("a message that is too long"));
    }
    // What is claimed is not there yet.
    let mut payload = Vec::new();
    stream.take(length).read_to_end(&mut payload).await?;
    if u64::try_from(payload.len()).ok() != Some(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((first & 0x80 != 0, first & 0x0f, payload))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the browser sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455 §5.7, and one whose length takes eight bytes.
    #[tokio::test]
    async fn frames_are_read_as_the_rfc_has_them() {
        let read_all = async |bytes: &[u8]| {
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            near.write_all(bytes).await.unwrap();
            near.shutdown().await.unwrap();
            let read = read(&mut far).await;
            drop(far);
            let mut written = Vec::new();
            near.read_to_end(&mut written).await.unwrap();
            (read.map_err(|error| error.kind()), written)
        };
        let hello = (Ok(b"Hello".to_vec()), Vec::new());
        assert_eq!(read_all(b"\x81\x05Hello").await, hello);
        assert_eq!(read_all(b"\x01\x03Hel\x80\x02lo").await, hello);
        let (read, pong) = read_all(b"\x01\x03Hel\x89\x05Hello\x80\x02lo").await;
        assert_eq!(read, Ok(b"Hello".to_vec()));
        assert_eq!((pong[0], pong[1], pong.len()), (0x8a, 0x85, 11));
        let long = vec![b'x'; 65536];
        assert_eq!(read_all(&[b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", &long[..]].concat()).await.0, Ok(long));
        for (wrong, kind) in [
            (&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..], io::ErrorKind::InvalidData),
            (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", io::ErrorKind::InvalidData),
            (b"\x82\x01x", io::ErrorKind::InvalidData),
            (b"\x81\x05Hel", io::ErrorKind::UnexpectedEof),
            (b"\x88\x00", io::ErrorKind::Other),
            (b"", io::ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(read_all(wrong).await.0, Err(kind), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn what_is_written_is_masked_and_says_how_long_it_is() {
        for (length, head) in [(5_usize, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            write(&mut near, TEXT, &payload).await.unwrap();
            drop(near);
            let mut frame = Vec::new();
            far.read_to_end(&mut frame).await.unwrap();
            assert_eq!((frame[0], frame[1] & 0x80, frame.len()), (0x81, 0x80, head + 4 + length));
            let mask = &frame[head..head + 4];
            let unmasked: Vec<u8> = frame[head + 4..].iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
            assert_eq!(unmasked, payload);
        }
    }
}
