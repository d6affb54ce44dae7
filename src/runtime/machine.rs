//! The limits on this process's files and address space, and the cores and connections that they allow.

use crate::limits::{
    ADDRESS_SPACE_BYTES_PER_CORE, ADDRESS_SPACE_BYTES_PROGRAM, DESCRIPTORS_PER_CORE, DESCRIPTORS_PROGRAM,
    DESCRIPTORS_RESERVED, DESCRIPTORS_RESERVED_SHARE, OPEN_FILES_RAISED_MAX,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one, up to a bound: many systems default to 1024 for programs that
/// use `select`, which this one does not.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(OPEN_FILES_RAISED_MAX).min(OPEN_FILES_RAISED_MAX);
    if current.is_some_and(|current| current < wanted) {
        // If that is refused, the limit stays, and the number of connections follows it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Maximum number of files and sockets that this process may have open; `None` means no limit.
pub(crate) fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Minimum number of descriptors with which `cores` cores work.
pub(crate) fn descriptors_needed(cores: usize) -> u64 {
    (DESCRIPTORS_PROGRAM + DESCRIPTORS_PER_CORE * cores.max(1)) as u64
}

/// Bytes of address space that this process may use; `None` means no limit.
pub(crate) fn address_space_max() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Minimum address space with which `cores` cores work, bytes.
pub(crate) fn address_space_needed(cores: usize) -> u64 {
    ADDRESS_SPACE_BYTES_PROGRAM + ADDRESS_SPACE_BYTES_PER_CORE * cores.max(1) as u64
}

/// Number of cores, of at most `cores`, that the limits allow; at least one.
pub(crate) fn cores_within(cores: usize) -> usize {
    let files = open_files_max().unwrap_or(u64::MAX);
    let space = address_space_max().unwrap_or(u64::MAX);
    let fits = |cores: &usize| descriptors_needed(*cores) <= files && address_space_needed(*cores) <= space;
    (1..=cores.max(1)).rev().find(fits).unwrap_or(1)
}

/// Number of incoming connections, of at most `wanted`, that the limits allow when `cores` cores run in this process.
/// The program itself, its files and its outgoing connections keep their share.
pub(crate) fn connections_within(wanted: usize, cores: usize) -> usize {
    connections_of(open_files_max(), wanted, cores)
}

fn connections_of(max: Option<u64>, wanted: usize, cores: usize) -> usize {
    let Some(max) = max else { return wanted };
    let left = max.saturating_sub(descriptors_needed(cores));
    let reserve = (DESCRIPTORS_RESERVED as u64).max(left / DESCRIPTORS_RESERVED_SHARE).min(left * 3 / 4);
    wanted.min(usize::try_from(left - reserve).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_from_the_limit() {
        assert_eq!(connections_of(None, 10_000, 2), 10_000);
        assert_eq!(connections_of(Some(1 << 20), 10_000, 8), 10_000);
        for (max, cores) in [(1024, 2), (1024, 8), (256, 2), (100, 1)] {
            let left = max - descriptors_needed(cores);
            let connections = connections_of(Some(max), 10_000, cores) as u64;
            assert!(connections >= left / 4 && connections < left, "{connections} of {max} for {cores} cores");
        }
        assert_eq!(connections_of(Some(descriptors_needed(1)), 10_000, 1), 1, "one is better than none");
    }

    #[test]
    fn a_small_limit_leaves_fewer_cores() {
        assert!(cores_within(1) == 1 && cores_within(8) >= 1);
        assert!(descriptors_needed(8) > descriptors_needed(1));
    }
}
