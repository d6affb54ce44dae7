//! aquatic_udp, a BitTorrent tracker in Rust, under its own load tester, because only that knows its requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::contestant::Contestant;
use super::record::Figures;
use super::server::{START_TIMEOUT, Server, Speaks, Stage};
use super::workload::What;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::files::write;
use crate::harness::ports::free_port;
use crate::harness::program::{Need, installed};

/// One socket worker, which answers from its own table.
pub const AQUATIC: Contestant = Contestant {
    name: "aquatic_udp",
    needs: &[
        Need::Crate { name: TRACKER, arguments: &["--locked", "--no-default-features", TRACKER] },
        Need::Crate { name: TESTER, arguments: &["--locked", "--no-default-features", TESTER] },
    ],
    settings: "aquatic_udp with one socket worker, loaded by aquatic_udp_load_test with one worker: of 101 requests \
               50 are connects, which ask the table nothing, 50 announces that want 30 peers, one a scrape; its \
               defaults, a million torrents. Answers are those that the load tester counts in its last interval; it \
               tells no latencies, and a datagram that is lost is no answer",
    workloads: &[What::Announce],
    filled: false,
    pinned: true,
    start,
};

const TRACKER: &str = "aquatic_udp";
const TESTER: &str = "aquatic_udp_load_test";
/// Fixed interval at which the load tester prints figures.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time to create two million peers, with a reserve.
const TIMEOUT: Duration = Duration::from_secs(60);

fn start(stage: &Stage) -> Result<Server, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let config = format!(
        "socket_workers = 1\n\n[network]\naddress = \"{address}\"\n\n[cleaning]\nmax_connection_age = 3600\n\n\
         [statistics]\ninterval = 0\n"
    );
    let config = write(&stage.folder, "tracker.toml", config)?;
    let mut command = stage.on_server_cpu(&program(TRACKER)?);
    let child = Child::spawn(
        {
            command.arg("-c").arg(config);
            command
        },
        TRACKER,
        &stage.folder,
    )?;
    let mut server = Server { child, speaks: Speaks::Udp, address };
    let deadline = Instant::now() + START_TIMEOUT;
    server.child.wait_until("it listens", deadline, || listens_on_udp(address.port()))?;
    Ok(server)
}

/// Runs the load tester; the server's CPU time is measured over the same interval.
pub fn load(server: &Server, stage: &Stage) -> Result<Figures, Error> {
    let intervals = stage.options.seconds.div_ceil(INTERVAL.as_secs());
    let (measured_s, whole_s) = (intervals * INTERVAL.as_secs(), (intervals + 1) * INTERVAL.as_secs());
    let config = format!(
        "server_address = \"{}\"\nworkers = 1\nduration = {whole_s}\nsummarize_last = {measured_s}\n\
         extra_statistics = false\n",
        server.address
    );
    let config = write(&stage.folder, "load.toml", config)?;
    let mut command = stage.on_cpus(&stage.options.load_cpu.to_string(), &program(TESTER)?);
    command.arg("-c").arg(config);
    let mut tester = Child::spawn(command, TESTER, &stage.folder)?;
    let deadline = Instant::now() + TIMEOUT + Duration::from_secs(whole_s);
    tester.wait_line("Responses in: ", deadline)?;
    let (start, cpu) = (Instant::now(), server.child.cpu());
    tester.wait_line("# aquatic load test report", deadline)?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), server.child.cpu().since(cpu));
    let ended = loop {
        crate::harness::interrupt::check()?;
        if let Some(ended) = tester.wait_for(Duration::from_millis(20))? {
            break ended;
        }
    };
    let report = report(&tester.output()).filter(|_| ended.status.success());
    let Report { rate, errors } = report.ok_or_else(|| tester.complaint("gave no report"))?;
    Ok(Figures {
        answers_per_s: rate,
        cpu_us: 1e6 * cpu.all_s() / (rate * seconds),
        user_us: 1e6 * cpu.user_s / (rate * seconds),
        server_cores: cpu.all_s() / seconds,
        latency_us: None,
        errors: (errors * seconds).round() as u64,
        nobody: 0,
    })
}

struct Report {
    rate: f64,
    errors: f64,
}

/// The summary at the end of the load tester's output.
fn report(output: &str) -> Option<Report> {
    let (_, summary) = output.split_once("# aquatic load test report")?;
    let figure = |key: &str| summary.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().parse().ok());
    Some(Report { rate: figure("Average responses per second:")?, errors: figure("- Error responses:")? })
}

fn program(name: &str) -> Result<PathBuf, Error> {
    installed(name).ok_or_else(|| Error::Contestant(format!("{name} is not installed")))
}

/// Whether a socket has that port, according to the kernel's list.
fn listens_on_udp(port: u16) -> bool {
    let list = std::fs::read_to_string(Path::new("/proc/net/udp")).unwrap_or_default();
    list.contains(&format!(":{port:04X} 00000000:0000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read_and_not_an_interval() {
        let output = "Responses in: 1.00/second\n  - Error responses:    7.00\n\n# aquatic load test report\n\nTest ran \
                      for 10 seconds (only last 5 included in summary)\nAverage responses per second: 149000.25\n  - \
                      Connect responses:  74000.00\n  - Error responses:    0.50\n";
        let report = report(output).expect("a report");
        assert_eq!((report.rate, report.errors), (149_000.25, 0.5));
    }
}
