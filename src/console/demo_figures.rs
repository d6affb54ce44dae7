//! What the demo measured, as it is printed.

use serde::Serialize;

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DemoFigures {
    /// The report for people; its last line is PASS or FAIL.
    #[serde(skip)]
    pub text: String,
    /// Bytes of the file that was shared.
    pub bytes: u64,
    /// The rate of writes to the disk alone.
    pub disk_limit_bytes_s: u64,
    /// Whether those writes left out the page cache.
    pub disk_limit_is_direct: bool,
    /// The two getters.
    pub getters: [GetterFigures; 2],
    /// Time from the start of the getters' processes until the later one was done.
    pub seconds: f64,
    /// The rate at which both copies together grew.
    pub rate_bytes_s: u64,
    /// That rate in relation to the disk limit.
    pub ratio: f64,
    /// How much of the file the faster getter had when tracker 1 was killed.
    pub killed_at_percent: u64,
    /// Time from the kill until tracker 2 had acknowledged the seeder.
    pub fallback_seconds: Option<f64>,
    /// SHA-256 of the source and of the two copies.
    pub sha256: [String; 3],
    /// What is not as it should be.
    pub faults: Vec<String>,
    /// Whether there is no fault.
    pub pass: bool,
}

/// The figures of one getter.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct GetterFigures {
    /// How long its download took.
    pub seconds: f64,
    /// The mean rate of its download.
    pub rate_bytes_s: u64,
    /// Bytes that came from the seeder.
    pub from_seeder_bytes: u64,
    /// Bytes that came from the other getter.
    pub from_other_bytes: u64,
    /// Whether it verified its copy.
    pub verified: bool,
}
