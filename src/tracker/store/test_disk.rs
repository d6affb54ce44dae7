//! A test double of the store's disk: it tears and loses unsynced writes when the power fails, and it fails on demand.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::StorageBackend;

use crate::storage::test_image::{Change, Image};

/// A fault, by the number of the step at which it occurs; a step is a write, a new length or a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// This step and all later ones fail.
    Power(usize),
    /// Only this step fails; later steps succeed.
    Once(usize),
}

/// A simulated disk. Clones share its state.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    image: Image,
    /// The file has its name.
    is_published: bool,
    fault: Fault,
    steps: usize,
    rng: StdRng,
}

impl Disk {
    /// Creates a disk with a store's bytes; if `bytes` is empty there is no file.
    pub(crate) fn new(bytes: Vec<u8>, fault: Fault, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(State {
            is_published: !bytes.is_empty(),
            image: Image::new(bytes),
            fault,
            steps: 0,
            rng,
        })))
    }

    /// Number of steps taken.
    pub(crate) fn steps(&self) -> usize {
        self.state().steps
    }

    /// Returns whether the file has its name.
    pub(crate) fn is_published(&self) -> bool {
        self.state().is_published
    }

    /// Syncs the file and gives it its name.
    pub(crate) fn publish(&self) -> io::Result<()> {
        self.sync_data()?;
        self.state().is_published = true;
        Ok(())
    }

    /// Makes the power fail if it has not yet. Returns the bytes that are left; none if the file had no name.
    pub(crate) fn crash(&self) -> Vec<u8> {
        let State { image, rng, fault, is_published, .. } = &mut *self.state();
        *fault = Fault::Power(0);
        if *is_published { image.after_crash(rng) } else { Vec::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a step; returns an error if it fails.
    fn step(&mut self) -> io::Result<()> {
        let step = self.steps;
        self.steps += 1;
        match self.fault {
            Fault::Power(at) if step >= at => Err(io::Error::other("the power failed")),
            Fault::Once(at) if step == at => Err(io::Error::other("the disk failed")),
            _ => Ok(()),
        }
    }

    /// Makes a change. The change of the failing step may be made in part.
    fn change(&mut self, change: Change) -> io::Result<()> {
        let had_power = !matches!(self.fault, Fault::Power(at) if self.steps > at);
        let step = self.step();
        if had_power {
            self.image.change(change);
        }
        step
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().image.live().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let bytes = state.image.live().get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().change(Change::Cut(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        let step = state.step();
        let State { image, rng, fault, .. } = &mut *state;
        match (&step, fault) {
            (Ok(()), _) => image.sync(),
            (Err(_), Fault::Once(_)) => image.fail_to_sync(rng),
            (Err(_), _) => {}
        }
        step
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state().change(Change::Write(offset as usize, data.to_vec()))
    }
}
