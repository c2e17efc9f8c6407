//! Who has the keys in hand, where no command does what is to be done.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

/// What a person is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Plug a key in.
    Insert {
        /// Its name.
        key: String,
        /// What it is to be, and where it belongs, as far as either is known.
        what: Option<String>,
    },
    /// Take a key out.
    TakeOut {
        /// Its name.
        key: String,
    },
    /// Touch a key that blinks.
    Touch {
        /// Its name.
        key: String,
    },
    /// Touch a key that verifies its user with a finger that it does not know.
    TouchAsSomebodyElse {
        /// Its name.
        key: String,
    },
    /// Touch nothing, until the key gives up.
    LeaveAlone {
        /// Its name.
        key: String,
    },
    /// Do something in a browser, and say when it is over, however that was.
    InBrowser {
        /// What.
        what: String,
        /// Where: a site's address.
        address: String,
        /// Which key is to be touched for it; none if none is.
        key: Option<String>,
    },
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert { key, what: Some(what) } => write!(f, "insert key \"{key}\" ({what})"),
            Self::Insert { key, what: None } => write!(f, "insert key \"{key}\""),
            Self::TakeOut { key } => write!(f, "take key \"{key}\" out"),
            Self::Touch { key } => write!(f, "touch key \"{key}\" now"),
            Self::TouchAsSomebodyElse { key } => {
                write!(f, "touch key \"{key}\" now, with a finger that it does not know")
            }
            Self::LeaveAlone { key } => write!(f, "do not touch key \"{key}\": it is to give up by itself"),
            Self::InBrowser { what, address, key } => {
                write!(f, "in a browser, at {address}: {what}")?;
                match key {
                    Some(key) => write!(f, "; touch key \"{key}\""),
                    None => write!(f, "; touch no key"),
                }
            }
        }
    }
}

/// Somebody who does what is asked, and answers for PINs.
///
/// What is asked is done when it shows: a key comes or goes, or answers. So nobody has to say that it is done, but of what is done in a browser.
pub trait Person: fmt::Debug + Send + Sync {
    /// Begins to ask. Another thing that is asked takes its place.
    fn ask(&self, ask: &Ask);

    /// It is done, or no more wanted.
    fn done(&self);

    /// Asks for something whose end does not show, and waits until the person says that it is over.
    fn until_over<'p>(&'p self, ask: &Ask) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'p>>;

    /// Tells something.
    fn tell(&self, text: &str);

    /// The PIN of a key; none if it is not told.
    ///
    /// # Errors
    /// In words: it could not be asked for.
    fn pin(&self, key: &str) -> Result<Option<String>, String>;
}
