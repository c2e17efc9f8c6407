//! Anything in any order, from several at once: what must hold in spite of it.

use super::*;

/// A generator that is the same each time (xorshift64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound).unwrap()
    }
}

/// What there is to be chosen from in one life of a key.
struct Life {
    choices: Choices,
    pair: Pair,
    programs: Vec<Peer>,
    gestures: Vec<GestureId>,
    transactions: u64,
}

impl Life {
    fn any_peer(&mut self) -> Peer {
        let index = self.choices.below(8);
        self.programs.get(index).copied().unwrap_or(USB_HOST)
    }

    fn host_does_something(&mut self) {
        let peer = self.any_peer();
        let messages = [make("user"), silent_assertion(), selection(), Ctap::Reset.encode(), vec![4], vec![]];
        let message = messages[self.choices.below(6)].clone();
        let now = self.pair.now;
        let host = self.pair.hosts.entry(peer).or_default();
        // What cannot be done now is not done.
        let _ = match self.choices.below(5) {
            0 => host.open([7; 8], PATIENCE, now),
            1 => host.cancel(),
            2 => host.request(HidCommand::Msg, register(), PATIENCE, now),
            _ => host.request(HidCommand::Cbor, message, PATIENCE, now),
        };
    }

    fn step(&mut self) {
        let now = self.pair.now;
        match self.choices.below(16) {
            0 if self.programs.len() < 6 => self.programs.push(self.pair.driver.connect(Farewell::Never, now)),
            0 | 1 if !self.programs.is_empty() => {
                let gone = self.programs.remove(self.choices.below(6) % self.programs.len());
                self.pair.disconnect(gone);
            }
            2..=6 => self.host_does_something(),
            7 => {
                let peer = self.any_peer();
                let report = core::array::from_fn(|_| u8::try_from(self.choices.below(256)).unwrap());
                self.pair.driver.receive(peer, report, now);
            }
            8 => {
                self.transactions += 1;
                let kind = [RequestKind::Cbor, RequestKind::Msg][self.choices.below(2)];
                self.pair.driver.transact(TransactionId(self.transactions), kind, selection(), now);
            }
            9 => self.pair.driver.cancel(TransactionId(self.transactions), now),
            10 => self.pair.driver.abandon(TransactionId(self.transactions), now),
            11 => self.pair.disk = [Disk::Prompt, Disk::Slow, Disk::Full][self.choices.below(3)],
            12 if self.pair.committing => self.pair.finish_and_settle(),
            12 if self.choices.below(4) == 0 => {
                self.programs.clear();
                self.pair.hosts.clear();
                self.pair.power_cycle();
            }
            13 => {
                // Now and then one of long ago.
                self.gestures.extend(self.pair.waiting.map(|(id, _)| id));
                let index = self.choices.below(4);
                if let Some(id) = self.gestures.iter().rev().nth(index) {
                    let gesture = [Gesture::Touch, Gesture::Touch, Gesture::Deny][self.choices.below(3)];
                    self.pair.driver.gesture(*id, gesture, now);
                }
            }
            14 => self.pair.mute = if self.choices.below(2) == 0 { vec![USB_HOST] } else { vec![] },
            _ => {
                let time = self.choices.below(50);
                self.pair.pass(milliseconds(u64::try_from(time * time).unwrap()));
            }
        }
        self.pair.settle();
    }
}

/// One life of a key, by a seed; returns all that it has let out.
fn life(seed: u64) -> Vec<String> {
    let choices = Choices(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut life = Life { choices, pair: Pair::new(), programs: Vec::new(), gestures: Vec::new(), transactions: 0 };
    let mut log = Vec::new();
    for _ in 0..300 {
        life.step();
        let pair = &mut life.pair;
        assert!(!pair.committing || !pair.driver.changes().is_empty());
        log.extend(pair.events.drain(..).map(|event| format!("{event:?}")));
        log.extend(pair.answers.drain(..).map(|answer| format!("{answer:?}")));
    }
    // Whatever it was: with power that was lost and is back a key is as good as new, and still holds what it held.
    let pair = &mut life.pair;
    pair.mute.clear();
    pair.disk = Disk::Prompt;
    pair.hosts.clear();
    pair.power_cycle();
    let stored = pair.stored;
    assert_eq!(pair.memory.load().unwrap(), *pair.driver.authenticator.store(), "memory equals the disk");
    let host = pair.usb_host();
    pair.request(host, make("user"));
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(host).0[0], 0);
    assert_eq!(pair.stored, stored.max(1), "the same user's credential is written over");
    log
}

#[test]
fn after_any_life_a_key_is_well_and_the_same_life_lets_out_the_same() {
    for seed in 1..=40 {
        assert_eq!(life(seed), life(seed), "seed {seed}");
    }
}
