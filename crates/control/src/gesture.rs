//! Commands about who touches keys.

use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::verification::UvPolicy;
use keyrig_rack::{Feedback, KeyName};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schema;
use crate::timeout;
#[cfg(doc)]
use crate::timeout::MAX_TIMEOUT_MS;

/// Touch a key that waits for it. With `wait` it need not do so yet: the answer comes when it did, and took the touch. Of several that
/// wait, each is one touch, in the order in which they came. Whoever asked and has gone touches nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Touch {
    /// The key.
    pub key: KeyName,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// Touch a key that waits for a verification of its user, as the one whom it knows or as somebody else, whatever its policy. With `wait`
/// as [`Touch`], and in one row with these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The key.
    pub key: KeyName,
    /// Whether it is somebody else.
    #[serde(default)]
    pub miss: bool,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// Give a key that waits for it a sample of a fingerprint, and say what its sensor makes of it. With `wait` as [`Touch`], but for a
/// sample alone: what else the key waits for meanwhile is touched by others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The key.
    pub key: KeyName,
    /// What it makes of it.
    pub sample: Feedback,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// Refuse for a key that waits for a touch. With `wait` as [`Touch`], and in one row with these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// The key.
    pub key: KeyName,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// Put the finger over a key; without one, over the first that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Finger {
    /// The key.
    pub key: Option<KeyName>,
}

/// Change what the finger does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetTouchPolicy {
    /// The policy.
    pub policy: TouchPolicy,
}

/// Change whom a key finds when it verifies its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetUvPolicy {
    /// The key.
    pub key: KeyName,
    /// The policy.
    pub policy: UvPolicy,
}
