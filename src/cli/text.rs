//! What the command line shows of texts from outside: see [`crate::text`].

pub use crate::text::{lines, path, plain};
