//! `mtorrent create`: a `.mtorrent` file from a file, without sharing it.

use serde_json::json;

use super::resolved::Create;
use crate::console::create_torrent::{CreateTorrent, Created};
use crate::console::exit::{CommandResult, Exit};
use crate::console::hashing::Work;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::text;

/// Runs the command.
pub fn run(args: &Create, output: &Output) -> CommandResult {
    let stop = Stop::on_signal()?;
    let create_torrent = CreateTorrent {
        file: &args.file,
        metainfo: &args.metainfo,
        trackers: &args.trackers,
        options: args.options,
        work: Work { threads: args.threads, stop: &stop, quiet: false },
    };
    let Created { metainfo, is_new, .. } = create_torrent.create()?;
    let (path, geometry) = (text::path(&args.metainfo), metainfo.geometry());
    let (info_hash, state) = (metainfo.info_hash(), if is_new { "created" } else { "up to date" });
    let line = format!(
        "{state} {path} info_hash={info_hash} length={} chunk_size={} chunks={}",
        geometry.length(),
        geometry.chunk_size(),
        geometry.chunk_count()
    );
    output.answer(line, || {
        json!({
            "state": state,
            "path": args.metainfo.to_string_lossy(),
            "info_hash": info_hash.to_string(),
            "length": geometry.length(),
            "chunk_size": geometry.chunk_size(),
            "chunks": geometry.chunk_count(),
        })
    })?;
    Ok(Exit::Done)
}
