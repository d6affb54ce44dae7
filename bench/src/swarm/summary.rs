//! summary.md: medians of the turns.

use std::fmt::Write;

use super::record::{CPU_BOUND, Figures, Record};
use super::row::{Row, Variant};
use crate::harness::statistics::{Estimate, interval, median, median_estimate, number};

/// One contestant in one row of the table.
#[derive(Debug)]
pub struct Line {
    /// The case.
    pub row: Row,
    /// The contestant.
    pub name: String,
    /// Number of turns.
    pub turns: usize,
    /// Number of turns in which every copy was right.
    pub right: usize,
    /// Time of the last getter, seconds.
    pub last_s: Option<Estimate>,
    /// Time of the last getter as a ratio to the ideal.
    pub ratio: Option<Estimate>,
    /// Time of the median getter as a ratio to the ideal.
    pub median_ratio: f64,
    /// Number of copies that the seeder sent.
    pub copies: f64,
    /// Part of the machine's CPU time that was not idle.
    pub busy: f64,
    /// CPU seconds of the contestant's own processes a gigabyte.
    pub cpu_s_per_gb: f64,
    /// Largest memory of a getter, bytes.
    pub memory: f64,
    /// Time of the last slow getter, seconds.
    pub slow_s: f64,
    /// Time at which the seeder was killed, seconds.
    pub seeder_died_s: f64,
    /// Ratio of its times to those of the row without faults, if there is one.
    pub by_plain: Option<f64>,
}

/// The lines of `records`, in the order of first appearance.
pub fn lines(records: &[Record]) -> Vec<Line> {
    let mut places: Vec<(Row, &str)> = Vec::new();
    for record in records {
        let place = (record.row, record.name.as_str());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // Even rounds run backwards: rows keep their order, and so do the contestants of the first round.
    places.into_iter().map(|(row, name)| line(records, row, name)).collect()
}

fn line(records: &[Record], row: Row, name: &str) -> Line {
    let is_it = |record: &&Record| record.row == row && record.name == name;
    let turns: Vec<&Record> = records.iter().filter(is_it).collect();
    let right: Vec<&Record> = turns.iter().copied().filter(|record| record.is_right()).collect();
    let values = |figure: &dyn Fn(&Record, &Figures) -> f64| -> Vec<f64> {
        let outcomes = right.iter().filter_map(|record| Some((*record, record.outcome.as_ref().ok()?)));
        outcomes.map(|(record, figures)| figure(record, figures)).filter(|value| value.is_finite()).collect()
    };
    let of = |figure: &dyn Fn(&Record, &Figures) -> f64| median(&values(figure));
    let last_s = values(&|_, figures| figures.last_s());
    let is_plain = |record: &&Record| record.row == row.plain() && record.name == name && record.is_right();
    let plain_s: Vec<f64> = records
        .iter()
        .filter(is_plain)
        .filter_map(|record| record.outcome.as_ref().ok())
        .map(Figures::last_s)
        .collect();
    Line {
        row,
        name: name.to_owned(),
        turns: turns.len(),
        right: right.len(),
        by_plain: (row.variant != Variant::Plain && !plain_s.is_empty() && !last_s.is_empty())
            .then(|| median(&last_s) / median(&plain_s)),
        last_s: median_estimate(&last_s),
        ratio: median_estimate(&values(&|record, _| record.ratio())),
        median_ratio: of(&|record, figures| figures.median_s() / record.row.ideal_s().unwrap_or(f64::NAN)),
        copies: of(&|_, figures| figures.seeder_sent),
        busy: of(&|_, figures| figures.busy),
        cpu_s_per_gb: of(&|record, figures| figures.own_cpu_s / record.moved_gb()),
        memory: of(&|_, figures| figures.memory().own as f64),
        seeder_died_s: of(&|_, figures| figures.seeder_died_s.unwrap_or(f64::NAN)),
        slow_s: of(&|_, figures| figures.slow_s().unwrap_or(f64::NAN)),
    }
}

/// The complete summary.md.
pub fn markdown(records: &[Record]) -> String {
    let mut text = HEAD.to_owned();
    for line in lines(records) {
        let bound = if line.busy > CPU_BOUND { " **CPU-bound**" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {}/{} | {} | {} | {} | {} | {:.0} %{bound} | {} | {:.0} | {} |",
            line.row,
            if line.name.starts_with("mtorrent") { format!("**{}**", line.name) } else { line.name.clone() },
            line.right,
            line.turns,
            interval(line.ratio),
            number(line.median_ratio),
            interval(line.last_s),
            number(line.copies),
            100.0 * line.busy,
            number(line.cpu_s_per_gb),
            line.memory / f64::from(1 << 20),
            remark(&line),
        );
    }
    let wrong: Vec<&Record> = records.iter().filter(|record| !record.is_right()).collect();
    if !wrong.is_empty() {
        text += "\n## Turns that failed\n\n";
    }
    for record in wrong {
        let right = record.outcome.as_ref().map_or(0, Figures::right);
        let Record { round, row, name, .. } = record;
        let _ = writeln!(
            text,
            "- round {round}, {row}, {name}: {right} of {} copies right: {}",
            row.getters,
            record.remark()
        );
    }
    text
}

const HEAD: &str = "# Summary\n\nA row is GETTERS:RATE:SIZE:VARIANT. Times are from a getter's exec until it says that it \
                    is done; *last* is the slowest getter's, the ideal is the size by 95.6 % of the rate (headers). \
                    Medians of the turns in which every copy was right, in brackets their 95 % bootstrap intervals, with \
                    few rounds their whole range. *Copies* is what the seeder's link carried by the file's size. CPU is \
                    the part of all CPUs' time that was not idle; s/GB are CPU seconds of the contestant's own processes \
                    for each gigabyte that arrived anywhere. Memory is the largest anonymous and locked memory of a \
                    getter, looked at once a second.\n\n\
                    | row | | right | last by ideal | median getter by ideal | last, s | copies | CPU | s/GB | MiB | |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|\n";

fn remark(line: &Line) -> String {
    let mut text = line.by_plain.map_or(String::new(), |ratio| format!("{ratio:.2} of plain"));
    if line.slow_s.is_finite() {
        let ideal_s = line.row.cap.tenth().ideal_s(line.row.size).unwrap_or(f64::NAN);
        let _ = write!(text, " slow ones {:.2} of their ideal", line.slow_s / ideal_s);
    }
    if line.seeder_died_s.is_finite() {
        let _ = write!(text, " seeder killed after {:.2} s", line.seeder_died_s);
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn medians_are_of_right_turns() {
        let row = "2:200Mbit:256MiB";
        let mut records: Vec<Record> = (1..=3).map(|round| record(row, "mtorrent", round, 11.232)).collect();
        let mut wrong = record(row, "mtorrent", 4, 99.0);
        wrong.outcome = Err("no seeder".to_owned());
        records.push(wrong);
        records.push(record("2:200Mbit:256MiB:leave", "mtorrent", 1, 22.464));
        let text = markdown(&records);
        assert!(text.contains("| 2:200Mbit:256MiB:plain | **mtorrent** | 3/4 | 1.00 [1.00, 1.00] |"), "{text}");
        assert!(text.contains("2.00 of plain"), "{text}");
        assert!(text.contains("- round 4, 2:200Mbit:256MiB:plain, mtorrent: 0 of 2 copies right: no seeder"), "{text}");
    }
}
