//! Copies a range of one file to the same offset of another: shared on file systems that support it, without passing
//! through this process if the kernel can, else read and written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::limits::BLOCK_BYTES;

/// Copies the range. If the source cannot be read, or is shorter, the rest is left out: a hash of the copy detects
/// that. An error is always one of writing.
pub(crate) fn range(from: &File, to: &File, range: Range<u64>) -> io::Result<()> {
    let (mut at_from, mut at_to) = (range.start, range.start);
    while at_to < range.end {
        let len = usize::try_from(range.end - at_to).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut at_from), to, Some(&mut at_to), len) {
            Ok(0) => break,
            Ok(_) => {}
            // The files are on two file systems, or the file system cannot do it; a real error shows again below.
            Err(_) => return through_memory(from, to, at_to..range.end),
        }
    }
    Ok(())
}

fn through_memory(from: &File, to: &File, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut at = range.start;
    while at < range.end {
        let len = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        match from.read_at(&mut buffer[..len], at) {
            Ok(0) => break,
            Ok(read) => {
                to.write_all_at(&buffer[..read], at)?;
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::info!("a local copy is left out at offset {at}: {error}");
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_way_copies_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 77).map(|n| (n % 251) as u8).collect();
        std::fs::write(path("from"), &bytes).unwrap();
        for (name, copy) in [("a", range as fn(&File, &File, Range<u64>) -> io::Result<()>), ("b", through_memory)] {
            std::fs::write(path(name), vec![0; bytes.len()]).unwrap();
            let to = File::options().write(true).open(path(name)).unwrap();
            // Beyond the end of the source there is nothing to copy.
            copy(&File::open(path("from")).unwrap(), &to, 4096..bytes.len() as u64 + 10_000).unwrap();
            let copied = std::fs::read(path(name)).unwrap();
            assert!(copied[4096..] == bytes[4096..] && copied[..4096].iter().all(|byte| *byte == 0), "{name}");
        }
    }
}
