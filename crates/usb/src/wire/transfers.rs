//! The messages about URBs on an imported device: USBIP_CMD_SUBMIT, USBIP_CMD_UNLINK and their
//! replies. Each starts with 48 bytes; data may follow.

use super::WireError;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;

/// The bytes of every transfer message before its data (struct usbip_header).
pub const HEADER_SIZE: usize = 48;

/// The transfer flag that makes a short IN transfer an error (USBIP_URB_SHORT_NOT_OK).
pub const SHORT_NOT_OK: u32 = 0x0001;

/// The status of a completed URB: 0 or a negated Linux errno.
pub mod status {
    /// The transfer succeeded.
    pub const OK: i32 = 0;
    /// No room for another URB (-ENOMEM).
    pub const NO_MEMORY: i32 = -12;
    /// The endpoint stalled, or does not exist (-EPIPE).
    pub const STALL: i32 = -32;
    /// The device did not answer as USB has it (-EPROTO).
    pub const PROTOCOL: i32 = -71;
    /// The device sent more than the host had room for (-EOVERFLOW).
    pub const BABBLE: i32 = -75;
    /// The URB was unlinked (-ECONNRESET).
    pub const UNLINKED: i32 = -104;
    /// The endpoint was shut down while the URB was pending (-ESHUTDOWN).
    pub const SHUT_DOWN: i32 = -108;
    /// A short transfer, and the URB said [`SHORT_NOT_OK`](super::SHORT_NOT_OK) (-EREMOTEIO).
    pub const SHORT: i32 = -121;
}

/// Which way the data of a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host to the device (USBIP_DIR_OUT).
    Out,
    /// From the device to the host (USBIP_DIR_IN).
    In,
}

/// USBIP_CMD_SUBMIT without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The number that the replies repeat.
    pub seqnum: u32,
    /// The imported device: its bus number in the upper, its device number in the lower half.
    pub device_id: u32,
    /// Which way the data goes.
    pub direction: Direction,
    /// The endpoint number, 0 to 15, without a direction bit.
    pub endpoint: u8,
    /// URB transfer flags; only [`SHORT_NOT_OK`] means something here.
    pub flags: u32,
    /// transfer_buffer_length: the bytes that follow (OUT) or the room for the reply (IN). A
    /// number from the peer.
    pub length: u32,
    /// The polling interval, in the URB's units.
    pub interval: u32,
    /// The setup packet of a control transfer, else zeros.
    pub setup: [u8; 8],
}

/// A message from a host about a URB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// USBIP_CMD_SUBMIT; `length` bytes follow if the direction is OUT.
    Submit(Submit),
    /// USBIP_CMD_UNLINK.
    Unlink {
        /// The number that the reply repeats.
        seqnum: u32,
        /// The imported device.
        device_id: u32,
        /// The seqnum of the URB that is no longer wanted.
        unlink_seqnum: u32,
    },
}

impl Command {
    /// Reads a command; see the [module above](super) for the return value. The data of an OUT
    /// transfer follows what it took.
    ///
    /// # Errors
    ///
    /// The first field that is wrong. `number_of_packets` may be 0, as Linux writes it, or
    /// 0xffffffff, as the kernel's documentation has it.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let Some(header) = bytes.first_chunk() else {
            return Ok(None);
        };
        let [
            command,
            seqnum,
            device_id,
            direction,
            endpoint,
            first,
            length,
            _start_frame,
            packets,
            interval,
            setup_high,
            setup_low,
        ] = words(header);
        let command = match command {
            CMD_SUBMIT => {
                let direction = match direction {
                    0 => Direction::Out,
                    1 => Direction::In,
                    found => return Err(WireError::Direction { found }),
                };
                let wrong_endpoint = WireError::EndpointNumber { found: endpoint };
                let endpoint = u8::try_from(endpoint).map_err(|_| wrong_endpoint)?;
                if endpoint > 15 {
                    return Err(wrong_endpoint);
                }
                if packets != 0 && packets != u32::MAX {
                    return Err(WireError::Isochronous { found: packets });
                }
                let setup = (u64::from(setup_high) << 32) | u64::from(setup_low);
                Self::Submit(Submit {
                    seqnum,
                    device_id,
                    direction,
                    endpoint,
                    flags: first,
                    length,
                    interval,
                    setup: setup.to_be_bytes(),
                })
            }
            CMD_UNLINK => Self::Unlink { seqnum, device_id, unlink_seqnum: first },
            found => return Err(WireError::Command { found }),
        };
        Ok(Some((command, HEADER_SIZE)))
    }

    /// Appends the command to `out`; the data of an OUT transfer is the caller's to append.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Submit(submit) => {
                let direction = match submit.direction {
                    Direction::Out => 0,
                    Direction::In => 1,
                };
                let [high, low] = halves(submit.setup);
                put_words(
                    out,
                    [
                        CMD_SUBMIT,
                        submit.seqnum,
                        submit.device_id,
                        direction,
                        u32::from(submit.endpoint),
                        submit.flags,
                        submit.length,
                        0,
                        0,
                        submit.interval,
                        high,
                        low,
                    ],
                );
            }
            Self::Unlink { seqnum, device_id, unlink_seqnum } => {
                put_words(out, [CMD_UNLINK, seqnum, device_id, 0, 0, unlink_seqnum, 0, 0, 0, 0, 0, 0])
            }
        }
    }
}

/// A message from a device about a URB. `devid`, `direction` and `ep` are 0 in both, and
/// `number_of_packets` is 0 because Windows refuses anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// USBIP_RET_SUBMIT; `actual_length` bytes follow if the URB was an IN transfer.
    Submit {
        /// The seqnum of the URB.
        seqnum: u32,
        /// One of [`status`].
        status: i32,
        /// The bytes that were moved, in either direction. A number from the peer.
        actual_length: u32,
    },
    /// USBIP_RET_UNLINK.
    Unlink {
        /// The seqnum of the USBIP_CMD_UNLINK.
        seqnum: u32,
        /// [`status::UNLINKED`] if the URB was still pending and will have no reply, 0 if it had
        /// completed.
        status: i32,
    },
}

impl Reply {
    /// Whether encoded replies begin with a USBIP_RET_UNLINK.
    pub(crate) fn is_unlink(replies: &[u8]) -> bool {
        replies.first_chunk() == Some(&RET_UNLINK.to_be_bytes())
    }

    /// Reads a reply; see the [module above](super) for the return value. The data of an IN
    /// transfer follows what it took.
    ///
    /// # Errors
    ///
    /// The command, if it is not a reply.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let Some(header) = bytes.first_chunk() else {
            return Ok(None);
        };
        let [command, seqnum, _, _, _, status, actual_length, ..] = words(header);
        let status = i32::from_be_bytes(status.to_be_bytes());
        let reply = match command {
            RET_SUBMIT => Self::Submit { seqnum, status, actual_length },
            RET_UNLINK => Self::Unlink { seqnum, status },
            found => return Err(WireError::Command { found }),
        };
        Ok(Some((reply, HEADER_SIZE)))
    }

    /// Appends the reply to `out`; the data of an IN transfer is the caller's to append.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (command, seqnum, status, actual_length) = match *self {
            Self::Submit { seqnum, status, actual_length } => (RET_SUBMIT, seqnum, status, actual_length),
            Self::Unlink { seqnum, status } => (RET_UNLINK, seqnum, status, 0),
        };
        let status = u32::from_be_bytes(status.to_be_bytes());
        put_words(out, [command, seqnum, 0, 0, 0, status, actual_length, 0, 0, 0, 0, 0]);
    }
}

fn words(header: &[u8; HEADER_SIZE]) -> [u32; 12] {
    let (chunks, _) = header.as_chunks();
    let mut words = [0; 12];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u32::from_be_bytes(*chunk);
    }
    words
}

fn put_words(out: &mut Vec<u8>, words: [u32; 12]) {
    let mut header = [0; HEADER_SIZE];
    let (chunks, _) = header.as_chunks_mut();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_be_bytes();
    }
    out.extend_from_slice(&header);
}

fn halves(setup: [u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = setup;
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}
