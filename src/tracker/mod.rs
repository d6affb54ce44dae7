//! stub
/// stub
pub mod server;
