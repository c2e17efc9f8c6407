//! CTAP status codes (CTAP 2.3 §6.3): a total mapping over `u8`.

use core::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $spelled:literal;)*) => {
        /// The first byte of every CTAP2 response.
        ///
        /// Every byte maps to exactly one status and back: codes that the specification does not name are [`Status::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status {
            $($(#[$doc])* $name,)*
            /// A code that has no name, vendor and extension codes among them.
            Other(UnnamedStatus),
        }

        impl From<u8> for Status {
            fn from(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)*
                    code => Self::Other(UnnamedStatus(code)),
                }
            }
        }

        impl From<Status> for u8 {
            fn from(status: Status) -> Self {
                match status {
                    $(Status::$name => $code,)*
                    Status::Other(UnnamedStatus(code)) => code,
                }
            }
        }

        impl fmt::Display for Status {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($spelled),)*
                    Self::Other(UnnamedStatus(code)) => write!(f, "status 0x{code:02X}"),
                }
            }
        }
    };
}

/// A status code without a name: only `Status::from` makes one, so that no named code hides in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnnamedStatus(u8);

statuses! {
    /// The command succeeded.
    Ok = 0x00, "CTAP2_OK";
    /// The command byte is unknown.
    InvalidCommand = 0x01, "CTAP1_ERR_INVALID_COMMAND";
    /// A parameter has a value that is not allowed.
    InvalidParameter = 0x02, "CTAP1_ERR_INVALID_PARAMETER";
    /// The message or a member has a length that is not allowed.
    InvalidLength = 0x03, "CTAP1_ERR_INVALID_LENGTH";
    /// The message sequencing is wrong.
    InvalidSeq = 0x04, "CTAP1_ERR_INVALID_SEQ";
    /// The message timed out.
    Timeout = 0x05, "CTAP1_ERR_TIMEOUT";
    /// The channel is busy.
    ChannelBusy = 0x06, "CTAP1_ERR_CHANNEL_BUSY";
    /// The command needs the channel to be locked.
    LockRequired = 0x0A, "CTAP1_ERR_LOCK_REQUIRED";
    /// The command is not allowed on this channel.
    InvalidChannel = 0x0B, "CTAP1_ERR_INVALID_CHANNEL";
    /// A member of the request has another type than it must.
    CborUnexpectedType = 0x11, "CTAP2_ERR_CBOR_UNEXPECTED_TYPE";
    /// The request is not canonical CBOR.
    InvalidCbor = 0x12, "CTAP2_ERR_INVALID_CBOR";
    /// A member that must be there is missing.
    MissingParameter = 0x14, "CTAP2_ERR_MISSING_PARAMETER";
    /// A limit of the authenticator was exceeded.
    LimitExceeded = 0x15, "CTAP2_ERR_LIMIT_EXCEEDED";
    /// The fingerprint database is full.
    FpDatabaseFull = 0x17, "CTAP2_ERR_FP_DATABASE_FULL";
    /// The large-blob storage is full.
    LargeBlobStorageFull = 0x18, "CTAP2_ERR_LARGE_BLOB_STORAGE_FULL";
    /// A credential of the exclude list lives on this authenticator.
    CredentialExcluded = 0x19, "CTAP2_ERR_CREDENTIAL_EXCLUDED";
    /// Processing goes on.
    Processing = 0x21, "CTAP2_ERR_PROCESSING";
    /// The credential is not valid for this authenticator.
    InvalidCredential = 0x22, "CTAP2_ERR_INVALID_CREDENTIAL";
    /// The authenticator waits for the user.
    UserActionPending = 0x23, "CTAP2_ERR_USER_ACTION_PENDING";
    /// A lengthy operation is in progress.
    OperationPending = 0x24, "CTAP2_ERR_OPERATION_PENDING";
    /// No operation is pending.
    NoOperations = 0x25, "CTAP2_ERR_NO_OPERATIONS";
    /// None of the offered algorithms is supported.
    UnsupportedAlgorithm = 0x26, "CTAP2_ERR_UNSUPPORTED_ALGORITHM";
    /// The user refused, or the operation is not allowed.
    OperationDenied = 0x27, "CTAP2_ERR_OPERATION_DENIED";
    /// The internal key storage is full.
    KeyStoreFull = 0x28, "CTAP2_ERR_KEY_STORE_FULL";
    /// The option is not supported.
    UnsupportedOption = 0x2B, "CTAP2_ERR_UNSUPPORTED_OPTION";
    /// The option is not valid for this command.
    InvalidOption = 0x2C, "CTAP2_ERR_INVALID_OPTION";
    /// The platform cancelled a pending command.
    KeepaliveCancel = 0x2D, "CTAP2_ERR_KEEPALIVE_CANCEL";
    /// No valid credential for this relying party.
    NoCredentials = 0x2E, "CTAP2_ERR_NO_CREDENTIALS";
    /// The user did not act in time.
    UserActionTimeout = 0x2F, "CTAP2_ERR_USER_ACTION_TIMEOUT";
    /// Not allowed, such as a continuation with nothing to continue.
    NotAllowed = 0x30, "CTAP2_ERR_NOT_ALLOWED";
    /// The PIN is wrong.
    PinInvalid = 0x31, "CTAP2_ERR_PIN_INVALID";
    /// The PIN is blocked until reset.
    PinBlocked = 0x32, "CTAP2_ERR_PIN_BLOCKED";
    /// `pinUvAuthParam` did not verify.
    PinAuthInvalid = 0x33, "CTAP2_ERR_PIN_AUTH_INVALID";
    /// PIN authentication is blocked until power-up.
    PinAuthBlocked = 0x34, "CTAP2_ERR_PIN_AUTH_BLOCKED";
    /// No PIN is set.
    PinNotSet = 0x35, "CTAP2_ERR_PIN_NOT_SET";
    /// A `pinUvAuthToken` is required.
    PuatRequired = 0x36, "CTAP2_ERR_PUAT_REQUIRED";
    /// The PIN is against the policy.
    PinPolicyViolation = 0x37, "CTAP2_ERR_PIN_POLICY_VIOLATION";
    /// Reserved.
    PinTokenExpired = 0x38, "CTAP2_ERR_PIN_TOKEN_EXPIRED";
    /// The request is larger than the authenticator takes.
    RequestTooLarge = 0x39, "CTAP2_ERR_REQUEST_TOO_LARGE";
    /// The gesture did not come in time.
    ActionTimeout = 0x3A, "CTAP2_ERR_ACTION_TIMEOUT";
    /// User presence is required.
    UpRequired = 0x3B, "CTAP2_ERR_UP_REQUIRED";
    /// Built-in user verification is blocked.
    UvBlocked = 0x3C, "CTAP2_ERR_UV_BLOCKED";
    /// A checksum did not match.
    IntegrityFailure = 0x3D, "CTAP2_ERR_INTEGRITY_FAILURE";
    /// The subcommand is not known.
    InvalidSubcommand = 0x3E, "CTAP2_ERR_INVALID_SUBCOMMAND";
    /// Built-in user verification failed.
    UvInvalid = 0x3F, "CTAP2_ERR_UV_INVALID";
    /// The permission of the token does not cover the command.
    UnauthorizedPermission = 0x40, "CTAP2_ERR_UNAUTHORIZED_PERMISSION";
    /// Something else went wrong.
    OtherError = 0x7F, "CTAP1_ERR_OTHER";
}

impl core::error::Error for Status {}

impl From<crate::cbor::Malformed> for Status {
    fn from(_: crate::cbor::Malformed) -> Self {
        Self::InvalidCbor
    }
}

impl From<crate::cbor::UnexpectedType> for Status {
    fn from(_: crate::cbor::UnexpectedType) -> Self {
        Self::CborUnexpectedType
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_maps_to_one_status_and_back() {
        for code in 0..=u8::MAX {
            assert_eq!(u8::from(Status::from(code)), code);
        }
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        for (code, name) in [
            (0x19, "CTAP2_ERR_CREDENTIAL_EXCLUDED"),
            (0x27, "CTAP2_ERR_OPERATION_DENIED"),
            (0x2D, "CTAP2_ERR_KEEPALIVE_CANCEL"),
            (0x2E, "CTAP2_ERR_NO_CREDENTIALS"),
            (0x2F, "CTAP2_ERR_USER_ACTION_TIMEOUT"),
            (0x36, "CTAP2_ERR_PUAT_REQUIRED"),
            (0x7F, "CTAP1_ERR_OTHER"),
            (0xF3, "status 0xF3"),
        ] {
            assert_eq!(Status::from(code).to_string(), name);
        }
    }
}
