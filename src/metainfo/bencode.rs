//! Bencode (BEP 3): a bounded reader and a canonical writer.
//!
//! Ambiguous input is refused: integers and lengths with leading zeros or `-0`, a key that a dictionary has twice.
//! Input that is merely not canonical is accepted, because other programs write it: keys in any order, and anything
//! after the root. This module knows nothing of the meaning of the values.

use crate::limits::{BENCODE_DEPTH_MAX, BENCODE_VALUES_MAX};

/// A bencode error and its position. The author of the bytes is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct BencodeError {
    /// Offset of the offending value, bytes.
    pub at: usize,
    /// The error at that position.
    pub fault: BencodeFault,
}

/// The reason why bytes are not bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BencodeFault {
    /// The bytes end within a value.
    #[error("the data ends in the middle of a value")]
    Truncated,
    /// No value starts with this byte.
    #[error("no value starts with byte 0x{0:02x}")]
    Start(u8),
    /// An integer that is not digits, has leading zeros, or is `-0`.
    #[error("an integer is not written canonically")]
    Integer,
    /// A length that is not digits, has leading zeros, or exceeds any file's size.
    #[error("the length of a string is not written canonically")]
    Length,
    /// A key of a dictionary that is not a string.
    #[error("the key of a dictionary is no string")]
    Key,
    /// A key that a dictionary has twice.
    #[error("a dictionary has the same key twice")]
    DuplicateKey,
    /// Lists and dictionaries nested deeper than [`BENCODE_DEPTH_MAX`].
    #[error("lists and dictionaries are nested more than {BENCODE_DEPTH_MAX} deep")]
    Depth,
    /// More values than [`BENCODE_VALUES_MAX`].
    #[error("there are more than {BENCODE_VALUES_MAX} values")]
    Values,
}

/// A value, borrowed from the bytes from which it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// The original bytes of the value.
    pub(super) raw: &'a [u8],
    /// End of the value, as an offset in the parsed bytes.
    pub(super) end: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// The digits, canonical, of any number.
    Integer(&'a [u8]),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Dictionary(Dictionary<'a>),
}

/// Entries sorted by key, whatever their original order was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dictionary<'a>(pub(super) Vec<(&'a [u8], Value<'a>)>);

impl<'a> Dictionary<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        let at = self.0.binary_search_by_key(&key.as_bytes(), |(key, _)| key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }
}

impl<'a> Value<'a> {
    /// The number, if it fits into a u64.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match self.kind {
            Kind::Integer(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Value<'a>]> {
        match &self.kind {
            Kind::List(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn as_dictionary(&self) -> Option<&Dictionary<'a>> {
        match &self.kind {
            Kind::Dictionary(dictionary) => Some(dictionary),
            _ => None,
        }
    }
}

/// Reads the value at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, BencodeError> {
    Parser { bytes, at: 0, values: 0 }.value(0)
}

fn fault(at: usize, fault: BencodeFault) -> BencodeError {
    BencodeError { at, fault }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    /// Recurses at most [`BENCODE_DEPTH_MAX`] deep.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, BencodeError> {
        let start = self.at;
        self.values += 1;
        if self.values > BENCODE_VALUES_MAX {
            return Err(fault(start, BencodeFault::Values));
        }
        let kind = match self.peek()? {
            b'i' => Kind::Integer(self.integer()?),
            b'0'..=b'9' => Kind::Bytes(self.string()?),
            b'l' | b'd' if depth >= BENCODE_DEPTH_MAX => return Err(fault(start, BencodeFault::Depth)),
            b'l' => Kind::List(self.list(depth + 1)?),
            b'd' => Kind::Dictionary(self.dictionary(depth + 1)?),
            byte => return Err(fault(start, BencodeFault::Start(byte))),
        };
        Ok(Value { raw: &self.bytes[start..self.at], end: self.at, kind })
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(fault(self.at, BencodeFault::Truncated))
    }

    /// Returns whether the list or dictionary ends here, and consumes its `e` if so.
    fn take_end(&mut self) -> Result<bool, BencodeError> {
        let end = self.peek()? == b'e';
        self.at += usize::from(end);
        Ok(end)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, BencodeError> {
        self.at += 1;
        let mut values = Vec::new();
        while !self.take_end()? {
            values.push(self.value(depth)?);
        }
        Ok(values)
    }

    fn dictionary(&mut self, depth: usize) -> Result<Dictionary<'a>, BencodeError> {
        self.at += 1;
        let mut entries: Vec<(&[u8], Value<'_>)> = Vec::new();
        while !self.take_end()? {
            if !self.peek()?.is_ascii_digit() {
                return Err(fault(self.at, BencodeFault::Key));
            }
            entries.push((self.string()?, self.value(depth)?));
        }
        // The sort is stable: equal keys stay adjacent in their original order.
        entries.sort_by_key(|(key, _)| *key);
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                let value = &pair[1].1;
                Err(fault(value.end - value.raw.len(), BencodeFault::DuplicateKey))
            }
            None => Ok(Dictionary(entries)),
        }
    }

    fn integer(&mut self) -> Result<&'a [u8], BencodeError> {
        let start = self.at;
        let text = self.until(b'e', start + 1)?;
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if !is_canonical(digits) || text == b"-0" {
            return Err(fault(start, BencodeFault::Integer));
        }
        Ok(text)
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let start = self.at;
        let digits = self.until(b':', start)?;
        let len: Option<usize> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let len = len.filter(|_| is_canonical(digits)).ok_or(fault(start, BencodeFault::Length))?;
        let string = self.bytes[self.at..].get(..len).ok_or(fault(start, BencodeFault::Truncated))?;
        self.at += len;
        Ok(string)
    }

    /// The digits (and sign) from `from` up to `end`, which is consumed too.
    fn until(&mut self, end: u8, from: usize) -> Result<&'a [u8], BencodeError> {
        let rest = &self.bytes[from..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
        let wrong = if end == b':' { BencodeFault::Length } else { BencodeFault::Integer };
        match rest.get(len) {
            Some(byte) if *byte == end => self.at = from + len + 1,
            Some(_) => return Err(fault(self.at, wrong)),
            None => return Err(fault(self.at, BencodeFault::Truncated)),
        }
        Ok(&rest[..len])
    }
}

/// Whether these are digits without a leading zero, or a single zero.
fn is_canonical(digits: &[u8]) -> bool {
    digits == b"0" || (digits.first().is_some_and(|first| *first != b'0') && digits.iter().all(u8::is_ascii_digit))
}

/// Writes a string.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// Writes an integer.
pub(super) fn write_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(format!("i{value}e").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values() {
        let value = parse(b"d1:ai-7e1:bl0:3:xyze1:cd0:i0eee").unwrap();
        let root = value.as_dictionary().unwrap();
        assert_eq!(root.get("a").map(|value| value.kind.clone()), Some(Kind::Integer(b"-7")));
        assert_eq!(root.get("a").unwrap().as_u64(), None);
        let list = root.get("b").unwrap();
        assert_eq!(list.raw, b"l0:3:xyze");
        assert_eq!(list.as_list().unwrap()[1].as_bytes(), Some(&b"xyz"[..]));
        assert_eq!(root.get("c").unwrap().as_dictionary().unwrap().get("").unwrap().as_u64(), Some(0));
        assert_eq!(root.get("d"), None);
    }

    #[test]
    fn hostile_inputs() {
        use BencodeFault::*;
        let deep = [b"l".repeat(17), b"e".repeat(17)].concat();
        let bottomless = b"d1:a".repeat(1 << 20);
        let many = [&b"l"[..], &b"i0e".repeat(BENCODE_VALUES_MAX), b"e"].concat();
        for (bytes, at, expected) in [
            (&b""[..], 0, Truncated),
            (b"i", 0, Truncated),
            (b"i1", 0, Truncated),
            (b"ie", 0, Integer),
            (b"i-e", 0, Integer),
            (b"i-0e", 0, Integer),
            (b"i00e", 0, Integer),
            (b"i01e", 0, Integer),
            (b"i-01e", 0, Integer),
            (b"i1-e", 0, Integer),
            (b"i+1e", 0, Integer),
            (b"i 1e", 0, Integer),
            (b"i1.5e", 0, Integer),
            (b"1", 0, Truncated),
            (b"1:", 0, Truncated),
            (b"2:a", 0, Truncated),
            (b"01:a", 0, Length),
            (b"00:", 0, Length),
            (b"1a:b", 0, Length),
            (b"1-:b", 0, Length),
            (b"8388609:a", 0, Truncated),
            (b"18446744073709551615:a", 0, Truncated),
            (b"18446744073709551616:a", 0, Length),
            (b"99999999999999999999999999999999:a", 0, Length),
            (b"-1:a", 0, Start(b'-')),
            (b"x", 0, Start(b'x')),
            (b"e", 0, Start(b'e')),
            (b"l", 1, Truncated),
            (b"li1e", 4, Truncated),
            (b"d", 1, Truncated),
            (b"d1:a", 4, Truncated),
            (b"d1:ae", 4, Start(b'e')),
            (b"di1ei2ee", 1, Key),
            (b"dle1:ae", 1, Key),
            (b"d1:ai1e1:ai2ee", 10, DuplicateKey),
            (b"d1:bi1e1:ai2e1:bi1ee", 16, DuplicateKey),
            (b"ld0:le0:leee", 8, DuplicateKey),
            (&deep, 16, Depth),
            (&bottomless, 64, Depth),
            (&many, 1 + 3 * (BENCODE_VALUES_MAX - 1), Values),
        ] {
            let shown = bytes[..bytes.len().min(40)].escape_ascii();
            assert_eq!(parse(bytes), Err(BencodeError { at, fault: expected }), "{shown}");
        }
    }

    #[test]
    fn keys_in_any_order_and_anything_behind_the_end() {
        let value = parse(b"d1:bi1e2:aai2e1:ai3eei4e\n").unwrap();
        assert_eq!(value.raw, b"d1:bi1e2:aai2e1:ai3ee");
        let dictionary = value.as_dictionary().unwrap();
        for (key, number) in [("a", 3), ("aa", 2), ("b", 1)] {
            assert_eq!(dictionary.get(key).and_then(Value::as_u64), Some(number), "{key}");
        }
        for behind in [&b"\n"[..], b"\0\0", b"e", b"i2e", b"x"] {
            assert_eq!(parse(&[b"i1e", behind].concat()).unwrap().raw, b"i1e");
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        assert!(parse(&[b"l".repeat(16), b"e".repeat(16)].concat()).is_ok());
        assert!(parse(&[&b"l"[..], &b"i0e".repeat(BENCODE_VALUES_MAX - 1), b"e"].concat()).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in "[ilde0-3:a\\-]{0,40}") {
            if let Ok(value) = parse(bytes.as_bytes()) {
                prop_assert!(bytes.as_bytes().starts_with(value.raw));
                let again = parse(value.raw);
                prop_assert_eq!(again.as_ref(), Ok(&value));
            }
        }

        #[test]
        fn strings_and_integers_round_trip(bytes: Vec<u8>, number: u64) {
            let mut out = b"l".to_vec();
            write_bytes(&mut out, &bytes);
            write_integer(&mut out, number);
            out.push(b'e');
            let value = parse(&out).unwrap();
            let values = value.as_list().unwrap();
            prop_assert_eq!(values[0].as_bytes(), Some(&bytes[..]));
            prop_assert_eq!(values[1].as_u64(), Some(number));
        }
    }
}
