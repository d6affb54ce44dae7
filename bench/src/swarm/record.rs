//! One row of raw.csv: one turn of one contestant; and of getters.csv: one getter of it.

use std::collections::BTreeMap;

use super::row::Row;
use crate::harness::process_tree::Memory;
use crate::harness::statistics::median;

/// Above this part of the machine's CPU time, a turn may be limited by the CPUs.
pub const CPU_BOUND: f64 = 0.85;

/// Results of one turn.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the round, from 1.
    pub round: u32,
    /// The case.
    pub row: Row,
    /// The contestant's name.
    pub name: String,
    /// The figures, or the reason why there are none.
    pub outcome: Result<Figures, String>,
}

/// The figures of a turn that ended, well or not.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Figures of every getter.
    pub getters: Vec<GetterFigures>,
    /// Number of copies of the file that the seeder's link carried.
    pub seeder_sent: f64,
    /// Part of the machine's CPU time that was not idle, 0 to 1.
    pub busy: f64,
    /// CPU seconds used on the machine.
    pub machine_cpu_s: f64,
    /// CPU seconds of the contestant's own processes.
    pub own_cpu_s: f64,
    /// Time at which the seeder was killed, after the turn's start, seconds.
    pub seeder_died_s: Option<f64>,
    /// Command lines of the servers and of the first getter.
    pub typed: Vec<String>,
}

/// Results of one getter.
#[derive(Debug, Clone)]
pub struct GetterFigures {
    /// Index of the getter, from 0.
    pub number: usize,
    /// Whether it had a tenth of the rate.
    pub is_slow: bool,
    /// Its start, after the turn's start, seconds.
    pub started_s: f64,
    /// Its completion, after the turn's start, seconds.
    pub done_s: Option<f64>,
    /// The reason why it has no right copy.
    pub failure: Option<String>,
    /// Number of times that it was killed and restarted.
    pub restarts: u32,
    /// Largest memory sampled.
    pub memory: Memory,
    /// Bytes by address of the sender, if the program reports them.
    pub received: BTreeMap<String, u64>,
}

impl GetterFigures {
    /// Time from its start to its completion, seconds.
    pub fn took_s(&self) -> Option<f64> {
        Some(self.done_s? - self.started_s)
    }
}

impl Figures {
    /// The times of the getters with the full rate, seconds.
    fn times_s(&self) -> Vec<f64> {
        self.getters.iter().filter(|getter| !getter.is_slow).filter_map(GetterFigures::took_s).collect()
    }

    /// The time of the last getter with the full rate, seconds.
    pub fn last_s(&self) -> f64 {
        self.times_s().into_iter().fold(f64::NAN, f64::max)
    }

    /// The median time of the getters with the full rate, seconds.
    pub fn median_s(&self) -> f64 {
        median(&self.times_s())
    }

    /// The time of the last slow getter, seconds.
    pub fn slow_s(&self) -> Option<f64> {
        self.getters.iter().filter(|getter| getter.is_slow).filter_map(GetterFigures::took_s).reduce(f64::max)
    }

    /// Number of getters with a right copy.
    pub fn right(&self) -> usize {
        self.getters.iter().filter(|getter| getter.failure.is_none()).count()
    }

    /// Number of copies of the file that the getters received from the seeder, according to their own reports.
    pub fn payload_copies(&self, row: &Row) -> Option<f64> {
        let seeder = super::nodes::address(super::stage::SEEDER_AT).to_string();
        if self.getters.iter().all(|getter| getter.received.is_empty()) {
            return None;
        }
        let bytes: u64 = self.getters.iter().filter_map(|getter| getter.received.get(&seeder)).sum();
        Some(bytes as f64 / row.size as f64)
    }

    /// The largest anonymous and locked memory of a getter, bytes.
    pub fn memory(&self) -> Memory {
        self.getters.iter().map(|getter| getter.memory).fold(Memory::default(), Memory::max)
    }
}

impl Record {
    /// True if every getter has a right copy.
    pub fn is_right(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|figures| figures.right() == self.row.getters)
    }

    /// Time of the last getter as a ratio to the ideal; NaN without a cap.
    pub fn ratio(&self) -> f64 {
        let last_s = self.outcome.as_ref().map_or(f64::NAN, Figures::last_s);
        last_s / self.row.ideal_s().unwrap_or(f64::NAN)
    }

    /// Gigabytes that all getters together requested.
    pub fn moved_gb(&self) -> f64 {
        self.row.getters as f64 * self.row.size as f64 / 1e9
    }

    /// The faults, in one line.
    pub fn remark(&self) -> String {
        match &self.outcome {
            Err(why) => why.clone(),
            Ok(figures) => {
                let failures = failures(&figures.getters);
                let more = failures.len().saturating_sub(2);
                let listed = failures.into_iter().take(2).collect::<Vec<_>>().join("; ");
                if more > 0 { format!("{listed}; and {more} more") } else { listed }
            }
        }
    }
}

/// All turns in the order in which they were run, with a header.
pub fn csv(records: &[Record]) -> String {
    let mut text = "round,row,contestant,getters_right,getters,last_s,median_s,ideal_s,last_by_ideal,median_by_ideal,\
                    slow_last_s,seeder_sent_copies,seeder_payload_copies,busy,cpu_bound,machine_cpu_s_per_gb,\
                    own_cpu_s_per_gb,own_memory_max_bytes,seeder_died_s,remark\n"
        .to_owned();
    for record in records {
        let Record { round, row, name, .. } = record;
        let figures = record.outcome.as_ref().map_or_else(|_| ",".repeat(15), |figures| fields(record, figures));
        let remark = record.remark().replace('"', "'").replace('\n', " ");
        text += &format!("{round},{row},{name},{figures},\"{remark}\"\n");
    }
    text
}

fn fields(record: &Record, figures: &Figures) -> String {
    let row = &record.row;
    let ideal_s = row.ideal_s();
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let finite = |value: f64| if value.is_finite() { format!("{value:.4}") } else { String::new() };
    [
        figures.right().to_string(),
        row.getters.to_string(),
        finite(figures.last_s()),
        finite(figures.median_s()),
        optional(ideal_s),
        finite(record.ratio()),
        optional(ideal_s.map(|ideal_s| figures.median_s() / ideal_s)),
        optional(figures.slow_s()),
        finite(figures.seeder_sent),
        optional(figures.payload_copies(row)),
        finite(figures.busy),
        if figures.busy > CPU_BOUND { "yes" } else { "no" }.to_owned(),
        finite(figures.machine_cpu_s / record.moved_gb()),
        finite(figures.own_cpu_s / record.moved_gb()),
        figures.memory().own.to_string(),
        optional(figures.seeder_died_s),
    ]
    .join(",")
}

/// All getters of all turns, with a header.
pub fn getters_csv(records: &[Record]) -> String {
    let mut text =
        "round,row,contestant,getter,slow,started_s,done_s,took_s,right,restarts,own_memory_bytes,received\n"
            .to_owned();
    for record in records {
        let Record { round, row, name, .. } = record;
        for getter in record.outcome.iter().flat_map(|figures| &figures.getters) {
            let seconds = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
            let word = |is: bool| if is { "yes" } else { "no" };
            let received: Vec<String> =
                getter.received.iter().map(|(address, bytes)| format!("{address}:{bytes}")).collect();
            text += &format!(
                "{round},{row},{name},{},{},{:.3},{},{},{},{},{},{}\n",
                getter.number,
                word(getter.is_slow),
                getter.started_s,
                seconds(getter.done_s),
                seconds(getter.took_s()),
                word(getter.failure.is_none()),
                getter.restarts,
                getter.memory.own,
                received.join(" ")
            );
        }
    }
    text
}

/// The copies that are wrong or missing, by getter.
fn failures(getters: &[GetterFigures]) -> Vec<String> {
    let failed = getters.iter().filter_map(|getter| Some((getter.number, getter.failure.as_ref()?)));
    failed.map(|(number, why)| format!("getter {number}: {why}")).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A turn of `name` in which every getter took `took_s`.
    pub fn record(row: &str, name: &str, round: u32, took_s: f64) -> Record {
        let row: Row = row.parse().expect("a row");
        let getter = |number| GetterFigures {
            number,
            is_slow: false,
            started_s: 0.0,
            done_s: Some(took_s),
            failure: None,
            restarts: 0,
            memory: Memory { resident: 2 << 20, own: 1 << 20 },
            received: BTreeMap::from([("10.88.0.2".to_owned(), row.size)]),
        };
        let figures = Figures {
            getters: (0..row.getters).map(getter).collect(),
            seeder_sent: 1.1,
            busy: 0.2,
            machine_cpu_s: 3.0,
            own_cpu_s: 2.0,
            seeder_died_s: None,
            typed: vec!["a".to_owned()],
        };
        Record { round, row, name: name.to_owned(), outcome: Ok(figures) }
    }

    #[test]
    fn every_row_has_as_many_fields_as_the_heading() {
        let mut failed = record("2:200Mbit:256MiB", "aria2", 1, 20.0);
        failed.outcome = Err("it said: \"no\"".to_owned());
        let records = [record("2:200Mbit:256MiB", "mtorrent", 1, 12.0), failed];
        for text in [csv(&records), getters_csv(&records)] {
            let counts: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
            assert!(counts.iter().all(|count| *count == counts[0]), "{text}");
        }
    }

    #[test]
    fn a_wrong_copy_is_not_right() {
        let mut record = record("2:200Mbit:256MiB", "mtorrent", 1, 12.0);
        assert!(record.is_right() && (record.ratio() - 1.0684).abs() < 0.001);
        assert_eq!(record.outcome.as_ref().expect("figures").payload_copies(&record.row), Some(2.0));
        record.outcome.as_mut().expect("figures").getters[1].failure = Some("differs at byte 3".to_owned());
        assert!(!record.is_right());
        assert_eq!(record.remark(), "getter 1: differs at byte 3");
    }
}
