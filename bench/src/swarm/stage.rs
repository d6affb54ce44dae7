//! Environment of a contestant's turn: the nodes, the source, an empty folder.

use std::path::{Path, PathBuf};

use super::cap::Cap;
use super::nodes::{Node, Nodes};
use super::options::Options;
use super::row::{BAD_PEERS, Row, Variant};
use crate::harness::Error;
use crate::harness::files::{make_folder, write};
use crate::harness::source::Source;

/// One turn of one contestant. The tracker's node has no cap.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Command-line options.
    pub options: &'a Options,
    /// The case.
    pub row: Row,
    /// The file to be downloaded. Its folder is the seeder's.
    pub source: &'a Source,
    /// An empty folder on the disk for this turn: copies, configuration, state, logs.
    pub folder: PathBuf,
    nodes: Nodes,
}

/// Index of the seeder's node.
pub const SEEDER_AT: usize = 1;
/// Number of nodes before the getters: the tracker's and the seeder's.
const GETTERS_AT: usize = 2;

impl<'a> Stage<'a> {
    /// Creates the nodes of `row`.
    pub fn new(options: &'a Options, row: Row, source: &'a Source, folder: PathBuf) -> Result<Self, Error> {
        let mut caps = vec![Cap::None, row.cap];
        caps.extend(row.getter_caps());
        if row.variant == Variant::Bad {
            caps.extend([row.cap; BAD_PEERS]);
        }
        Ok(Self { options, row, source, folder, nodes: Nodes::new(&caps)? })
    }

    /// Node of the tracker.
    pub fn tracker(&self) -> &Node {
        self.nodes.node(0)
    }

    /// Node of the seeder.
    pub fn seeder(&self) -> &Node {
        self.nodes.node(SEEDER_AT)
    }

    /// Node of the getter `number`.
    pub fn getter(&self, number: usize) -> &Node {
        self.nodes.node(GETTERS_AT + number)
    }

    /// Node of the hostile peer `number`.
    pub fn bad(&self, number: usize) -> &Node {
        self.nodes.node(GETTERS_AT + self.row.getters + number)
    }

    /// The folder of the getter `number`.
    pub fn getter_folder(&self, number: usize) -> Result<PathBuf, Error> {
        make_folder(&self.folder.join(format!("getter-{number}")))
    }

    /// The folder of the source.
    pub fn seed(&self) -> &Path {
        self.source.path.parent().unwrap_or(Path::new("/"))
    }

    /// Writes a file into the turn's folder.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        write(&self.folder, name, text)
    }
}
