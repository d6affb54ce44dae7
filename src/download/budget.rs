//! How many data connections one core may open. Pure.

use std::cell::Cell;

use crate::limits::DATA_CONNECTIONS_MAX;

/// The data connections of one core, of all its downloads.
pub struct LinkBudget {
    max: usize,
    open: Cell<usize>,
    downloads: Cell<usize>,
}

impl LinkBudget {
    /// One core's part of what a client of `cores` cores may open.
    pub fn new(cores: usize) -> Self {
        Self { max: (DATA_CONNECTIONS_MAX / cores).max(1), open: Cell::new(0), downloads: Cell::new(0) }
    }

    /// A download begins or ends.
    pub fn count_download(&self, begins: bool) {
        self.downloads.set(if begins { self.downloads.get() + 1 } else { self.downloads.get() - 1 });
    }

    /// A connection was opened or has ended.
    pub fn count_link(&self, opened: bool) {
        self.open.set(if opened { self.open.get() + 1 } else { self.open.get() - 1 });
    }

    /// Whether a download that has `own` connections may open a further one. It may have its share in any
    /// case, lest the downloads before it keep it waiting to their end.
    pub fn allows(&self, own: usize) -> bool {
        self.open.get() < self.max || own < (self.max / self.downloads.get().max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_download_has_its_share() {
        for cores in [1, 8, 1 << 16] {
            let budget = LinkBudget::new(cores);
            let max = (DATA_CONNECTIONS_MAX / cores).max(1);
            budget.count_download(true);
            let mut first = 0;
            while budget.allows(first) {
                budget.count_link(true);
                first += 1;
            }
            assert_eq!(first, max, "{cores} cores");
            budget.count_download(true);
            assert!(!budget.allows(first) && budget.allows(0) && !budget.allows((max / 2).max(1)));
            budget.count_download(false);
            budget.count_link(false);
            assert!(budget.allows(first - 1));
        }
    }
}
