//! `mtorrent info`: what a `.mtorrent` file says.

use serde_json::json;

use super::resolved::Info;
use crate::console::exit::{CommandResult, Exit};
use crate::console::files;
use crate::console::output::Output;
use crate::console::units::Size;
use crate::metainfo::Metainfo;
use crate::text;

/// Runs the command.
pub fn run(args: &Info, output: &Output) -> CommandResult {
    let metainfo = files::read_metainfo(&args.metainfo)?;
    output.answer(as_text(&metainfo), || as_json(&metainfo))?;
    Ok(Exit::Done)
}

fn as_text(metainfo: &Metainfo) -> String {
    let geometry = metainfo.geometry();
    let trackers = match metainfo.trackers() {
        [] => "none".into(),
        some => some.iter().map(|tracker| text::plain(tracker)).collect::<Vec<_>>().join(", "),
    };
    let hint = match metainfo.file_name() {
        Ok(_) => String::new(),
        Err(error) => format!(" ({error}, so DEST has to name the file)"),
    };
    format!(
        "name: {}{hint}\nlength: {} ({})\nchunk size: {} ({})\nchunks: {}\ninfo hash: {}\ntrackers: {trackers}",
        text::plain(metainfo.written_name()),
        geometry.length(),
        Size(geometry.length()),
        geometry.chunk_size(),
        Size(geometry.chunk_size().into()),
        geometry.chunk_count(),
        metainfo.info_hash(),
    )
}

fn as_json(metainfo: &Metainfo) -> serde_json::Value {
    let geometry = metainfo.geometry();
    json!({
        "name": metainfo.written_name(),
        "length": geometry.length(),
        "chunk_size": geometry.chunk_size(),
        "chunks": geometry.chunk_count(),
        "info_hash": metainfo.info_hash().to_string(),
        "trackers": metainfo.trackers(),
    })
}
