//! What is served, and its bounds.

use core::time::Duration;
use std::sync::Arc;

use keyrig_rack::Rack;
use tokio::sync::Semaphore;

use crate::conditional::Conditionals;
use crate::page_token::{ForPage, PageTokens};
use crate::panel_access::{PanelAccess, path_with};
use crate::token::Token;

/// The longest body that is read, bytes: all credentials of a full key fit, whatever is in them, and the longest snapshot in base64url.
pub const MAX_BODY: usize = 24 * 1024 * 1024;

/// The longest body of a ceremony, bytes.
pub(crate) const MAX_CEREMONY: usize = 1024 * 1024;

/// The longest of any other, bytes.
pub(crate) const MAX_SHORT: usize = 64 * 1024;

/// How long a body may take to arrive, once it is read.
pub(crate) const BODY_LIMIT: Duration = Duration::from_secs(30);

/// How many bodies that are longer than most are read at once.
const LONG_BODIES: usize = 4;

/// How many ceremonies are under way at once: far fewer than there are connections, as each holds one.
pub(crate) const MAX_CEREMONIES: usize = 128;

/// How many commands wait at once, likewise.
pub(crate) const MAX_WAITS: usize = 256;

/// What is served, and to whom.
#[derive(Debug)]
pub struct Service {
    pub(crate) rack: Rack,
    pub(crate) token: Token,
    pub(crate) pages: PageTokens,
    pub(crate) panel: PanelAccess,
    pub(crate) conditionals: Conditionals,
    pub(crate) long_bodies: Semaphore,
    pub(crate) ceremonies: Semaphore,
    pub(crate) waits: Semaphore,
}

impl Service {
    /// The rack, for those who have the token.
    #[must_use]
    pub fn new(rack: Rack, token: Token) -> Arc<Self> {
        Arc::new(Self {
            rack,
            token,
            pages: PageTokens::default(),
            panel: PanelAccess::default(),
            conditionals: Conditionals::default(),
            long_bodies: Semaphore::new(LONG_BODIES),
            ceremonies: Semaphore::new(MAX_CEREMONIES),
            waits: Semaphore::new(MAX_WAITS),
        })
    }

    /// Where the panel is, to be put behind the address at which this is served. It can be opened there once, within a quarter of an hour.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn panel_path(&self) -> Result<String, getrandom::Error> {
        self.panel.make_code().map(|code| path_with(code.expose()))
    }

    /// A token for whatever page a browser shows that a test drives, with which it asks all keys that are plugged in, for ceremonies of the
    /// origin that its browser says it has. For a rack that no other browser is to reach: there is none like it over HTTP.
    ///
    /// # Errors
    /// In words: there is no randomness.
    pub fn token_for_any_page(&self, life: Duration) -> Result<Token, String> {
        let page = ForPage { origin: None, on: Vec::new(), pin: None, browser: None };
        self.pages.give(page, life).map_err(|error| format!("no random bytes: {error}"))
    }
}
