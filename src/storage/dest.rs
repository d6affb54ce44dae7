//! State of a download's destination, and whether it may be used: the refusals that a user sees.
//!
//! The record is read only under its lock, and nothing is changed before its owner is known.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::dest_error::DestError;
use super::disk::{DiskFiles, Occupant, is_only_a_name, is_same, open_finished};
use super::ledger::Ledger;
use super::opening::Opening;
use super::paths::Paths;
use super::probe::{check_size, probe};
use super::record::{self, Record};
use super::unfinished::Unfinished;
use crate::bitfield::Bitfield;
use crate::geometry::Geometry;
use crate::ids::InfoHash;

/// The file that a destination is for.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Geometry of the file.
    pub geometry: Geometry,
}

/// A destination that is ready for a download.
#[derive(Debug)]
pub enum Opened {
    /// There was no `.part`.
    Fresh(DiskFiles, Ledger),
    /// There was a `.part`; each of its chunks must be hashed before it counts.
    Unfinished(Unfinished),
}

/// Content of a file that should be a record.
enum Content {
    /// A record of this download's file.
    Record(Record),
    /// No content: a crash before the first record was written leaves the file empty or, after a power loss, full of
    /// zeros.
    Blank,
    /// Anything else.
    Other,
}

impl Claim {
    /// Opens the `.part` of `dest`: resumes the `.part` of an earlier run, or creates a new one. With `force` a foreign
    /// `.part` is used, too. Blocks.
    pub fn open(self, dest: &Path, how: Opening<'_>) -> Result<Opened, DestError> {
        let (paths, length) = (Paths::new(dest), self.geometry.length());
        let failed = |error| DestError::from_io(&paths.dest, length, error);
        probe(&paths, length.max(self.record_len()))?;
        let record = at(&paths.record, &paths, how.force, failed)?;
        let part = at(&paths.part, &paths, how.force, failed)?;
        let content = record.as_ref().map(|file| self.read_record(file)).transpose().map_err(failed)?;
        match (content, part) {
            (Some(Content::Record(known)), Some(part)) => {
                self.unfinished(paths.clone(), part, record, Some(known), how).map_err(failed)
            }
            // The chunks of a .part without its record show whether it is ours.
            (None | Some(Content::Blank), Some(part)) => {
                self.unfinished(paths.clone(), part, record, None, how).map_err(failed)
            }
            (_, Some(part)) if how.force => self.unfinished(paths.clone(), part, record, None, how).map_err(failed),
            (_, Some(_)) => Err(DestError::Foreign(paths.part)),
            (Some(Content::Other), None) if !how.force => Err(DestError::Foreign(paths.record)),
            // Our record without its .part, or neither file: there is nothing to lose.
            (_, None) => self.create(paths.clone(), record, how).map_err(failed),
        }
    }

    /// Opens the file at `dest` itself, to repair it where it is, with a record that says so. The file is not changed
    /// until [`DiskFiles::reserve`], which the caller calls before its first commit. `right` are the chunks that need no
    /// repair. Blocks.
    pub fn open_in_place(
        self,
        dest: &Path,
        right: &Bitfield,
        how: Opening<'_>,
    ) -> Result<(DiskFiles, Ledger), DestError> {
        let (paths, length) = (Paths::in_place(dest), self.geometry.length());
        let failed = |error| DestError::from_io(&paths.dest, length, error);
        check_size(&paths, length.max(self.record_len()))?;
        let part = Paths::new(dest).part;
        match std::fs::symlink_metadata(&part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(_) => return Err(DestError::PartBeside(part)),
        }
        let record = at(&paths.record, &paths, how.force, failed)?;
        let content = record.as_ref().map(|file| self.read_record(file)).transpose().map_err(failed)?;
        if matches!(content, Some(Content::Other)) && !how.force {
            return Err(DestError::Foreign(paths.record));
        }
        let file = open_finished(&paths.dest).map_err(failed)?;
        let mut spared = how.spared();
        right.iter().for_each(|chunk| spared.insert(chunk));
        let opened = DiskFiles::in_place(paths.clone(), length, file, record, spared).and_then(|mut files| {
            let ledger = Ledger::adopt(self.info_hash, files.mark()?, Bitfield::empty(self.geometry), &mut files)?;
            Ok((files, ledger))
        });
        opened.map_err(failed)
    }

    /// Whether a record beside `dest` says that a repair in place of this file has not ended.
    pub fn is_in_repair(self, dest: &Path) -> bool {
        let paths = Paths::in_place(dest);
        let record = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&paths.record);
        let found = record.and_then(|file| Ok((self.read_record(&file)?, std::fs::metadata(&paths.dest)?)));
        matches!(found, Ok((Content::Record(record), dest)) if record.part.inode == dest.ino())
    }

    fn record_len(self) -> u64 {
        2 * record::slot_len(self.geometry) as u64
    }

    /// Removes the files that a crash between the last steps of a download leaves beside the finished file: a second
    /// name of it, and the record.
    pub fn tidy(self, dest: &Path) -> io::Result<()> {
        let paths = Paths::new(dest);
        let Occupant::Regular(record) = Occupant::at(&paths.record)? else { return Ok(()) };
        if !matches!(self.read_record(&record)?, Content::Record(_)) {
            return Ok(());
        }
        match (std::fs::symlink_metadata(&paths.part), std::fs::symlink_metadata(&paths.dest)) {
            (Ok(part), Ok(dest)) if is_same(&part, &dest) => std::fs::remove_file(&paths.part)?,
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {}
            _ => return Ok(()),
        }
        std::fs::remove_file(&paths.record)
    }

    fn create(self, paths: Paths, record: Option<File>, how: Opening<'_>) -> io::Result<Opened> {
        let clone = |(file, right): (&File, &Bitfield)| file.try_clone().map(|file| (file, right.clone()));
        let clone_from = how.clone_from.map(clone).transpose()?;
        let mut files = DiskFiles::create(paths, self.geometry.length(), record, how.spared(), clone_from)?;
        match Ledger::create(self.info_hash, Bitfield::empty(self.geometry), &mut files) {
            Ok(ledger) => Ok(Opened::Fresh(files, ledger)),
            Err(error) => {
                // A download that cannot start leaves no files behind.
                if let Err(error) = files.discard() {
                    log::warn!("the .part of a download that could not begin is not removed: {error}");
                }
                Err(error)
            }
        }
    }

    fn unfinished(
        self,
        paths: Paths,
        part: File,
        record_file: Option<File>,
        record: Option<Record>,
        how: Opening<'_>,
    ) -> io::Result<Opened> {
        let files = DiskFiles::existing(paths, self.geometry.length(), part, record_file, how.spared())?;
        Ok(Opened::Unfinished(Unfinished::new(self.info_hash, files, record, how)?))
    }

    fn read_record(self, file: &File) -> io::Result<Content> {
        let most = 2 * record::slot_len(self.geometry);
        // One byte more detects a file that is too long to be a record.
        let mut bytes = vec![0; most + 1];
        let mut len = 0;
        while len < bytes.len() {
            match file.read_at(&mut bytes[len..], len as u64)? {
                0 => break,
                read => len += read,
            }
        }
        let bytes = &bytes[..len];
        Ok(match Record::decode(bytes, self.info_hash, self.geometry) {
            Some(record) => Content::Record(record),
            None if len <= most && bytes.iter().all(|byte| *byte == 0) => Content::Blank,
            None => Content::Other,
        })
    }
}

/// The regular file at one of our paths, locked; `None` if there is none. With `force`, a name that is only a second
/// name, or a link, is removed.
fn at(
    path: &Path,
    paths: &Paths,
    force: bool,
    failed: impl Fn(io::Error) -> DestError,
) -> Result<Option<File>, DestError> {
    let dest = &paths.dest;
    match Occupant::at(path) {
        Ok(Occupant::Nothing) => Ok(None),
        Ok(Occupant::Regular(file)) => Ok(Some(file)),
        Ok(Occupant::Special(what)) if force && is_only_a_name(what) => {
            std::fs::remove_file(path).map_err(failed)?;
            Ok(None)
        }
        Ok(Occupant::Special(what)) => Err(DestError::Special { path: path.to_owned(), what }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(DestError::Busy(dest.clone())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(DestError::NotPermitted(path.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ChunkIndex;
    use crate::storage::dest_error::PartFault;
    use crate::storage::ledger::PartFiles;

    fn claim() -> Claim {
        let geometry = Geometry::new((1 << 14) + 5, 1 << 14).unwrap();
        Claim { info_hash: InfoHash([1; 20]), geometry }
    }

    impl Claim {
        fn begin(self, dest: &Path, force: bool) -> Result<Opened, DestError> {
            let zeros = Bitfield::empty(self.geometry);
            self.open(dest, Opening { force, zeros: &zeros, is_sparse: true, clone_from: None })
        }
    }

    fn none() -> Bitfield {
        Bitfield::empty(claim().geometry)
    }

    #[test]
    fn fresh_then_unfinished_then_done() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("a file");
        let Ok(Opened::Fresh(mut files, mut ledger)) = claim().begin(&dest, false) else { panic!("fresh") };
        assert!(matches!(claim().begin(&dest, false), Err(DestError::Busy(_))), "locked");
        let other = Claim { info_hash: InfoHash([2; 20]), ..claim() };
        for force in [false, true] {
            assert!(matches!(other.begin(&dest, force), Err(DestError::Busy(_))), "force breaks no lock");
        }
        assert_eq!(std::fs::metadata(dest.with_extension("part")).unwrap().len(), 20480, "and cuts nothing");
        ledger.commit(Bitfield::full(claim().geometry), &mut files).unwrap();
        let _held_by_a_core = files.part().unwrap().clone();
        drop(files);
        let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, false) else { panic!("unfinished") };
        assert!(claim().geometry.chunks().all(|chunk| unfinished.may_have(chunk)));
        let (mut files, mut ledger) = unfinished.resume(&Bitfield::full(claim().geometry)).unwrap();
        std::fs::write(&dest, "in the way").unwrap();
        assert_eq!(ledger.finish(false, &mut files).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        ledger.finish(true, &mut files).unwrap();
        assert_eq!(std::fs::metadata(&dest).unwrap().len(), claim().geometry.length());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "neither .part nor record is left");
    }

    #[test]
    fn foreign_files_need_force() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(folder.path().join("file.part"), "somebody's").unwrap();
        let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, false) else { panic!("its chunks are hashed") };
        assert!(matches!(unfinished.resume(&none()), Err(DestError::Foreign(_))), "no chunk of it is right");
        assert!(!folder.path().join("file.part.mtorrent").exists());
        std::fs::write(folder.path().join("file.part.mtorrent"), "garbage").unwrap();
        assert!(matches!(claim().begin(&dest, false), Err(DestError::Foreign(_))), "somebody's record");
        let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, true) else { panic!("forced") };
        assert_eq!(std::fs::read(folder.path().join("file.part")).unwrap(), b"somebody's", "not changed yet");
        drop(unfinished.resume(&none()).unwrap());
        let other = Claim { info_hash: InfoHash([2; 20]), ..claim() };
        assert!(matches!(other.begin(&dest, false), Err(DestError::Foreign(_))), "another file's .part");
        let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, false) else { panic!("ours now") };
        unfinished.resume(&none()).unwrap();
    }

    #[test]
    fn a_record_of_ours_makes_no_other_file_ours() {
        let geometry = claim().geometry;
        for claims_chunks in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (dest, part) = (folder.path().join("file"), folder.path().join("file.part"));
            let Ok(Opened::Fresh(mut files, mut ledger)) = claim().begin(&dest, false) else { panic!("fresh") };
            if claims_chunks {
                ledger.commit(Bitfield::full(geometry), &mut files).unwrap();
            }
            drop(files);
            std::fs::write(folder.path().join("theirs"), "somebody's").unwrap();
            std::fs::rename(folder.path().join("theirs"), &part).unwrap();
            let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, false) else { panic!("unfinished") };
            assert!(matches!(unfinished.resume(&none()), Err(DestError::NotOurs(_))), "{claims_chunks}");
            assert_eq!(std::fs::read(&part).unwrap(), b"somebody's");
            let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, true) else { panic!("forced") };
            unfinished.resume(&none()).unwrap();
        }
    }

    #[test]
    fn our_own_file_that_was_cut_is_resumed_without_foreign_data() {
        let geometry = claim().geometry;
        let second = geometry.chunk(1).unwrap();
        let right = |chunks: &[ChunkIndex]| {
            let mut right = none();
            chunks.iter().for_each(|chunk| right.insert(*chunk));
            right
        };
        type Case = (&'static str, fn(&File), bool, bool);
        let cases: [Case; 5] = [
            ("emptied", |_| (), false, true),
            ("emptied and longer again", |part| part.set_len(1 << 16).unwrap(), false, true),
            ("zeros", |part| part.write_all_at(&[0; 1 << 14], 0).unwrap(), false, true),
            ("chunks that came after the cut", |part| part.write_all_at(&[7; 5], 1 << 14).unwrap(), true, true),
            ("something else", |part| part.write_all_at(b"somebody's", 0).unwrap(), false, false),
        ];
        for (what, act, is_second_right, goes_on) in cases {
            let folder = tempfile::tempdir().unwrap();
            let (dest, part) = (folder.path().join("file"), folder.path().join("file.part"));
            let Ok(Opened::Fresh(mut files, mut ledger)) = claim().begin(&dest, false) else { panic!("fresh") };
            ledger.commit(right(&[geometry.chunk(0).unwrap()]), &mut files).unwrap();
            drop(files);
            // The same inode.
            let cut = File::options().write(true).truncate(true).open(&part).unwrap();
            act(&cut);
            let Ok(Opened::Unfinished(unfinished)) = claim().begin(&dest, false) else { panic!("unfinished") };
            let others = unfinished.others(&none()).unwrap();
            assert_eq!(others, is_second_right.then(|| right(&[second])), "{what}");
            let resumed = unfinished.resume(&others.unwrap_or_else(none));
            assert_eq!(resumed.is_ok(), goes_on, "{what}: {resumed:?}");
            assert!(goes_on || std::fs::read(&part).unwrap() == b"somebody's");
        }
    }

    #[test]
    fn only_regular_files_with_one_name_are_written() {
        for name in ["file.part", "file.part.mtorrent"] {
            let folder = tempfile::tempdir().unwrap();
            let (dest, path, other) =
                (folder.path().join("file"), folder.path().join(name), folder.path().join("other"));
            std::fs::write(&other, [0; 100]).unwrap();
            let check = |what: &str, is_replaced: bool| {
                let refused = claim().begin(&dest, false).unwrap_err();
                assert!(matches!(refused, DestError::Special { .. }), "{name}, {what}: {refused}");
                assert_eq!(claim().begin(&dest, true).is_ok(), is_replaced, "{name}, {what}, forced");
                assert_eq!(std::fs::read(&other).unwrap(), [0; 100], "{name}, {what}");
                for left in [&path, &folder.path().join("file.part"), &folder.path().join("file.part.mtorrent")] {
                    let _ = std::fs::remove_file(left);
                }
            };
            std::os::unix::fs::symlink(&other, &path).unwrap();
            check("a link", true);
            std::os::unix::fs::symlink(folder.path().join("nothing"), &path).unwrap();
            check("a link to nothing", true);
            assert!(!folder.path().join("nothing").exists());
            std::fs::hard_link(&other, &path).unwrap();
            check("a second name", true);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
            check("a pipe", false);
            std::fs::create_dir(&path).unwrap();
            check("a folder", false);
        }
    }

    #[test]
    fn changes_to_the_part_by_others_are_detected() {
        let geometry = claim().geometry;
        let fault = |error: io::Error| error.get_ref().unwrap().downcast_ref::<PartFault>().unwrap().clone();
        for what in ["removed", "replaced", "cut"] {
            let folder = tempfile::tempdir().unwrap();
            let (dest, part) = (folder.path().join("file"), folder.path().join("file.part"));
            let opened = claim().begin(&dest, false).unwrap();
            let Opened::Fresh(mut files, mut ledger) = opened else { panic!("{what}: {opened:?}") };
            match what {
                "removed" => std::fs::remove_file(&part).unwrap(),
                "cut" => File::options().write(true).open(&part).unwrap().set_len(100).unwrap(),
                _ => {
                    std::fs::write(folder.path().join("other"), vec![0; 1 << 20]).unwrap();
                    std::fs::rename(folder.path().join("other"), &part).unwrap();
                }
            }
            let expected = match what {
                "removed" => PartFault::Removed(part.clone()),
                "cut" => PartFault::Cut(part.clone()),
                _ => PartFault::Replaced(part.clone()),
            };
            assert_eq!(fault(ledger.commit(Bitfield::full(geometry), &mut files).unwrap_err()), expected);
            for replace in [false, true] {
                assert_eq!(fault(ledger.finish(replace, &mut files).unwrap_err()), expected);
            }
            assert!(!dest.exists(), "{what}");
            files.discard().unwrap();
            assert_eq!(part.exists(), what == "replaced", "{what}: only what this run made is removed");
        }
    }

    #[test]
    fn a_file_keeps_its_mode_when_it_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(&dest, "old").unwrap();
        std::fs::set_permissions(&dest, std::fs::Permissions::from_mode(0o640)).unwrap();
        let Ok(Opened::Fresh(mut files, mut ledger)) = claim().begin(&dest, true) else { panic!("fresh") };
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&folder.path().join("file.part")) & 0o007, 0, "nobody else reads it meanwhile");
        ledger.finish(true, &mut files).unwrap();
        assert_eq!(mode(&dest), 0o640);
    }

    #[test]
    fn leftovers_of_a_crash_do_not_block_a_download() {
        let folder = tempfile::tempdir().unwrap();
        let (dest, record) = (folder.path().join("file"), folder.path().join("file.part.mtorrent"));
        for left in [&[][..], &[0; 8192]] {
            std::fs::write(&record, left).unwrap();
            assert!(matches!(claim().begin(&dest, false), Ok(Opened::Fresh(..))), "{} bytes", left.len());
            std::fs::remove_file(folder.path().join("file.part")).unwrap();
        }
        claim().tidy(&dest).unwrap();
        assert!(!record.exists(), "a record without its .part");
        drop(claim().begin(&dest, false).unwrap());
        claim().tidy(&dest).unwrap();
        std::fs::remove_file(folder.path().join("file.part")).unwrap();
        Claim { info_hash: InfoHash([2; 20]), ..claim() }.tidy(&dest).unwrap();
        assert!(record.exists(), "one with its .part, and one of another file, stay");
    }

    /// A file system without a rename that never replaces gives the finished file two names for a moment.
    #[test]
    fn a_part_that_is_a_second_name_is_given_up_and_its_file_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("file");
        std::fs::write(&dest, "finished").unwrap();
        std::fs::hard_link(&dest, folder.path().join("file.part")).unwrap();
        drop(claim().begin(&dest, true).unwrap());
        assert_eq!(std::fs::read(&dest).unwrap(), b"finished");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = claim().begin(&folder.path().join("no/such/file"), false).unwrap_err();
        assert!(matches!(error, DestError::NoFolder(_)), "{error}");
        let huge = Claim { geometry: Geometry::new(400_000 << 24, 1 << 24).unwrap(), ..claim() };
        let error = huge.begin(&folder.path().join("huge"), false).unwrap_err();
        assert!(matches!(error, DestError::NoSpace { .. } | DestError::TooLarge { .. }), "{error}");
        let error = claim().begin(&folder.path().join("x".repeat(256)), false).unwrap_err();
        assert!(matches!(error, DestError::NameTooLong(_)), "{error}");
        for length in [241, 242, 255] {
            let Ok(Opened::Fresh(files, _)) = claim().begin(&folder.path().join("x".repeat(length)), false) else {
                panic!("{length}")
            };
            files.discard().unwrap();
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "a refused download leaves nothing");
    }

    #[test]
    fn publishing_into_a_file_system_without_the_flag_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("x");
        let Ok(Opened::Fresh(mut files, _)) = claim().begin(&dest, false) else { panic!("fresh") };
        files.publish(false).unwrap();
        assert!(dest.exists());
    }
}
