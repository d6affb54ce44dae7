//! The accepting side of a link: replies to an entry, and to a list request.

use crate::limits::SYNC_PAGE_BYTES;
use crate::tracker::table::digest::Page;
use crate::tracker::table::{Merged, Table};
use crate::wire::{EntriesBuffer, Entry, ListRequest, ListResponse, Response, Status};

/// Returns the reply to a merged entry.
pub fn to_entry(merged: Merged, entry: &Entry<'_>) -> Response<'static> {
    let (status, text) = match merged {
        Merged::New | Merged::Late | Merged::Old | Merged::Expired => (Status::Ok, ""),
        Merged::Ahead(error) => {
            log::debug!("an entry of tracker {:016x} is deferred at its sender: its {error}", entry.version.tracker.0);
            (Status::Busy, "the version is ahead of this tracker's clock: it is taken when it is due")
        }
        Merged::Full => (Status::OverLimit, "this tracker's table is full"),
    };
    Response::new(status, text, None)
}

/// Returns the reply to a list request; the entries are collected in `page`.
pub fn to_list<'a>(
    table: &Table,
    request: &ListRequest<'_>,
    now_ms: u64,
    page: &'a mut EntriesBuffer,
) -> ListResponse<'a> {
    page.clear();
    let mut collect = Collect(page);
    let next = table.page(request.start, request.digests.iter(), request.cut_off_ms, now_ms, &mut collect);
    ListResponse { status: Status::Ok, next, entries: page.entries() }
}

struct Collect<'a>(&'a mut EntriesBuffer);

impl Page for Collect<'_> {
    fn add(&mut self, entry: &Entry<'_>) -> bool {
        self.0.push(entry);
        self.0.len() < SYNC_PAGE_BYTES
    }
}
