//! error: cannot construct `Batch<_>` with struct literal syntax due to private fields
use std::marker::PhantomData;

use fintail::pipeline::batch::{Batch, Clean, Parts};

pub fn by_hand(parts: Parts) -> Batch<Clean> {
    Batch { parts, state: PhantomData }
}
