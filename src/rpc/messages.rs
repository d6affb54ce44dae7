//! Messages that are sent whole, from memory.

use std::rc::Rc;

use crate::net::{BufferPool, NetError, Stream};
use crate::wire::{Message, Response, Status};

/// Sends one message, encoded in a pooled buffer.
pub(crate) async fn send(stream: &mut Stream, message: &Message<'_>, buffers: &Rc<BufferPool>) -> Result<(), NetError> {
    let len = message.encoded_len();
    let mut buffer = buffers.take(len);
    message.encode(&mut &mut buffer[..len]);
    stream.write_all(&buffer[..len]).await
}

/// The frame for a connection that is one too many.
pub(crate) fn too_many_connections() -> Vec<u8> {
    let refusal = Response { status: Status::OverLimit, text: "too many connections, try again later", version: None };
    let mut frame = Vec::new();
    Message::Response(refusal).encode(&mut frame);
    frame
}
