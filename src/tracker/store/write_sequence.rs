//! The numbers of a core's writes.

/// A write of one core, by its place among the core's writes. When it is durable, all before it are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WriteSequence(u64);

impl WriteSequence {
    /// The write behind this one; the first one is behind the default, which is no write.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
