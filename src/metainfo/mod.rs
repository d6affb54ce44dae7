//! stub

/// stub
#[derive(Debug)]
pub struct Metainfo;
