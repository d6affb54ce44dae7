//! What a tracker shows its operators, page by page: rows that every core can make of its own part of the table, without
//! stalling it.
//!
//! The JSON of a StatusResponse is one [`StatusPage`](crate::tracker::status_rows::StatusPage). Its schema has version 1; keys may be added.
//!
//! | key | value |
//! |---|---|
//! | `schema` | version of these keys, 1 |
//! | `tracker` (first page) | `id`, `version` of the program, `listen`, `uptime_s`, `lease_s`, `private`, `time_ms`: the tracker's clock, milliseconds since 1970 |
//! | `totals` (first page) | see [`Totals`](crate::tracker::status_rows::Totals) |
//! | `peers` (first page) | the other trackers: see [`PeerRow`](crate::tracker::status_rows::PeerRow) |
//! | `files` | see [`FileRow`](crate::tracker::status_rows::FileRow); in no order that means anything; empty for others than `--trust` and loopback if `private` |

pub(crate) mod page;
pub(crate) mod source;
