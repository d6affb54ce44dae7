//! The objects of the protocol, which the folder's docs specify. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::console::exit::Exit;
use crate::console::output_event::SCHEMA;

/// The object of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandLine {
    schema: u32,
    command: Vec<String>,
    cwd: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<PathBuf>,
}

/// The reason why an object is no command line: the caller's fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadCommandLine {
    /// It is not the JSON that the protocol specifies.
    #[error("this is no command of schema {SCHEMA}: {0}")]
    Json(serde_json::Error),
    /// It has another schema.
    #[error("schema {0} is not spoken here, but {SCHEMA}: use the `mtorrent` that this client was started with")]
    Schema(u32),
    /// The working directory is relative.
    #[error("`cwd` is not an absolute path")]
    Cwd,
    /// A word contains a zero byte, which no path has.
    #[error("a word contains a zero byte")]
    Zero,
}

impl CommandLine {
    /// Creates the object of a command.
    pub(super) fn new(command: Vec<String>, cwd: PathBuf, home: Option<PathBuf>) -> Self {
        Self { schema: SCHEMA, command, cwd, home }
    }

    /// Parses a line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, BadCommandLine> {
        let parsed: Self = serde_json::from_slice(line).map_err(BadCommandLine::Json)?;
        if parsed.schema != SCHEMA {
            return Err(BadCommandLine::Schema(parsed.schema));
        }
        if !parsed.cwd.is_absolute() {
            return Err(BadCommandLine::Cwd);
        }
        if parsed.command.iter().any(|word| word.contains('\0')) {
            return Err(BadCommandLine::Zero);
        }
        Ok(Self { home: parsed.home.filter(|home| home.is_absolute()), ..parsed })
    }

    /// The words, the working directory and the home.
    pub(super) fn into_parts(self) -> (Vec<String>, PathBuf, Option<PathBuf>) {
        (self.command, self.cwd, self.home)
    }
}

/// An object of the client, as the caller reads it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct AnswerLine {
    #[serde(default)]
    pub schema: Option<u32>,
    #[serde(default)]
    pub answer: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub exit: Option<u8>,
}

/// The line of an answer with its JSON and its text, without the line end.
pub(super) fn answer_line(json: &str, text: &str) -> String {
    format!(r#"{{"answer":{json},"text":{}}}"#, serde_json::Value::from(text))
}

/// The last line.
pub(super) fn exit_line(exit: Exit) -> String {
    format!(r#"{{"exit":{}}}"#, exit.code())
}

/// The same line as the first one of a connection.
pub(super) fn first_line(line: &str) -> String {
    format!(r#"{{"schema":{SCHEMA},{}"#, &line[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let line = br#"{"schema":1,"command":["get","a b","/d"],"cwd":"/srv","home":"h","later":[]}"#;
        let (words, cwd, home) = CommandLine::parse(line).unwrap().into_parts();
        assert_eq!((words.len(), cwd, home), (3, "/srv".into(), None), "a relative home is none");
        for (line, words) in [
            ("", "EOF"),
            ("\u{0}", "expected value"),
            ("[]", "invalid"),
            (r#"{"schema":1,"cwd":"/"}"#, "missing field `command`"),
            (r#"{"schema":2,"command":[],"cwd":"/"}"#, "schema 2"),
            (r#"{"schema":-1,"command":[],"cwd":"/"}"#, "invalid value"),
            (r#"{"schema":1,"command":[],"cwd":"."}"#, "`cwd`"),
            (r#"{"schema":1,"command":["a\u0000"],"cwd":"/"}"#, "zero"),
            (r#"{"schema":1,"command":"get a b","cwd":"/"}"#, "invalid type"),
        ] {
            let why = CommandLine::parse(line.as_bytes()).unwrap_err().to_string();
            assert!(why.contains(words), "{line}: {why}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(CommandLine::parse(deep.as_bytes()).is_err());
        let own = CommandLine::new(vec!["help".into()], "/".into(), Some("/root".into()));
        assert_eq!(CommandLine::parse(&serde_json::to_vec(&own).unwrap()).unwrap(), own);
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let line = first_line(&answer_line(r#"{"event":"help"}"#, "two\n\"lines\""));
        let read: AnswerLine = serde_json::from_str(&line).unwrap();
        assert_eq!((read.schema, read.text.as_str(), read.exit), (Some(SCHEMA), "two\n\"lines\"", None));
        assert_eq!(read.answer.unwrap()["event"], "help");
        let read: AnswerLine = serde_json::from_str(&exit_line(Exit::Data)).unwrap();
        assert_eq!((read.schema, read.answer, read.exit), (None, None, Some(4)));
        assert_eq!(first_line(&exit_line(Exit::Done)), r#"{"schema":1,"exit":0}"#);
    }
}
