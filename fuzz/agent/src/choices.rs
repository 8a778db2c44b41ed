//! Fuzz bytes as a source of choices; when they end, every choice is the first.

pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        let at = usize::from(self.byte()) % list.len().max(1);
        list.get(at).copied().expect("a list with something in it")
    }

    /// At most `limit` bytes as they are.
    pub(crate) fn bytes(&mut self, limit: u8) -> &'a [u8] {
        let want = usize::from(self.byte() % limit.max(1));
        let (taken, rest) = self.0.split_at(want.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
