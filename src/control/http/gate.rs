//! The connections that are open at the same time, in all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_ADDRESS_MAX};

/// Counts the open connections.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Permission for one connection to be open, returned when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// Admits a connection from this address; `None` if there are too many. Loopback has no limit of its own.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let address = address.to_canonical();
        let mut open = self.open();
        let of_address = open.by_address.get(&address).copied().unwrap_or_default();
        let is_crowded = of_address >= HTTP_CONNECTIONS_PER_ADDRESS_MAX && !address.is_loopback();
        if open.count >= HTTP_CONNECTIONS_MAX || is_crowded {
            return None;
        }
        open.count += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Pass { gate: self.clone(), address })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.count -= 1;
        let is_last = open.by_address.get_mut(&self.address).is_none_or(|count| {
            *count -= 1;
            *count == 0
        });
        if is_last {
            open.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_takes_all_connections() {
        let gate = Arc::new(Gate::default());
        let admit = |last| gate.admit([192, 0, 2, last].into());
        let mut passes: Vec<Pass> = (0..HTTP_CONNECTIONS_PER_ADDRESS_MAX).map(|_| admit(1).unwrap()).collect();
        assert!(admit(1).is_none());
        passes.pop();
        passes.push(admit(1).unwrap());
        let mut last = 2;
        while passes.len() < HTTP_CONNECTIONS_MAX {
            passes.push(admit(last).unwrap());
            last += 1;
        }
        assert!(admit(last).is_none() && gate.admit([127, 0, 0, 1].into()).is_none());
        drop(passes);
        assert!(gate.open().by_address.is_empty());
        let local: Vec<_> = (0..=HTTP_CONNECTIONS_PER_ADDRESS_MAX).map(|_| gate.admit([127, 0, 0, 1].into())).collect();
        assert!(local.iter().all(Option::is_some));
    }
}
