//! Chunks lent to other cores. The bytes stay where they are, and a message releases them, because only the owning core
//! may change a buffer's count of users.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::chunk_buffer::ChunkBuffer;
use crate::limits::LOANS_MAX;

/// The chunks of a core that are out on loan.
pub(super) struct Loans {
    out: HashMap<u64, Rc<ChunkBuffer>>,
    next_id: u64,
    returned: Arc<ArrayQueue<u64>>,
}

/// A chunk of another core's memory, readable here until it is dropped.
pub struct Loan {
    parts: Vec<(NonNull<u8>, usize)>,
    id: u64,
    returned: Arc<ArrayQueue<u64>>,
}

impl Loans {
    pub(super) fn new() -> Self {
        Self { out: HashMap::new(), next_id: 0, returned: Arc::new(ArrayQueue::new(LOANS_MAX)) }
    }

    /// Whether one more chunk may be lent.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < LOANS_MAX
    }

    pub(super) fn lend(&mut self, chunk: Rc<ChunkBuffer>) -> Loan {
        let id = self.next_id;
        self.next_id += 1;
        let part = |block: &[u8]| (NonNull::from(block).cast(), block.len());
        let parts = (0..).map_while(|n| chunk.block(n)).map(part).collect();
        self.out.insert(id, chunk);
        Loan { parts, id, returned: self.returned.clone() }
    }

    /// Releases the chunks that were returned.
    pub(super) fn take_returned(&mut self) {
        while let Some(id) = self.returned.pop() {
            self.out.remove(&id);
        }
    }
}

impl Drop for Loans {
    /// A core may end before the borrowers of its chunks: chunks that are still out are leaked.
    fn drop(&mut self) {
        self.take_returned();
        std::mem::take(&mut self.out).into_values().for_each(std::mem::forget);
    }
}

impl Loan {
    /// The chunk, block by block.
    #[allow(unsafe_code)]
    pub fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: the lender keeps the buffer, filled and unchanging, until this loan's id is returned, which happens
        // when the loan is dropped; if the lender ends before, it leaves the buffer allocated. The slices borrow from
        // the loan.
        self.parts.iter().map(|(start, len)| unsafe { std::slice::from_raw_parts(start.as_ptr(), *len) })
    }
}

// SAFETY: a loan gives read access only, to bytes that are not written while it exists (see `blocks`), and it is
// returned through a queue that many threads may use.
#[allow(unsafe_code)]
unsafe impl Send for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        // The queue has room for every loan that can be out.
        let _ = self.returned.push(self.id);
    }
}
