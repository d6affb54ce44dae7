//! `mtorrent info`: shows the content of a `.mtorrent` file.

use super::resolved::Info;
use crate::console::exit::{CommandResult, Exit};
use crate::console::metainfo_file;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;

/// Runs the command.
pub(crate) fn run(args: &Info, output: &Output) -> CommandResult {
    let metainfo = metainfo_file::read(&args.metainfo)?;
    let geometry = metainfo.geometry();
    let remark = match metainfo.file_name() {
        Ok(_) => String::new(),
        Err(error) => format!(" ({error}, so DEST has to name the file)"),
    };
    output.print(&OutputEvent::Info {
        name: metainfo.written_name(),
        remark,
        length: geometry.length(),
        chunk_size: geometry.chunk_size(),
        chunks: geometry.chunk_count(),
        info_hash: metainfo.info_hash(),
        trackers: metainfo.trackers(),
    })?;
    Ok(Exit::Done)
}
