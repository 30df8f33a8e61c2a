//! Event files, as TensorBoard reads them: records of a tiny protocol buffer, each with two checksums.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use corpus::store::Store;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// The name by which TensorBoard knows such files.
pub const EVENTS: &str = "events.out.tfevents.redpajama-train";

/// The event file of a run. It says what `metrics.jsonl` says, and is made anew from it when a run goes on.
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// A file with what was told so far; `now`, in seconds since 1970, is when a run begins that told nothing yet.
    pub fn open(output: &Path, told: &[Value], now: f64) -> Result<Events> {
        let mut bytes = record(&{
            let mut event = Message::default();
            event.double(1, told.first().map_or(now, time));
            event.bytes(3, b"brain.Event:2");
            event.0
        });
        for value in told {
            bytes.extend(record(&event(value)));
        }
        Store::create(output)?.write(EVENTS, &bytes)?;
        let path = output.join(EVENTS);
        let file = File::options().append(true).open(&path).map_err(Failure::io("cannot open", &path))?;
        Ok(Events { path, file })
    }

    /// Adds a line of `metrics.jsonl`.
    pub fn put(&mut self, value: &Value) -> Result<()> {
        self.file.write_all(&record(&event(value))).map_err(Failure::io("cannot write", &self.path))
    }
}

fn time(value: &Value) -> f64 {
    value["time"].as_f64().unwrap_or(0.0)
}

/// The curves that a line has a point of.
fn points(value: &Value) -> Vec<(String, f64)> {
    let mut points = Vec::new();
    let mut add = |name: String, value: &Value| {
        if let Some(value) = value.as_f64() {
            points.push((name, value));
        }
    };
    for (key, curve) in [
        ("loss", "train/loss"),
        ("gradient", "train/gradient"),
        ("rate", "train/rate"),
        ("scale", "train/scale"),
        ("tokens_per_second", "speed/tokens_per_second"),
        ("mfu", "speed/mfu"),
        ("mfu_useful", "speed/mfu_useful"),
    ] {
        add(curve.to_owned(), &value[key]);
    }
    for (slice, loss) in value["slices"].as_object().into_iter().flatten() {
        add(format!("train_slices/{slice}"), loss);
    }
    for (slice, held) in value["held_out"].as_object().into_iter().flatten() {
        add(format!("held_out/{slice}"), &held["loss"]);
        add(format!("held_out_bits_per_byte/{slice}"), &held["bits_per_byte"]);
    }
    points
}

/// A protocol buffer that grows.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn whole(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } } }`.
fn event(value: &Value) -> Vec<u8> {
    let mut summary = Message::default();
    for (name, point) in points(value) {
        let mut inner = Message::default();
        inner.bytes(1, name.as_bytes());
        inner.float(2, point as f32);
        summary.bytes(1, &inner.0);
    }
    let mut event = Message::default();
    event.double(1, time(value));
    event.whole(2, value["step"].as_u64().unwrap_or(0));
    event.bytes(5, &summary.0);
    event.0
}

/// Length, its checksum, the message, its checksum.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(message);
    out.extend(masked(crc32c(message)).to_le_bytes());
    out
}

/// As record files turn their checksums, so that one of a checksum is another.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's checksum, bit by bit: a few hundred bytes a step.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn records_have_every_curve() {
        let folder = tempfile::tempdir().unwrap();
        let step = json!({"step": 300, "time": 12.5, "loss": 2.5, "slices": {"c4": 2.25}});
        let held = json!({"step": 300, "time": 13.0, "held_out": {"c4": {"loss": 2.0, "bits_per_byte": null}}});
        let mut events = Events::open(folder.path(), &[step], 99.0).unwrap();
        events.put(&held).unwrap();
        let bytes = std::fs::read(folder.path().join(EVENTS)).unwrap();
        let (mut at, mut messages) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let message = &bytes[at + 12..at + 12 + length];
            assert_eq!(bytes[at..at + 16 + length], record(message));
            messages.push(message.to_vec());
            at += 16 + length;
        }
        let has = |number: usize, words: &[u8]| messages[number].windows(words.len()).any(|some| some == words);
        assert_eq!(messages.len(), 3);
        assert!(has(0, b"brain.Event:2") && has(1, b"train/loss") && has(1, b"train_slices/c4"));
        assert!(has(1, &2.25f32.to_le_bytes()) && has(1, &[16, 0xac, 0x02]));
        assert!(has(2, b"held_out/c4") && !has(2, b"bits"));
        // It begins when the first was told, or now.
        let begins = |message: &[u8]| message[..9] == [&[9][..], &12.5f64.to_le_bytes()].concat();
        assert!(begins(&messages[0]));
        Events::open(folder.path(), &[], 12.5).unwrap();
        assert!(begins(&std::fs::read(folder.path().join(EVENTS)).unwrap()[12..]));
    }
}
