//! The torrent of the source file, BEP 3, with an announce URL, for the rivals.

use std::path::Path;

use sha1::{Digest, Sha1};

use super::Error;
use super::source::Source;

/// The bytes of a metainfo file for `source` that names the tracker at `announce`.
pub fn metainfo(source: &Source, announce: &str) -> Vec<u8> {
    metainfo_of(source, Source::PIECE_BYTES as u64, &source.pieces, announce)
}

/// Like [`metainfo`], with pieces of `piece_bytes` and the hashes `pieces`.
pub fn metainfo_of(source: &Source, piece_bytes: u64, pieces: &[u8], announce: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.len() + 512);
    bytes.push(b'd');
    string(&mut bytes, b"announce");
    string(&mut bytes, announce.as_bytes());
    string(&mut bytes, b"info");
    bytes.push(b'd');
    string(&mut bytes, b"length");
    integer(&mut bytes, source.length);
    string(&mut bytes, b"name");
    string(&mut bytes, source.name().as_bytes());
    string(&mut bytes, b"piece length");
    integer(&mut bytes, piece_bytes);
    string(&mut bytes, b"pieces");
    string(&mut bytes, pieces);
    bytes.extend_from_slice(b"ee");
    bytes
}

/// The info hash of a metainfo made by [`metainfo_of`].
pub fn info_hash(metainfo: &[u8]) -> [u8; 20] {
    // These bytes do not occur before the key, and one `e` follows the value.
    let key = b"4:info";
    let start = metainfo.windows(key.len()).position(|window| window == key).map_or(0, |at| at + key.len());
    Sha1::digest(&metainfo[start..metainfo.len().saturating_sub(1).max(start)]).into()
}

/// Writes [`metainfo`] to `path`.
pub fn write(path: &Path, source: &Source, announce: &str) -> Result<(), Error> {
    std::fs::write(path, metainfo(source, announce))
        .map_err(|source| Error::io(format!("write {}", path.display()), source))
}

fn string(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(format!("{}:", value.len()).as_bytes());
    bytes.extend_from_slice(value);
}

fn integer(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(format!("i{value}e").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_the_pieces_are_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Source::create(folder.path(), (1 << 20) + 1).expect("a source file");
        let bytes = metainfo(&source, "http://a/");
        let head =
            b"d8:announce9:http://a/4:infod6:lengthi1048577e4:name10:source.bin12:piece lengthi1048576e6:pieces40:";
        assert!(bytes.starts_with(head));
        assert_eq!(bytes.len(), head.len() + 40 + 2);
        let info: [u8; 20] = Sha1::digest(&bytes[28..bytes.len() - 1]).into();
        assert!(bytes[22..].starts_with(b"4:infod"));
        assert_eq!(info_hash(&bytes), info);
    }
}
