//! What the command line and the REPL share: texts, units, files that a person names, how a command ends.

pub mod create_torrent;
pub mod demo_figures;
pub mod download_fields;
pub mod download_text;
pub mod downloads_table;
pub mod event_report;
pub mod exit;
pub mod files;
pub mod hashing;
pub mod inputs;
pub mod log_limit;
pub mod logging;
pub mod out_of_memory;
pub mod output;
pub mod output_event;
pub mod progress;
pub mod signals;
pub mod stderr;
pub mod stderr_sink;
pub mod units;
