//! The lock that prevents two runs from disturbing each other's figures.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use super::Error;

/// Held during a run; the kernel releases it whatever ends the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the machine's lock, or fails if another run holds it.
    pub fn take() -> Result<Self, Error> {
        let path = path();
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| Error::io(format!("open the lock {}", path.display()), source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(Error::Refused(format!("another run is under way (it holds {})", path.display())))
            }
            Err(errno) => Err(Error::io(format!("lock {}", path.display()), errno.into())),
        }
    }
}

/// Path of the lock, the same for all users and folders of the machine.
fn path() -> PathBuf {
    PathBuf::from("/tmp/mtorrent-rivals.lock")
}
