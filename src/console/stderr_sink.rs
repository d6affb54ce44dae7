//! The destination of text for stderr: stderr itself or, while a progress bar or a prompt owns the terminal, the sink
//! of that owner, which makes room for the text.

use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use crate::text;

type Sink = Arc<dyn Fn(&str) + Send + Sync>;

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Writes the text to the sink of the terminal's owner, else to stderr itself.
pub(crate) fn write(text: &str) {
    let text = text::lines(text);
    let sink = SINK.read().unwrap_or_else(PoisonError::into_inner).clone();
    match sink {
        Some(sink) => sink(&text),
        None => write_directly(&text),
    }
}

/// Writes the text to stderr itself; for sinks that have made room for it.
pub(crate) fn write_directly(text: &str) {
    // If stderr is closed, there is no other place to report that.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Redirects the text for stderr to `sink` until the guard is dropped.
pub(crate) fn redirect(sink: impl Fn(&str) + Send + Sync + 'static) -> Redirection {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sink));
    Redirection(())
}

/// A redirection to a sink; dropping it restores stderr.
#[derive(Debug)]
pub(crate) struct Redirection(());

impl Drop for Redirection {
    fn drop(&mut self) {
        *SINK.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
