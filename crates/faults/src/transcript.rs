//! Transcripts: what passed between hosts and keys, decoded.
//!
//! A [`Recorder`] listens at the edge of each key of a rack. It keeps what it hears in a queue of bounded size, and decodes it
//! elsewhere: a key never waits for it, and what does not fit is counted and told, by [`What::Gap`]. From there it becomes [`Event`]s
//! of three [levels](Level): reports, CTAPHID messages, CTAP requests and responses with their members by name; and among them what
//! became of the key: plugs, touches, refusals.
//!
//! Events are written in three [formats](Format), each of which [`read()`] reads back; the third may also be a capture of a real key.
//! [`Transcript`] is for tests. A [`Tap`] hears reports at a host, of keys that are in no rack. A [`Follower`] is told events as they
//! are made, and needs no file.
//!
//! **Secrets.** What is encrypted on the wire is shown as little as what should be: PINs and tokens, salts and outputs of hmac-secret,
//! large-blob keys. [`Secrets::Shown`] shows what passed. Reports are never masked: they are what passed.

mod assembly;
mod decode;
mod event;
mod exchange;
mod explain;
mod explanation;
mod followed;
mod hexadecimal;
mod messages;
mod note;
mod output;
mod pcapng;
mod queue;
mod reading;
mod recorder;
mod tap;
mod text;
mod value;

pub use decode::Secrets;
pub use event::{Direction, Event, Header, KeyInTrace, Level, Start, Touch, What};
pub use exchange::{Exchange, Exchanges, Transcript};
pub use explain::{Explainer, Role};
pub use explanation::{Explanation, JoinedBy, KeyInCeremony, ObservedPage, Program, RefusedBy};
pub use followed::{Followed, Follower};
pub use note::{Answered, Began, Ceremony, Ended, Exception, Note, Options, of_client};
pub use output::{Format, Output, UnknownFormat};
pub use reading::{NotATranscript, Reader, TellingGaps, read};
pub use recorder::{Recorder, Unwritten};
pub use tap::Tap;
pub use value::{Members, Value};
