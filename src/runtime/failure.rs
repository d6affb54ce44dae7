//! Termination of a process that can no longer do its work.
//!
//! A core that no longer receives socket events, or accepts nothing, looks healthy from outside but is not. The process
//! had better end with a message, so that its supervisor restarts it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Once, PoisonError, RwLock};

type Handler = Box<dyn Fn(&str) + Send + Sync>;

static HANDLER: RwLock<Option<Handler>> = RwLock::new(None);

/// Sets the handler that [`fail`] calls after it has logged: the program prints the message and exits.
pub(crate) fn on_failure(handler: impl Fn(&str) + Send + Sync + 'static) {
    *HANDLER.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(handler));
}

/// Reports that this process can no longer do its work, for the reason `why`.
pub(crate) fn fail(why: &str) {
    log::error!("{why}");
    if let Some(handler) = &*HANDLER.read().unwrap_or_else(PoisonError::into_inner) {
        handler(why);
    }
}

/// Logs panics in one line, instead of writing them to stderr on the panicking thread: that may be a core, and stderr a
/// pipe that nothing reads.
pub(crate) fn log_panics() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            if IS_QUIET.get() {
                return;
            }
            let thread = std::thread::current();
            let at = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
            log::error!("thread {} panicked{at}: {}", thread.name().unwrap_or("?"), words(panic.payload()));
        }));
    });
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which may panic because of the system, and returns the panic's message as an error.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(before);
    result.map_err(|payload| words(&*payload).to_owned())
}

/// The message of a panic.
fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(catch_panic(|| 7), Ok(7));
        assert_eq!(catch_panic(|| panic!("no {}", "threads")), Err::<(), _>("no threads".to_owned()));
    }
}
