//! The choice between the two back ends: glommio on io_uring, or plain threads with epoll.
//!
//! The choice is made once in a process, when its first core or mesh is made, and said once. [`prefer`] sets what the
//! user asked for; without it the variable `MTORRENT_RUNTIME` decides, for programs that use the library, such as the
//! tests. [`choice`] says what is chosen and why, and how io_uring could be allowed.

use std::sync::{Once, OnceLock};

use super::probe::StartError;
use super::uring_probe;
use super::uring_refusal::UringRefusal;

/// What runs the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// glommio: executors and files on io_uring.
    Uring,
    /// Executors on epoll, and threads that write files.
    Threads,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Preference {
    /// io_uring where this machine allows it, else threads.
    #[default]
    Auto,
    /// io_uring, or no start.
    Uring,
    /// Threads.
    Threads,
}

/// The chosen back end, and why.
#[derive(Clone, Debug)]
pub(crate) struct BackendChoice {
    /// The back end.
    pub backend: Backend,
    /// Why this process cannot use io_uring, if that was looked at.
    pub refusal: Option<UringRefusal>,
}

static PREFERENCE: OnceLock<Preference> = OnceLock::new();
static CHOICE: OnceLock<BackendChoice> = OnceLock::new();

/// Sets what the user asked for. It counts if it is set before the first core is started, and only once.
pub(crate) fn prefer(preference: Preference) {
    let _ = PREFERENCE.set(preference);
}

/// The back end of this process.
pub(crate) fn backend() -> Backend {
    choice().backend
}

/// The choice of this process, which this call makes if it is not made yet.
pub(crate) fn choice() -> &'static BackendChoice {
    CHOICE.get_or_init(|| BackendChoice::of(*PREFERENCE.get_or_init(Preference::from_environment)))
}

/// Says on what this process runs, and checks that it can.
pub(crate) fn check_backend() -> Result<Backend, StartError> {
    announce();
    match choice() {
        BackendChoice { backend: Backend::Uring, refusal: Some(refusal), .. } => {
            Err(StartError::IoUring(refusal.clone()))
        }
        BackendChoice { backend, .. } => Ok(*backend),
    }
}

/// Logs, once in this process, that it runs without io_uring.
fn announce() {
    static SAID: Once = Once::new();
    SAID.call_once(|| match choice() {
        BackendChoice { backend: Backend::Uring, .. } => {}
        BackendChoice { refusal: Some(refusal), .. } => {
            log::warn!("running without io_uring: {}; to allow it: {}", refusal.reason(), refusal.remedy());
        }
        BackendChoice { refusal: None, .. } => log::info!("running without io_uring, as --runtime says"),
    });
}

impl Preference {
    fn from_environment() -> Self {
        match std::env::var("MTORRENT_RUNTIME").as_deref() {
            Ok("uring") => Self::Uring,
            Ok("threads") => Self::Threads,
            _ => Self::Auto,
        }
    }
}

impl BackendChoice {
    /// The back end that a process with this preference runs on.
    pub(crate) fn of(preference: Preference) -> Self {
        let refusal = match preference {
            Preference::Threads => None,
            Preference::Auto | Preference::Uring => uring_probe::check().err(),
        };
        let backend = match preference {
            Preference::Uring => Backend::Uring,
            Preference::Auto if refusal.is_none() => Backend::Uring,
            Preference::Auto | Preference::Threads => Backend::Threads,
        };
        Self { backend, refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_chosen() {
        let threads = BackendChoice::of(Preference::Threads);
        assert!(threads.backend == Backend::Threads && threads.refusal.is_none());
        assert_eq!(BackendChoice::of(Preference::Uring).backend, Backend::Uring);
        let auto = BackendChoice::of(Preference::Auto);
        assert_eq!(auto.backend == Backend::Threads, auto.refusal.is_some(), "{auto:?}");
    }
}
