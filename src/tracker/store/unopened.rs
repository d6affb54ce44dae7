//! The reasons why the library or the system does not open a store; the operator reads them as a [`super::StoreError`].

use redb::{DatabaseError, StorageError};

/// An error of the library; only its text is used.
pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a store does not open.
#[derive(Debug)]
pub(super) enum Unopened {
    Io(std::io::Error),
    /// An earlier build wrote the store, with a version of the library whose files this one does not read.
    OldFormat,
    Damaged(String),
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::OldFormat => f.write_str("an earlier build wrote it"),
            Self::Damaged(why) => f.write_str(why),
        }
    }
}

impl Unopened {
    pub(super) fn damaged(why: &str) -> Self {
        Self::Damaged(why.to_owned())
    }
}

impl From<DatabaseError> for Unopened {
    fn from(error: DatabaseError) -> Self {
        match error {
            // An error without a system error number comes from the library: the file is not one of its own.
            DatabaseError::Storage(StorageError::Io(error)) if error.raw_os_error().is_some() => Self::Io(error),
            DatabaseError::UpgradeRequired(_) => Self::OldFormat,
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<redb::Error> for Unopened {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<redb2::Error> for Unopened {
    fn from(error: redb2::Error) -> Self {
        match error {
            redb2::Error::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Failed> for Unopened {
    fn from(error: Failed) -> Self {
        Self::Damaged(error.to_string())
    }
}
