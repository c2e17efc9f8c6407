//! What a call is answered with: `{"data": …}`, and a failure's cause as the reason phrase of the status line, which clients show.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde_json::{Map, Value, json};

use crate::Refusal;
use crate::factors::FactorError;
use crate::groups::GroupError;
use crate::needed::{AccessPath, GROUPS, Need, Needed};
use crate::roles::RoleError;
use crate::users::UserError;

/// To the letter: a client refuses anything else.
const MEDIA_TYPE: &str = "application/json;charset=UTF-8";

/// What a call gives.
pub(super) type Answer = Result<Data, Failure>;

/// What a call gives that went well.
#[derive(Clone, Debug)]
pub(super) struct Data(pub(super) Value);

/// How many lines there are of what a call gives a part of, beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total(pub(super) usize);

/// Why a call did not go well, in Proxmox VE's words where it has some.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    status: StatusCode,
    reason: String,
    errors: BTreeMap<String, String>,
    /// What the caller lacks, where that is not said yet.
    lacking: Option<Need>,
}

impl Failure {
    /// There is no ticket with the request.
    pub(super) fn no_ticket() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "No ticket")
    }

    /// There is one, and it is forged, over, or half of one.
    pub(super) fn invalid_ticket() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "permission denied - invalid PVE ticket")
    }

    /// The API token is unknown, disabled or over.
    pub(super) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid token value!")
    }

    /// The password, the factor or the half ticket was wrong: which of them the log says.
    pub(super) fn authentication() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication failure")
    }

    /// Parameters are wrong: name, and what is wrong.
    pub(super) fn of_parameters(errors: BTreeMap<String, String>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "Parameter verification failed.") }
    }

    /// One is.
    pub(super) fn of_parameter(name: &str, reason: &str) -> Self {
        Self::of_parameters(BTreeMap::from([(name.to_owned(), reason.to_owned())]))
    }

    /// What a call dies of there is a 500, whoever is to blame.
    pub(super) fn died(reason: impl AsRef<str>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason.as_ref())
    }

    /// What goes wrong under the lock of `user.cfg` is told with what was to be done, `PVE::AccessControl::lock_user_config`.
    pub(super) fn of_change(failed: &'static str) -> impl FnOnce(Refusal) -> Self {
        move |refusal| match Self::from(refusal) {
            Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason, .. } => Self::died(format!("{failed}: {reason}")),
            other => other,
        }
    }

    /// The body cannot be read.
    pub(super) fn of_body(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// An API token calls what takes a ticket, `PVE::HTTPServer::rest_handler`: the line break within is there too.
    pub(super) fn of_token(path: &str) -> Self {
        let what = format!("URI '{path}' not available with API token, need proper ticket.\n");
        Self::new(StatusCode::FORBIDDEN, &format!("Permission check failed ({what})"))
    }

    /// There is no such call.
    pub(super) fn not_implemented(method: &str, path: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, &format!("Method '{method} {path}' not implemented"))
    }

    /// There is no such format of calls.
    pub(super) fn no_such_uri() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "no such uri")
    }

    fn new(status: StatusCode, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), errors: BTreeMap::new(), lacking: None }
    }

    /// Says what the caller lacks, if it is refused for that: a privilege, and the path that is named for it, if one is.
    pub(super) fn lacking_at(self, path: impl FnOnce(AccessPath) -> Option<String>) -> Self {
        let Some((need, path)) = self.lacking.and_then(|need| Some((need, path(need.at)?))) else { return self };
        Self { reason: format!("{} ({path}, {})", self.reason, need.names("|")), lacking: None, ..self }
    }

    /// The same of a call that is about users of groups, of which the first is named, and of a realm.
    pub(super) fn in_groups(self, groups: Option<&[String]>, realm: &str) -> Self {
        let first = groups.and_then(|groups| groups.first());
        self.lacking_at(|path| match first.filter(|_| path == GROUPS) {
            Some(group) => Some(format!("/access/groups/{group}")),
            None => path.named(Some(realm), None),
        })
    }

    /// The same of a call that does not name the realm in its path.
    pub(super) fn in_realm(self, realm: &str) -> Self {
        self.lacking_at(|path| path.named(Some(realm), None))
    }

    /// The same as the text that the body has: a line, as what dies there has it.
    fn message(&self) -> String {
        format!("{}\n", self.reason)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::AuthenticationFailed { .. }
            | Refusal::LoginBlocked { .. }
            | Refusal::KeysUnusable { .. }
            | Refusal::FactorRequired { .. }
            | Refusal::UnknownLogin => Self::authentication(),
            Refusal::NotLoggedIn => Self::invalid_ticket(),
            Refusal::BadCsrfToken => Self::new(StatusCode::UNAUTHORIZED, "Permission denied - invalid csrf token"),
            Refusal::Forbidden { needed } => match needed {
                Needed::InPerson => Self::new(StatusCode::FORBIDDEN, &format!("Permission check failed ({refusal})")),
                Needed::Root => Self::new(StatusCode::FORBIDDEN, "Permission check failed"),
                Needed::Privileges(lacking) => Self {
                    lacking: lacking.first().copied(),
                    ..Self::new(StatusCode::FORBIDDEN, "Permission check failed")
                },
            },
            Refusal::User(UserError::Unknown(user)) | Refusal::Factor(FactorError::UnknownUser(user)) => {
                Self::died(format!("no such user ('{user}')"))
            }
            Refusal::User(UserError::Exists(user)) => Self::died(format!("user '{user}' already exists")),
            Refusal::User(UserError::Group(GroupError::Unknown(group))) => {
                Self::died(format!("no such group '{group}'"))
            }
            Refusal::User(UserError::TokenExists { .. }) => Self::of_parameter("tokenid", "Token already exists."),
            Refusal::User(UserError::UnknownToken { user, name }) => {
                Self::died(format!("no such token '{name}' for user '{user}'"))
            }
            Refusal::Group(GroupError::Unknown(group)) => Self::died(format!("group '{group}' does not exist")),
            Refusal::Group(GroupError::Exists(group)) => Self::died(format!("group '{group}' already exists")),
            Refusal::Role(RoleError::Unknown(role)) => Self::died(format!("role '{role}' does not exist")),
            Refusal::Role(RoleError::Exists(role)) => Self::died(format!("role '{role}' already exists")),
            Refusal::Role(RoleError::Reserved) => Self::of_parameter("roleid", &refusal.to_string()),
            Refusal::Factor(FactorError::RecoveryKeysExist(_)) => Self::died("user already has recovery keys"),
            Refusal::BadContentType => Self::new(
                refusal.status(),
                "the body is no form and no JSON: send it with Content-Type: \
                     application/x-www-form-urlencoded or application/json",
            ),
            Refusal::User(_)
            | Refusal::Group(_)
            | Refusal::Role(_)
            | Refusal::Factor(_)
            | Refusal::Realm(_)
            | Refusal::BadTotp(_)
            | Refusal::BadPassword => Self::died(refusal.to_string()),
            other => Self::new(other.status(), &other.to_string()),
        }
    }
}

impl IntoResponse for Data {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        response.extensions_mut().insert(Ok::<_, Failure>(self));
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::debug!(status = self.status.as_u16(), reason = self.reason, "refused");
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Err::<Data, _>(self));
        response
    }
}

/// Names what was lacking, in a refusal for that.
pub(super) fn name_lacking(response: &mut Response, path: impl FnOnce(AccessPath) -> Option<String>) {
    if let Some(Err(failure)) = response.extensions_mut().get_mut::<Answer>() {
        *failure = failure.clone().lacking_at(path);
    }
}

/// Writes an answer as `/api2/json` has it: in the body of a failure there is its cause too since libpve-http-server-perl 5.2.0 (January
/// 2025, Proxmox VE 8.3), `PVE::APIServer::Formatter::Standard`. Before it was in the status line alone.
pub(super) async fn json(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Answer>() {
        Some(Ok(Data(data))) => succeeded(&response, json!({ "data": data })),
        Some(Err(failure)) => {
            let mut body =
                Map::from_iter([("data".to_owned(), Value::Null), ("message".to_owned(), failure.message().into())]);
            if !failure.errors.is_empty() {
                body.insert("errors".to_owned(), json!(failure.errors));
            }
            written(failure.status, Some(&failure.reason), &Value::Object(body))
        }
        None => response,
    }
}

/// Writes an answer as `/api2/extjs` has it: what went wrong is told in a success, but for who may not even call.
pub(super) async fn extjs(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Answer>() {
        Some(Ok(Data(data))) => succeeded(&response, json!({ "data": data, "success": 1 })),
        Some(Err(failure)) if failure.status == StatusCode::UNAUTHORIZED => {
            written(failure.status, Some(&failure.reason), &json!({ "data": null, "success": 0 }))
        }
        Some(Err(failure)) => {
            let (status, message) = (failure.status.as_u16(), failure.message());
            let mut body = json!({ "data": null, "success": 0, "status": status, "message": message });
            if let Some(members) = body.as_object_mut().filter(|_| !failure.errors.is_empty()) {
                members.insert("errors".to_owned(), json!(failure.errors));
            }
            written(StatusCode::OK, None, &body)
        }
        None => response,
    }
}

fn succeeded(response: &Response, mut body: Value) -> Response {
    if let (Some(Total(total)), Some(members)) = (response.extensions().get(), body.as_object_mut()) {
        members.insert("total".to_owned(), (*total).into());
    }
    written(StatusCode::OK, None, &body)
}

fn written(status: StatusCode, reason: Option<&str>, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Some(reason) = reason {
        add_reason(response.extensions_mut(), &reason.replace('\n', " "));
    }
    response
}

/// A reason phrase is one line of printable characters (RFC 9112, section 4).
fn add_reason(extensions: &mut Extensions, reason: &str) {
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Ok(phrase) = ReasonPhrase::try_from(line.into_bytes()) {
        extensions.insert(phrase);
    }
}
