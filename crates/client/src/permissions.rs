//! What Permissions Policy grants a page (WebAuthn Level 3 §5.10).

/// Which features of Permissions Policy a page has: by its own header, by those of the pages around it, and by `allow` of the
/// frames that it is in. A page at the top has both if nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// `publickey-credentials-create`.
    pub create: bool,
    /// `publickey-credentials-get`.
    pub get: bool,
}

impl Permissions {
    /// Both.
    pub const ALL: Self = Self { create: true, get: true };
    /// None, as of a frame of another origin that is without `allow`.
    pub const NONE: Self = Self { create: false, get: false };
}
