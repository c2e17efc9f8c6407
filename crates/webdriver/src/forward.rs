//! Passes a request on to a driver, and its answer back.

use std::io;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::{Code, WebDriverError};

/// The longest body that is read here: capabilities may hold an extension or a profile of a browser, bytes.
pub(crate) const LONGEST_BODY: usize = 256 * 1024 * 1024;

/// Where a driver listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Host and port.
    pub(crate) authority: String,
    /// What is before the path of each command; empty, or it begins with a slash.
    pub(crate) base: String,
}

/// What concerns one connection alone (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn strip(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Forwards a request for a path. Dropped, it hangs up.
pub(crate) async fn forward(address: &Address, path: &str, request: Request) -> io::Result<Response> {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path: PathAndQuery = format!("{}{path}{query}", address.base)
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    parts.uri = Uri::from(path);
    strip(&mut parts.headers);
    let host = HeaderValue::from_str(&address.authority)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    parts.headers.insert(header::HOST, host);
    let stream = TcpStream::connect(&address.authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to a driver ended");
        }
    });
    let mut response = sender.send_request(hyper::Request::from_parts(parts, body)).await.map_err(io::Error::other)?;
    strip(response.headers_mut());
    Ok(response.map(Body::new))
}

/// A driver's answer that was read here.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl Answer {
    /// Its data, if it is a success.
    pub(crate) fn value(&self) -> Option<Value> {
        let mut body: Value =
            Some(&self.body).filter(|_| self.status.is_success()).and_then(|body| serde_json::from_slice(body).ok())?;
        body.get_mut("value").map(Value::take)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        if let Some(content_type) = self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}

pub(crate) async fn read_answer(response: Response) -> Result<Answer, WebDriverError> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LONGEST_BODY).await;
    let body = body
        .map_err(|error| WebDriverError::new(Code::UnknownError, format!("the driver's answer broke off: {error}")))?;
    Ok(Answer { status: parts.status, content_type: parts.headers.get(header::CONTENT_TYPE).cloned(), body })
}
