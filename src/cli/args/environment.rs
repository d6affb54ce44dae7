//! The environment variables `MTORRENT_...`.

use std::ffi::{OsStr, OsString};

/// Removes empty `MTORRENT_` variables, so that `MTORRENT_X=` in a script counts as not set. Call it before any other
/// thread is started.
pub fn forget_empty_variables() {
    let is_empty = |name: &OsStr, value: &OsStr| value.is_empty() && name.as_encoded_bytes().starts_with(b"MTORRENT_");
    let empty: Vec<OsString> =
        std::env::vars_os().filter(|(name, value)| is_empty(name, value)).map(|(name, _)| name).collect();
    for name in empty {
        // SAFETY: no other thread runs yet that could read the environment at the same time.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(name)
        };
    }
}
