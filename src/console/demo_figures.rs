//! The measurements of the demo, as it prints them.

use serde::Serialize;

/// The measurements of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DemoFigures {
    /// The report as text; its last line is PASS or FAIL.
    #[serde(skip)]
    pub text: String,
    /// Length of the shared file, bytes.
    pub bytes: u64,
    /// Rate of writes to the disk without a download, bytes a second.
    pub disk_limit_bytes_s: u64,
    /// Whether those writes bypassed the page cache.
    pub disk_limit_is_direct: bool,
    /// The two getters.
    pub getters: [GetterFigures; 2],
    /// Time from the start of the getters' processes until both were done, seconds.
    pub seconds: f64,
    /// Combined growth rate of the two copies, bytes a second.
    pub rate_bytes_s: u64,
    /// `rate_bytes_s` divided by `disk_limit_bytes_s`.
    pub ratio: f64,
    /// Progress of the faster getter when tracker 1 was killed, percent.
    pub killed_at_percent: u64,
    /// Time from the kill until tracker 2 acknowledged the seeder, seconds.
    pub fallback_seconds: Option<f64>,
    /// SHA-256 of the source and of the two copies, hexadecimal.
    pub sha256: [String; 3],
    /// The checks that failed, in words.
    pub faults: Vec<String>,
    /// Whether there are no faults.
    pub pass: bool,
}

/// The measurements of one getter.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct GetterFigures {
    /// Duration of its download, seconds.
    pub seconds: f64,
    /// Mean rate of its download, bytes a second.
    pub rate_bytes_s: u64,
    /// Bytes received from the seeder.
    pub from_seeder_bytes: u64,
    /// Bytes received from the other getter.
    pub from_other_bytes: u64,
    /// Whether the getter verified its copy.
    pub verified: bool,
}
