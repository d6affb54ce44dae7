//! `mtorrent verify`: checks a file against its `.mtorrent` file and names the bad chunks.

use super::resolved::Verify;
use crate::console::destination;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::file_hasher::{BadChunk, Fault, FileHasher, Reports};
use crate::console::metainfo_file;
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Stop;
use crate::console::source::Source;
use crate::geometry::Geometry;
use crate::text;

/// Runs the command.
pub(crate) fn run(args: &Verify, output: &Output) -> CommandResult {
    let stop = Stop::on_signal()?;
    let metainfo = metainfo_file::read(&args.metainfo)?;
    let path = if args.path.is_dir() { destination::in_folder(&args.path, &metainfo)? } else { args.path.clone() };
    let source = Source::open(&path)?;
    let hasher = FileHasher {
        threads: args.threads,
        stop: &stop,
        hide_bar: false,
        reports: Reports::new(args.report_every, output),
    };
    let (geometry, bad) = (metainfo.geometry(), hasher.bad_chunks(&source, &metainfo)?);
    for chunk in &bad {
        print_bad_chunk(*chunk, geometry, output)?;
    }
    let shown = text::path(&path);
    let unreadable = bad.iter().filter(|bad| bad.fault == Fault::Unreadable).count();
    if unreadable > 0 && unreadable == bad.len() {
        let all = geometry.chunk_count();
        let message = format!("{shown}: {unreadable} of {all} chunks cannot be read; the others are right");
        return Err(CommandError::failed(format!("{message}: check its disk")));
    }
    if !bad.is_empty() {
        let (bad, all) = (bad.len(), geometry.chunk_count());
        return Err(CommandError::data(format!("{shown}: {bad} of {all} chunks are bad: get the file again")));
    }
    if source.length() != geometry.length() {
        let message = format!("{shown} has {} bytes, not {}", source.length(), geometry.length());
        return Err(CommandError::data(format!(
            "{message}: every chunk is right, but bytes follow that do not belong to the file"
        )));
    }
    let (length, chunks) = (geometry.length(), geometry.chunk_count());
    output.print(&OutputEvent::Verified {
        state: "ok",
        path: &path,
        info_hash: metainfo.info_hash(),
        length,
        chunks,
    })?;
    Ok(Exit::Done)
}

fn print_bad_chunk(bad: BadChunk, geometry: Geometry, output: &Output) -> Result<(), CommandError> {
    let why = match bad.fault {
        Fault::Different => "different",
        Fault::Missing => "missing",
        Fault::Unreadable => "unreadable",
    };
    let (offset, length) = (geometry.offset(bad.chunk), geometry.chunk_len(bad.chunk).into());
    output.print(&OutputEvent::BadChunk { state: "bad", chunk: bad.chunk, offset, length, why })
}
