//! Answers at the start of a buffer. Each is read completely and compared with its request.

use mtorrent::limits::FRAME_CONTROL_BYTES_MAX;
use mtorrent::wire::{Message, Parsed, Status, parse};

use super::options::Protocol;
use super::requests::Expected;
use super::resp::{self, Value};

/// Result of checking an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The requested answer.
    Right,
    /// The file has no seeders.
    Nobody,
    /// A refusal, or the answer to another request.
    Wrong,
}

/// Reads one answer; returns the verdict, and its length in bytes. `Ok(None)` if it is incomplete; an error if no
/// answer starts there.
pub fn take(protocol: Protocol, bytes: &[u8], expected: &Expected) -> Result<Option<(Verdict, usize)>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match protocol {
        Protocol::Mtorrent => match parse(bytes, FRAME_CONTROL_BYTES_MAX).map_err(|error| error.to_string())? {
            Parsed::Frame { frame, len } => {
                let message = Message::decode(frame).map_err(|error| error.to_string())?;
                Ok(Some((judge_message(&message, expected), len)))
            }
            Parsed::Partial { .. } => Ok(None),
        },
        Protocol::Redis if !b":$*-+".contains(&bytes[0]) => Err(format!("no RESP: a byte {:#04x}", bytes[0])),
        Protocol::Redis => Ok(resp::parse(bytes).map(|(value, len)| (judge_value(value, expected), len))),
    }
}

fn judge_message(message: &Message<'_>, expected: &Expected) -> Verdict {
    match (message, expected) {
        (Message::Response(response), Expected::Added) if response.status.is_ok() => Verdict::Right,
        (Message::SeederInfoResponse(info), Expected::Seeders(asked)) if info.info_hash == *asked => {
            match info.status {
                Status::Ok if info.endpoints.is_empty() => Verdict::Nobody,
                Status::Ok => Verdict::Right,
                Status::NotFound => Verdict::Nobody,
                _ => Verdict::Wrong,
            }
        }
        _ => Verdict::Wrong,
    }
}

fn judge_value(value: Value, expected: &Expected) -> Verdict {
    match (value, expected) {
        (Value::Number, Expected::Added) => Verdict::Right,
        (Value::Array(0), Expected::Seeders(_)) => Verdict::Nobody,
        (Value::Array(_), Expected::Seeders(_)) => Verdict::Right,
        _ => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use mtorrent::ids::{Endpoint, InfoHash};
    use mtorrent::wire::{Endpoints, Response, SeederInfo};

    use super::*;

    const ASKED: InfoHash = InfoHash([7; 20]);

    fn judged(message: Message<'_>, expected: Expected) -> Verdict {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(take(Protocol::Mtorrent, &bytes[..bytes.len() - 1], &expected), Ok(None));
        let (verdict, len) = take(Protocol::Mtorrent, &bytes, &expected).expect("a frame").expect("a whole one");
        assert_eq!(len, bytes.len());
        verdict
    }

    #[test]
    fn only_the_answer_to_what_was_asked_is_right() {
        let endpoints = [Endpoint::new([127, 0, 0, 1].into(), 1).expect("a port")];
        let info = |info_hash, status, endpoints: Endpoints<'static>| SeederInfo { info_hash, status, endpoints };
        let ok = Message::Response(Response::new(Status::Ok, "", None));
        let busy = Message::Response(Response::new(Status::Busy, "", None));
        let nobody = info(ASKED, Status::NotFound, Endpoints::NONE);
        let of_other = info(InfoHash([8; 20]), Status::NotFound, Endpoints::NONE);
        let some = SeederInfo { info_hash: ASKED, status: Status::Ok, endpoints: Endpoints::from(&endpoints[..]) };
        let asked = Expected::Seeders(ASKED);
        let rows = [
            (ok, Expected::Added, Verdict::Right),
            (ok, asked, Verdict::Wrong),
            (busy, Expected::Added, Verdict::Wrong),
            (Message::SeederInfoResponse(some), asked, Verdict::Right),
            (Message::SeederInfoResponse(some), Expected::Added, Verdict::Wrong),
            (Message::SeederInfoResponse(nobody), asked, Verdict::Nobody),
            (Message::SeederInfoResponse(of_other), asked, Verdict::Wrong),
        ];
        for (message, expected, verdict) in rows {
            assert_eq!(judged(message, expected), verdict, "{message:?} for {expected:?}");
        }
    }

    #[test]
    fn redis_is_judged_too() {
        let asked = Expected::Seeders(ASKED);
        let rows: [(&[u8], Expected, Verdict); 5] = [
            (b":0\r\n", Expected::Added, Verdict::Right),
            (b"-OOM\r\n", Expected::Added, Verdict::Wrong),
            (b"*0\r\n", asked, Verdict::Nobody),
            (b"*1\r\n$1\r\na\r\n", asked, Verdict::Right),
            (b":1\r\n", asked, Verdict::Wrong),
        ];
        for (bytes, expected, verdict) in rows {
            assert_eq!(take(Protocol::Redis, bytes, &expected), Ok(Some((verdict, bytes.len()))), "{bytes:?}");
        }
        assert!(take(Protocol::Redis, b"mTor", &asked).is_err());
    }
}
