//! A running program, seen and controlled from outside.

pub(crate) mod http;
mod metrics;
pub(crate) mod monitor;
