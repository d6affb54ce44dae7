//! The path of the socket. The address of a Unix socket has room for 107 bytes only; a longer path is reached through
//! the open folder in `/proc/self/fd`.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Name of the socket in the data folder.
pub(super) const NAME: &str = "control.sock";

/// Longest path in the address of a Unix socket, without the final zero, bytes.
const ADDRESS_BYTES_MAX: usize = 107;

/// The path of a socket that fits into an address as long as this exists.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// The socket in the data folder.
    pub(super) fn in_folder(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(NAME);
        if path.as_os_str().as_bytes().len() <= ADDRESS_BYTES_MAX {
            return Ok(Self { path, _folder: None });
        }
        let folder = rustix::fs::open(data_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()).into();
        Ok(Self { path, _folder: Some(folder) })
    }

    /// The path, for this process.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_folder_of_any_length_has_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().to_owned();
        for _ in 0..3 {
            let path = SocketPath::in_folder(&deep).unwrap();
            let _listener = UnixListener::bind(path.path()).unwrap();
            assert!(deep.join(NAME).exists());
            let again = SocketPath::in_folder(&deep).unwrap();
            UnixStream::connect(again.path()).unwrap();
            deep = deep.join("d".repeat(100));
            std::fs::create_dir(&deep).unwrap();
        }
        assert!(SocketPath::in_folder(&deep.join("missing")).is_err());
    }
}
