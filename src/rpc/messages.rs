//! Sending messages that are encoded completely in memory.

use std::rc::Rc;

use crate::net::{BufferPool, NetError, Stream};
use crate::wire::{Message, Response, Status};

/// Encodes a message in a pooled buffer and sends it.
pub(crate) async fn send(stream: &mut Stream, message: &Message<'_>, buffers: &Rc<BufferPool>) -> Result<(), NetError> {
    let len = message.encoded_len();
    let mut buffer = buffers.take(len);
    message.encode(&mut &mut buffer[..len]);
    stream.write_all(&buffer[..len]).await
}

/// Returns the encoded refusal of a connection over the connection limit.
pub(crate) fn too_many_connections() -> Vec<u8> {
    let refusal = Response { status: Status::OverLimit, text: "too many connections, try again later", version: None };
    let mut frame = Vec::new();
    Message::Response(refusal).encode(&mut frame);
    frame
}
