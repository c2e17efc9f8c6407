//! Which command a request is: pure.

use axum::http::Method;

use crate::error::{Code, WebDriverError};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Whether another session can begin.
    Status,
    /// New Session.
    NewSession,
    /// End everything, as chromedriver has it.
    Shutdown,
    /// A command about virtual authenticators.
    WebAuthn(&'a str, Call<'a>),
    /// Delete Session.
    DeleteSession(&'a str),
    /// Close Window: of the last one the session ends.
    CloseWindow(&'a str),
    /// Another command of a session.
    InSession(&'a str),
}

/// A command of WebAuthn Level 3 §11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// §11.3
    AddAuthenticator,
    /// §11.4
    RemoveAuthenticator(&'a str),
    /// §11.5
    AddCredential(&'a str),
    /// §11.6
    GetCredentials(&'a str),
    /// §11.7: of an authenticator the credential.
    RemoveCredential(&'a str, &'a str),
    /// §11.8
    RemoveAllCredentials(&'a str),
    /// §11.9
    SetUserVerified(&'a str),
    /// §11.10: of an authenticator the credential.
    SetCredentialProperties(&'a str, &'a str),
}

impl<'a> Route<'a> {
    /// Reads a path, without what is before it for all commands.
    ///
    /// # Errors
    /// *unknown command* and *unknown method*.
    pub fn read(method: &Method, path: &'a str) -> Result<Self, WebDriverError> {
        let parts: Vec<_> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match (parts.as_slice(), method.as_str()) {
            (["status"], "GET") => Ok(Self::Status),
            (["session"], "POST") => Ok(Self::NewSession),
            (["shutdown"], "GET" | "POST") => Ok(Self::Shutdown),
            (["session", id, "webauthn", rest @ ..], method) => Ok(Self::WebAuthn(id, call(rest, method)?)),
            (["session", id], "DELETE") => Ok(Self::DeleteSession(id)),
            (["session", id, "window"], "DELETE") => Ok(Self::CloseWindow(id)),
            (["session", id, ..], _) if !id.is_empty() => Ok(Self::InSession(id)),
            (["status" | "session" | "shutdown"], method) => Err(not_by(method)),
            _ => Err(unknown()),
        }
    }
}

fn call<'a>(rest: &[&'a str], method: &str) -> Result<Call<'a>, WebDriverError> {
    match (rest, method) {
        (["authenticator"], "POST") => Ok(Call::AddAuthenticator),
        (["authenticator", id], "DELETE") => Ok(Call::RemoveAuthenticator(id)),
        (["authenticator", id, "credential"], "POST") => Ok(Call::AddCredential(id)),
        (["authenticator", id, "credentials"], "GET") => Ok(Call::GetCredentials(id)),
        (["authenticator", id, "credentials"], "DELETE") => Ok(Call::RemoveAllCredentials(id)),
        (["authenticator", id, "credentials", credential], "DELETE") => Ok(Call::RemoveCredential(id, credential)),
        (["authenticator", id, "credentials", credential, "props"], "POST") => {
            Ok(Call::SetCredentialProperties(id, credential))
        }
        (["authenticator", id, "uv"], "POST") => Ok(Call::SetUserVerified(id)),
        (
            ["authenticator"]
            | ["authenticator", _]
            | ["authenticator", _, "credential" | "credentials" | "uv"]
            | ["authenticator", _, "credentials", _]
            | ["authenticator", _, "credentials", _, "props"],
            method,
        ) => Err(not_by(method)),
        _ => Err(unknown()),
    }
}

fn unknown() -> WebDriverError {
    WebDriverError::new(Code::UnknownCommand, "there is no such command")
}

fn not_by(method: &str) -> WebDriverError {
    let method: String = method.chars().take(16).collect();
    WebDriverError::new(Code::UnknownMethod, format!("there is a command at this path, and not by {method}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of WebAuthn Level 3 §11.3 to §11.10.
    #[test]
    fn commands_are_where_the_specification_has_them() {
        let read = |method: &str, path: &'static str| {
            Route::read(&Method::from_bytes(method.as_bytes()).unwrap(), path).map_err(|error| error.code)
        };
        let call = |method, path| match read(method, path) {
            Ok(Route::WebAuthn("s", call)) => Ok(call),
            other => Err(other),
        };
        assert_eq!(call("POST", "/session/s/webauthn/authenticator"), Ok(Call::AddAuthenticator));
        assert_eq!(call("DELETE", "/session/s/webauthn/authenticator/a"), Ok(Call::RemoveAuthenticator("a")));
        assert_eq!(call("POST", "/session/s/webauthn/authenticator/a/credential"), Ok(Call::AddCredential("a")));
        assert_eq!(call("GET", "/session/s/webauthn/authenticator/a/credentials"), Ok(Call::GetCredentials("a")));
        assert_eq!(
            call("DELETE", "/session/s/webauthn/authenticator/a/credentials"),
            Ok(Call::RemoveAllCredentials("a"))
        );
        assert_eq!(
            call("DELETE", "/session/s/webauthn/authenticator/a/credentials/c"),
            Ok(Call::RemoveCredential("a", "c"))
        );
        assert_eq!(call("POST", "/session/s/webauthn/authenticator/a/uv"), Ok(Call::SetUserVerified("a")));
        assert_eq!(
            call("POST", "/session/s/webauthn/authenticator/a/credentials/c/props"),
            Ok(Call::SetCredentialProperties("a", "c"))
        );
        assert_eq!(read("GET", "/session/s/webauthn/authenticator"), Err(Code::UnknownMethod));
        assert_eq!(read("GET", "/session/s/webauthn/else"), Err(Code::UnknownCommand));
        assert_eq!(read("PUT", "/session"), Err(Code::UnknownMethod));
        assert_eq!(read("GET", "/"), Err(Code::UnknownCommand));
        assert_eq!(read("GET", "/session/"), Err(Code::UnknownCommand));
        assert_eq!(read("POST", "/session/s/url"), Ok(Route::InSession("s")));
        assert_eq!(read("DELETE", "/session/s"), Ok(Route::DeleteSession("s")));
        assert_eq!(read("DELETE", "/session/s/window"), Ok(Route::CloseWindow("s")));
    }
}
