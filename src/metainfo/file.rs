//! The single file that an info dictionary describes, by `length` and `name` or by a `files` list of one entry.

use super::bencode::{Dictionary, Value};
use super::error::MetainfoError;
use super::keys::{LENGTH, NAME, number, required, wrong_type};
use crate::filename::{NameError, check_name};

const FILES: &str = "files";
const PATH: &str = "path";

/// A file as an info dictionary describes it.
#[derive(Debug)]
pub(super) struct DescribedFile<'a> {
    pub(super) length: u64,
    /// The name, or the path joined by slashes, as written; bytes that are not UTF-8 are replaced.
    pub(super) name: String,
    /// The reason why the name is not a file name.
    pub(super) name_error: Option<NameError>,
    /// The paths by which a version 2 part may list the file: any one of them.
    pub(super) paths: Vec<Vec<&'a [u8]>>,
}

impl<'a> DescribedFile<'a> {
    pub(super) fn read(info: &Dictionary<'a>) -> Result<Self, MetainfoError> {
        let Some(files) = info.get(FILES) else {
            return Self::new(number(info, LENGTH)?, paths(info, NAME, "name.utf-8", as_name)?);
        };
        let files = files.as_list().ok_or(wrong_type(FILES, "a list of files"))?;
        let [file] = files else { return Err(MetainfoError::Directory) };
        let file = file.as_dictionary().ok_or(wrong_type(FILES, "a list of files"))?;
        check_attributes(file)?;
        let length = number(file, LENGTH)?;
        if info.get(LENGTH).is_some() && number(info, LENGTH)? != length {
            return Err(MetainfoError::TwoLengths(number(info, LENGTH)?, length));
        }
        Self::new(length, paths(file, PATH, "path.utf-8", as_path)?)
    }

    /// Selects the first path that is a file name, else the last one unchanged. There is at least one.
    fn new(length: u64, paths: Vec<Vec<&'a [u8]>>) -> Result<Self, MetainfoError> {
        let best = paths.iter().find(|path| judge(path).is_ok()).or(paths.last()).map_or(&[][..], Vec::as_slice);
        let name = best.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join("/");
        Ok(Self { length, name, name_error: judge(best).err(), paths })
    }
}

/// Checks that a path has a single part that is a valid file name.
fn judge(path: &[&[u8]]) -> Result<(), NameError> {
    match path {
        [] => Err(NameError::Empty),
        [name] => check_name(std::str::from_utf8(name).map_err(|_| NameError::NotUtf8)?),
        _ => Err(NameError::Separator),
    }
}

/// The UTF-8 path of `key`, if present, followed by the one that old programs wrote in their own encoding. Either of
/// them is enough.
fn paths<'a>(
    dictionary: &Dictionary<'a>,
    key: &'static str,
    utf8_key: &str,
    read: impl Fn(&Value<'a>) -> Option<Vec<&'a [u8]>>,
) -> Result<Vec<Vec<&'a [u8]>>, MetainfoError> {
    let utf8 = dictionary.get(utf8_key).and_then(&read).filter(|path| judge(path) != Err(NameError::NotUtf8));
    let expected = if key == NAME { "a string" } else { "a list of names" };
    let plain = match required(dictionary, key) {
        Ok(value) => Some(read(value).ok_or(wrong_type(key, expected))?),
        Err(_) if utf8.is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(utf8.into_iter().chain(plain).collect())
}

fn as_name<'a>(value: &Value<'a>) -> Option<Vec<&'a [u8]>> {
    value.as_bytes().map(|name| vec![name])
}

fn as_path<'a>(value: &Value<'a>) -> Option<Vec<&'a [u8]>> {
    value.as_list()?.iter().map(Value::as_bytes).collect()
}

/// Refuses an entry that BEP 47 attributes mark as something other than a file.
fn check_attributes(file: &Dictionary<'_>) -> Result<(), MetainfoError> {
    let attributes = file.get("attr").and_then(Value::as_bytes).unwrap_or_default();
    match attributes {
        _ if attributes.contains(&b'l') => Err(MetainfoError::NotAFile("symbolic link")),
        _ if attributes.contains(&b'p') => Err(MetainfoError::NotAFile("padding")),
        _ => Ok(()),
    }
}
