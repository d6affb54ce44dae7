//! Checks that the system provides what the cores need before they start, so that a refusal is an error message and not
//! a panic of glommio.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::machine;
use super::uring_refusal::UringRefusal;
use crate::limits::{SPARE_THREADS, SPARE_THREADS_PER_CORE};

/// Stack of a thread that only proves that it can be started, bytes.
const SPARE_STACK_BYTES: usize = 64 << 10;

/// Why the cores cannot be started. Each message names the remedy.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The user asked for io_uring, and this process cannot use it.
    #[error("io_uring cannot be used, and --runtime uring asks for it: {0}; --runtime auto does without it")]
    IoUring(UringRefusal),
    /// The limit on open files is too low.
    #[error(
        "this process may open only {limit} files and needs {needed}: raise the limit with `ulimit -n 1024` or \
         LimitNOFILE= in a systemd unit"
    )]
    OpenFiles {
        /// Current limit.
        limit: u64,
        /// Minimum that is needed.
        needed: u64,
    },
    /// The system refuses to start enough threads.
    #[error(
        "the system refuses threads to this process ({0}): raise the limits on processes and on memory (ulimit -u and \
         -v, TasksMax= in a systemd unit, `--pids-limit` for a container)"
    )]
    NoThreads(String),
    /// The limit on address space is too low.
    #[error(
        "this process may use only {limit_mib} MiB of address space and needs {needed_mib} MiB: raise the limit with \
         `ulimit -v unlimited` or take fewer --cores"
    )]
    AddressSpace {
        /// Current limit, MiB.
        limit_mib: u64,
        /// Minimum that is needed, MiB.
        needed_mib: u64,
    },
    /// The executor threads or their rings could not be created.
    #[error("the executor threads cannot be started: {0}")]
    Threads(String),
}

impl StartError {
    /// Converts the error of a thread that could not be started.
    pub fn no_threads(error: io::Error) -> Self {
        Self::NoThreads(error.to_string())
    }
}

/// Checks the limits of this process that `cores` cores need.
pub(super) fn check(cores: usize) -> Result<(), StartError> {
    check_address_space(cores)?;
    let needed = machine::descriptors_needed(cores);
    match machine::open_files_max() {
        Some(limit) if limit < needed => Err(StartError::OpenFiles { limit, needed }),
        _ => Ok(()),
    }
}

/// Checks that the system still allows the threads that the kernel starts for the rings of `cores` running cores, and
/// those that are started later: without them requests would wait for ever.
pub(crate) fn check_spare_threads(cores: usize) -> Result<(), StartError> {
    let spare = SPARE_THREADS + SPARE_THREADS_PER_CORE * cores;
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let threads: Result<Vec<_>, _> = (0..spare)
        .map(|_| {
            let held = held.clone();
            // The thread ends when `hold` is dropped.
            let wait = move || drop(held.lock().map(|held| held.recv()));
            thread::Builder::new().name("spare".to_owned()).stack_size(SPARE_STACK_BYTES).spawn(wait)
        })
        .collect();
    drop(hold);
    // Threads that were started before the refusal end by themselves.
    threads.map_err(StartError::no_threads)?.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn check_address_space(cores: usize) -> Result<(), StartError> {
    let needed = machine::address_space_needed(cores);
    match machine::address_space_max() {
        Some(limit) if limit < needed => {
            Err(StartError::AddressSpace { limit_mib: limit >> 20, needed_mib: needed >> 20 })
        }
        _ => Ok(()),
    }
}

/// Bytes that this process may lock; `None` means no limit.
pub(crate) fn locked_memory_bytes_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_their_remedy() {
        let memory = UringRefusal::LockedMemory { limit_kib: 64 }.to_string();
        assert!(memory.contains("64 KiB") && memory.contains("ulimit -l"), "{memory}");
        let disabled = StartError::IoUring(UringRefusal::Disabled(2)).to_string();
        assert!(disabled.contains("sysctl kernel.io_uring_disabled=0") && disabled.contains("--runtime"), "{disabled}");
    }
}
