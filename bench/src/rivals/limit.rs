//! The machine's limits: the disk without a network, the network without a disk, SHA-1 without either, and a plain copy
//! in memory.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::contestant::{Contestant, Pace, Role};
use super::session::Session;
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::Need;

/// The disk's write limit through io_uring.
pub const FIO_URING: Contestant = Contestant {
    name: "fio-io_uring",
    role: Role::Limit,
    pace: Pace::Fast,
    sinks: &[Sink::Disk],
    needs: &[Need::Program { name: "fio", package: "fio" }],
    settings: "fio, sequential O_DIRECT writes of 1 MiB, 4 in flight, ioengine io_uring, into a fresh file that it \
               preallocates, end_fsync; the rate is the file's size by fio's own run time",
    prepare: |stage| fio(stage, "io_uring"),
};

/// The disk's write limit through libaio.
pub const FIO_LIBAIO: Contestant = Contestant {
    name: "fio-libaio",
    settings: "as fio-io_uring, with ioengine libaio",
    prepare: |stage| fio(stage, "libaio"),
    ..FIO_URING
};

/// The network's limit.
pub const IPERF: Contestant = Contestant {
    name: "iperf3",
    role: Role::Limit,
    pace: Pace::Fast,
    sinks: &[Sink::Nothing],
    needs: &[Need::Program { name: "iperf3", package: "iperf3" }],
    settings: "iperf3, one TCP stream over loopback, the server sends (-R), as many bytes as the file has; the rate \
               is the receiver's",
    prepare: iperf,
};

/// One core's hashing limit with the usual crate.
pub const SHA1: Contestant = Contestant {
    name: "sha1-crate",
    role: Role::Limit,
    pace: Pace::Fast,
    sinks: &[Sink::Nothing],
    needs: &[],
    settings: "the sha1 crate on one core, one message of 1 MiB after the other out of a buffer in the cache; a \
               yardstick and no bound: several messages at once go faster",
    prepare: sha1,
};

/// Time of a copy without network and disk.
pub const CP: Contestant = Contestant {
    name: "cp",
    role: Role::Limit,
    pace: Pace::Fast,
    sinks: &[Sink::Memory],
    needs: &[],
    settings: "cp from the cached source to the tmpfs: no network, no hash",
    prepare: cp,
};

/// Bytes a second that the sha1 crate hashes on one core, measured over about `bytes` bytes.
pub fn sha1_bytes_per_s(bytes: u64) -> f64 {
    let block: Vec<u8> = (0..1usize << 20).map(|at| (at * 31 + (at >> 8)) as u8).collect();
    let rounds = (bytes >> 20).max(1);
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(Sha1::digest(std::hint::black_box(&block)));
    }
    (rounds << 20) as f64 / start.elapsed().as_secs_f64()
}

fn fio(stage: &Stage, engine: &str) -> Result<Session, Error> {
    let mut fio = Command::new("fio");
    fio.args(["--name=limit", "--rw=write", "--bs=1M", "--iodepth=4", "--direct=1", "--fallocate=native"]);
    fio.args(["--end_fsync=1", "--output-format=json"]);
    fio.arg(format!("--ioengine={engine}")).arg(format!("--size={}", stage.source.length));
    fio.arg(format!("--filename={}", stage.target().display()));
    Ok(Session::limit(Vec::new(), fio, fio_rate))
}

fn fio_rate(output: &str) -> Option<f64> {
    // fio may print a note before its JSON.
    let report: Value = serde_json::from_str(&output[output.find('{')?..]).ok()?;
    let job = report.get("jobs")?.get(0)?;
    let bytes = job.get("write")?.get("io_bytes")?.as_f64()?;
    let run_time_ms = job.get("job_runtime")?.as_f64()?;
    (run_time_ms > 0.0).then_some(bytes / run_time_ms * 1e3)
}

fn iperf(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?.to_string();
    let mut server = Command::new("iperf3");
    server.args(["--server", "--one-off", "--forceflush", "--bind", "127.0.0.1", "--port", &port]);
    let mut server = Child::spawn(server, "iperf3-server", &stage.scratch)?;
    server.wait_line("Server listening", ready_deadline())?;
    let mut client = Command::new("iperf3");
    client.args(["--client", "127.0.0.1", "--port", &port, "--reverse", "--json", "--bytes"]);
    client.arg(stage.source.length.to_string());
    Ok(Session::limit(vec![server], client, iperf_rate))
}

fn iperf_rate(output: &str) -> Option<f64> {
    let report: Value = serde_json::from_str(output).ok()?;
    let bits = report.get("end")?.get("sum_received")?.get("bits_per_second")?.as_f64()?;
    (bits > 0.0).then_some(bits / 8.0)
}

fn sha1(stage: &Stage) -> Result<Session, Error> {
    let own = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let mut hasher = Command::new(own);
    hasher.arg(format!("--sha1-limit-bytes={}", stage.source.length.min(1 << 30)));
    Ok(Session::limit(Vec::new(), hasher, |output| output.trim().parse().ok()))
}

fn cp(stage: &Stage) -> Result<Session, Error> {
    let mut cp = Command::new("cp");
    cp.arg(&stage.source.path).arg(stage.target());
    Ok(Session::copy(Vec::new(), cp, stage.target()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let fio = "note: x\n{\"jobs\": [{\"job_runtime\": 500, \"write\": {\"io_bytes\": 1000}}]}";
        assert_eq!(fio_rate(fio), Some(2000.0));
        assert_eq!(iperf_rate("{\"end\": {\"sum_received\": {\"bits_per_second\": 8.0}}}"), Some(1.0));
        for junk in ["", "{}", "{\"jobs\": []}", "iperf3: error"] {
            assert_eq!((fio_rate(junk), iperf_rate(junk)), (None, None), "{junk}");
        }
    }

    #[test]
    fn hashing_has_a_rate() {
        assert!(sha1_bytes_per_s(1 << 20) > 0.0);
    }
}
