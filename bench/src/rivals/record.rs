//! One row of raw.csv: one run of one contestant, with its time and the check of its bytes.

use super::contestant::{Contestant, Role};
use super::stage::Sink;
use crate::harness::process_tree::Memory;

/// Results of one run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the round, from 1.
    pub round: u32,
    /// TCP congestion control.
    pub control: String,
    /// The contestant's name.
    pub name: &'static str,
    /// Role of the contestant.
    pub role: Role,
    /// Destination of the bytes.
    pub sink: Sink,
    /// The figures, or the reason why there are none.
    pub outcome: Result<Figures, String>,
}

/// The figures of a complete run.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Time from the getter's exec to its end, seconds.
    pub wall_s: f64,
    /// Time of an fsync of the copy after that, seconds: near 0 for a getter that has called it itself.
    pub settle_s: f64,
    /// Bytes a second: by wall time, or as reported by a limit's program.
    pub bytes_per_s: f64,
    /// User and system CPU seconds of the getter.
    pub getter_cpu_s: f64,
    /// User and system CPU seconds of all its servers while it ran; 10 ms steps.
    pub server_cpu_s: f64,
    /// Largest memory of the getter.
    pub memory: Memory,
    /// The part of the source that was in the page cache just before, 0 to 1.
    pub source_cached: f64,
    /// Whether the bytes were right.
    pub verdict: Verdict,
}

/// Whether the bytes were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte of the copy equals the source's.
    Same,
    /// The program itself checked every chunk's hash and ended well; no copy was kept.
    Hashed,
    /// The number of bytes equals that of the source; no copy was kept.
    Counted,
    /// A limit, not a copy.
    Limit,
    /// Wrong, with the difference.
    Wrong(String),
}

impl Record {
    /// True if the run ended and its bytes were right, as far as they could be checked.
    pub fn is_right(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|figures| !matches!(figures.verdict, Verdict::Wrong(_)))
    }

    /// A row of `contestant` in the given place.
    pub fn new(
        round: u32,
        control: &str,
        contestant: &Contestant,
        sink: Sink,
        outcome: Result<Figures, String>,
    ) -> Self {
        Self { round, control: control.to_owned(), name: contestant.name, role: contestant.role, sink, outcome }
    }

    /// The column of correctness, and a remark.
    pub fn verdict(&self) -> (&'static str, &str) {
        match &self.outcome {
            Err(why) => ("failed", why),
            Ok(figures) => match &figures.verdict {
                Verdict::Same => ("same", ""),
                Verdict::Hashed => ("hashed", ""),
                Verdict::Counted => ("counted", ""),
                Verdict::Limit => ("limit", ""),
                Verdict::Wrong(how) => ("wrong", how),
            },
        }
    }
}

/// All rows in the order in which they were run, with a header.
pub fn csv(records: &[Record]) -> String {
    let mut text =
        "round,congestion_control,contestant,role,sink,bytes_are,wall_s,fsync_after_s,gb_per_s,getter_cpu_s,\
                    server_cpu_s,peak_resident_bytes,peak_anonymous_and_locked_bytes,source_cached,remark\n"
            .to_owned();
    for record in records {
        let (verdict, remark) = record.verdict();
        let Record { round, control, name, role, sink, .. } = record;
        let figures = record.outcome.as_ref().map_or(",,,,,,,".to_owned(), figures_csv);
        let (role, sink, remark) = (role.word(), sink.word(), remark.replace('"', "'").replace('\n', " "));
        text += &format!("{round},{control},{name},{role},{sink},{verdict},{figures},\"{remark}\"\n");
    }
    text
}

fn figures_csv(figures: &Figures) -> String {
    format!(
        "{:.4},{:.4},{:.4},{:.3},{:.3},{},{},{:.4}",
        figures.wall_s,
        figures.settle_s,
        figures.bytes_per_s / 1e9,
        figures.getter_cpu_s,
        figures.server_cpu_s,
        figures.memory.resident,
        figures.memory.own,
        figures.source_cached
    )
}

#[cfg(test)]
pub mod tests {
    use super::super::{limit, mtorrent};
    use super::*;

    /// A run of mtorrent, or of fio, at `gb_per_s`.
    pub fn record(ours: bool, round: u32, gb_per_s: f64) -> Record {
        let contestant = if ours { &mtorrent::MTORRENT } else { &limit::FIO_URING };
        let figures = Figures {
            wall_s: 4.0 / gb_per_s,
            settle_s: 0.0,
            bytes_per_s: gb_per_s * 1e9,
            getter_cpu_s: 1.0,
            server_cpu_s: 0.5,
            memory: Memory { resident: 10 << 20, own: 5 << 20 },
            source_cached: 1.0,
            verdict: if ours { Verdict::Same } else { Verdict::Limit },
        };
        Record::new(round, "bbr", contestant, Sink::Disk, Ok(figures))
    }

    #[test]
    fn every_row_has_as_many_fields_as_the_heading() {
        let mut failed = record(true, 2, 1.0);
        failed.outcome = Err("it said: \"no\"".to_owned());
        assert!(!failed.is_right());
        let text = csv(&[record(false, 1, 2.0), record(true, 1, 1.5), failed]);
        let counts: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [15; 4], "{text}");
    }
}
