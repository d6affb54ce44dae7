//! The entries of a page: read from a frame, or collected to be sent.

use std::fmt;

use super::entry::{ENTRY_FIXED_LEN, Entry};
use crate::limits::SYNC_ENTRIES_MAX;
use crate::wire::DecodeError;
use crate::wire::arguments::{Arguments, Buffer, SIZE_LEN};

/// Length of the smallest entry in a frame, bytes.
const ENTRY_LEN_MIN: usize = SIZE_LEN + ENTRY_FIXED_LEN + 6;

const _: () = assert!(SYNC_ENTRIES_MAX * ENTRY_LEN_MIN >= crate::limits::SYNC_PAGE_BYTES);

/// The entries of a page: a view of the validated arguments of a frame or of an [`EntriesBuffer`].
#[derive(Clone, Copy)]
pub struct Entries<'a>(pub(super) Arguments<'a>);

impl<'a> Entries<'a> {
    pub(super) fn decode(arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let mut unchecked = arguments;
        let mut count = 0;
        while !unchecked.is_empty() {
            Entry::from_bytes(unchecked.bytes()?)?;
            count += 1;
        }
        if count > SYNC_ENTRIES_MAX {
            return Err(DecodeError::BadArguments("there are too many entries"));
        }
        Ok(Self(arguments))
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let mut arguments = self.0;
        // Only the end is an error here: the entries were validated.
        std::iter::from_fn(move || Entry::from_bytes(arguments.bytes().ok()?).ok())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Entries<'_> {
    fn eq(&self, other: &Entries<'_>) -> bool {
        self.0.rest() == other.0.rest()
    }
}

impl Eq for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Buffer for the entries of a page to be sent.
#[derive(Clone, Debug, Default)]
pub struct EntriesBuffer {
    bytes: Vec<u8>,
}

impl EntriesBuffer {
    /// A buffer without entries.
    pub const NONE: Self = Self { bytes: Vec::new() };

    /// Adds an entry; its name and sizes must be valid for a file.
    pub fn push(&mut self, entry: &Entry<'_>) {
        entry.write(&mut Buffer(&mut self.bytes));
    }

    /// Length of the entries in a frame, bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Removes all entries, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The entries, for sending.
    pub fn entries(&self) -> Entries<'_> {
        Entries(Arguments::new(&self.bytes))
    }
}
