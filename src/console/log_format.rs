//! The formats of what goes to stderr: log lines, and messages to the user. Pure.
//!
//! | format | a log line | a message |
//! |---|---|---|
//! | text | `[TIME LEVEL TARGET] MESSAGE` | as it is; a failure begins with `mtorrent: `, in the REPL `error: ` |
//! | json | an object: `ts` (RFC 3339, UTC), `level` (`error` to `trace`), `target`, `message` | the same, target `mtorrent` |
//! | journald | `<N>[TARGET] MESSAGE`, N by syslog(3); the journal adds the time | `<N>` before each of its lines |
//!
//! With `json` every line is an object, so that a collector needs one parser. Only the complaint about a command line
//! that cannot be parsed is text, because the format is not known then.

use std::time::SystemTime;

use log::Level;
use serde::Serialize;

use crate::text;

/// A format of stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Priorities for the journal of systemd.
    Journald,
}

/// The target of messages to the user.
const MESSAGES: &str = "mtorrent";

#[derive(Debug, Serialize)]
struct Object<'a> {
    ts: String,
    level: String,
    target: &'a str,
    message: &'a str,
}

impl LogFormat {
    /// Formats a line of the log; the caller has escaped its message.
    pub(crate) fn log(self, now: SystemTime, level: Level, target: &str, message: &str) -> String {
        match self {
            Self::Text => format!("[{} {level:<5} {target}] {message}", humantime::format_rfc3339_seconds(now)),
            Self::Json => object(now, level, target, message),
            Self::Journald => format!("{}[{target}] {message}", priority(level)),
        }
    }

    /// Formats a message to the user, which may have several lines. The label before it is for people.
    pub(crate) fn message(self, now: SystemTime, level: Level, label: &str, message: &str) -> String {
        let message = text::lines(message);
        match self {
            Self::Text => format!("{label}{message}"),
            Self::Json => object(now, level, MESSAGES, &message),
            Self::Journald => {
                let priority = priority(level);
                format!("{priority}{label}{}", message.replace('\n', &format!("\n{priority}")))
            }
        }
    }
}

fn object(now: SystemTime, level: Level, target: &str, message: &str) -> String {
    let ts = humantime::format_rfc3339_millis(now).to_string();
    let object = Object { ts, level: level.as_str().to_lowercase(), target, message };
    // Texts always have a JSON.
    serde_json::to_string(&object).unwrap_or_default()
}

/// The priority of syslog(3), as the journal reads it at the start of a line.
fn priority(level: Level) -> String {
    let number = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!("<{number}>")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_format_has_its_lines() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        for (format, log, error, message) in [
            (
                LogFormat::Text,
                r#"[2023-11-14T22:13:20Z WARN  mtorrent::net] a "b" \n"#,
                "mtorrent: no\nway\\u{7f}",
                "one\ntwo",
            ),
            (
                LogFormat::Json,
                r#"{"ts":"2023-11-14T22:13:20.123Z","level":"warn","target":"mtorrent::net","message":"a \"b\" \\n"}"#,
                r#"{"ts":"2023-11-14T22:13:20.123Z","level":"error","target":"mtorrent","message":"no\nway\\u{7f}"}"#,
                r#"{"ts":"2023-11-14T22:13:20.123Z","level":"info","target":"mtorrent","message":"one\ntwo"}"#,
            ),
            (LogFormat::Journald, r#"<4>[mtorrent::net] a "b" \n"#, "<3>mtorrent: no\n<3>way\\u{7f}", "<6>one\n<6>two"),
        ] {
            assert_eq!(format.log(now, Level::Warn, "mtorrent::net", r#"a "b" \n"#), log);
            assert_eq!(format.message(now, Level::Error, "mtorrent: ", "no\nway\u{7f}"), error);
            assert_eq!(format.message(now, Level::Info, "", "one\ntwo"), message);
        }
    }

    #[test]
    fn levels_have_the_priorities_of_syslog() {
        let all = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
        assert_eq!(all.map(priority).concat(), "<3><4><6><7><7>");
    }
}
