//! A file in memory with its metainfo and the frames of its chunks.

use std::net::SocketAddr;
use std::sync::Arc;

use mtorrent::geometry::Geometry;
use mtorrent::hash::sha1;
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::{Message, SendChunk, Status};

use super::wire::encoded;

/// A file in memory with its metainfo.
#[derive(Clone)]
pub struct Content {
    /// Metainfo of the bytes.
    pub metainfo: Arc<Metainfo>,
    /// All bytes of the file.
    pub bytes: Arc<Vec<u8>>,
}

impl Content {
    /// Creates the metainfo of these bytes, with these trackers.
    pub fn new(name: &str, bytes: Vec<u8>, chunk_size: u32, trackers: &[SocketAddr]) -> Self {
        let geometry = Geometry::new(bytes.len() as u64, chunk_size).expect("a geometry");
        let pieces = bytes.chunks(chunk_size as usize).flat_map(sha1).collect();
        let trackers = trackers.iter().map(SocketAddr::to_string).collect();
        let metainfo = Metainfo::new(name, geometry, pieces, trackers).expect("a metainfo");
        Self { metainfo: Arc::new(metainfo), bytes: Arc::new(bytes) }
    }

    /// The bytes of the chunk.
    pub fn chunk(&self, index: u32) -> &[u8] {
        let geometry = self.metainfo.geometry();
        let chunk = geometry.chunk(index).expect("such a chunk");
        let start = geometry.offset(chunk) as usize;
        &self.bytes[start..start + geometry.chunk_len(chunk) as usize]
    }

    /// The chunk's correct frame.
    pub fn chunk_frame(&self, index: u32) -> Vec<u8> {
        self.frame_of(index, self.chunk(index))
    }

    /// The head of chunk `index` with arbitrary data.
    pub fn frame_of(&self, index: u32, data: &[u8]) -> Vec<u8> {
        let info_hash = self.metainfo.info_hash();
        encoded(&Message::SendChunkResponse(SendChunk { info_hash, index, status: Status::Ok, data }))
    }

    /// The chunk's frame with one bit inverted.
    pub fn wrong_frame(&self, index: u32) -> Vec<u8> {
        let mut data = self.chunk(index).to_vec();
        let at = data.len() / 2;
        data[at] ^= 1;
        self.frame_of(index, &data)
    }
}
