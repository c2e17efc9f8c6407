//! hidraw's requests (`drivers/hid/hidraw.c`, `linux/hidraw.h`), answered from what the tree says of a key.

use keyrig_usb::descriptors::REPORT_DESCRIPTOR;
use rustix::io::Errno;

use super::call::Call;
use super::sys::Reply;
use super::tree::Plugged;

/// `BUS_USB` (`linux/input.h`).
const BUS_USB: u32 = 3;

/// `HID_MAX_DESCRIPTOR_SIZE`.
const MAX_DESCRIPTOR_SIZE: u32 = 4096;

/// `_IOC_READ`.
const READ: u32 = 2;

/// Answers a request. The error is that of the program's memory.
pub(super) fn request(call: &Call<'_>, key: &Plugged) -> Result<Reply, Errno> {
    let (request, argument) = (call.unsigned(1), call.argument(2));
    let (number, size, direction) = (request & 0xff, request >> 16 & 0x3fff, request >> 30);
    let reads = direction & READ != 0;
    let length = u32::try_from(REPORT_DESCRIPTOR.len()).unwrap_or_default();
    let text = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        bytes.truncate(usize::try_from(size).unwrap_or_default());
        done(call.write(argument, &bytes), i64::try_from(bytes.len()).unwrap_or_default())
    };
    Ok(match number {
        // HIDIOCGRDESCSIZE
        1 if reads => done(call.write(argument, &length.to_ne_bytes()), 0),
        // HIDIOCGRDESC: the size that the program wants, then the descriptor.
        2 if reads => {
            let wanted = u32::from_ne_bytes(call.read(argument)?);
            if wanted > MAX_DESCRIPTOR_SIZE - 1 {
                return Ok(Reply::Error(Errno::INVAL));
            }
            let wanted = usize::try_from(wanted).unwrap_or_default();
            let descriptor = REPORT_DESCRIPTOR.get(..wanted).unwrap_or(&REPORT_DESCRIPTOR);
            done(call.write(argument.wrapping_add(4), descriptor), 0)
        }
        // HIDIOCGRAWINFO: struct hidraw_devinfo
        3 if reads => {
            let mut information = BUS_USB.to_ne_bytes().to_vec();
            information.extend(key.identity.vendor_id.to_ne_bytes());
            information.extend(key.identity.product_id.to_ne_bytes());
            done(call.write(argument, &information), 0)
        }
        // HIDIOCGRAWNAME, HIDIOCGRAWPHYS, HIDIOCGRAWUNIQ
        4 if direction == READ => text(&key.name),
        5 if direction == READ => text(&key.phys),
        8 if direction == READ => text(&key.uniq),
        // Feature, input and output reports by control transfers, which the key stalls.
        6 | 7 | 9..=12 if reads => Reply::Error(Errno::PIPE),
        _ => Reply::Error(Errno::NOTTY),
    })
}

fn done(written: Result<(), Errno>, value: i64) -> Reply {
    written.map_or_else(Reply::Error, |()| Reply::Value(value))
}
