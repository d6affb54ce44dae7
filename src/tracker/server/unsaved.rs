//! Refusals of changes that the store cannot take now.

use crate::limits::FRAME_SYNC_BYTES_MAX;
use crate::tracker::bounded_text::BoundedText;
use crate::tracker::bug::report_bug;
use crate::wire::{self, Message, Parsed, Response, Status};

/// Appends the refusal of a change that the store does not take.
pub(crate) fn refuse_unsaved(why: &str, out: &mut Vec<u8>) {
    let text =
        BoundedText::new(format_args!("this tracker cannot save changes now ({why}): ask another one, or try later"));
    Message::Response(Response::new(Status::Internal, text.as_str(), None)).encode(out);
}

/// Calls `each` with the length of every reply frame and the reply to send in its place: an acknowledgement becomes a
/// refusal.
pub(crate) fn refuse_acknowledged(mut replies: &[u8], why: &str, mut each: impl FnMut(usize, &[u8])) {
    let mut refusal = Vec::new();
    while let Ok(Parsed::Frame { frame, len }) = wire::parse(replies, FRAME_SYNC_BYTES_MAX) {
        let (reply, rest) = replies.split_at(len);
        replies = rest;
        match Message::decode(frame) {
            Ok(Message::Response(response)) if response.status.is_ok() && response.version.is_some() => {
                refusal.clear();
                refuse_unsaved(why, &mut refusal);
                each(len, &refusal);
            }
            _ => each(len, reply),
        }
    }
    if !replies.is_empty() {
        report_bug("replies of ours are no frames");
    }
}

/// Total bytes of the replies that [`refuse_acknowledged`] passes to its callback.
pub(crate) fn refused_len(replies: &[u8], why: &str) -> usize {
    let mut sum = 0;
    refuse_acknowledged(replies, why, |_, reply| sum += reply.len());
    sum
}
