//! Keys that are heard while something else uses them, and whether all of it was heard.

use std::collections::BTreeMap;
use std::io;

use keyrig_faults::transcript::Tap;
use keyrig_ways::{CannotFind, HidKey};

use super::super::error::RunError;
use crate::hardware::usbmon::{Ear, Listening};

/// Hears these keys until something is over. A key that goes or comes meanwhile has another number on USB, and is not heard: that is said, as
/// nothing can be judged by what was.
///
/// `all` looks which keys the machine has.
pub(super) async fn hear<T, E: Ear>(
    keys: &BTreeMap<String, HidKey>,
    tap: &Tap,
    open: impl Fn(u16) -> io::Result<E>,
    all: impl Fn() -> Result<Vec<HidKey>, CannotFind>,
    over: impl Future<Output = T>,
) -> Result<T, RunError> {
    let before = all()?;
    let listening = Listening::to(keys, tap, open)?;
    let over = over.await;
    listening.finish().await?;
    let now = all()?;
    let came = || now.iter().filter(|key| !before.contains(key));
    if let Some((name, key)) = keys.iter().find(|(_, key)| !now.contains(key)) {
        let is_again = came().any(|new| new.topology == key.topology && new.title() == key.title());
        let what = if is_again { "taken out and plugged in again" } else { "taken out" };
        return Err(not_heard(&format!("key {name} was {what} meanwhile"), "it"));
    }
    if let Some(new) = came().next() {
        let what = format!("another security key was plugged in meanwhile, {} at {}", new.title(), new.place());
        return Err(not_heard(&what, "that one"));
    }
    Ok(over)
}

fn not_heard(what: &str, whom: &str) -> RunError {
    RunError::Cannot(format!(
        "{what}: what a browser asked {whom} after that was not heard, so nothing is known of it. Do it again, and let the keys stay as they are"
    ))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;

    use keyrig_faults::transcript::{Secrets, Transcript, What};

    use super::*;
    use crate::hardware::usbmon::testing::{self, TestBus};

    const BUS: u16 = 3;

    /// A key on USB, plugged in for the so-manieth time.
    fn key(port: &str, device: u8) -> HidKey {
        HidKey {
            topology: Some(port.to_owned()),
            path: format!("/dev/hidraw{device}").into(),
            instance: Some(format!("0003:1050:0407.{device:04x}")),
            address: Some((BUS, device)),
            vendor_id: 0x1050,
            product_id: 0x0407,
            release: 0x0543,
            manufacturer: Some("Yubico".to_owned()),
            product: Some("YubiKey".to_owned()),
            serial: None,
        }
    }

    impl TestBus {
        /// A report of 64 bytes passes (`struct usbmon_packet`, Documentation/usb/usbmon.rst).
        fn report(&mut self, device: u8, is_in: bool, begins: &[u8]) {
            let mut packet = [0; 48 + 64];
            packet[8] = if is_in { b'C' } else { b'S' };
            // An interrupt at endpoint 4, as YubiKeys have it.
            packet[9] = 1;
            packet[10] = if is_in { 0x84 } else { 0x04 };
            packet[11] = device;
            packet[12..14].copy_from_slice(&BUS.to_ne_bytes());
            packet[32..36].copy_from_slice(&64_u32.to_ne_bytes());
            packet[36..40].copy_from_slice(&64_u32.to_ne_bytes());
            packet[48..48 + begins.len()].copy_from_slice(begins);
            self.packets.write_all(&packet).unwrap();
        }

        /// A browser opens a channel and asks a key what it is (CTAP 2.3 §11.2.9.1.3, §6.4).
        fn asks_info(&mut self, device: u8) {
            self.report(device, false, &[0xFF, 0xFF, 0xFF, 0xFF, 0x86, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
            let channel = [0xAA, 0xBB, 0xCC, 0xDD];
            let opened =
                [&[0xFF, 0xFF, 0xFF, 0xFF, 0x86, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8][..], &channel, &[2, 5, 4, 3, 5]];
            self.report(device, true, &opened.concat());
            self.report(device, false, &[&channel[..], &[0x90, 0, 1, 4]].concat());
            self.report(device, true, &[&channel[..], &[0x90, 0, 2, 0, 0xA0]].concat());
        }
    }

    /// What comes of it, and the commands that were heard, if this happens while keys `before` are there and then those `after`.
    async fn heard(
        after: &[HidKey],
        happens: impl FnOnce(&mut TestBus),
    ) -> (Result<&'static str, String>, Vec<(String, String)>, Vec<u64>) {
        let keys = BTreeMap::from([("primary".to_owned(), key("3-1", 7))]);
        let now = RefCell::new(vec![key("3-1", 7)]);
        let (ear, mut bus) = testing::bus();
        let ear = Mutex::new(Some(ear));
        let open = |bus| {
            assert_eq!(bus, BUS);
            Ok(ear.lock().unwrap().take().expect("one bus"))
        };
        let tap = Tap::new(Secrets::Masked);
        let over = async {
            happens(&mut bus);
            *now.borrow_mut() = after.to_vec();
            "over"
        };
        let result = hear(&keys, &tap, open, || Ok(now.borrow().clone()), over).await;
        let events = tap.take();
        let missed =
            events.iter().filter_map(|event| if let What::Gap { missed } = event.what { Some(missed) } else { None });
        let missed = missed.collect();
        let exchanges = Transcript::new(events).exchanges();
        let exchanges = exchanges.into_iter().map(|exchange| (exchange.key, exchange.command)).collect();
        (result.map_err(|error| error.to_string()), exchanges, missed)
    }

    fn info() -> Vec<(String, String)> {
        vec![("primary".to_owned(), "authenticatorGetInfo".to_owned())]
    }

    #[tokio::test]
    async fn what_passes_at_a_key_is_heard_by_its_name_and_at_others_not() {
        let (result, exchanges, missed) = heard(&[key("3-1", 7)], |bus| {
            bus.asks_info(7);
            bus.asks_info(9);
        })
        .await;
        assert_eq!((result, exchanges, missed), (Ok("over"), info(), vec![]));
    }

    #[tokio::test]
    async fn a_key_that_is_taken_out_or_plugged_in_again_meanwhile_is_told_in_words() {
        let (result, exchanges, _) = heard(&[], |bus| bus.asks_info(7)).await;
        let said = "key primary was taken out meanwhile: what a browser asked it after that was not heard, so nothing is known of it. Do it \
                    again, and let the keys stay as they are";
        assert_eq!((result, exchanges), (Err(said.to_owned()), info()));

        let (result, exchanges, _) = heard(&[key("3-1", 8)], |bus| {
            bus.asks_info(7);
            bus.asks_info(8);
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.starts_with("key primary was taken out and plugged in again meanwhile: "), "{error}");
        assert_eq!(exchanges, info(), "of the second plugging nothing is heard");

        let (result, ..) = heard(&[key("3-1", 7), key("3-2", 8)], |_| {}).await;
        let error = result.unwrap_err();
        assert!(error.starts_with("another security key was plugged in meanwhile, Yubico YubiKey at 3-2: "), "{error}");
    }

    #[tokio::test]
    async fn what_the_kernel_has_dropped_is_told_and_counted() {
        let (result, exchanges, missed) = heard(&[key("3-1", 7)], |bus| {
            bus.dropped.store(5, Ordering::Relaxed);
            bus.asks_info(7);
        })
        .await;
        let error = result.unwrap_err();
        assert!(
            error.starts_with(
                "5 packets that passed on USB bus 3 were lost before they could be read, so what a browser asked"
            ),
            "{error}"
        );
        assert_eq!((exchanges, missed), (info(), vec![5]), "what was heard is in the transcript, with its gap");
        // After the last that was heard.
        let (result, _, missed) = heard(&[key("3-1", 7)], |bus| bus.dropped.store(1, Ordering::Relaxed)).await;
        assert_eq!((result.is_err(), missed), (true, vec![1]));
    }
}
