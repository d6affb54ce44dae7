//! Ctrl-C: a flag that every wait checks, so that the harness unwinds and its guards clean up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Error;

static RAISED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Makes SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process.
pub fn install() -> Result<(), Error> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, RAISED.clone())
            .map_err(|source| Error::io("install a signal handler", source))?;
    }
    Ok(())
}

/// Returns [`Error::Interrupted`] once a signal was received.
pub fn check() -> Result<(), Error> {
    if RAISED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
