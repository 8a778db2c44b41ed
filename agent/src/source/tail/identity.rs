//! Who a file is, whatever it is called: the identity survives rename and compression and holds no body byte
//! (an unkeyed hash of a line with a card number is the card number).
//! It must not know what is done with ids.

use std::fmt;

/// The first 16 characters of every `_id` of a generation: 96 bits of the hash of its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IdPrefix(pub [u8; 16]);

impl fmt::Debug for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("?"))
    }
}
