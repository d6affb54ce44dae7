//! A test double of a download's files on the disk. The power fails after a given number of steps, and may lose or tear
//! everything that is not synced.

use std::io;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::ledger::PartFiles;
use super::record::FileMark;
use super::test_image::{Change, Image};

/// The files, each with its durable image and the writes in flight.
pub(super) struct Double {
    rng: StdRng,
    steps_left: usize,
    /// The next sync of the data fails. As on Linux, the data written before it is lost although it can still be read,
    /// and the next sync succeeds.
    pub fails_sync: bool,
    part: Image,
    record: Image,
    /// The folder's current names, and the durable ones.
    names: Names,
    names_durable: Names,
}

/// The files after the power failure.
pub(super) struct Crash {
    /// Content of `DEST.part`, empty if there is none.
    pub part: Vec<u8>,
    /// Content of `DEST.part.mtorrent`, empty if there is none.
    pub record: Vec<u8>,
    /// Content of `DEST`, if it was published.
    pub published: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Default)]
struct Names {
    part: bool,
    record: bool,
    published: bool,
}

impl Double {
    /// Works for `steps` steps; the next one fails as the power does.
    pub(super) fn new(seed: u64, steps: usize) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let names = Names::default();
        let (part, record) = (Image::default(), Image::default());
        Self { rng, steps_left: steps, fails_sync: false, part, record, names, names_durable: names }
    }

    /// Writes into `DEST.part`. The failing step may have written a part of it.
    pub(super) fn write_data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let step = self.step();
        self.part.change(Change::Write(offset as usize, bytes.to_vec()));
        step
    }

    /// Simulates the power failure: all synced data survives, and any part of the rest.
    pub(super) fn crash(mut self) -> Crash {
        let rng = &mut self.rng;
        let names = if rng.random() { self.names } else { self.names_durable };
        let part = self.part.after_crash(rng);
        let record = self.record.after_crash(rng);
        Crash {
            record: if names.record { record } else { Vec::new() },
            published: names.published.then(|| part.clone()),
            part: if names.part { part } else { Vec::new() },
        }
    }

    fn step(&mut self) -> io::Result<()> {
        let left = self.steps_left.checked_sub(1);
        self.steps_left = left.ok_or_else(|| io::Error::other("the power failed"))?;
        Ok(())
    }
}

impl PartFiles for Double {
    fn create_part(&mut self) -> io::Result<FileMark> {
        self.step()?;
        self.names.part = true;
        Ok(FileMark { inode: 1, created_ns: 1 })
    }

    fn take_over_rights(&mut self) -> io::Result<()> {
        self.step()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.step()?;
        if std::mem::take(&mut self.fails_sync) {
            self.part.fail_to_sync(&mut self.rng);
            return Err(io::Error::other("the disk refused a write"));
        }
        self.part.sync();
        Ok(())
    }

    fn write_record(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.names.record = true;
        let step = self.step();
        self.record.change(Change::Write(offset as usize, bytes.to_vec()));
        step
    }

    fn sync_record(&mut self) -> io::Result<()> {
        self.step()?;
        self.record.sync();
        Ok(())
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.step()?;
        self.part.change(Change::Cut(bytes as usize));
        Ok(())
    }

    fn sync_file(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn publish(&mut self, _replace: bool) -> io::Result<()> {
        self.step()?;
        self.names = Names { part: false, published: true, ..self.names };
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.step()?;
        self.names_durable = self.names;
        Ok(())
    }

    fn remove_record(&mut self) -> io::Result<()> {
        self.step()?;
        self.names.record = false;
        self.names_durable.record &= self.rng.random::<bool>();
        Ok(())
    }
}
