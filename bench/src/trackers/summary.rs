//! summary.md: medians of the rows. Only runs without a wrong answer and without other CPU usage count; their number is
//! stated beside every figure.

use std::fmt::Write;

use super::contestant::Contestant;
use super::record::{Figures, Record};
use super::workload::{What, Workload};
use super::{aquatic, mtorrent, redis};
use crate::harness::statistics::{Estimate, interval, median, median_estimate, number, ratio_estimate};

/// Below this part of its core, a server was limited by something else: the load, the disk or other processes.
const TELLING_CORES: f64 = 0.95;

/// The complete summary.md.
pub fn markdown(field: &[&Contestant], records: &[Record]) -> String {
    let mut text = "# Summary\n\nMedians with 95 % bootstrap intervals in brackets; with few rounds the interval is \
                    their whole range. *counted* are the runs in which every answer was right and others used at most \
                    a tenth of a CPU: only those are in the figures. *CPU us* is user and system time of the server an \
                    answer, *of it user* what it spends outside the kernel. *by redis* is the contestant's rate by \
                    that of the Redis that acknowledges in the same way, then the CPU time of that Redis by its own: over 1 is better than Redis. † marks servers that \
                    had less than 95 % of their core: their rate does not tell what they can do, their CPU time an \
                    answer still does. *idle* is what nobody used of that core.\n"
        .to_owned();
    for workload in Workload::ALL {
        text += &table(field, Selection { records, workload });
    }
    text += &goals(records);
    let wrong: Vec<&Record> = records.iter().filter(|record| !record.is_right()).collect();
    if !wrong.is_empty() {
        text += "\n## Runs that failed\n\n";
    }
    for record in wrong {
        let (round, name, title) = (record.round, record.name, record.workload.title());
        let _ = writeln!(text, "- round {round}, {name}, {title}: {}", record.remark());
    }
    text
}

/// The runs of one workload.
#[derive(Clone, Copy)]
struct Selection<'a> {
    records: &'a [Record],
    workload: Workload,
}

impl<'a> Selection<'a> {
    fn all(self, name: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.workload == self.workload && record.name == name)
    }

    fn of(self, name: &'a str, figure: impl Fn(&Figures) -> f64) -> Vec<f64> {
        self.all(name).filter_map(Record::counted).map(figure).collect()
    }

    fn rates(self, name: &'a str) -> Vec<f64> {
        self.of(name, |figures| figures.answers_per_s)
    }

    fn cpu(self, name: &'a str) -> Vec<f64> {
        self.of(name, |figures| figures.cpu_us)
    }

    /// Whether the server used its whole core.
    fn is_core_bound(self, name: &'a str) -> bool {
        median(&self.of(name, |figures| figures.server_cores)) >= TELLING_CORES
    }
}

fn table(field: &[&Contestant], selection: Selection) -> String {
    let present: Vec<_> = field.iter().filter(|contestant| selection.all(contestant.name).count() > 0).collect();
    if present.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## {}\n\n| | counted | answers/s | CPU us | of it user | by redis | by redis, CPU | server's core | idle | \
         p50 ms | p99 ms |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        selection.workload.title()
    );
    for contestant in present {
        text += &row(contestant, selection);
    }
    text
}

fn row(contestant: &Contestant, selection: Selection) -> String {
    let name = contestant.name;
    let (rates, cpu) = (selection.rates(name), selection.cpu(name));
    let cores = median(&selection.of(name, |figures| figures.server_cores));
    let counted = selection.all(name).filter(|record| record.counted().is_some());
    let idle = median(&counted.map(|record| record.usage.idle).collect::<Vec<_>>());
    let latency = |part: fn((u64, u64)) -> u64| {
        let in_ms = |figures: &Figures| figures.latency_us.map_or(f64::NAN, |pair| part(pair) as f64 / 1e3);
        number(median(&selection.of(name, in_ms)))
    };
    let redis = counterpart(name);
    let is_comparable = |against: &&str| *against != name && contestant.pinned;
    let by_rate = redis.filter(is_comparable).and_then(|redis| ratio_estimate(&rates, &selection.rates(redis)));
    let by_cpu = redis.filter(|redis| *redis != name).and_then(|redis| ratio_estimate(&selection.cpu(redis), &cpu));
    let mark = if selection.is_core_bound(name) || !contestant.pinned { "" } else { " †" };
    let rate = if contestant.pinned { whole(median_estimate(&rates)) } else { "–".to_owned() };
    let (counted, runs) = (rates.len(), selection.all(name).count());
    let line = [
        name.to_owned(),
        format!("{counted}/{runs}"),
        rate,
        interval(median_estimate(&cpu)),
        number(median(&selection.of(name, |figures| figures.user_us))),
        interval(by_rate),
        interval(by_cpu),
        format!("{} %{mark}", number(100.0 * cores)),
        format!("{} %", number(100.0 * idle)),
        latency(|(p50, _)| p50),
        latency(|(_, p99)| p99),
    ];
    format!("| {} |\n", line.join(" | "))
}

/// The Redis configuration with the same acknowledgement as `name`.
fn counterpart(name: &str) -> Option<&'static str> {
    [(mtorrent::MEMORY.name, redis::MEMORY.name), (mtorrent::DURABLE.name, redis::DURABLE.name)]
        .into_iter()
        .find_map(|(ours, redis)| (ours == name).then_some(redis))
}

fn whole(estimate: Option<Estimate>) -> String {
    estimate.map_or("–".to_owned(), |Estimate { value, low, high }| format!("{value:.0} [{low:.0}, {high:.0}]"))
}

/// A goal to be shown.
struct Goal {
    what: &'static str,
    wanted: Wanted,
    ratio: Option<Estimate>,
    /// Whether both servers used their whole cores.
    is_core_bound: bool,
}

#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn line(&self) -> Option<String> {
        let ratio = self.ratio?;
        let (word, goal, is_met, is_near) = match self.wanted {
            Wanted::AtLeast(goal) => ("at least", goal, ratio.low >= goal, ratio.high >= goal),
            Wanted::AtMost(goal) => ("at most", goal, ratio.high <= goal, ratio.low <= goal),
        };
        let verdict = if is_met {
            "met"
        } else if is_near {
            "near"
        } else {
            "missed"
        };
        let mark = if self.is_core_bound { "" } else { " †" };
        Some(format!("| {} | {word} {goal} | {}{mark} | {verdict} |\n", self.what, interval(Some(ratio))))
    }
}

fn goals(records: &[Record]) -> String {
    let lines: Vec<String> = list(records).iter().filter_map(Goal::line).collect();
    if lines.is_empty() {
        return String::new();
    }
    "\n## Goals\n\nA goal is *met* if the whole interval of the ratio is on its good side, *near* if the interval holds \
     it, else *missed*.\n\n| | goal | measured | |\n|---|---|---|---|\n"
        .to_owned()
        + &lines.concat()
}

fn list(records: &[Record]) -> Vec<Goal> {
    let select = |what, depth| Selection { records, workload: Workload { what, depth } };
    let (ours, redis, two) = (mtorrent::MEMORY.name, redis::MEMORY.name, mtorrent::TWO_EXECUTORS.name);
    let by_redis = |name, what, depth| {
        let runs = select(what, depth);
        let ratio = ratio_estimate(&runs.rates(ours), &runs.rates(redis));
        Goal {
            what: name,
            wanted: Wanted::AtLeast(1.5),
            ratio,
            is_core_bound: runs.is_core_bound(ours) && runs.is_core_bound(redis),
        }
    };
    let by_aquatic = |name, depth| {
        let (runs, theirs, aquatic) = (select(What::Mixed, depth), select(What::Announce, 0), aquatic::AQUATIC.name);
        let ratio = ratio_estimate(&runs.rates(ours), &theirs.rates(aquatic));
        Goal {
            what: name,
            wanted: Wanted::AtLeast(2.0),
            ratio,
            is_core_bound: runs.is_core_bound(ours) && theirs.is_core_bound(aquatic),
        }
    };
    let by_one = |name, what, depth| {
        let runs = select(what, depth);
        let ratio = ratio_estimate(&runs.cpu(two), &runs.cpu(ours));
        Goal { what: name, wanted: Wanted::AtMost(1.15), ratio, is_core_bound: true }
    };
    vec![
        by_redis("AddSeeder of what is there, depth 1, by SADD", What::Renew, 1),
        by_redis("AddSeeder of what is there, depth 16, by SADD", What::Renew, 16),
        by_redis("AddSeeder of new files, depth 1, by SADD", What::New, 1),
        by_redis("AddSeeder of new files, depth 16, by SADD", What::New, 16),
        by_aquatic("half of each, depth 1, by aquatic_udp's answers", 1),
        by_aquatic("half of each, depth 16, by aquatic_udp's answers", 16),
        by_one("CPU an AddSeeder, depth 1, two executors by one", What::Renew, 1),
        by_one("CPU an AddSeeder, depth 16, two executors by one", What::Renew, 16),
        by_one("CPU a SeederInfoRequest, depth 1, two executors by one", What::Ask, 1),
        by_one("CPU a SeederInfoRequest, depth 16, two executors by one", What::Ask, 16),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::contestants::ALL;
    use super::super::record::tests::record;
    use super::*;

    const WORKLOAD: Workload = Workload { what: What::Renew, depth: 1 };

    #[test]
    fn a_table_holds_ours_against_redis() {
        let records = [record(true, WORKLOAD, 200_000.0), record(false, WORKLOAD, 100_000.0)];
        let text = markdown(&ALL, &records);
        let row = "| mtorrent | 1/1 | 200000 [200000, 200000] | 5.00 [5.00, 5.00] | 1.25 | 2.00 [2.00, 2.00] | 2.00 [2.00, \
                   2.00] | 100.00 % | 0.00 % | 0.40 | 0.90 |";
        assert!(text.contains(row), "{text}");
        let goal = "| AddSeeder of what is there, depth 1, by SADD | at least 1.5 | 2.00 [2.00, 2.00] | met |";
        assert!(text.contains(goal), "{text}");
        assert!(!text.contains("missed |"), "{text}");
    }

    #[test]
    fn a_disturbed_run_does_not_count() {
        let mut disturbed = record(true, WORKLOAD, 1.0);
        disturbed.usage.others = 0.5;
        let text = markdown(&ALL, &[disturbed, record(true, WORKLOAD, 100_000.0)]);
        assert!(text.contains("| mtorrent | 1/2 | 100000 [100000, 100000] |"), "{text}");
    }

    #[test]
    fn wrong_answers_are_told_and_idle_servers_marked() {
        let (mut wrong, mut idle) = (record(true, WORKLOAD, 9e9), record(true, WORKLOAD, 100_000.0));
        if let (Ok(wrong), Ok(idle)) = (&mut wrong.outcome, &mut idle.outcome) {
            (wrong.errors, idle.server_cores) = (3, 0.9);
        }
        let text = markdown(&ALL, &[wrong, idle]);
        assert!(text.contains("| mtorrent | 1/2 | 100000 "), "{text}");
        assert!(text.contains("90.00 % † |"), "{text}");
        assert!(text.contains(": 3 wrong answers and 0 without a seeder"), "{text}");
    }
}
