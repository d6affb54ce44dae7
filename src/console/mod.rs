//! The code that the command line and the REPL share: files that the user names, units, printed output, and the end of
//! a command. Both depend on it and it depends on neither; code here must not depend on clap.

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
pub(crate) mod files_list;
pub(crate) mod finding;
pub(crate) mod inputs;
pub(crate) mod log_format;
pub(crate) mod log_limit;
pub(crate) mod logging;
pub(crate) mod metainfo_file;
pub(crate) mod on_done;
pub mod out_of_memory;
pub(crate) mod output;
pub(crate) mod output_event;
pub(crate) mod peers_list;
pub(crate) mod progress;
pub(crate) mod service_manager;
pub(crate) mod shares_list;
pub(crate) mod signals;
pub(crate) mod source;
pub(crate) mod stderr;
pub(crate) mod stderr_sink;
pub(crate) mod table;
pub(crate) mod tracker_report;
pub(crate) mod trackers_list;
pub(crate) mod units;
