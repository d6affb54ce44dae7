//! `mtorrent create`: creates a `.mtorrent` file from a file, without sharing it.

use super::resolved::Create;
use crate::console::create_torrent::{CreateTorrent, Created};
use crate::console::exit::{CommandResult, Exit};
use crate::console::file_hasher::FileHasher;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Stop;

/// Runs the command.
pub(crate) fn run(args: &Create, output: &Output) -> CommandResult {
    let stop = Stop::on_signal()?;
    let create_torrent = CreateTorrent {
        file: &args.file,
        metainfo: &args.metainfo,
        trackers: &args.trackers,
        options: args.options,
        hasher: FileHasher { threads: args.threads, stop: &stop, hide_bar: false },
    };
    let Created { metainfo, is_new, .. } = create_torrent.create()?;
    let geometry = metainfo.geometry();
    output.print(&OutputEvent::Created {
        state: if is_new { "created" } else { "up to date" },
        path: &args.metainfo,
        info_hash: metainfo.info_hash(),
        length: geometry.length(),
        chunk_size: geometry.chunk_size(),
        chunks: geometry.chunk_count(),
    })?;
    Ok(Exit::Done)
}
