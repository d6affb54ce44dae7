//! The log: to stderr, as talk, so that it never breaks a progress bar or a prompt.

use std::io::{self, Write};

use super::output;

/// Starts the log. `filter` is `--log` (or its variable), else `RUST_LOG` counts, else warnings for
/// one-shot commands and informations for services.
pub fn start(filter: Option<&str>, is_service: bool) {
    let default = if is_service { "info" } else { "warn" };
    let from_env = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.or(from_env.as_deref()).unwrap_or(default);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter).target(env_logger::Target::Pipe(Box::new(TalkWriter)));
    // Only a second logger in one process could refuse, and then the first one stays.
    let _ = builder.try_init();
}

/// Takes whole log lines and says each as talk.
struct TalkWriter;

impl Write for TalkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::talk(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
