//! The API described in OpenAPI 3.1: of every route what it takes, what it answers, and how it refuses.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::Json;
use keyrig_http::openapi::{Interface, Operation, document, in_path, operation_id};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::routes;
use super::schemas::part_of_path;
use super::session::{CSRF_HEADER, SessionCookie};
use crate::needed::{Need, Needed};
use crate::refusal::RefusalBody;
use crate::relying_party::Right;

/// What a route takes and answers, and to whom.
pub(super) struct Description {
    summary: &'static str,
    answer: fn(&str, &str) -> Operation,
    query: Option<fn(Operation) -> Operation>,
    body: Option<fn(Operation) -> Operation>,
    is_open: bool,
    needs: &'static [Need],
    refused: &'static [u16],
}

/// A route that answers a value, to whoever has a session.
pub(super) fn gives<Answer: ToSchema>(summary: &'static str) -> Description {
    Description {
        summary,
        answer: Operation::answering::<Answer>,
        query: None,
        body: None,
        is_open: false,
        needs: &[],
        refused: &[],
    }
}

/// A route that answers a list of values, to whoever has a session.
pub(super) fn lists<Item: ToSchema>(summary: &'static str) -> Description {
    Description { answer: Operation::listing::<Item>, ..gives::<Item>(summary) }
}

impl Description {
    pub(super) fn for_anybody(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// To whom this right's privileges are given.
    pub(super) fn needing<R: Right>(self) -> Self {
        Self { needs: R::NEEDS, ..self }
    }

    pub(super) fn asking<Query: ToSchema>(self) -> Self {
        Self { query: Some(Operation::with_query::<Query>), ..self }
    }

    pub(super) fn taking<Body: ToSchema>(self) -> Self {
        Self { body: Some(Operation::with_body::<Body>), ..self }
    }

    /// With these statuses as well, beside those that follow from all else.
    pub(super) fn refusing(self, refused: &'static [u16]) -> Self {
        Self { refused, ..self }
    }

    fn at(self, method: &str, path: &str) -> Operation {
        let mut id = operation_id(method, path);
        if path.ends_with('}') {
            let last = in_path(path).last().unwrap_or_default();
            id = format!("{id}_by_{last}");
        }
        let summary = match self.needs {
            [] => self.summary.to_owned(),
            needs => format!("{} It takes {}.", self.summary, Needed::Privileges(needs.to_vec())),
        };
        let mut operation = (self.answer)(&id, &summary);
        for part in in_path(path) {
            operation = operation.with_part_of_path(part, part_of_path(part));
        }
        if let Some(with_query) = self.query {
            operation = with_query(operation);
        }
        let mut refused = BTreeSet::from([400, 503]);
        refused.extend(self.refused);
        if let Some(with_body) = self.body {
            operation = with_body(operation);
            refused.extend([408, 413, 415]);
        }
        operation = match (self.is_open, method) {
            (true, _) => operation.for_anybody(),
            (false, "GET") => operation,
            (false, _) => operation.for_who_has(&[SESSION, CSRF_TOKEN]),
        };
        if !self.is_open {
            refused.extend([401, 403]);
        }
        operation.refusing(refused)
    }
}

const SESSION: &str = "session";
const CSRF_TOKEN: &str = "csrf_token";

/// What each status of a refusal means; `code` in its body says more.
const REFUSALS: [(u16, &str); 11] = [
    (400, "The request is not what the route takes."),
    (401, "There is no session, the login is refused, or the login under way is over."),
    (
        403,
        "The session does not allow it: it lacks a privilege, the token against cross-site requests, or the password given again; or what \
           was to be proved is not.",
    ),
    (404, "There is nobody, or nothing, of that name."),
    (408, "The body did not arrive in time."),
    (409, "It contradicts what is there: it exists already, is needed, or is kept elsewhere."),
    (410, "The challenge is unknown, answered already, or too old."),
    (413, "The body is too long."),
    (415, "The body is not declared to be JSON."),
    (429, "Too many wait; try again in a moment."),
    (503, "It cannot be decided at present: the database, a directory, or what was enrolled is not to be had."),
];

/// The description, but for the name of the cookie, which is each port's own.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let schemes = json!({
        SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": "",
            "description": "The cookie that a login sets.",
        },
        CSRF_TOKEN: {
            "type": "apiKey",
            "in": "header",
            "name": CSRF_HEADER,
            "description": "The session's csrf_token, of which other sites know nothing.",
        },
    });
    let interface = Interface {
        title: "keyrig rp",
        description: "A relying party to rehearse on: users, second factors, and login. A session is a cookie, and every request of a \
                      session that changes something carries its token in a header. Moments are seconds since 1970. A list that goes on has \
                      its next page in a header Link with rel=\"next\" (RFC 8288).",
        version: env!("CARGO_PKG_VERSION"),
        security_schemes: schemes,
        security: &[SESSION],
        refusals: &REFUSALS,
    };
    let described = routes::descriptions().into_iter().map(|(method, path, it)| (method, path, it.at(method, path)));
    document::<RefusalBody>(&interface, described)
});

/// An OpenAPI document.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub(super) struct Document(Value);

pub(super) async fn show(cookie: SessionCookie) -> Json<Document> {
    let mut described = DESCRIPTION.clone();
    if let Some(name) = described.pointer_mut("/components/securitySchemes/session/name") {
        *name = cookie.name().into();
    }
    Json(Document(described))
}
