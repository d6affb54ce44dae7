//! Resolves the typed arguments: fills in the defaults of this machine, and makes the checks that involve more than one
//! flag.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::{self, LowArgs, LowCommand, Picker, RuntimeKind};
use super::resolved::{
    Afterwards, Client, Create, Ctl, Demo, Doctor, Get, Health, HiArgs, Info, Peer, Share, Status, Subcommand, Tracker,
    Verify,
};
use crate::console::create_torrent::CreateOptions;
use crate::console::exit::CommandError;
use crate::console::metainfo_file::is_standard_stream;
use crate::console::units::RateLimit;
use crate::ids::Endpoint;
use crate::limits::{CHUNK_SIZE_CREATE_MIN, CHUNK_SIZE_MAX, CORES_DEFAULT_MAX, GROUP_KEY_BYTES_MIN, TRACKERS_MAX};
use crate::node::{RateSetting, Strategy};
use crate::runtime::Preference;
use crate::runtime::machine::cores_within;
use crate::tracker::server::TrackerConfig;

/// Resolves the typed arguments.
pub(super) fn resolve(low: LowArgs) -> Result<HiArgs, CommandError> {
    let command = match low.command {
        LowCommand::Tracker(typed) => Subcommand::Tracker(tracker(typed)?),
        LowCommand::Client(typed) => Subcommand::Client(Client {
            peer: peer(typed.peer)?,
            data_dir: typed.data_dir.map_or_else(default_data_dir, Ok)?,
            wait: typed.wait,
            on_done: typed.on_done,
            is_daemon: typed.daemon,
        }),
        LowCommand::Ctl(typed) => Subcommand::Ctl(Ctl {
            data_dir: typed.data_dir.map_or_else(default_data_dir, Ok)?,
            command: without_json(typed.command),
        }),
        LowCommand::Share(typed) => Subcommand::Share(Share {
            file: typed.file,
            metainfo: typed.metainfo,
            peer: peer(typed.peer)?,
            options: create_options(typed.new)?,
            wait: typed.wait,
            report_every: typed.report_every,
        }),
        LowCommand::Get(typed) => Subcommand::Get(get(typed)?),
        LowCommand::Create(typed) if low.common.json && is_standard_stream(&typed.metainfo) => {
            let message = "standard output takes the .mtorrent file or JSON, not both: leave out --json, or name a file in place of -";
            return Err(CommandError::usage(message));
        }
        LowCommand::Create(typed) => Subcommand::Create(Create {
            file: typed.file,
            metainfo: typed.metainfo,
            trackers: trackers(typed.trackers)?,
            options: create_options(typed.new)?,
            threads: cores(typed.cores),
            report_every: typed.report_every,
        }),
        LowCommand::Info(typed) => Subcommand::Info(Info { metainfo: typed.metainfo }),
        LowCommand::Verify(typed) => Subcommand::Verify(Verify {
            metainfo: typed.metainfo,
            path: typed.path,
            threads: cores(typed.cores),
            report_every: typed.report_every,
        }),
        LowCommand::Status(typed) => Subcommand::Status(Status { trackers: typed.trackers, rows: typed.rows }),
        LowCommand::Doctor(typed) => Subcommand::Doctor(Doctor {
            folder: typed.folder,
            trackers: trackers(args::TrackersArgs { trackers: typed.trackers })?,
            listen: typed.listen,
        }),
        LowCommand::Health(typed) => Subcommand::Health(Health { metrics: typed.metrics }),
        LowCommand::Demo(typed) => {
            Subcommand::Demo(Demo { size: typed.size, dir: typed.dir.unwrap_or_else(|| PathBuf::from(".")) })
        }
        LowCommand::Completions(typed) => Subcommand::Completions(typed.shell),
        LowCommand::Man(typed) => Subcommand::Man(typed.dir),
    };
    let runtime = match low.common.runtime {
        RuntimeKind::Auto => Preference::Auto,
        RuntimeKind::Uring => Preference::Uring,
        RuntimeKind::Threads => Preference::Threads,
    };
    Ok(HiArgs { log: low.common.log, runtime, command })
}

fn tracker(typed: args::TrackerArgs) -> Result<Tracker, CommandError> {
    let config = TrackerConfig {
        peers: typed.peers,
        group_key: typed.group_key_file.as_deref().map(group_key).transpose()?,
        data_dir: typed.data_dir,
        cores: cores(typed.cores),
        trust: typed.trust,
        private: typed.private,
        loopback_as: typed.loopback_as,
        lease: typed.lease,
        connections_max: typed.max_connections,
        connections_per_address_max: typed.max_connections_per_address,
        files_per_address_max: typed.max_files_per_address,
        endpoints_per_file_max: typed.max_endpoints_per_file,
        endpoints_per_address_max: typed.max_endpoints_per_address,
        ..TrackerConfig::new(typed.listen)
    };
    Ok(Tracker { config, metrics: typed.metrics.metrics })
}

/// The secret in a file, without the end of line that an editor appends.
fn group_key(path: &Path) -> Result<Vec<u8>, CommandError> {
    let shown = path.display();
    let mut key = std::fs::read(path)
        .map_err(|error| CommandError::failed(format!("cannot read the group key {shown}: {error}")))?;
    key.truncate(key.trim_ascii_end().len());
    if key.len() < GROUP_KEY_BYTES_MIN {
        let command = format!("head -c 32 /dev/urandom | base64 > {shown}");
        let message =
            format!("the group key {shown} has fewer than {GROUP_KEY_BYTES_MIN} bytes: create one with `{command}`");
        return Err(CommandError::failed(message));
    }
    Ok(key)
}

fn get(typed: args::GetArgs) -> Result<Get, CommandError> {
    let afterwards = match (typed.seed_for, typed.seed) {
        (Some(duration), _) => Afterwards::SeedFor(duration),
        (None, true) => Afterwards::Seed,
        (None, false) => Afterwards::End,
    };
    if typed.discard && afterwards != Afterwards::End {
        return Err(CommandError::usage(
            "--discard keeps nothing that could be seeded: leave out --seed and --seed-for",
        ));
    }
    if !typed.discard && typed.dest.is_none() {
        return Err(CommandError::usage("DEST is missing: name the file to write or an existing folder"));
    }
    if typed.discard && typed.in_place {
        return Err(CommandError::usage(
            "--discard writes nothing, so there is nothing to repair: leave out --in-place",
        ));
    }
    Ok(Get {
        metainfo: typed.metainfo,
        dest: typed.dest.filter(|_| !typed.discard),
        peer: peer(typed.peer)?,
        wait: typed.wait,
        force: typed.force,
        in_place: typed.in_place,
        afterwards,
        on_done: typed.on_done,
        report_every: typed.report_every,
    })
}

fn peer(typed: args::PeerArgs) -> Result<Peer, CommandError> {
    Ok(Peer {
        listen: typed.listen,
        // The parser has already refused port 0.
        advertise: typed.advertise.into_iter().filter_map(Endpoint::from_socket).collect(),
        cache_bytes: usize::try_from(typed.cache).unwrap_or(usize::MAX),
        stall_timeout: typed.stall_timeout,
        sparse: !typed.no_sparse,
        strategy: match typed.picker {
            Picker::Rarest => Strategy::RarestFirst,
            Picker::Random => Strategy::Random,
        },
        upload_limit: rate_setting(typed.upload_limit),
        download_limit: rate_setting(typed.download_limit),
        reports_progress: !typed.no_report,
        metrics: typed.metrics.metrics,
        trackers: trackers(typed.trackers)?,
        cores: cores(typed.cores),
    })
}

fn rate_setting(typed: Option<RateLimit>) -> RateSetting {
    typed.map_or(RateSetting::Kept, |limit| RateSetting::Given(limit.0))
}

fn trackers(typed: args::TrackersArgs) -> Result<Vec<String>, CommandError> {
    let mut trackers: Vec<String> = Vec::new();
    for tracker in typed.trackers {
        if !trackers.contains(&tracker) {
            trackers.push(tracker);
        }
    }
    if trackers.len() > TRACKERS_MAX {
        return Err(CommandError::usage(format!(
            "{} trackers are too many: give at most {TRACKERS_MAX}",
            trackers.len()
        )));
    }
    Ok(trackers)
}

/// The words of a command without `--json`, which is an option of `ctl` wherever it stands.
fn without_json(mut words: Vec<OsString>) -> Vec<OsString> {
    let names = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut at = 0..;
    words.retain(|word| at.next().is_none_or(|at| at >= names) || word != "--json");
    words
}

fn create_options(typed: args::NewArgs) -> Result<CreateOptions, CommandError> {
    let chunk_size = match typed.chunk_size {
        None => None,
        Some(bytes) => match u32::try_from(bytes) {
            Ok(size) if size.is_power_of_two() && (CHUNK_SIZE_CREATE_MIN..=CHUNK_SIZE_MAX).contains(&size) => {
                Some(size)
            }
            _ => {
                let message = format!("--chunk-size {bytes} is not a power of two from 256KiB to 16MiB");
                return Err(CommandError::usage(message));
            }
        },
    };
    Ok(CreateOptions { chunk_size, force: typed.force })
}

/// The number of executors; the standard library's count respects both the affinity and the cgroup's quota.
fn cores(typed: args::CoresArgs) -> usize {
    let allowed = || std::thread::available_parallelism().map_or(1, usize::from).min(CORES_DEFAULT_MAX);
    // Each core needs descriptors: where those are scarce, fewer cores run.
    cores_within(typed.cores.map_or_else(allowed, usize::from))
}

fn default_data_dir() -> Result<PathBuf, CommandError> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("mtorrent"))
        .ok_or_else(|| CommandError::usage("neither XDG_STATE_HOME nor HOME is set: give --data-dir DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::exit::Exit;
    use clap::Parser as _;
    use std::time::Duration;

    fn resolve(line: &str) -> Result<Subcommand, CommandError> {
        let words = std::iter::once("mtorrent").chain(line.split_whitespace());
        let low = LowArgs::try_parse_from(words).map_err(|error| CommandError::usage(error.to_string()))?;
        super::resolve(low).map(|args| args.command)
    }

    #[test]
    fn wrong_lines_are_usage_errors() {
        for line in [
            "",
            "fly",
            "tracker",
            "tracker --listen localhost:1",
            "tracker --listen 127.0.0.1:0 --cores 0",
            "share file",
            "share file x.mtorrent --chunk-size 3MiB",
            "share file x.mtorrent --chunk-size 128KiB",
            "share file x.mtorrent --chunk-size 32MiB",
            "share file x.mtorrent --tracker nowhere",
            "share file x.mtorrent --advertise 0.0.0.0:1",
            "get x.mtorrent",
            "get x.mtorrent dest --wait soon",
            "get x.mtorrent --discard --seed",
            "get x.mtorrent --discard --seed-for 5m",
            "get x.mtorrent --discard --in-place",
            "create file",
            "create file - --json",
            "info",
            "verify x.mtorrent",
            "demo --size much",
        ] {
            assert_eq!(resolve(line).map_err(|error| error.exit).err(), Some(Exit::Usage), "{line}");
        }
    }

    #[test]
    fn get_is_resolved() {
        let get = |line| match resolve(line) {
            Ok(Subcommand::Get(get)) => get,
            other => panic!("{line}: {other:?}"),
        };
        let plain = get("get x.mtorrent dest --tracker a:1 --tracker b:2 --tracker a:1");
        assert_eq!(plain.peer.trackers, ["a:1", "b:2"]);
        assert_eq!((plain.dest.as_deref(), plain.afterwards), (Some("dest".as_ref()), Afterwards::End));
        assert!((1..=CORES_DEFAULT_MAX).contains(&plain.peer.cores));
        assert_eq!(get("get x.mtorrent --discard").dest, None);
        assert_eq!(get("get x.mtorrent dest --discard").dest, None);
        assert_eq!(get("get x.mtorrent dest --seed").afterwards, Afterwards::Seed);
        let timed = get("get x.mtorrent dest --seed --seed-for 5m --wait 1m");
        assert_eq!(timed.afterwards, Afterwards::SeedFor(Duration::from_secs(300)));
        assert_eq!(timed.wait, Duration::from_secs(60));
    }
}
