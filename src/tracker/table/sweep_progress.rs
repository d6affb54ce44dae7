//! Progress of the sweep of lapsed entries.

/// The position at which the next step of the sweep continues.
pub(crate) struct SweepProgress {
    /// The bucket, one of the table's.
    pub(crate) bucket: usize,
    /// The position in the bucket; `None` at its start.
    pub(crate) within: Option<Within>,
    /// The wall clock was set back before this pass: the sweep checks every bucket for entries of the future.
    pub(crate) set_back: bool,
}

/// The position in a partly swept bucket.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    /// Tag of the next record.
    pub(crate) tag: u32,
    /// The soonest end of the remaining entries passed so far, milliseconds since 1970.
    pub(crate) soonest_ms: u64,
}

impl SweepProgress {
    /// Starts at the table's first bucket.
    pub(crate) fn new(first_bucket: usize) -> Self {
        Self { bucket: first_bucket, within: None, set_back: false }
    }
}
