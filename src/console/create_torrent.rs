//! Gets a `.mtorrent` file for a file: creates it, or verifies the file against an existing one.
//!
//! An existing file is replaced only with `--force`, and never if it is not a `.mtorrent` file, so that swapped
//! arguments destroy no data.

use std::fmt::Display;
use std::path::Path;

use super::exit::CommandError;
use super::file_hasher::{BadChunk, Fault, FileHasher};
use super::source::Source;
use super::{atomic_write, file_errors, metainfo_file};
use crate::geometry::{ChunkIndex, Geometry};
use crate::metainfo::Metainfo;
use crate::storage::Identity;
use crate::text;

/// The input of `create` and `share`: a file, and the options for its `.mtorrent` file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreateTorrent<'a> {
    /// Path of the file.
    pub file: &'a Path,
    /// Path of its `.mtorrent` file.
    pub metainfo: &'a Path,
    /// Trackers for a new `.mtorrent` file.
    pub trackers: &'a [String],
    /// Options for a new `.mtorrent` file.
    pub options: CreateOptions,
    /// Hasher of the file.
    pub hasher: FileHasher<'a>,
}

/// Options for a new `.mtorrent` file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreateOptions {
    /// Chunk size in bytes; `None` takes the default for the file's length.
    pub chunk_size: Option<u32>,
    /// Whether a different `.mtorrent` file at the path is replaced.
    pub force: bool,
}

impl CreateOptions {
    /// The geometry of a file of `length` bytes.
    fn geometry(&self, length: u64) -> Result<Geometry, CommandError> {
        let chunk_size = self.chunk_size.unwrap_or_else(|| Geometry::default_chunk_size(length));
        Geometry::new(length, chunk_size).map_err(|error| CommandError::failed(error.to_string()))
    }
}

/// A `.mtorrent` file that describes the file.
#[derive(Debug)]
pub(crate) struct Created {
    /// Content of the `.mtorrent` file.
    pub metainfo: Metainfo,
    /// Whether this call wrote the `.mtorrent` file.
    pub is_new: bool,
    /// Identity of the file before it was hashed.
    pub identity: Identity,
    /// Chunks that the disk cannot read; all other chunks are verified.
    pub unreadable: Vec<ChunkIndex>,
}

impl Created {
    fn new(metainfo: Metainfo, is_new: bool, source: &Source) -> Self {
        Self { metainfo, is_new, identity: source.identity(), unreadable: Vec::new() }
    }
}

/// The trackers that a share announces to: the typed ones, else those of the existing `.mtorrent` file. `None` if that
/// file cannot be read; its verification reports the reason.
pub(crate) fn trackers_of(typed: &[String], metainfo: &Path) -> Option<Vec<String>> {
    if !typed.is_empty() || !(metainfo_file::is_standard_stream(metainfo) || metainfo.exists()) {
        return Some(typed.to_vec());
    }
    metainfo_file::read(metainfo).ok().map(|metainfo| metainfo.trackers().to_vec())
}

impl CreateTorrent<'_> {
    /// For `create`: creates the `.mtorrent` file, or finds an identical one. For standard output the caller writes it.
    pub(crate) fn create(&self) -> Result<Created, CommandError> {
        let source = Source::open(self.file)?;
        if metainfo_file::is_standard_stream(self.metainfo) {
            return Ok(Created::new(self.hash_file(&source)?, true, &source));
        }
        let existing = self.existing_bytes(&source)?;
        if existing.is_none() || self.options.force {
            atomic_write::check_writable(self.metainfo)?;
        }
        let metainfo = self.hash_file(&source)?;
        if existing.as_deref() == Some(&metainfo.to_bytes()) {
            return Ok(Created::new(metainfo, false, &source));
        }
        if existing.is_some() && !self.options.force {
            let path = text::path(self.metainfo);
            return Err(CommandError::failed(format!("{path} exists and is different: use --force to replace it")));
        }
        self.store(&metainfo)?;
        Ok(Created::new(metainfo, true, &source))
    }

    /// For `share`: verifies the file against an existing `.mtorrent` file, or creates one.
    pub(crate) fn verify_or_create(&self) -> Result<Created, CommandError> {
        let source = Source::open(self.file)?;
        let existing = self.existing_bytes(&source)?;
        if let Some(bytes) = existing {
            match self.verify(&source, &bytes) {
                Ok((metainfo, unreadable)) => {
                    return Ok(Created { metainfo, is_new: false, identity: source.identity(), unreadable });
                }
                // Neither a signal nor a file that changes is a reason to replace the `.mtorrent` file.
                Err(Mismatch::Other(error)) => return Err(error),
                Err(Mismatch::Different(why)) if !self.options.force || self.is_from_standard_input() => {
                    return Err(CommandError::failed(why));
                }
                Err(Mismatch::Different(_)) => {}
            }
        }
        atomic_write::check_writable(self.metainfo)?;
        let metainfo = self.hash_file(&source)?;
        self.store(&metainfo)?;
        Ok(Created::new(metainfo, true, &source))
    }

    /// The bytes of the existing `.mtorrent` file, if any; refuses a file that must not be read or replaced.
    fn existing_bytes(&self, source: &Source) -> Result<Option<Vec<u8>>, CommandError> {
        if self.is_from_standard_input() {
            return metainfo_file::read_bounded(self.metainfo).map(Some);
        }
        match self.metainfo.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_errors::cannot_read(self.metainfo, &error)),
            Ok(_) => {}
        }
        let path = text::path(self.metainfo);
        let same = |a: &Path, b: &Path| a.canonicalize().ok().is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        if same(source.path(), self.metainfo) {
            return Err(CommandError::failed(format!(
                "{path} is the file itself: give its .mtorrent file another name"
            )));
        }
        let bytes = metainfo_file::read_bounded(self.metainfo)?;
        let is_named_so = self.metainfo.extension().is_some_and(|end| end == "mtorrent" || end == "torrent");
        if !is_named_so && Metainfo::parse(&bytes).is_err() {
            let message =
                format!("{path} exists and is not a .mtorrent file, so it is not replaced: choose another name");
            return Err(CommandError::failed(message));
        }
        Ok(Some(bytes))
    }

    fn is_from_standard_input(&self) -> bool {
        metainfo_file::is_standard_stream(self.metainfo)
    }

    fn hash_file(&self, source: &Source) -> Result<Metainfo, CommandError> {
        let geometry = self.options.geometry(source.length())?;
        let name = source.name()?;
        let pieces = self.hasher.digests(source, geometry)?;
        Metainfo::new(name, geometry, pieces, self.trackers.to_vec())
            .map_err(|error| CommandError::failed(format!("{}: {error}", text::path(source.path()))))
    }

    fn store(&self, metainfo: &Metainfo) -> Result<(), CommandError> {
        atomic_write::write_atomically(self.metainfo, &metainfo.to_bytes(), self.options.force)
    }

    /// The parsed `.mtorrent` file, and the chunks of the file that cannot be read.
    fn verify(&self, source: &Source, bytes: &[u8]) -> Result<(Metainfo, Vec<ChunkIndex>), Mismatch> {
        let path = metainfo_file::shown(self.metainfo);
        let is_anonymous = self.is_from_standard_input();
        let remedy = if is_anonymous { "" } else { "; use --force to create it anew" };
        let different = |why: String| Mismatch::Different(format!("{why}{remedy}"));
        let unusable = |error: &dyn Display| {
            let what =
                if is_anonymous { "is no .mtorrent file that can be shared" } else { "exists and cannot be used" };
            different(format!("{path} {what}: {error}"))
        };
        let metainfo = Metainfo::parse(bytes).map_err(|error| unusable(&error))?;
        let geometry = metainfo.geometry().transferable().map_err(|error| unusable(&error))?;
        let file = text::path(source.path());
        if let Some(size) = self.options.chunk_size.filter(|size| *size != geometry.chunk_size()) {
            let message = format!("{path} exists with chunks of {} bytes, not {size}", geometry.chunk_size());
            return Err(different(message));
        }
        if source.length() != geometry.length() {
            let (actual, described) = (source.length(), geometry.length());
            return Err(different(format!("{file} has {actual} bytes, but {path} describes a file of {described}")));
        }
        let bad = self.hasher.bad_chunks(source, &metainfo).map_err(Mismatch::Other)?;
        if let Some(BadChunk { chunk, .. }) = bad.iter().find(|bad| bad.fault != Fault::Unreadable) {
            return Err(different(format!("{file} is not the file that {path} describes (chunk {chunk} differs)")));
        }
        if let [first, ..] = bad.as_slice()
            && bad.len() == geometry.chunk_count() as usize
        {
            let offset = geometry.offset(first.chunk);
            let message = format!("no chunk of {file} can be read, from offset {offset} on: check its disk");
            return Err(Mismatch::Other(CommandError::failed(message)));
        }
        Ok((metainfo, bad.into_iter().map(|bad| bad.chunk).collect()))
    }
}

enum Mismatch {
    Different(String),
    Other(CommandError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_size_of_new_files() {
        let options = CreateOptions { chunk_size: None, force: false };
        assert_eq!(options.geometry(5).map(|geometry| geometry.chunk_size()), Ok(256 << 10));
        assert_eq!(options.geometry(1 << 30).map(|geometry| geometry.chunk_size()), Ok(1 << 20));
        let options = CreateOptions { chunk_size: Some(256 << 10), force: false };
        assert_eq!(options.geometry(1 << 30).map(|geometry| geometry.chunk_count()), Ok(4096));
        assert!(options.geometry(u64::MAX).is_err());
    }
}
