//! Why a process cannot use io_uring, and what allows it.

use crate::limits::LOCKED_MEMORY_BYTES_MIN;

/// Why this process cannot use io_uring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; to allow it: {}", self.reason(), self.remedy())]
pub enum UringRefusal {
    /// The kernel, or the sandbox that stands in for one, has no io_uring.
    Missing,
    /// The io_uring of this kernel has not all that is needed.
    Old,
    /// The sysctl `kernel.io_uring_disabled` has this value.
    Disabled(u32),
    /// The sysctl allows it; a filter on system calls does not.
    Filtered,
    /// The limit on locked memory is too low.
    LockedMemory {
        /// Current limit, KiB.
        limit_kib: u64,
    },
    /// It failed in another way.
    Broken(String),
}

impl UringRefusal {
    /// What stands in the way.
    pub fn reason(&self) -> String {
        match self {
            Self::Missing => "this kernel or sandbox has no io_uring".to_owned(),
            Self::Old => "this kernel's io_uring is too old".to_owned(),
            Self::Disabled(value) => format!("this machine disables it (kernel.io_uring_disabled={value})"),
            Self::Filtered => "a seccomp filter, as container engines set it, refuses it to this process".to_owned(),
            Self::LockedMemory { limit_kib } => {
                let needed_kib = LOCKED_MEMORY_BYTES_MIN / 1024;
                format!("this process may lock only {limit_kib} KiB of memory and io_uring needs {needed_kib} KiB")
            }
            Self::Broken(why) => format!("it cannot be set up ({why})"),
        }
    }

    /// What a user can do to get io_uring.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing | Self::Old | Self::Broken(_) => "run it on Linux 5.8 or later, outside of a sandbox",
            Self::Disabled(1) => {
                "`sysctl kernel.io_uring_disabled=0`, or make this user a member of the group of \
                 kernel.io_uring_group"
            }
            Self::Disabled(_) => "`sysctl kernel.io_uring_disabled=0`",
            Self::Filtered => {
                "take a seccomp profile that permits io_uring_setup, io_uring_enter and io_uring_register \
                 (`docker run --security-opt seccomp=PROFILE`)"
            }
            Self::LockedMemory { .. } => {
                "raise it with `ulimit -l`, LimitMEMLOCK= in a systemd unit, or `--ulimit memlock=-1` for a container"
            }
        }
    }
}
