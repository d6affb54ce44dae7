//! t
#[test]
fn x() {}
