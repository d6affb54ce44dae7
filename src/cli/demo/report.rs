//! The measurements of the demo, and the checks of its success. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::disk::Limit;
use super::race::Race;
use crate::console::demo_figures::{DemoFigures, GetterFigures};
use crate::console::units::{Rate, Size, Took};
use crate::limits::DEMO_FALLBACK_MAX;

/// The measurements of one run.
#[derive(Clone, Debug)]
pub(super) struct Report {
    size: u64,
    limit: Limit,
    getters: [Getter; 2],
    took: Duration,
    killed_at_percent: u64,
    fallback: Option<Duration>,
    /// SHA-256 of the source and of the copies.
    sums: [String; 3],
}

/// Figures in the last line of a getter.
#[derive(Clone, Copy, Debug, Default)]
struct Getter {
    took: Duration,
    from_seeder_bytes: u64,
    from_other_bytes: u64,
    verified: bool,
}

impl Getter {
    fn from_object(object: &Value, seeder: SocketAddr) -> Self {
        let seeder = seeder.to_string();
        let sources = object["fetched_from"].as_array().map(Vec::as_slice).unwrap_or_default();
        let bytes = |wanted: bool| {
            let those = sources.iter().filter(|source| (source["endpoint"] == seeder.as_str()) == wanted);
            those.filter_map(|source| source["bytes"].as_u64()).sum()
        };
        Self {
            took: object["seconds"].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default(),
            from_seeder_bytes: bytes(true),
            from_other_bytes: bytes(false),
            verified: object["verified"] == true,
        }
    }

    fn seeder_percent(&self) -> u64 {
        let all = self.from_seeder_bytes + self.from_other_bytes;
        (self.from_seeder_bytes * 100 + all / 2).checked_div(all).unwrap_or(0)
    }
}

impl Report {
    /// Creates the report on a finished race.
    pub(super) fn new(size: u64, limit: Limit, race: &Race, seeder: SocketAddr, sums: [String; 3]) -> Self {
        let getter = |object: Option<&Value>| object.map(|o| Getter::from_object(o, seeder)).unwrap_or_default();
        Self {
            size,
            limit,
            getters: race.ended().map(getter),
            took: race.took(),
            killed_at_percent: race.killed_at_percent(),
            fallback: race.fell_back_after(),
            sums,
        }
    }

    /// The checks that failed.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (number, getter) in (1..).zip(&self.getters) {
            if !getter.verified {
                faults.push(format!("getter {number} did not verify its copy"));
            }
            if self.sums[number] != self.sums[0] {
                faults.push(format!("copy {number} differs from the source"));
            }
        }
        if self.fallback.is_none_or(|time| time > DEMO_FALLBACK_MAX) {
            faults.push("the seeder did not fall back to tracker 2 in time".into());
        }
        faults
    }

    /// The combined growth rate of the two copies.
    fn rate_together(&self) -> Rate {
        Rate::mean(2 * self.size, self.took)
    }

    fn ratio(&self) -> f64 {
        self.rate_together().0 as f64 / self.limit.rate.0.max(1) as f64
    }

    /// The report as text; its last line is PASS or FAIL.
    fn text(&self) -> String {
        let how = if self.limit.is_direct { "O_DIRECT" } else { "buffered, this file system refuses O_DIRECT" };
        let mut lines = vec![
            format!("file        {}", Size(self.size)),
            format!("disk limit  {} ({how}, 1 MiB blocks, 4 at once, fsync included)", self.limit.rate),
        ];
        for (number, getter) in (1..).zip(&self.getters) {
            let (rate, percent) = (Rate::mean(self.size, getter.took), getter.seeder_percent());
            lines.push(format!(
                "getter {number}    {} in {}, {rate}: {percent} % from the seeder, {} % from the other getter",
                Size(self.size),
                Took(getter.took),
                100 - percent.min(100),
            ));
        }
        lines.push(format!(
            "together    {} in {}, start of the processes included, {}: {:.2} of the disk limit",
            Size(2 * self.size),
            Took(self.took),
            self.rate_together(),
            self.ratio()
        ));
        let fallback = self.fallback.map_or("no fallback".into(), |time| {
            format!("the seeder was known to tracker 2 after {:.0} ms", time.as_secs_f64() * 1000.0)
        });
        lines.push(format!("fallback    tracker 1 killed at {} %; {fallback}", self.killed_at_percent));
        for (name, sum) in ["source", "copy 1", "copy 2"].iter().zip(&self.sums) {
            lines.push(format!("sha-256     {sum}  {name}"));
        }
        let faults = self.faults();
        lines.push(if faults.is_empty() { "PASS".into() } else { format!("FAIL: {}", faults.join("; ")) });
        lines.join("\n")
    }

    /// The figures to print.
    pub(super) fn figures(&self) -> DemoFigures {
        let getters = self.getters.map(|getter| GetterFigures {
            seconds: getter.took.as_secs_f64(),
            rate_bytes_s: Rate::mean(self.size, getter.took).0,
            from_seeder_bytes: getter.from_seeder_bytes,
            from_other_bytes: getter.from_other_bytes,
            verified: getter.verified,
        });
        DemoFigures {
            text: self.text(),
            bytes: self.size,
            disk_limit_bytes_s: self.limit.rate.0,
            disk_limit_is_direct: self.limit.is_direct,
            getters,
            seconds: self.took.as_secs_f64(),
            rate_bytes_s: self.rate_together().0,
            ratio: self.ratio(),
            killed_at_percent: self.killed_at_percent,
            fallback_seconds: self.fallback.map(|time| time.as_secs_f64()),
            sha256: self.sums.clone(),
            faults: self.faults(),
            pass: self.faults().is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::children::Role;
    use crate::cli::demo::race::tests::second_tracker;
    use serde_json::json;
    use std::time::Instant;

    fn report(sums: [&str; 3], fallback: bool, verified: bool) -> Report {
        let (start, seeder) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], 9)));
        let after = |millis| start + Duration::from_millis(millis);
        let mut race = Race::new(1 << 30, second_tracker(), start);
        let ended = json!({
            "event": "ended", "done_bytes": 1u64 << 30, "seconds": 0.5, "verified": verified,
            "fetched_from": [{ "endpoint": "127.0.0.1:9", "bytes": 3 }, { "endpoint": "127.0.0.1:10", "bytes": 1 }],
        });
        race.take(Role::Getter1, after(700), ended.clone());
        race.note_kill(after(700));
        if fallback {
            race.take(
                Role::Seeder,
                after(712),
                json!({ "event": "announced", "tracker": second_tracker().to_string() }),
            );
        }
        race.take(Role::Getter2, after(1000), ended);
        let limit = Limit { rate: Rate(2 << 30), is_direct: true };
        Report::new(1 << 30, limit, &race, seeder, sums.map(String::from))
    }

    #[test]
    fn a_good_run() {
        let report = report(["a", "a", "a"], true, true);
        let expected = [
            "file        1.0 GiB",
            "disk limit  2.0 GiB/s (O_DIRECT, 1 MiB blocks, 4 at once, fsync included)",
            "getter 1    1.0 GiB in 0.5 s, 2.0 GiB/s: 75 % from the seeder, 25 % from the other getter",
            "getter 2    1.0 GiB in 0.5 s, 2.0 GiB/s: 75 % from the seeder, 25 % from the other getter",
            "together    2.0 GiB in 1.0 s, start of the processes included, 2.0 GiB/s: 1.00 of the disk limit",
            "fallback    tracker 1 killed at 100 %; the seeder was known to tracker 2 after 12 ms",
            "sha-256     a  source",
            "sha-256     a  copy 1",
            "sha-256     a  copy 2",
            "PASS",
        ];
        assert_eq!(report.text().lines().collect::<Vec<_>>(), expected);
        assert!(report.figures().pass);
    }

    #[test]
    fn every_fault_is_told() {
        for (report, words) in [
            (report(["a", "a", "b"], true, true), "copy 2 differs"),
            (report(["a", "b", "a"], true, true), "copy 1 differs"),
            (report(["a", "a", "a"], false, true), "did not fall back"),
            (report(["a", "a", "a"], true, false), "did not verify"),
        ] {
            let text = report.text();
            let last = text.lines().last().unwrap();
            assert!(last.starts_with("FAIL: ") && last.contains(words), "{text}");
        }
    }
}
