//! Stores that earlier builds wrote with version 2 of the library, which the present version does not read.
//!
//! The old file is never written: the writes of the old library while it opens and repairs the file stay in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb2::{Database, Error, ReadableTable, StorageBackend, StorageError, TableDefinition};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
/// Bytes of a page that is kept in memory.
const PAGE: usize = 4096;

/// An undamaged store of the old format.
pub(super) struct OldStore {
    database: Database,
    about: BTreeMap<String, u64>,
}

impl OldStore {
    /// Opens the store and verifies all of its pages. Returns an error if the last commit is damaged. May panic on
    /// other damage, as the library does.
    pub(super) fn open(file: File, cache_bytes: usize) -> Result<Self, Error> {
        let mut database = Database::builder().set_cache_size(cache_bytes).create_with_backend(Overlay::new(file)?)?;
        let unchecked = read_about(&database)?;
        // If the last commit's pages are damaged, the check reverts to the commit before.
        database.check_integrity()?;
        let about = read_about(&database)?;
        if about != unchecked {
            return Err(Error::Corrupted("its last acknowledged commit is damaged".to_owned()));
        }
        Ok(Self { database, about })
    }

    /// The store's metadata.
    pub(super) fn about(&self) -> &BTreeMap<String, u64> {
        &self.about
    }

    /// Calls `each` with every key and value in the order of the keys, up to its first error.
    pub(super) fn for_each<E: From<Error>>(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let entries = self.database.begin_read().map_err(Error::from)?.open_table(ENTRIES).map_err(Error::from)?;
        for item in entries.iter().map_err(Error::from)? {
            let (key, value) = item.map_err(Error::from)?;
            each(key.value(), value.value())?;
        }
        Ok(())
    }
}

fn read_about(database: &Database) -> Result<BTreeMap<String, u64>, Error> {
    let about = database.begin_read()?.open_table(ABOUT)?;
    let pairs = about.iter()?.map(|item| item.map(|(key, value)| (key.value().to_owned(), value.value())));
    Ok(pairs.collect::<Result<_, StorageError>>()?)
}

/// A file, overlaid with the writes since it was opened.
#[derive(Debug)]
struct Overlay {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Bytes of the file that no change of length has cut off.
    file_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, written: Mutex::new(Written { len, file_len: len, pages: BTreeMap::new() }) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current content of a page; zeros behind the end.
    fn page(&self, written: &Written, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = written.pages.get(&number) {
            return Ok(page.clone());
        }
        let (mut page, start) = (Box::new([0; PAGE]), number * PAGE as u64);
        let in_file = written.file_len.saturating_sub(start).min(PAGE as u64) as usize;
        self.file.read_exact_at(&mut page[..in_file], start)?;
        Ok(page)
    }
}

/// Calls `each` with every page that the `len` bytes from `offset` touch: the page number, the range in the page, and
/// the range in the bytes.
fn for_each_page(
    offset: u64,
    len: usize,
    mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let start = (at % PAGE as u64) as usize;
        let count = (PAGE - start).min(len - done);
        each(at / PAGE as u64, start..start + count, done..done + count)?;
        done += count;
    }
    Ok(())
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let written = self.written();
        if offset.checked_add(len as u64).is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut out = vec![0; len];
        for_each_page(offset, len, |number, within, bytes| {
            out[bytes].copy_from_slice(&self.page(&written, number)?[within]);
            Ok(())
        })?;
        Ok(out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        if len < written.len {
            let last = len / PAGE as u64;
            let mut cut = self.page(&written, last)?;
            cut[(len % PAGE as u64) as usize..].fill(0);
            written.pages.split_off(&last);
            written.pages.insert(last, cut);
            written.file_len = written.file_len.min(len);
        }
        written.len = len;
        Ok(())
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        for_each_page(offset, data.len(), |number, within, bytes| {
            let mut page = self.page(&written, number)?;
            page[within].copy_from_slice(&data[bytes]);
            written.pages.insert(number, page);
            Ok(())
        })
    }
}
