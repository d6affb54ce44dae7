//! The version 2 part of a hybrid (BEP 52): it is not used, but it must not describe another file.
//!
//! A program that reads version 2 would download that other file under the same name, so one of the two parts is wrong.
//! Absent entries contradict nothing.

use sha2::{Digest, Sha256};

use super::bencode::{Dictionary, Value};
use super::error::MetainfoError;
use super::file::DescribedFile;
use super::keys::wrong_type;
use crate::geometry::Geometry;

/// Length of a SHA-256 hash, bytes.
const HASH_LEN: usize = 32;
/// Bytes that one hash at the bottom of the tree covers.
const BLOCK_BYTES: u64 = 16 << 10;

/// Refuses a version 2 part that describes another file than `file`.
pub(super) fn check(
    root: &Dictionary<'_>,
    info: &Dictionary<'_>,
    file: &DescribedFile<'_>,
    geometry: Geometry,
) -> Result<(), MetainfoError> {
    let version = info.get("meta version").map(|value| value.as_u64().ok_or(wrong_type("meta version", "a number")));
    let tree = match (version.transpose()?, info.get("file tree")) {
        (None | Some(0 | 1), None) => return Ok(()),
        (None | Some(2), Some(tree)) => tree,
        (Some(2), None) => return Err(MetainfoError::Hybrid("has no \"file tree\"")),
        _ => return Err(MetainfoError::Hybrid("is of an unknown version")),
    };
    if !geometry.chunk_size().is_power_of_two() {
        return Err(MetainfoError::Hybrid("needs a \"piece length\" that is a power of two"));
    }
    let found = file.paths.iter().find_map(|path| leaf(tree, path));
    let leaf = found.ok_or(MetainfoError::Hybrid("describes other files"))?;
    if leaf.get("length").and_then(Value::as_u64) != Some(file.length) {
        return Err(MetainfoError::Hybrid("has another length"));
    }
    match leaf.get("pieces root") {
        Some(pieces_root) => check_hashes(root, pieces_root, geometry),
        None => Ok(()),
    }
}

/// The entry of the tree for the file at `path`, if the tree has this file and no other.
fn leaf<'v, 'a>(tree: &'v Value<'a>, path: &[&[u8]]) -> Option<&'v Dictionary<'a>> {
    let end: &[u8] = b"";
    path.iter()
        .chain([&end])
        .try_fold(tree, |tree, part| match tree.as_dictionary()?.0.as_slice() {
            [(name, below)] if name == part => Some(below),
            _ => None,
        })?
        .as_dictionary()
}

/// Checks all that can be checked without the file: that the root has the form of a hash, and that the hashes of its
/// pieces lead to it.
fn check_hashes(root: &Dictionary<'_>, pieces_root: &Value<'_>, geometry: Geometry) -> Result<(), MetainfoError> {
    let contradiction = MetainfoError::Hybrid("has hashes that do not belong together");
    let Some(pieces_root) = pieces_root.as_bytes().filter(|hash| hash.len() == HASH_LEN) else {
        return Err(contradiction);
    };
    // A file of one piece has no layer.
    if geometry.chunk_count() <= 1 {
        return Ok(());
    }
    let layers = root.get("piece layers").and_then(Value::as_dictionary);
    let layer = layers.and_then(|layers| layers.0.iter().find(|(root, _)| *root == pieces_root));
    let Some((_, layer)) = layer else { return Ok(()) };
    let hashes = layer.as_bytes().map(<[u8]>::as_chunks::<HASH_LEN>);
    match hashes {
        Some((hashes, [])) if hashes.len() == geometry.chunk_count() as usize => {
            let is_right = merkle_root(hashes, padding(geometry)) == pieces_root;
            if is_right { Ok(()) } else { Err(contradiction) }
        }
        _ => Err(contradiction),
    }
}

/// The root of the tree over `hashes`, padded with `padding` to a power of two.
fn merkle_root(hashes: &[[u8; HASH_LEN]], padding: [u8; HASH_LEN]) -> [u8; HASH_LEN] {
    let mut layer = hashes.to_vec();
    layer.resize(hashes.len().next_power_of_two(), padding);
    while layer.len() > 1 {
        layer = layer.as_chunks().0.iter().map(parent).collect();
    }
    layer.first().copied().unwrap_or(padding)
}

/// The hash of an absent piece: the root over blocks of zero hashes.
fn padding(geometry: Geometry) -> [u8; HASH_LEN] {
    let levels = (u64::from(geometry.chunk_size()) / BLOCK_BYTES).ilog2();
    (0..levels).fold([0; HASH_LEN], |hash, _| parent(&[hash, hash]))
}

fn parent(children: &[[u8; HASH_LEN]; 2]) -> [u8; HASH_LEN] {
    Sha256::digest(children.as_flattened()).into()
}
