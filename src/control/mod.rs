//! A running program, seen and controlled from outside.

pub(crate) mod http;
pub(crate) mod monitor;
pub(crate) mod page;
pub(crate) mod subject;
