//! Examples for the long help of each command.

/// The examples of a command.
pub(super) fn of(command: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(name, _)| *name == command).map(|(_, examples)| *examples)
}

const EXAMPLES: &[(&str, &str)] = &[
    (
        "tracker",
        "Examples:
  A tracker that keeps its table over restarts:
      mtorrent tracker --listen '[::]:7000' --data-dir /var/lib/mtorrent
  Two trackers in sync, on hosts t1 and t2:
      mtorrent tracker --listen '[::]:7000' --peer t2:7000 --group-key-file group.key
      mtorrent tracker --listen '[::]:7000' --peer t1:7000 --group-key-file group.key
  The same settings as a configuration file:
      mtorrent tracker --listen '[::]:7000' --peer t2:7000 --print-config > tracker.toml
      mtorrent tracker --config tracker.toml",
    ),
    (
        "client",
        "Examples:
  Commands typed at a prompt:
      mtorrent client --tracker t1:7000 --tracker t2:7000
  Commands from a script:
      printf 'get a.mtorrent /data/\\nget b.mtorrent /data/\\n' | mtorrent client --tracker t1:7000
  At most 400 Mbit/s to other peers:
      mtorrent client --tracker t1:7000 --upload-limit 400Mbit",
    ),
    (
        "ctl",
        "Examples:
  With a client that runs as `mtorrent client --daemon --data-dir /var/lib/mtorrent`:
      mtorrent ctl --data-dir /var/lib/mtorrent get big.mtorrent /data/
      mtorrent ctl --data-dir /var/lib/mtorrent show downloads
  The same, without naming the folder each time:
      export MTORRENT_CTL_DATA_DIR=/var/lib/mtorrent
      mtorrent ctl wait all",
    ),
    (
        "share",
        "Examples:
  Create big.mtorrent and seed the file until Ctrl-C:
      mtorrent share big.img big.mtorrent --tracker t1:7000 --tracker t2:7000
  Share it again: the file is verified against big.mtorrent, which names the trackers:
      mtorrent share big.img big.mtorrent",
    ),
    (
        "get",
        "Examples:
  Into a folder, under its own name:
      mtorrent get big.mtorrent /data/
  Wait an hour for a seeder, and seed for ten minutes afterwards:
      mtorrent get big.mtorrent /data/big.img --wait 1h --seed-for 10m
  Measure the network, without a disk:
      mtorrent get big.mtorrent --discard",
    ),
    (
        "create",
        "Examples:
  With two trackers in it:
      mtorrent create big.img big.mtorrent --tracker t1:7000 --tracker t2:7000
  With larger chunks:
      mtorrent create big.img big.mtorrent --chunk-size 4MiB",
    ),
    (
        "info",
        "Examples:
      mtorrent info big.mtorrent
      mtorrent info big.mtorrent --json",
    ),
    (
        "verify",
        "Examples:
  Exit code 0 if all of the file is right, 4 if a chunk is not:
      mtorrent verify big.mtorrent /data/big.img
  The bad chunks as one JSON object a line:
      mtorrent verify big.mtorrent /data/big.img --json",
    ),
    (
        "doctor",
        "Examples:
  This machine, and a disk for downloads:
      mtorrent doctor /data
  The clock, and whether others can connect to the port on which a client is to listen:
      mtorrent doctor /data --tracker t1:7000 --listen '[::]:7001'
  What is not well, for a script:
      mtorrent doctor /data --json | jq 'select(.level == \"problem\")'",
    ),
    (
        "status",
        "Examples:
      mtorrent status --tracker t1:7000
  The files that somebody downloads now, for a script:
      mtorrent status --tracker t1:7000 --rows 1000 --json | jq '.files[] | select(.downloaders > 0)'",
    ),
    (
        "health",
        "Examples:
  A service that runs with --metrics 127.0.0.1:9100: exit code 0 if it is well, 1 if not:
      mtorrent health --metrics 127.0.0.1:9100
  In a Dockerfile, for whatever the container runs:
      HEALTHCHECK CMD [\"/mtorrent\", \"health\"]",
    ),
    (
        "demo",
        "Examples:
  With a file of 4 GiB on another disk:
      mtorrent demo --size 4GiB --dir /mnt/disk",
    ),
    (
        "completions",
        "Examples:
      mtorrent completions bash > /etc/bash_completion.d/mtorrent
      mtorrent completions zsh > /usr/local/share/zsh/site-functions/_mtorrent
      mtorrent completions fish > ~/.config/fish/completions/mtorrent.fish",
    ),
    (
        "man",
        "Examples:
  All pages, one a command:
      mtorrent man /usr/local/share/man/man1
  One page, to read now:
      mtorrent man | man -l -",
    ),
];
