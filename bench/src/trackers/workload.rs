//! Workloads of a server.

use clap::ValueEnum;

/// One kind of load at one depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Kind of the requests.
    pub what: What,
    /// Requests in flight on each connection; 0 if the load does not count them in this way.
    pub depth: usize,
}

/// Requests over the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Seeders that the table has are added again: leases are renewed.
    Renew,
    /// Queries for the seeders of a file.
    Ask,
    /// Half of each.
    Mixed,
    /// Seeders of files that the table does not have.
    New,
    /// The requests of aquatic_udp's own load tester: connects and announces, half of each.
    Announce,
}

impl What {
    /// Name in raw.csv and for `--workload`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Ask => "ask",
            Self::Mixed => "mixed",
            Self::New => "new",
            Self::Announce => "announce",
        }
    }

    /// Title for headings.
    fn title(self) -> &'static str {
        match self {
            Self::Renew => "AddSeeder of what is there (SADD)",
            Self::Ask => "SeederInfoRequest (SRANDMEMBER key 50)",
            Self::Mixed => "half AddSeeder, half SeederInfoRequest",
            Self::New => "AddSeeder of new files (SADD)",
            Self::Announce => "UDP connects and announces",
        }
    }

    /// Requests of a hundred that add a seeder.
    pub fn adds(self) -> u32 {
        match self {
            Self::Renew | Self::New => 100,
            Self::Mixed | Self::Announce => 50,
            Self::Ask => 0,
        }
    }
}

impl Workload {
    /// All workloads in the order of a round. New files are last, because they make the table grow.
    pub const ALL: [Self; 9] = [
        Self::of(What::Renew, 1),
        Self::of(What::Renew, 16),
        Self::of(What::Ask, 1),
        Self::of(What::Ask, 16),
        Self::of(What::Mixed, 1),
        Self::of(What::Mixed, 16),
        Self::of(What::Announce, 0),
        Self::of(What::New, 1),
        Self::of(What::New, 16),
    ];

    const fn of(what: What, depth: usize) -> Self {
        Self { what, depth }
    }

    /// Title for headings.
    pub fn title(self) -> String {
        match self.depth {
            0 => self.what.title().to_owned(),
            depth => format!("{}, depth {depth}", self.what.title()),
        }
    }
}
