//! The sequence numbers of a core's writes.

/// Sequence number of a write among the core's writes. When a write is durable, all earlier ones are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WriteSequence(u64);

impl WriteSequence {
    /// The number of the next write. The first write follows the default, which stands for no write.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
