//! One row of raw.csv: one run of one workload, with its rate and its errors.

use super::cpu_time::Usage;
use super::workload::Workload;
use crate::load;

/// Most CPU usage by others in a run that counts, in CPUs.
const OTHERS_MAX: f64 = 0.1;

/// Results of one run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the round, from 1.
    pub round: u32,
    /// The contestant's name.
    pub name: &'static str,
    /// Workload of the run.
    pub workload: Workload,
    /// CPU usage of the run.
    pub usage: Usage,
    /// The figures, or the reason why there are none.
    pub outcome: Result<Figures, String>,
}

/// The figures of a complete run.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Answers a second, wrong ones included.
    pub answers_per_s: f64,
    /// User and system CPU time of the server per answer, microseconds.
    pub cpu_us: f64,
    /// User CPU time of the server per answer, microseconds.
    pub user_us: f64,
    /// The part of a core that the server used; 1 is all of it.
    pub server_cores: f64,
    /// Median and 99th percentile of the time from a request to its answer, if the load measures it.
    pub latency_us: Option<(u64, u64)>,
    /// Number of refusals, and of answers to another request.
    pub errors: u64,
    /// Number of answers without a seeder, although every file has two.
    pub nobody: u64,
}

impl From<load::Figures> for Figures {
    fn from(seen: load::Figures) -> Self {
        let at = |quantile| seen.latencies_us.value_at_quantile(quantile);
        Self {
            answers_per_s: seen.rate(),
            cpu_us: seen.cpu_us_per_answer().unwrap_or(f64::NAN),
            user_us: seen.user_us_per_answer().unwrap_or(f64::NAN),
            server_cores: seen.server_cores().unwrap_or(f64::NAN),
            latency_us: Some((at(0.5), at(0.99))),
            errors: seen.errors,
            nobody: seen.nobody,
        }
    }
}

impl Record {
    /// A row of the contestant `name`.
    pub fn new(
        round: u32,
        name: &'static str,
        workload: Workload,
        usage: Usage,
        outcome: Result<Figures, String>,
    ) -> Self {
        Self { round, name, workload, usage, outcome }
    }

    /// The figures, if every answer was right.
    pub fn right(&self) -> Option<&Figures> {
        self.outcome.as_ref().ok().filter(|figures| figures.errors == 0 && figures.nobody == 0)
    }

    /// True if the run ended and every answer was right.
    pub fn is_right(&self) -> bool {
        self.right().is_some()
    }

    /// Whether the CPUs were undisturbed.
    pub fn is_quiet(&self) -> bool {
        self.usage.others <= OTHERS_MAX
    }

    /// The figures, if they count: every answer was right, and the CPUs were undisturbed.
    pub fn counted(&self) -> Option<&Figures> {
        self.right().filter(|_| self.is_quiet())
    }

    /// The reason why the run is not right.
    pub fn remark(&self) -> String {
        match &self.outcome {
            Err(why) => why.replace('"', "'").replace('\n', " "),
            Ok(Figures { errors: 0, nobody: 0, .. }) => String::new(),
            Ok(Figures { errors, nobody, .. }) => format!("{errors} wrong answers and {nobody} without a seeder"),
        }
    }
}

/// All rows in the order in which they were run, with a header.
pub fn csv(records: &[Record]) -> String {
    let mut text =
        "round,contestant,workload,depth,answers_per_s,server_cpu_us_per_answer,user_us_per_answer,server_cores,\
                    cpu_idle,others_cpus,p50_us,p99_us,errors,without_seeder,remark\n"
            .to_owned();
    for record in records {
        let Record { round, name, workload, usage, outcome } = record;
        let figures = outcome.as_ref().map_or(",,,,,,,,,".to_owned(), |figures| figures_csv(figures, *usage));
        let (what, depth, remark) = (workload.what.word(), workload.depth, record.remark());
        text += &format!("{round},{name},{what},{depth},{figures},\"{remark}\"\n");
    }
    text
}

fn figures_csv(figures: &Figures, usage: Usage) -> String {
    let Usage { idle, others } = usage;
    let Figures { answers_per_s, cpu_us, user_us, server_cores, latency_us, errors, nobody } = figures;
    let latency = latency_us.map_or(",".to_owned(), |(p50, p99)| format!("{p50},{p99}"));
    format!(
        "{answers_per_s:.0},{cpu_us:.3},{user_us:.3},{server_cores:.4},{idle:.4},{others:.4},{latency},{errors},{nobody}"
    )
}

#[cfg(test)]
pub mod tests {
    use super::super::{mtorrent, redis};
    use super::*;

    /// A run of mtorrent, or of Redis, at `answers_per_s` with all of a core.
    pub fn record(ours: bool, workload: Workload, answers_per_s: f64) -> Record {
        let name = if ours { mtorrent::MEMORY.name } else { redis::MEMORY.name };
        let cpu_us = 1e6 / answers_per_s;
        let latency_us = Some((400, 900));
        let figures = Figures {
            answers_per_s,
            cpu_us,
            user_us: cpu_us / 4.0,
            server_cores: 1.0,
            latency_us,
            errors: 0,
            nobody: 0,
        };
        Record::new(1, name, workload, Usage { idle: 0.0, others: 0.0 }, Ok(figures))
    }

    #[test]
    fn every_row_has_as_many_fields_as_the_heading() {
        let right = record(true, Workload::ALL[0], 1e5);
        let (mut failed, mut wrong, mut blind) = (right.clone(), right.clone(), right.clone());
        failed.outcome = Err("it said \"no\"".to_owned());
        if let (Ok(wrong), Ok(blind)) = (&mut wrong.outcome, &mut blind.outcome) {
            (wrong.errors, blind.latency_us) = (1, None);
        }
        let rows = [right, failed, wrong, blind];
        assert_eq!(rows.each_ref().map(Record::is_right), [true, false, false, true]);
        let text = csv(&rows);
        let counts: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [15; 5], "{text}");
    }
}
