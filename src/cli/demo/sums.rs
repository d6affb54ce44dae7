//! Random files, and the SHA-256 that the demo compares them by: another hash than the protocol's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::console::exit::CommandError;
use crate::console::file_errors;
use crate::console::signals::Stop;
use crate::limits::BLOCK_BYTES;

/// Writes `size` random bytes and makes them durable, so that no writeback disturbs the measurement.
pub(super) fn write_random(path: &Path, size: u64, stop: &Stop) -> Result<(), CommandError> {
    fill(path, size, stop).map_err(|error| file_errors::cannot_write(path, &error))?;
    check_stop(stop)
}

fn fill(path: &Path, size: u64, stop: &Stop) -> io::Result<()> {
    let mut rng = rand::rngs::StdRng::seed_from_u64(rand::random());
    let mut file = File::create(path)?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut missing = size;
    while missing > 0 && !stop.is_set() {
        let len = missing.min(BLOCK_BYTES as u64) as usize;
        rng.fill(&mut block[..len]);
        file.write_all(&block[..len])?;
        missing -= len as u64;
    }
    file.sync_all()
}

/// SHA-256 of each file, in hexadecimal; the files are read concurrently.
pub(super) fn of_files(paths: [&Path; 3], stop: &Stop) -> Result<[String; 3], CommandError> {
    let [a, b, c] = std::thread::scope(|scope| {
        paths
            .map(|path| scope.spawn(move || of_file(path, stop)))
            .map(|thread| thread.join().unwrap_or_else(|_| Err(CommandError::failed("internal error while hashing"))))
    });
    check_stop(stop)?;
    Ok([a?, b?, c?])
}

fn of_file(path: &Path, stop: &Stop) -> Result<String, CommandError> {
    let failed = |error| file_errors::cannot_read(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK_BYTES]);
    while !stop.is_set() {
        match file.read(&mut block).map_err(failed)? {
            0 => break,
            len => hasher.update(&block[..len]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn check_stop(stop: &Stop) -> Result<(), CommandError> {
    stop.signal().map_or(Ok(()), |signal| Err(signal.interruption("the demo was interrupted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| folder.path().join(name));
        let stop = Stop::default();
        write_random(&paths[0], (3 << 20) + 5, &stop).unwrap();
        std::fs::copy(&paths[0], &paths[1]).unwrap();
        std::fs::write(&paths[2], "abc").unwrap();
        let [a, b, c] = of_files([&paths[0], &paths[1], &paths[2]], &stop).unwrap();
        assert_eq!(std::fs::metadata(&paths[0]).unwrap().len(), (3 << 20) + 5);
        assert_eq!(a, b);
        assert_eq!(c, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
