//! The values of one scrape.

use std::collections::BTreeMap;

use super::catalog;
use crate::metrics::{Counter, Distribution, total};

/// Labels of a series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A whole number.
    Count(u64),
    /// Any number.
    Real(f64),
    /// Durations.
    Durations(Distribution),
}

/// The values of one scrape, by the name of their family.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    by_name: BTreeMap<&'static str, Vec<(Labels, Value)>>,
}

impl Samples {
    /// Adds a series. A name that the catalog lacks is our own fault, and left out.
    pub(super) fn add(&mut self, name: &'static str, labels: Labels, value: Value) {
        debug_assert!(catalog::find(name).is_some(), "{name} is not in the catalog");
        self.by_name.entry(name).or_default().push((labels, value));
    }

    /// Adds a whole number without labels.
    pub(super) fn count(&mut self, name: &'static str, value: u64) {
        self.add(name, Labels::new(), Value::Count(value));
    }

    /// Adds any number without labels.
    pub(super) fn real(&mut self, name: &'static str, value: f64) {
        self.add(name, Labels::new(), Value::Real(value));
    }

    /// Adds a counter of the process.
    pub(super) fn counter(&mut self, name: &'static str, counter: Counter) {
        self.count(name, total(counter));
    }

    /// Adds a counter of the process that counts nanoseconds.
    pub(super) fn seconds(&mut self, name: &'static str, counter: Counter) {
        self.real(name, total(counter) as f64 / 1e9);
    }

    /// Adds a whole number with one label.
    pub(super) fn labelled(&mut self, name: &'static str, label: (&'static str, &str), value: u64) {
        self.add(name, vec![(label.0, label.1.to_owned())], Value::Count(value));
    }

    /// The series of a family.
    pub(super) fn of(&self, name: &str) -> &[(Labels, Value)] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}
