//! What this machine is and allows, read from the kernel's files and by tries; nothing is judged here.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::runtime;
use crate::storage::memory_plan::allowed_memory;

/// Unit of a direct write, bytes.
const BLOCK: usize = 4096;

/// The facts; `None` where the kernel does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Release of the kernel.
    pub kernel: String,
    /// Why io_uring cannot be used, and what allows it.
    pub uring_refusal: Option<(String, String)>,
    /// Mode of the filter on system calls: 0 none, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
    /// Bytes of memory that may be locked.
    pub locked_memory: Limit,
    /// Files that may be open now.
    pub open_files: Limit,
    /// Files to which that may be raised.
    pub open_files_hard: Limit,
    /// The folder for downloads.
    pub folder: Folder,
    /// Congestion control of new connections.
    pub congestion: Option<String>,
    /// Those that this kernel has.
    pub congestion_available: Option<String>,
    /// Largest receive buffer of a connection, bytes.
    pub receive_buffer: Option<u64>,
    /// Largest send buffer, bytes.
    pub send_buffer: Option<u64>,
    /// Instructions of this CPU that hash.
    pub hash_features: Vec<&'static str>,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// CPU time that the control group allows, in CPUs.
    pub cpu_quota: Option<f64>,
    /// Memory that the control group allows, bytes.
    pub memory: Option<u64>,
    /// Setting of transparent huge pages.
    pub huge_pages: Option<String>,
}

/// A limit on a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Limit {
    /// There is none.
    #[default]
    None,
    /// At most this much.
    Most(u64),
}

/// The folder for downloads.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// Name of its file system.
    pub file_system: Option<String>,
    /// Free space, bytes.
    pub free_bytes: Option<u64>,
    /// A write that bypasses the page cache, and a read of it.
    pub direct: Trial,
    /// An ordinary write and a read of it.
    pub buffered: Trial,
}

/// The result of writing and reading back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// What was read is what was written.
    Right,
    /// Something else was read.
    Different,
    /// It is refused, with this error.
    Refused(String),
}

impl Default for Folder {
    fn default() -> Self {
        let (path, file_system, free_bytes) = (PathBuf::from("."), None, None);
        Self { path, file_system, free_bytes, direct: Trial::Right, buffered: Trial::Right }
    }
}

impl Facts {
    /// Gathers the facts; writes and removes a file in `folder`.
    pub(super) fn gather(folder: &Path) -> Self {
        let files = getrlimit(Resource::Nofile);
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            uring_refusal: runtime::uring_refusal(),
            seccomp: status("Seccomp:"),
            locked_memory: getrlimit(Resource::Memlock).current.into(),
            open_files: files.current.into(),
            open_files_hard: files.maximum.into(),
            folder: Folder::gather(folder),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            congestion_available: read("/proc/sys/net/ipv4/tcp_available_congestion_control"),
            receive_buffer: read("/proc/sys/net/ipv4/tcp_rmem").and_then(|three| last_number(&three)),
            send_buffer: read("/proc/sys/net/ipv4/tcp_wmem").and_then(|three| last_number(&three)),
            hash_features: hash_features(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_quota: runtime::cpu_quota(),
            memory: allowed_memory(),
            huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|line| chosen(&line)),
        }
    }
}

impl Folder {
    fn gather(path: &Path) -> Self {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let free = rustix::fs::statvfs(&real).ok();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            file_system: file_system(&mounts, &real),
            free_bytes: free.map(|free| free.f_bavail.saturating_mul(free.f_frsize)),
            direct: write_and_read(&real, libc::O_DIRECT),
            buffered: write_and_read(&real, 0),
            path: path.to_owned(),
        }
    }
}

impl From<Option<u64>> for Limit {
    fn from(most: Option<u64>) -> Self {
        most.map_or(Self::None, Self::Most)
    }
}

/// A block at an address that direct I/O accepts.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

fn write_and_read(folder: &Path, flags: i32) -> Trial {
    let work = || -> io::Result<bool> {
        let named = tempfile::Builder::new().prefix(".mtorrent-doctor-").tempfile_in(folder)?;
        let file: File = OpenOptions::new().read(true).write(true).custom_flags(flags).open(named.path())?;
        let (written, mut read) = (Block([0x5a; BLOCK]), Block([0; BLOCK]));
        file.write_all_at(&written.0, 0)?;
        file.sync_data()?;
        file.read_exact_at(&mut read.0, 0)?;
        Ok(read.0 == written.0)
    };
    match work() {
        Ok(true) => Trial::Right,
        Ok(false) => Trial::Different,
        Err(error) => Trial::Refused(error.to_string()),
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A number in `/proc/self/status`.
fn status(key: &str) -> Option<u32> {
    read("/proc/self/status")?.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

fn last_number(line: &str) -> Option<u64> {
    line.split_whitespace().last()?.parse().ok()
}

/// The word in brackets of `always [madvise] never`.
fn chosen(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// The file system of the longest mount point above the path, from the lines of a `mountinfo`.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = mount.split_whitespace().nth(4)?.replace("\\040", " ");
        path.starts_with(&point).then(|| (point.len(), rest.split_whitespace().next().unwrap_or_default().to_owned()))
    });
    // Of two mounts at one point, the later one hides the other.
    mounted.max_by_key(|(len, _)| *len).map(|(_, name)| name)
}

#[cfg(target_arch = "x86_64")]
fn hash_features() -> Vec<&'static str> {
    let has = [
        ("SHA-NI", std::arch::is_x86_feature_detected!("sha")),
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw")),
    ];
    has.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn hash_features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let mounts = "21 1 254:0 / / rw - ext4 /dev/vda rw\n30 21 0:25 / /dev/shm rw shared:1 - tmpfs tmpfs rw\n\
                      31 21 0:26 / /a\\040b rw - xfs /dev/vdb rw";
        for (path, name) in [("/", "ext4"), ("/dev/shm/x", "tmpfs"), ("/dev/shmx", "ext4"), ("/a b/c", "xfs")] {
            assert_eq!(file_system(mounts, Path::new(path)).as_deref(), Some(name), "{path}");
        }
        assert_eq!(last_number("4096 131072 6291456"), Some(6_291_456));
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
    }

    #[test]
    fn a_folder_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Folder::gather(folder.path()).buffered, Trial::Right);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        let missing = Folder::gather(&folder.path().join("missing"));
        assert!(matches!(missing.buffered, Trial::Refused(_)), "{missing:?}");
    }
}
