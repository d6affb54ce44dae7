//! Messages to the service manager (systemd) that started this process, if `NOTIFY_SOCKET` names one.
//!
//! One thread sends all of them, because a manager that is busy may block a sender. It feeds the watchdog only while
//! every core runs its tasks.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::limits::{SERVICE_STOPPING_PATIENCE, SERVICE_TICK_MAX};
use crate::metrics;

/// The service manager; the end of a service is reported when this is dropped.
#[derive(Debug)]
pub(crate) struct ServiceManager(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The status that is not sent yet.
    status: Option<String>,
    /// The last status.
    known: String,
    is_ending: bool,
    has_ended: bool,
}

impl ServiceManager {
    /// Reports that the service is ready.
    pub(crate) fn ready() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self(None);
        }
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let work = move || for_thread.run();
        match std::thread::Builder::new().name("service".into()).spawn(work) {
            Ok(_) => Self(Some(shared)),
            Err(error) => {
                log::warn!("the service manager is not told that this service is ready: no thread: {error}");
                Self(None)
            }
        }
    }

    /// Whether a service manager shows the status.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Sets the line that `systemctl status` shows.
    pub(crate) fn set_status(&self, status: &str) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        if state.known != status {
            state.known = status.to_owned();
            state.status = Some(status.to_owned());
            shared.changed.notify_all();
        }
    }

    /// Reports that the service is ending; waits a moment until that is sent.
    pub(crate) fn stopping(&self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        state.is_ending = true;
        shared.changed.notify_all();
        let has_ended = |state: &mut State| !state.has_ended;
        let waited = shared.changed.wait_timeout_while(state, SERVICE_STOPPING_PATIENCE, has_ended);
        drop(waited);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        send(&[NotifyState::Ready]);
        let watchdog = sd_notify::watchdog_enabled();
        let tick = watchdog.map_or(SERVICE_TICK_MAX, |limit| (limit / 4).min(SERVICE_TICK_MAX));
        loop {
            let (status, is_ending) = self.next(tick);
            if let Some(status) = status {
                send(&[NotifyState::Status(&status)]);
            }
            if is_ending {
                send(&[NotifyState::Stopping]);
                self.lock().has_ended = true;
                return self.changed.notify_all();
            }
            if watchdog.is_some_and(|limit| all_cores_have_run_within(limit / 2)) {
                send(&[NotifyState::Watchdog]);
            }
        }
    }

    /// Waits for a change of the state, for at most `tick`.
    fn next(&self, tick: Duration) -> (Option<String>, bool) {
        let is_idle = |state: &mut State| state.status.is_none() && !state.is_ending;
        let mut state =
            self.changed.wait_timeout_while(self.lock(), tick, is_idle).unwrap_or_else(PoisonError::into_inner).0;
        (state.status.take(), state.is_ending)
    }
}

/// Whether every core ran its tasks a short time ago.
fn all_cores_have_run_within(limit: Duration) -> bool {
    metrics::beats().iter().all(|beat| beat.age < limit)
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("cannot tell the service manager {states:?}: {error}");
    }
}
