//! Faults of our own that should be impossible.

/// Reports a state that the code around it excludes: it stops a debug build, and is logged with a request to report it
/// in a release, which goes on with a safe answer.
pub(crate) fn report_bug(what: &str) {
    debug_assert!(false, "{what}");
    log::error!("internal error: {what}; please report it with the lines above");
}
