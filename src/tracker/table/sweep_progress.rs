//! How far the sweep of lapsed entries has come.

/// Where the next step of the sweep goes on.
pub(crate) struct SweepProgress {
    /// The bucket, one of the table's.
    pub(crate) bucket: usize,
    /// Where in the bucket; `None` at its start.
    pub(crate) within: Option<Within>,
    /// The wall clock was set back before this pass: the sweep checks every bucket for entries of the future.
    pub(crate) set_back: bool,
}

/// A bucket that is half swept.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    /// The tag of the next record.
    pub(crate) tag: u32,
    /// The soonest end of the entries that the sweep passed, milliseconds since 1970.
    pub(crate) soonest_ms: u64,
}

impl SweepProgress {
    /// At the start of the table.
    pub(crate) fn new(first_bucket: usize) -> Self {
        Self { bucket: first_bucket, within: None, set_back: false }
    }
}
