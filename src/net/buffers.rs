//! Buffers for frames, pooled per core. Every connection holds a small one; a large one is lent while a large frame
//! arrives. Buffers that were not needed for an interval are freed.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use crate::limits::{BUFFER_SMALL_BYTES, FRAME_OVERHEAD_BYTES_MAX, POOL_LARGE_BUFFERS_MAX, POOL_SMALL_BUFFERS_MAX};

/// Free buffers of one core.
#[derive(Default)]
pub(crate) struct BufferPool {
    small: RefCell<FreeBuffers>,
    large: RefCell<FreeBuffers>,
}

#[derive(Default)]
struct FreeBuffers {
    buffers: Vec<Box<[u8]>>,
    /// Minimum number of free buffers since the last trim; that many were not needed.
    fewest: usize,
}

/// A buffer that returns to its pool when dropped.
pub(crate) struct PooledBuffer {
    bytes: Box<[u8]>,
    pool: Rc<BufferPool>,
}

impl BufferPool {
    /// Takes a buffer of at least `bytes_min` bytes: a small one if that is enough, else one for a whole frame with a
    /// payload of `bytes_min`.
    pub(crate) fn take(self: &Rc<Self>, bytes_min: usize) -> PooledBuffer {
        let (free, len) = if bytes_min <= BUFFER_SMALL_BYTES {
            (&self.small, BUFFER_SMALL_BYTES)
        } else {
            (&self.large, bytes_min + FRAME_OVERHEAD_BYTES_MAX)
        };
        let fitting = free.borrow_mut().take().filter(|bytes| bytes.len() >= len);
        let bytes = fitting.unwrap_or_else(|| vec![0; len].into_boxed_slice());
        PooledBuffer { bytes, pool: self.clone() }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let (free, max) = if bytes.len() <= BUFFER_SMALL_BYTES {
            (&self.small, POOL_SMALL_BUFFERS_MAX)
        } else {
            (&self.large, POOL_LARGE_BUFFERS_MAX)
        };
        let buffers = &mut free.borrow_mut().buffers;
        if buffers.len() < max && !bytes.is_empty() {
            buffers.push(bytes);
        }
    }

    /// Frees the buffers that were not needed since the last call.
    pub(super) fn trim(&self) {
        self.small.borrow_mut().trim();
        self.large.borrow_mut().trim();
    }
}

impl FreeBuffers {
    fn take(&mut self) -> Option<Box<[u8]>> {
        let buffer = self.buffers.pop();
        self.fewest = self.fewest.min(self.buffers.len());
        buffer
    }

    fn trim(&mut self) {
        self.buffers.drain(..self.fewest);
        self.buffers.shrink_to(2 * self.buffers.len());
        self.fewest = self.buffers.len();
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let pool = Rc::new(BufferPool::default());
        for bytes_min in [1, BUFFER_SMALL_BYTES, BUFFER_SMALL_BYTES + 1, 1 << 20] {
            let mut buffer = pool.take(bytes_min);
            assert!(buffer.len() >= bytes_min);
            buffer[0] = 7;
            let address = buffer.as_ptr();
            drop(buffer);
            assert_eq!(pool.take(bytes_min).as_ptr(), address, "{bytes_min} bytes");
        }
    }

    #[test]
    fn what_a_crowd_needed_is_given_back() {
        let pool = Rc::new(BufferPool::default());
        drop((0..100).map(|_| pool.take(1)).collect::<Vec<_>>());
        pool.trim();
        drop([pool.take(1), pool.take(1)]);
        assert_eq!(pool.small.borrow().buffers.len(), 100);
        pool.trim();
        assert_eq!(pool.small.borrow().buffers.len(), 2, "so many are in use now and then");
        drop([pool.take(1), pool.take(1)]);
        pool.trim();
        assert_eq!(pool.small.borrow().buffers.len(), 2);
        pool.trim();
        assert_eq!(pool.small.borrow().buffers.len(), 0);
    }
}
