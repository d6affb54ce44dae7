//! Reports of internal faults that should be impossible.

/// Reports a state that the code excludes. A debug build panics. A release build logs it with a request to report it,
/// and continues with a safe answer.
pub(crate) fn report_bug(what: &str) {
    debug_assert!(false, "{what}");
    log::error!("internal error: {what}; please report it with the lines above");
}
