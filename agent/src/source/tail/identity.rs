//! Who a file is, whatever it is called: the identity survives rename and compression and holds no body byte
//! (an unkeyed hash of a line with a card number is the card number).
//! It must not know what is done with ids.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// URL-safe base64 whose characters ascend with their value, so that ids of one generation keep their order.
const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// Characters of an `_id`: 16 of identity, 7 of offset, 5 of length.
pub const ID_LEN: usize = 28;

/// The first 16 characters of every `_id` of a generation: 96 bits of the hash of its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct IdPrefix([u8; 16]);

impl IdPrefix {
    /// A pod log: pod UID, container, restart number, time text and stream of the generation's first line. The
    /// time has nanoseconds, so no two generations of a container share it.
    #[must_use]
    pub fn of_pod_log(
        uid: &str,
        container: &str,
        restart: u32,
        first_time: &[u8],
        first_stream: &[u8],
    ) -> Self {
        let restart = restart.to_string();
        let parts: [&[u8]; 6] =
            [b"pod-log", uid.as_bytes(), container.as_bytes(), restart.as_bytes(), first_time, first_stream];
        let mut bytes = Vec::with_capacity(160);
        for part in parts {
            // The length first, so that no two lists of parts give the same bytes.
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        let hash = xxh3_128(&bytes);
        let mut id = [0; 16];
        for (i, out) in id.iter_mut().enumerate() {
            *out = digit((hash >> (122 - 6 * i)) as u64);
        }
        Self(id)
    }

    /// Reads a prefix back from a checkpoint.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|b| ALPHABET.contains(b)).then_some(Self(bytes))
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The whole `_id` of the event at `start` with `raw_len` bytes from its first to its last piece: two events
    /// of one generation cannot share it.
    #[must_use]
    pub fn event_id(&self, start: u64, raw_len: u32) -> [u8; ID_LEN] {
        let mut id = [b'-'; ID_LEN];
        let (prefix, place) = id.split_at_mut(16);
        prefix.copy_from_slice(&self.0);
        let (offset, length) = place.split_at_mut(7);
        base64(start, offset);
        base64(u64::from(raw_len), length);
        id
    }
}

impl fmt::Debug for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn digit(six_bits: u64) -> u8 {
    ALPHABET[(six_bits & 63) as usize]
}

fn base64(mut value: u64, out: &mut [u8]) {
    for place in out.iter_mut().rev() {
        *place = digit(value);
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_each_part_and_keep_order() {
        let a = IdPrefix::of_pod_log("u1", "api", 0, b"2026-11-23T08:01:02.1Z", b"stdout");
        for other in [
            IdPrefix::of_pod_log("u2", "api", 0, b"2026-11-23T08:01:02.1Z", b"stdout"),
            IdPrefix::of_pod_log("u1", "apis", 0, b"2026-11-23T08:01:02.1Z", b"stdout"),
            IdPrefix::of_pod_log("u1", "api", 1, b"2026-11-23T08:01:02.1Z", b"stdout"),
            IdPrefix::of_pod_log("u1", "api", 0, b"2026-11-23T08:01:02.2Z", b"stdout"),
            IdPrefix::of_pod_log("u1", "api", 0, b"2026-11-23T08:01:02.1Z", b"stderr"),
        ] {
            assert_ne!(a, other);
        }
        let ids: Vec<_> = [0, 1, 63, 64, 4095, 1 << 20, (1 << 42) - 1].map(|o| a.event_id(o, 300)).to_vec();
        assert!(ids.is_sorted());
        assert_ne!(a.event_id(7, 1), a.event_id(7, 2));
        assert_eq!(IdPrefix::from_text(a.as_str()), Some(a));
        assert_eq!(IdPrefix::from_text("too short"), None);
    }
}
