//! `mtorrent create`: creates a `.mtorrent` file from a file, without sharing it.

use std::io::IsTerminal as _;

use super::resolved::Create;
use crate::console::create_torrent::{CreateTorrent, Created};
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_hasher::{FileHasher, Reports};
use crate::console::metainfo_file;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Stop;
use crate::console::stderr;

/// Runs the command.
pub(crate) fn run(args: &Create, output: &Output) -> CommandResult {
    let is_to_stdout = metainfo_file::is_standard_stream(&args.metainfo);
    if is_to_stdout && std::io::stdout().is_terminal() {
        let message = "standard output is a terminal: redirect it to a file or a pipe, or name a file in place of -";
        return Err(CommandError::failed(message));
    }
    let stop = Stop::on_signal()?;
    let create_torrent = CreateTorrent {
        file: &args.file,
        metainfo: &args.metainfo,
        trackers: &args.trackers,
        options: args.options,
        hasher: FileHasher {
            threads: args.threads,
            stop: &stop,
            hide_bar: false,
            reports: Reports::new(args.report_every, output),
        },
    };
    let Created { metainfo, is_new, .. } = create_torrent.create()?;
    let geometry = metainfo.geometry();
    let event = OutputEvent::Created {
        state: if is_new { "created" } else { "up to date" },
        path: &args.metainfo,
        info_hash: metainfo.info_hash(),
        length: geometry.length(),
        chunk_size: geometry.chunk_size(),
        chunks: geometry.chunk_count(),
    };
    if is_to_stdout {
        Output::write_file(&metainfo.to_bytes())?;
        stderr::report(event);
    } else {
        output.print(&event)?;
    }
    Ok(Exit::Done)
}
