//! ReportProgress: a downloader reports to its tracker how far it is.

use crate::ids::{Endpoint, InfoHash};
use crate::limits::CHUNKS_MAX;

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

/// The word in the text of a tracker's acknowledgement by which it says that it takes ReportProgress.
pub const TAKES_PROGRESS: &str = "progress";

/// The state of a download, as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProgressState {
    /// No peer has what is missing.
    Waiting = 0,
    /// Chunks arrive.
    Running = 1,
    /// There are peers, but nothing arrives.
    Stalled = 2,
    /// The user has paused the download.
    Paused = 3,
    /// All chunks are verified.
    Done = 4,
    /// The download has ended before it was done.
    Ended = 5,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of verified chunks.
    pub done: u32,
    /// Number of chunks of the file.
    pub count: u32,
    /// Rate of the last seconds, bytes a second.
    pub rate_bytes_s: u64,
    /// State of the download.
    pub state: ProgressState,
}

/// The progress of one downloader. Answered by a Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportProgress {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// The endpoint that the downloader announced by AddSeeder or Share.
    pub endpoint: Endpoint,
    /// How far it is.
    pub progress: Progress,
}

impl ProgressState {
    const ALL: [Self; 6] = [Self::Waiting, Self::Running, Self::Stalled, Self::Paused, Self::Done, Self::Ended];

    /// The state of a byte on the wire; `None` if the byte is not assigned.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// The state in one lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Ended => "ended",
        }
    }

    /// Whether the download goes on.
    pub fn is_going_on(self) -> bool {
        !matches!(self, Self::Done | Self::Ended)
    }
}

/// Whether the text of an acknowledgement says that the tracker takes ReportProgress. The text is a list of words; a
/// client ignores those that it does not know.
pub fn takes_progress(text: &str) -> bool {
    text.split_whitespace().any(|word| word == TAKES_PROGRESS)
}

/// The word of an acknowledgement that gives the address under which the tracker has entered the client.
pub const ENTERED_AS: &str = "entered-as=";

/// Whether the text of an acknowledgement says that the tracker has entered the client under another address than the
/// one that it spoke from.
pub fn is_entered_elsewhere(text: &str) -> bool {
    text.split_whitespace().any(|word| word.starts_with(ENTERED_AS))
}

impl ReportProgress {
    pub(super) fn decode(mut arguments: Arguments<'_>) -> Result<Self, DecodeError> {
        let (info_hash, endpoint) = (arguments.info_hash()?, arguments.endpoint()?);
        let (done, count, rate_bytes_s) = (arguments.u32()?, arguments.u32()?, arguments.u64()?);
        let [state] = arguments.array(STATE)?;
        arguments.end()?;
        if done > count || count > CHUNKS_MAX {
            return Err(CHUNKS);
        }
        let state = ProgressState::from_byte(state).ok_or(STATE)?;
        Ok(Self { info_hash, endpoint, progress: Progress { done, count, rate_bytes_s, state } })
    }
}

impl Payload for ReportProgress {
    fn write(&self, sink: &mut impl Sink) {
        let Progress { done, count, rate_bytes_s, state } = self.progress;
        sink.bytes(&self.info_hash.0);
        sink.endpoint(self.endpoint);
        sink.u32(done);
        sink.u32(count);
        sink.bytes(&rate_bytes_s.to_be_bytes());
        sink.bytes(&[state as u8]);
    }
}

const STATE: DecodeError = DecodeError::BadArguments("the state of the download is unknown");
const CHUNKS: DecodeError =
    DecodeError::BadArguments("more chunks are done than there are, or there are more than a file may have");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_byte() {
        for (byte, state) in ProgressState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, byte);
            assert_eq!(ProgressState::from_byte(byte as u8), Some(state));
        }
        assert_eq!(ProgressState::from_byte(6), None);
    }

    #[test]
    fn the_word_stands_among_others() {
        for (text, takes) in [("", false), ("progress", true), ("more progress", true), ("progressive", false)] {
            assert_eq!(takes_progress(text), takes, "{text}");
        }
    }
}
