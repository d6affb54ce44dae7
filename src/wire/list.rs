//! Lists in messages: a view of the bytes of a received frame, or of a slice to be sent.

use std::fmt;

/// An element of a list.
pub trait Item: Copy + PartialEq + fmt::Debug + 'static {
    /// Removes the first item from the validated bytes of a frame.
    fn take(bytes: &mut &[u8]) -> Option<Self>;

    /// Number of items in the bytes of a frame.
    fn count(bytes: &[u8]) -> usize;
}

/// A list of items that does not allocate.
#[derive(Clone, Copy)]
pub struct List<'a, T: Item>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T: Item> {
    /// Bytes of a frame, in the form that [`Item`] reads.
    Wire(&'a [u8]),
    Slice(&'a [T]),
}

impl<'a, T: Item> List<'a, T> {
    /// The empty list.
    pub const NONE: Self = Self(Source::Slice(&[]));

    /// Creates a list over the bytes of a frame, which must be whole, validated items.
    pub(super) fn from_wire(bytes: &'a [u8]) -> Self {
        Self(Source::Wire(bytes))
    }

    /// The items in order.
    pub fn iter(&self) -> ListIter<'a, T> {
        ListIter(self.0)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Wire(bytes) => T::count(bytes),
            Source::Slice(items) => items.len(),
        }
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a, T: Item> From<&'a [T]> for List<'a, T> {
    fn from(items: &'a [T]) -> Self {
        Self(Source::Slice(items))
    }
}

impl<'a, T: Item> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

impl<T: Item> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Item + Eq> Eq for List<'_, T> {}

impl<T: Item> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The items of a [`List`], in order.
#[derive(Clone)]
pub struct ListIter<'a, T: Item>(Source<'a, T>);

impl<T: Item> Iterator for ListIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Source::Wire(bytes) => T::take(bytes),
            Source::Slice(items) => items.split_off_first().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = List(self.0).len();
        (count, Some(count))
    }
}

impl<T: Item> ExactSizeIterator for ListIter<'_, T> {}
