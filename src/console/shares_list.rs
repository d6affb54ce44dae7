//! The answer to `show shares`: its table and its JSON. Pure.

use serde::{Serialize, Serializer};

use super::table::{self, dash};
use super::units::{Rate, Size};
use crate::node::ShareStatus;
use crate::text;

/// All fields of a share.
///
/// | key | value |
/// |---|---|
/// | `state` | `seeding`, or `stopped`: it is served again by itself, once the reason is over |
/// | `why` (optional) | the reason why it is not served |
/// | `name` | name of the file; null until the .mtorrent file is read, as `info_hash` and `bytes` |
/// | `path` | path of the .mtorrent file |
/// | `file` | path of the shared file |
/// | `info_hash` | info hash of the file |
/// | `bytes` | length of the file |
/// | `sent_bytes` | bytes sent to peers |
/// | `rate_bytes_s` | rate at which peers receive it |
/// | `peers` | number of addresses whose peers are connected for it |
/// | `trackers` | number of trackers that acknowledged it |
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareFields<'a>(pub &'a ShareStatus);

#[derive(Serialize)]
struct Fields<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    name: Option<&'a str>,
    path: String,
    file: String,
    info_hash: Option<String>,
    bytes: Option<u64>,
    sent_bytes: u64,
    rate_bytes_s: u64,
    peers: u32,
    trackers: u32,
}

impl Serialize for ShareFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let share = self.0;
        let fields = Fields {
            state: state(share),
            why: share.stopped.as_deref(),
            name: share.name.as_deref(),
            path: share.metainfo_path.to_string_lossy().into_owned(),
            file: share.file.to_string_lossy().into_owned(),
            info_hash: share.info_hash.map(|info_hash| info_hash.to_string()),
            bytes: share.length,
            sent_bytes: share.sent_bytes,
            rate_bytes_s: share.rate_bytes_s,
            peers: share.peers,
            trackers: share.trackers,
        };
        fields.serialize(serializer)
    }
}

fn state(share: &ShareStatus) -> &'static str {
    if share.stopped.is_some() { "stopped" } else { "seeding" }
}

/// The table of shares.
pub(crate) fn table<'a>(all: impl Iterator<Item = &'a ShareStatus>) -> String {
    const HEAD: [&str; 8] = ["STATE", "SIZE", "SENT", "RATE", "PEERS", "TRACKERS", "NAME", "FILE"];
    let row = |share: &ShareStatus| {
        let why = share.stopped.as_deref().map(|why| format!(": {}", text::plain(why)));
        [
            format!("{}{}", state(share), why.unwrap_or_default()),
            share.length.map_or_else(dash, |length| Size(length).to_string()),
            Size(share.sent_bytes).to_string(),
            if share.rate_bytes_s > 0 { Rate(share.rate_bytes_s).to_string() } else { dash() },
            share.peers.to_string(),
            share.trackers.to_string(),
            text::path(&share.metainfo_path),
            text::path(&share.file),
        ]
    };
    table::table(HEAD, all.map(row), "no shares")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::InfoHash;

    /// A share of 1 GiB.
    pub(crate) fn share(stopped: Option<&str>) -> ShareStatus {
        ShareStatus {
            info_hash: Some(InfoHash([0xab; 20])),
            metainfo_path: "/m/a.mtorrent".into(),
            file: "/d/a".into(),
            length: Some(1 << 30),
            name: Some("a".to_owned()),
            sent_bytes: 3 << 20,
            rate_bytes_s: 1 << 20,
            peers: 2,
            trackers: 1,
            stopped: stopped.map(str::to_owned),
        }
    }

    #[test]
    fn rows() {
        let unread = ShareStatus { length: None, rate_bytes_s: 0, ..share(Some("it is\naway")) };
        let expected = [
            "STATE                 SIZE     SENT     RATE       PEERS  TRACKERS  NAME           FILE",
            "seeding               1.0 GiB  3.0 MiB  1.0 MiB/s  2      1         /m/a.mtorrent  /d/a",
            "stopped: it is\\naway  -        3.0 MiB  -          2      1         /m/a.mtorrent  /d/a",
        ];
        assert_eq!(table([share(None), unread].iter()).lines().collect::<Vec<_>>(), expected);
        assert_eq!(table([].iter()), "no shares");
    }
}
