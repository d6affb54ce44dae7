//! The text of the figures, and its description in docs/.

use std::collections::HashSet;

use super::catalog::{FAMILIES, Kind};
use super::encode::{Format, encode};
use super::samples::{Samples, Value};
use crate::metrics::Distribution;

#[test]
fn both_formats_are_what_their_readers_expect() {
    let mut samples = Samples::default();
    samples.labelled("mtorrent_tracker_refusals", ("reason", "a\"b\\c\nd"), 7);
    samples.real("mtorrent_uptime_seconds", 1.5);
    let mut durations = Distribution { seconds: 0.25, ..Distribution::default() };
    durations.buckets[0] = 2;
    durations.buckets[11] = 1;
    samples.add("mtorrent_fsync_seconds", vec![("what", "data".to_owned())], Value::Durations(durations));
    let open = encode(samples.clone(), Format::OpenMetrics).unwrap();
    for line in [
        "# TYPE mtorrent_uptime_seconds gauge",
        "mtorrent_uptime_seconds 1.5",
        "# TYPE mtorrent_tracker_refusals counter",
        r#"mtorrent_tracker_refusals_total{reason="a\"b\\c\nd"} 7"#,
        r#"mtorrent_fsync_seconds_bucket{le="0.0001",what="data"} 2"#,
        r#"mtorrent_fsync_seconds_bucket{le="+Inf",what="data"} 3"#,
        r#"mtorrent_fsync_seconds_count{what="data"} 3"#,
        "# EOF",
    ] {
        assert!(open.lines().any(|found| found == line), "{line} is not in\n{open}");
    }
    let plain = encode(samples, Format::Plain).unwrap();
    assert!(plain.contains("# TYPE mtorrent_tracker_refusals_total counter\n") && !plain.contains("# EOF"), "{plain}");
    let values = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(values(&open), values(&plain));
}

#[test]
fn openmetrics_is_for_those_that_ask_for_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0;charset=utf-8;q=0.6,text/plain;version=0.0.4;q=0.5";
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    for accept in ["", "*/*", "text/html,*/*;q=0.8", "application/openmetrics-text;q=0, text/plain"] {
        assert_eq!(Format::accepted(accept), Format::Plain, "{accept}");
    }
}

#[test]
fn names_follow_the_conventions_and_the_docs_have_them_all() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let mut names = HashSet::new();
    let mut missing = Vec::new();
    for family in FAMILIES {
        assert!(names.insert(family.name), "{} twice", family.name);
        assert!(family.name.starts_with("mtorrent_") || family.name.starts_with("process_"), "{}", family.name);
        assert!(!family.name.ends_with("_total") && family.help.ends_with('.'), "{}", family.name);
        let (kind, total) = match family.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        let row = format!("| `{}{total}` | {kind} | {} |", family.name, family.help);
        if !docs.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    let rows = docs.lines().filter(|line| line.starts_with("| `mtorrent_") || line.starts_with("| `process_")).count();
    assert!(missing.is_empty(), "docs/metrics.md lacks these rows:\n{}", missing.join("\n"));
    assert_eq!(rows, FAMILIES.len(), "docs/metrics.md has rows of no figure");
}
