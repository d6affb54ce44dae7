//! A finding of `doctor`. Pure.

use std::fmt;

use serde::Serialize;

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The thing.
    pub check: &'static str,
    /// The tracker that said so, `HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<String>,
    /// How well it is.
    pub level: Verdict,
    /// One sentence.
    pub text: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How well a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, slower or with less.
    Warning,
    /// It does not work.
    Problem,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, tracker: None, level: Verdict::Ok, text: text.into(), remedy: None }
    }

    /// It works, slower or with less.
    pub(crate) fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, tracker: None, level: Verdict::Warning, text: text.into(), remedy: Some(remedy.into()) }
    }

    /// The same, said by a tracker.
    pub(crate) fn by(self, tracker: &str) -> Self {
        Self { tracker: Some(tracker.to_owned()), ..self }
    }

    /// It does not work.
    pub(crate) fn problem(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, tracker: None, level: Verdict::Problem, text: text.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
        };
        write!(f, "{level:<8} {}: {}", self.check, self.text)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "\n{:9}remedy: {remedy}", ""))
    }
}
