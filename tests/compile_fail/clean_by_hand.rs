//! error: fields `parts` and `state` of struct `fintail::pipeline::batch::Batch` are private
use std::marker::PhantomData;

use fintail::pipeline::batch::{Batch, Clean, Parts};

pub fn by_hand(parts: Parts) -> Batch<Clean> {
    Batch { parts, state: PhantomData }
}
