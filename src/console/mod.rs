//! What the command line and the REPL share: the files that a person names, units, what is printed, how a command
//! ends. It stands below both and knows neither; nothing here knows clap.

pub(crate) mod atomic_write;
pub(crate) mod create_torrent;
pub(crate) mod demo_figures;
pub(crate) mod destination;
pub(crate) mod download_fields;
pub(crate) mod download_text;
pub(crate) mod downloads_table;
pub(crate) mod event_report;
pub(crate) mod exit;
pub(crate) mod file_errors;
pub(crate) mod file_hasher;
pub(crate) mod inputs;
pub(crate) mod log_limit;
pub(crate) mod logging;
pub(crate) mod metainfo_file;
pub mod out_of_memory;
pub(crate) mod output;
pub(crate) mod output_event;
pub(crate) mod progress;
pub(crate) mod signals;
pub(crate) mod source;
pub(crate) mod stderr;
pub(crate) mod stderr_sink;
pub(crate) mod units;
