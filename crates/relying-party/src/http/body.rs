//! What requests carry: a JSON body, parts of the path, the host that was asked for, and where they come from; or the refusal that says what is
//! wrong with it.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::source;
use crate::turns::Asker;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

/// The longest request body that is read. An answer with a chain of attestation certificates is below 8 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A JSON body, which is an object.
pub(super) struct Body<T>(pub(super) T);

/// What JSON has as an object. By itself a struct is read from a list of its members' values too, in an order that nobody promised.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<RelyingParty>> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let limit = state.limits.body;
        let read = tokio::time::timeout(limit, Json::from_request(request, state)).await;
        match read.map_err(|_| Refusal::BodyTooSlow { limit })? {
            Ok(Json(Object(body))) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Refusal::BadContentType),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal::BodyTooLarge { limit: MAX_BODY_BYTES })
            }
            Err(error) => Err(Refusal::BadRequest { reason: error.body_text() }),
        }
    }
}

/// The parts of the path.
pub(super) struct InPath<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(error) => Err(Refusal::BadRequest { reason: error.body_text() }),
        }
    }
}

/// The query.
pub(super) struct InQuery<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(found)) => Ok(Self(found)),
            Err(error) => Err(Refusal::BadRequest { reason: error.body_text() }),
        }
    }
}

impl FromRequestParts<Arc<RelyingParty>> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // A request without one cannot be a browser's; it matches no origin.
        Ok(Self { host: host.unwrap_or_default().to_owned(), over_tls: state.over_tls })
    }
}

impl FromRequestParts<Arc<RelyingParty>> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Infallible> {
        Ok(Self { address: source::address(parts, state), account: None })
    }
}

/// A text that is not to be shown, such as a password. What is none is refused without being repeated: a password of digits
/// that was sent as a number is a password all the same.
pub(super) fn secret<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    struct Secret;

    impl Visitor<'_> for Secret {
        type Value = String;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
            Err(E::invalid_type(Unexpected::Other("boolean"), &self))
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
            Err(E::invalid_type(Unexpected::Other("number"), &self))
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<String, E> {
            Err(E::invalid_type(Unexpected::Other("number"), &self))
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
            Err(E::invalid_type(Unexpected::Other("number"), &self))
        }
    }

    deserializer.deserialize_any(Secret).map(T::from)
}
