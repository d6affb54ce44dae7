//! The answer to `show trackers`: its table and its JSON. Pure.

use serde::{Serialize, Serializer};

use super::table::{self, dash};
use super::units::Eta;
use crate::node::{TrackerState, TrackerStatus};
use crate::text;

/// All fields of a tracker.
///
/// | key | value |
/// |---|---|
/// | `tracker` | `HOST:PORT` |
/// | `state` | `connected`, `trying`, `failed` or `unused` (another one is in use) |
/// | `why` (optional) | the reason of a failure |
/// | `seconds` | time in this state |
/// | `files` | number of files that are announced to it |
/// | `answered_seconds` (optional) | time since its last answer |
/// | `latency_seconds` (optional) | time from the last request to its answer |
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrackerFields<'a>(pub &'a TrackerStatus);

#[derive(Serialize)]
struct Fields<'a> {
    tracker: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    seconds: f64,
    files: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_seconds: Option<f64>,
}

impl Serialize for TrackerFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tracker = self.0;
        let fields = Fields {
            tracker: &tracker.name,
            state: state(&tracker.state),
            why: why(&tracker.state),
            seconds: tracker.since.as_secs_f64(),
            files: tracker.files,
            answered_seconds: tracker.answered.map(|time| time.as_secs_f64()),
            latency_seconds: tracker.latency.map(|time| time.as_secs_f64()),
        };
        fields.serialize(serializer)
    }
}

fn state(state: &TrackerState) -> &'static str {
    match state {
        TrackerState::Connected => "connected",
        TrackerState::Trying => "trying",
        TrackerState::Failed(_) => "failed",
        TrackerState::Unused => "unused",
    }
}

fn why(state: &TrackerState) -> Option<&str> {
    match state {
        TrackerState::Failed(why) => Some(why),
        TrackerState::Connected | TrackerState::Trying | TrackerState::Unused => None,
    }
}

/// The table of trackers.
pub(crate) fn table<'a>(all: impl Iterator<Item = &'a TrackerStatus>) -> String {
    const HEAD: [&str; 6] = ["TRACKER", "STATE", "SINCE", "FILES", "ANSWERED", "LATENCY"];
    let row = |tracker: &TrackerStatus| {
        let why = why(&tracker.state).map(|why| format!(": {}", text::plain(why)));
        let latency = tracker.latency.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        [
            text::plain(&tracker.name),
            format!("{}{}", state(&tracker.state), why.unwrap_or_default()),
            Eta(tracker.since).to_string(),
            tracker.files.to_string(),
            tracker.answered.map_or_else(dash, |time| format!("{} ago", Eta(time))),
            latency.unwrap_or_else(dash),
        ]
    };
    table::table(HEAD, all.map(row), "no trackers")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// A tracker that answered in 1.5 ms.
    pub(crate) fn tracker(state: TrackerState) -> TrackerStatus {
        TrackerStatus {
            name: "t:7000".to_owned(),
            state,
            since: Duration::from_secs(90),
            files: 2,
            answered: Some(Duration::from_secs(3)),
            latency: Some(Duration::from_micros(1500)),
        }
    }

    #[test]
    fn rows() {
        let failed = TrackerStatus { answered: None, latency: None, ..tracker(TrackerState::Failed("refused".into())) };
        let expected = [
            "TRACKER  STATE            SINCE  FILES  ANSWERED  LATENCY",
            "t:7000   connected        1m30s  2      3s ago    1.5 ms",
            "t:7000   failed: refused  1m30s  2      -         -",
        ];
        assert_eq!(table([tracker(TrackerState::Connected), failed].iter()).lines().collect::<Vec<_>>(), expected);
        assert_eq!(table([].iter()), "no trackers");
    }
}
