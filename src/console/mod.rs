//! What the command line and the REPL share: the files that a person names, units, what is printed, how a command
//! ends. It stands below both and knows neither; nothing here knows clap.

pub mod atomic_write;
pub mod create_torrent;
pub mod demo_figures;
pub mod destination;
pub mod download_fields;
pub mod download_text;
pub mod downloads_table;
pub mod event_report;
pub mod exit;
pub mod file_errors;
pub mod file_hasher;
pub mod inputs;
pub mod log_limit;
pub mod logging;
pub mod metainfo_file;
pub mod out_of_memory;
pub mod output;
pub mod output_event;
pub mod progress;
pub mod signals;
pub mod source;
pub mod stderr;
pub mod stderr_sink;
pub mod units;
