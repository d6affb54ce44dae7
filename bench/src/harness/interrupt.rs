//! Ctrl-C: a flag that every wait looks at, so that the harness unwinds and its guards clean up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Error;

static RAISED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Lets SIGINT, SIGTERM and SIGHUP raise the flag in place of ending the process.
pub fn install() -> Result<(), Error> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, RAISED.clone())
            .map_err(|source| Error::io("install a signal handler", source))?;
    }
    Ok(())
}

/// [`Error::Interrupted`] once a signal has come.
pub fn check() -> Result<(), Error> {
    if RAISED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
