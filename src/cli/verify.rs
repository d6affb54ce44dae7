//! `mtorrent verify`: a file against its `.mtorrent` file, the bad chunks named.

use super::resolved::Verify;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::files;
use crate::console::files::Source;
use crate::console::hashing::{BadChunk, Why, Work};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::console::signals::Stop;
use crate::geometry::Geometry;
use crate::text;

/// Runs the command.
pub fn run(args: &Verify, output: &Output) -> CommandResult {
    let stop = Stop::on_signal()?;
    let metainfo = files::read_metainfo(&args.metainfo)?;
    let path = if args.path.is_dir() { files::in_folder(&args.path, &metainfo)? } else { args.path.clone() };
    let source = Source::open(&path)?;
    let work = Work { threads: args.threads, stop: &stop, quiet: false };
    let (geometry, bad) = (metainfo.geometry(), work.bad_chunks(&source, &metainfo)?);
    for chunk in &bad {
        print_bad_chunk(*chunk, geometry, output)?;
    }
    let shown = text::path(&path);
    let unreadable = bad.iter().filter(|bad| bad.why == Why::Unreadable).count();
    if unreadable > 0 && unreadable == bad.len() {
        let all = geometry.chunk_count();
        let message = format!("{shown}: {unreadable} of {all} chunks cannot be read, and the others are right");
        return Err(CommandError::failed(format!("{message}: check its disk")));
    }
    if !bad.is_empty() {
        let (bad, all) = (bad.len(), geometry.chunk_count());
        return Err(CommandError::data(format!("{shown}: {bad} of {all} chunks are bad: get the file again")));
    }
    if source.length() != geometry.length() {
        let message = format!("{shown} has {} bytes, not {}", source.length(), geometry.length());
        return Err(CommandError::data(format!("{message}: every chunk is right, and what follows does not belong")));
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
    let why = match bad.why {
        Why::Different => "different",
        Why::Missing => "missing",
        Why::Unreadable => "unreadable",
    };
    let (offset, length) = (geometry.offset(bad.chunk), geometry.chunk_len(bad.chunk).into());
    output.print(&OutputEvent::BadChunk { state: "bad", chunk: bad.chunk, offset, length, why })
}
