//! Changes of the tracker in use.

/// A change of the tracker that a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerChange {
    /// The tracker has closed the connection.
    Lost,
    /// The tracker is used in place of another one.
    Used,
}
