//! summary.md: medians of the rows. Only runs whose bytes were right count; the number of the others is stated beside
//! every figure.

use std::fmt::Write;

use super::contestant::Role;
use super::record::{Figures, Record};
use super::stage::Sink;
use crate::harness::statistics::{Estimate, interval, median, median_estimate, number, ratio_estimate};

/// One table: one congestion control, with or without the disk.
#[derive(Debug)]
pub struct Table {
    /// Heading of the table.
    pub title: String,
    /// The limit with which rates are compared: "fio" or "iperf3".
    pub limit: &'static str,
    /// Limits first, then the others, the fastest first.
    pub rows: Vec<Row>,
}

/// One contestant in one table.
#[derive(Debug)]
pub struct Row {
    /// Name of the contestant, and the destination of the bytes if the table does not imply it.
    pub label: String,
    /// Role of the contestant.
    pub role: Role,
    /// Number of runs.
    pub runs: usize,
    /// Number of runs that ended with the right bytes.
    pub right: usize,
    /// Median rate, GB/s.
    pub rate: Option<Estimate>,
    /// Median rate including the time of the final fsync, GB/s.
    pub synced: f64,
    /// Median CPU seconds a GB, getter and servers.
    pub cpu_s_per_gb: (f64, f64),
    /// Median of the largest anonymous and locked memory, bytes.
    pub own_memory: f64,
    /// Median of the largest resident memory, bytes.
    pub resident_memory: f64,
    /// Rate as a ratio to the limit's.
    pub of_limit: Option<Estimate>,
    /// Ratio of mtorrent's rate to this rate.
    pub ours_by_it: Option<Estimate>,
}

/// The tables of all congestion controls in `records`, in their order.
pub fn tables(records: &[Record]) -> Vec<Table> {
    let mut controls: Vec<&str> = records.iter().map(|record| record.control.as_str()).collect();
    controls.sort_unstable();
    controls.dedup();
    let mut tables = Vec::new();
    for control in controls {
        for (place, sinks, limit) in PLACES {
            let rows = rows(&Selection { records, control }, sinks, limit);
            // A table of limits alone has no information.
            if rows.iter().any(|row| row.role != Role::Limit) {
                tables.push(Table { title: format!("{place}, {control}"), limit, rows });
            }
        }
    }
    tables
}

/// The complete summary.md.
pub fn markdown(tables: &[Table], records: &[Record]) -> String {
    let mut text = "# Summary\n\nRates are medians of GB/s (10^9 bytes) from the getter's exec to its end, with 95 % \
                    bootstrap intervals in brackets; with few runs the interval is their whole range. *right* counts \
                    the runs that ended with the right bytes: only those are in the figures. *synced* has the fsync \
                    of the copy, which most leave out, in the time.\n"
        .to_owned();
    for table in tables {
        text += &table_markdown(table);
    }
    text += &goals_markdown(records);
    let wrong: Vec<&Record> = records.iter().filter(|record| !record.is_right()).collect();
    if !wrong.is_empty() {
        text += "\n## Runs that failed\n\n";
    }
    for record in wrong {
        let (verdict, remark) = record.verdict();
        let Record { round, control, name, sink, .. } = record;
        let _ = writeln!(text, "- round {round}, {control}, {name} to {}: {verdict}: {remark}", sink.word());
    }
    text
}

/// The tables of one congestion control: heading, destinations, and the limit with which rates are compared.
const PLACES: [(&str, &[Sink], &str); 2] =
    [("To the disk", &[Sink::Disk], "fio"), ("The disk taken out", &[Sink::Memory, Sink::Nothing], "iperf3")];

/// The rows of one congestion control.
#[derive(Clone, Copy)]
struct Selection<'a> {
    records: &'a [Record],
    control: &'a str,
}

impl<'a> Selection<'a> {
    fn all(self, name: &str, sink: Sink) -> impl Iterator<Item = &'a Record> {
        let is_it = move |record: &&Record| record.control == self.control && record.sink == sink;
        let name = name.to_owned();
        self.records.iter().filter(is_it).filter(move |record| record.name == name)
    }

    fn right(self, name: &str, sink: Sink) -> Vec<&'a Figures> {
        self.all(name, sink)
            .filter(|record| record.is_right())
            .filter_map(|record| record.outcome.as_ref().ok())
            .collect()
    }

    fn rates(self, name: &str, sink: Sink) -> Vec<f64> {
        self.right(name, sink).iter().map(|figures| figures.bytes_per_s).collect()
    }

    /// The rates of the fastest contestant with this `sink` whose name and role match.
    fn best(self, sink: Sink, fits: impl Fn(&str, Role) -> bool) -> Vec<f64> {
        let mut names: Vec<&str> =
            self.records.iter().filter(|record| fits(record.name, record.role)).map(|record| record.name).collect();
        names.sort_unstable();
        names.dedup();
        let rates = names.into_iter().map(|name| self.rates(name, sink)).filter(|rates| !rates.is_empty());
        rates.max_by(|a, b| median(a).total_cmp(&median(b))).unwrap_or_default()
    }

    fn limit(self, limit: &str) -> Vec<f64> {
        let sink = if limit == "fio" { Sink::Disk } else { Sink::Nothing };
        self.best(sink, |name, role| role == Role::Limit && name.starts_with(limit))
    }
}

fn rows(selection: &Selection, sinks: &[Sink], limit: &str) -> Vec<Row> {
    let limits = selection.limit(limit);
    let mut places: Vec<(&'static str, Role, Sink)> = Vec::new();
    for record in selection.records {
        let place = (record.name, record.role, record.sink);
        let is_here = sinks.contains(&record.sink) || (record.role == Role::Limit && record.sink == Sink::Nothing);
        if record.control == selection.control && is_here && !places.contains(&place) {
            places.push(place);
        }
    }
    let is_whole_place = sinks.len() == 1;
    let mut rows: Vec<Row> = places.into_iter().map(|place| row(selection, place, &limits, is_whole_place)).collect();
    rows.sort_by(|a, b| {
        let rate = |row: &Row| row.rate.map_or(0.0, |rate| rate.value);
        (b.role == Role::Limit).cmp(&(a.role == Role::Limit)).then(rate(b).total_cmp(&rate(a)))
    });
    rows
}

fn row(selection: &Selection, place: (&'static str, Role, Sink), limits: &[f64], is_whole_place: bool) -> Row {
    let (name, role, sink) = place;
    let right = selection.right(name, sink);
    let bytes = |figures: &Figures| figures.bytes_per_s * figures.wall_s / 1e9;
    let of = |figure: &dyn Fn(&Figures) -> f64| {
        let values: Vec<f64> = right.iter().map(|figures| figure(figures)).collect();
        median(&values)
    };
    let rates = selection.rates(name, sink);
    let in_gb = |rate: Estimate| Estimate { value: rate.value / 1e9, low: rate.low / 1e9, high: rate.high / 1e9 };
    Row {
        label: label(name, role, sink, is_whole_place),
        role,
        runs: selection.all(name, sink).count(),
        right: right.len(),
        rate: median_estimate(&rates).map(in_gb),
        synced: of(&|figures| bytes(figures) / (figures.wall_s + figures.settle_s)),
        cpu_s_per_gb: (
            of(&|figures| figures.getter_cpu_s / bytes(figures)),
            of(&|figures| figures.server_cpu_s / bytes(figures)),
        ),
        own_memory: of(&|figures| figures.memory.own as f64),
        resident_memory: of(&|figures| figures.memory.resident as f64),
        of_limit: ratio_estimate(&rates, limits),
        ours_by_it: if role == Role::Limit || role == Role::Ours {
            None
        } else {
            ratio_estimate(&selection.rates("mtorrent", sink), &rates)
        },
    }
}

fn label(name: &str, role: Role, sink: Sink, is_whole_place: bool) -> String {
    match sink {
        _ if is_whole_place || role == Role::Limit => name.to_owned(),
        Sink::Nothing if role == Role::Ours => format!("{name} --discard"),
        Sink::Nothing => format!("{name} to /dev/null"),
        Sink::Disk | Sink::Memory => format!("{name} to tmpfs"),
    }
}

fn table_markdown(table: &Table) -> String {
    let mut text = format!(
        "\n## {}\n\n| | right | GB/s | synced | by {} | mtorrent by it | CPU s/GB getter + servers | anonymous + locked \
         MiB | resident MiB |\n|---|---|---|---|---|---|---|---|---|\n",
        table.title, table.limit
    );
    for row in &table.rows {
        let (getter, servers) = row.cpu_s_per_gb;
        let is_limit = row.role == Role::Limit;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} + {} | {} | {} |",
            if row.role == Role::Ours { format!("**{}**", row.label) } else { row.label.clone() },
            if is_limit { format!("of {}", row.runs) } else { format!("{}/{}", row.right, row.runs) },
            interval(row.rate),
            if is_limit { "–".to_owned() } else { number(row.synced) },
            interval(row.of_limit),
            interval(row.ours_by_it),
            number(getter),
            number(servers),
            mebibytes(row.own_memory),
            mebibytes(row.resident_memory),
        );
    }
    text
}

fn mebibytes(bytes: f64) -> String {
    if bytes.is_finite() { format!("{:.0}", bytes / f64::from(1 << 20)) } else { "–".to_owned() }
}

fn goals_markdown(records: &[Record]) -> String {
    let mut text = "\n## Goals\n\nA goal is *met* if the whole interval of the ratio is at or above it, *near* if the \
                    interval holds it, else *missed*.\n\n| | goal | measured | |\n|---|---|---|---|\n"
        .to_owned();
    let mut controls: Vec<&str> = records.iter().map(|record| record.control.as_str()).collect();
    controls.sort_unstable();
    controls.dedup();
    let mut is_empty = true;
    for control in controls {
        for (what, goal, ratio) in goals(Selection { records, control }) {
            let Some(ratio) = ratio else { continue };
            is_empty = false;
            let verdict = match ratio {
                ratio if ratio.low >= goal => "met",
                ratio if ratio.high >= goal => "near",
                _ => "missed",
            };
            let _ = writeln!(text, "| {what}, {control} | {goal} | {} | {verdict} |", interval(Some(ratio)));
        }
    }
    if is_empty { String::new() } else { text }
}

fn goals(selection: Selection) -> [(&'static str, f64, Option<Estimate>); 5] {
    let ours = |sink| selection.rates("mtorrent", sink);
    let best = |sink, wanted: Role| selection.best(sink, |_, role| role == wanted);
    let (disk, memory, nothing) = (ours(Sink::Disk), ours(Sink::Memory), ours(Sink::Nothing));
    [
        ("to the disk, by the better fio", 0.85, ratio_estimate(&disk, &selection.limit("fio"))),
        ("to the disk, by the best of rsync and curl", 2.0, ratio_estimate(&disk, &best(Sink::Disk, Role::Copier))),
        ("to the disk, by the best BitTorrent client", 5.0, ratio_estimate(&disk, &best(Sink::Disk, Role::BitTorrent))),
        (
            "to tmpfs, by the best BitTorrent client",
            3.0,
            ratio_estimate(&memory, &best(Sink::Memory, Role::BitTorrent)),
        ),
        ("--discard, by one iperf3 stream", 0.7, ratio_estimate(&nothing, &selection.limit("iperf3"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_table_holds_ours_against_the_limit() {
        let mut records = Vec::new();
        for round in 1..=9 {
            records.push(record(false, round, 2.0));
            records.push(record(true, round, 1.8));
        }
        let tables = tables(&records);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].rows[1].of_limit, Some(Estimate { value: 0.9, low: 0.9, high: 0.9 }));
        let text = markdown(&tables, &records);
        assert!(text.contains("| **mtorrent** | 9/9 | 1.80 [1.80, 1.80] | 1.80 | 0.90 [0.90, 0.90] |"), "{text}");
        assert!(text.contains("| to the disk, by the better fio, bbr | 0.85 | 0.90 [0.90, 0.90] | met |"), "{text}");
    }

    #[test]
    fn a_wrong_run_is_counted_and_not_averaged() {
        let mut wrong = record(true, 2, 100.0);
        wrong.outcome = Err("no seeder".to_owned());
        let records = [record(true, 1, 1.0), wrong];
        let text = markdown(&tables(&records), &records);
        assert!(text.contains("| 1/2 | 1.00 [1.00, 1.00] |"), "{text}");
        assert!(text.contains("- round 2, bbr, mtorrent to disk: failed: no seeder"), "{text}");
    }
}
