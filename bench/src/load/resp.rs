//! The parts of RESP, the protocol of Redis, that a load needs.

/// Writes a command of byte strings.
pub fn write_command(parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// The value at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// `:` and a number.
    Number,
    /// `$`: a byte string, or null.
    Bytes,
    /// `*`: an array of this many values.
    Array(usize),
    /// `-`, `+` and any other line.
    Other,
}

/// Reads a whole value; returns its kind and its length in bytes. `None` if it is incomplete, or if a number is
/// missing.
pub fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let after = end + 1;
    let number = || number(bytes.get(1..end.checked_sub(1)?)?);
    match bytes[0] {
        b':' => number().map(|_| (Value::Number, after)),
        b'$' => {
            let whole = usize::try_from(number()?).map_or(after, |len| after + len + 2);
            (bytes.len() >= whole).then_some((Value::Bytes, whole))
        }
        b'*' => {
            let count = usize::try_from(number()?).unwrap_or(0);
            let whole = (0..count).try_fold(after, |at, _| Some(at + parse(&bytes[at..])?.1))?;
            Some((Value::Array(count), whole))
        }
        _ => Some((Value::Other, after)),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let (sign, digits) = digits.strip_prefix(b"-").map_or((1, digits), |digits| (-1, digits));
    let add = |sum: i64, digit: &u8| Some(sum * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?));
    // This many digits do not overflow.
    (1..=9).contains(&digits.len()).then(|| digits.iter().try_fold(0, add))?.map(|sum| sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written() {
        let mut out = Vec::new();
        write_command(&[b"SADD", b"key", b""], &mut out);
        assert_eq!(out, b"*3\r\n$4\r\nSADD\r\n$3\r\nkey\r\n$0\r\n\r\n");
    }

    #[test]
    fn values_are_read_when_they_are_whole() {
        let rows: [(&[u8], Option<Value>); 8] = [
            (b":1\r\n", Some(Value::Number)),
            (b":x\r\n", None),
            (b"$-1\r\n", Some(Value::Bytes)),
            (b"$6\r\n\r\n\r\n\r\n\r\n", Some(Value::Bytes)),
            (b"*0\r\n", Some(Value::Array(0))),
            (b"*2\r\n$1\r\na\r\n:7\r\n", Some(Value::Array(2))),
            (b"-ERR no\r\n", Some(Value::Other)),
            (b"*-1\r\n", Some(Value::Array(0))),
        ];
        for (bytes, value) in rows {
            assert_eq!(parse(bytes), value.map(|value| (value, bytes.len())), "{bytes:?}");
            for len in 0..bytes.len() {
                assert_eq!(parse(&bytes[..len]), None, "{len} of {bytes:?}");
            }
        }
    }
}
