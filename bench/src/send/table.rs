//! The table of results. Pure: it must not measure or decide anything.

use std::fmt::Write;

use mtorrent_bench::harness::statistics::median;

use super::load::Means;
use super::method::Method;
use super::options::Options;
use super::place::Place;
use super::transfer::Run;

/// A method at a place.
#[derive(Debug)]
pub struct Row<'a> {
    /// The place's name.
    pub name: &'static str,
    /// The place, if it could be created.
    pub place: Option<&'a Place>,
    /// The congestion control.
    pub control: &'static str,
    /// The method.
    pub method: Method,
    /// Result of the row.
    pub outcome: Outcome,
}

/// Result of a row.
#[derive(Debug)]
pub enum Outcome {
    /// The bytes were right; measurements of its rounds.
    Runs(Vec<Run>),
    /// The method is not available, with the reason.
    Unavailable(String),
    /// The received bytes were not those of the file.
    WrongBytes,
}

impl Row<'_> {
    /// Whether the row delivered the right bytes, or is unavailable.
    pub fn is_right(&self) -> bool {
        !matches!(self.outcome, Outcome::WrongBytes)
    }
}

/// The table with the notes needed to read it, as markdown.
pub fn render(options: &Options, rows: &[Row<'_>], load: &Means) -> String {
    let mut text = format!(
        "Median (min-max) of {} rounds of {} MiB, chunks of 1 MiB in random order; sender and receiver {}. The run \
         took {:.0} s, in which others used {:.2} cores. CPU is the thread's own, s/GB; work that the kernel does \
         in an interrupt is charged to whom it interrupts. SHA-1 of the stream compared once a row.\n\n\
         | network | control | method | GB/s | sender s/GB | receiver s/GB | note |\n|---|---|---|---|---|---|---|\n",
        options.rounds(),
        options.chunks(),
        if options.unpinned { "not pinned" } else { "pinned to a core each" },
        load.wall_s,
        load.others_cores,
    );
    for row in rows {
        let _ = writeln!(text, "| {} | {} | {} | {} |", row.name, row.control, row.method.name(), cells(&row.outcome));
    }
    text
}

fn cells(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Runs(runs) => {
            let of = |value: fn(&Run) -> f64| spread(&runs.iter().map(value).collect::<Vec<_>>());
            let rate = of(|run| run.rate);
            format!("{rate} | {} | {} | {}", of(|run| run.sender_cpu), of(|run| run.receiver_cpu), note(runs))
        }
        Outcome::Unavailable(why) => format!("- | - | - | not available: {}", why.replace(['|', '\n'], " ")),
        Outcome::WrongBytes => "- | - | - | WRONG BYTES".to_owned(),
    }
}

fn note(runs: &[Run]) -> String {
    let copied: Vec<f64> = runs.iter().filter_map(|run| run.copied).collect();
    if copied.is_empty() { String::new() } else { format!("{:.0} % copied after all", median(&copied) * 100.0) }
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({low:.2}-{high:.2})", median(values))
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Run, cells};

    #[test]
    fn a_row_of_each_outcome() {
        let run = |rate, copied| Run { rate, sender_cpu: 0.25, receiver_cpu: 0.5, copied, digest: None };
        let rows = [
            (
                Outcome::Runs(vec![run(3.0, None), run(1.0, None), run(2.0, None)]),
                "2.00 (1.00-3.00) | 0.25 (0.25-0.25) | 0.50 (0.50-0.50) | ",
            ),
            (
                Outcome::Runs(vec![run(1.0, Some(1.0))]),
                "1.00 (1.00-1.00) | 0.25 (0.25-0.25) | 0.50 (0.50-0.50) | 100 % copied after all",
            ),
            (Outcome::Unavailable("a|b".to_owned()), "- | - | - | not available: a b"),
            (Outcome::WrongBytes, "- | - | - | WRONG BYTES"),
        ];
        for (outcome, expected) in rows {
            assert_eq!(cells(&outcome), expected);
        }
    }
}
