//! SHA-1 (FIPS 180-4, 6.1): its state and its kernels.

mod kernel;
mod state;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use kernel::Kernel;
