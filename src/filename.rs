//! The rule for a file's name in a `.mtorrent` file and on the wire: one path component.
//!
//! A valid name can be joined to a folder without leaving it. It may contain control characters; code that prints it
//! escapes them.

use crate::limits::NAME_BYTES_MAX;

/// The reason why a text is not a file name. Its source, the `.mtorrent` file or the peer, is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("the file name is empty")]
    Empty,
    /// The name is longer than Linux file systems allow.
    #[error("the file name has {0} bytes, more than {NAME_BYTES_MAX}")]
    TooLong(usize),
    /// The name is `.` or `..`.
    #[error("the file name is a folder reference, \".\" or \"..\"")]
    Dots,
    /// The name contains `/` or NUL.
    #[error("the file name has a slash or a NUL byte in it")]
    Separator,
    /// The name is not UTF-8.
    #[error("the file name is not UTF-8")]
    NotUtf8,
}

/// Checks that `name` is one path component of 1 to [`NAME_BYTES_MAX`] bytes.
pub fn check_name(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.len() > NAME_BYTES_MAX => Err(NameError::TooLong(name.len())),
        _ if name.contains(['/', '\0']) => Err(NameError::Separator),
        _ => Ok(()),
    }
}

/// Returns a valid name that is as similar to `name` as possible: invalid characters are replaced, and a long name is
/// cut.
pub fn repair_name(name: &str) -> String {
    let mut repaired = name.replace(['/', '\0'], "_");
    while repaired.len() > NAME_BYTES_MAX {
        repaired.pop();
    }
    match repaired.as_str() {
        "" | "." | ".." => "_".repeat(repaired.len().max(1)),
        _ => repaired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_component() {
        for name in ["a", "...", ".hidden", "a b", "ä", "\\", "a\n", &"x".repeat(255)] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
        let long = "ä".repeat(128);
        for (name, error) in [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("/", NameError::Separator),
            ("a/b", NameError::Separator),
            ("../a", NameError::Separator),
            ("a\0", NameError::Separator),
            (&long, NameError::TooLong(256)),
        ] {
            assert_eq!(check_name(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn a_repaired_name_passes() {
        let (long, cut) = ("ä".repeat(128), "ä".repeat(127));
        for (name, repaired) in
            [("a", "a"), ("", "_"), (".", "_"), ("..", "__"), ("../a", ".._a"), ("a\0/b", "a__b"), (&long, &cut)]
        {
            assert_eq!(repair_name(name), repaired);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_repaired_name_passes(name: String, times in 1usize..100) {
            proptest::prop_assert_eq!(check_name(&repair_name(&name.repeat(times))), Ok(()));
        }
    }
}
