//! One channel of the mesh, from one core to another, on either back end.

use async_channel::TrySendError;
use glommio::channels::shared_channel::{self, ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender};
use glommio::{GlommioError, ResourceType};

use super::backend::Backend;

/// The sending end, on its way to its core.
#[derive(Debug)]
pub(super) enum UnjoinedSender<M: Send + 'static> {
    Uring(SharedSender<M>),
    Threads(async_channel::Sender<M>),
}

/// The receiving end, on its way to its core.
#[derive(Debug)]
pub(super) enum UnjoinedReceiver<M: Send + 'static> {
    Uring(SharedReceiver<M>),
    Threads(async_channel::Receiver<M>),
}

/// The sending end on its core.
pub(super) enum Sender<M: Send + 'static> {
    Uring(ConnectedSender<M>),
    Threads(async_channel::Sender<M>),
}

/// The receiving end on its core.
pub(super) enum Receiver<M: Send + 'static> {
    Uring(ConnectedReceiver<M>),
    Threads(async_channel::Receiver<M>),
}

/// Why a message was not sent.
pub(super) enum Refused<M> {
    /// The channel is full; the message is returned.
    Full(M),
    /// The other core has ended.
    Closed,
}

/// Creates a channel for at most `messages_max` messages.
pub(super) fn channel<M: Send + 'static>(
    backend: Backend,
    messages_max: usize,
) -> (UnjoinedSender<M>, UnjoinedReceiver<M>) {
    match backend {
        Backend::Uring => {
            let (sender, receiver) = shared_channel::new_bounded(messages_max);
            (UnjoinedSender::Uring(sender), UnjoinedReceiver::Uring(receiver))
        }
        Backend::Threads => {
            let (sender, receiver) = async_channel::bounded(messages_max);
            (UnjoinedSender::Threads(sender), UnjoinedReceiver::Threads(receiver))
        }
    }
}

impl<M: Send + 'static> UnjoinedSender<M> {
    /// Joins this end on its core. On io_uring, this waits for the other end.
    pub(super) async fn connect(self) -> Sender<M> {
        match self {
            Self::Uring(sender) => Sender::Uring(sender.connect().await),
            Self::Threads(sender) => Sender::Threads(sender),
        }
    }
}

impl<M: Send + 'static> UnjoinedReceiver<M> {
    /// Joins this end on its core. On io_uring, this waits for the other end.
    pub(super) async fn connect(self) -> Receiver<M> {
        match self {
            Self::Uring(receiver) => Receiver::Uring(receiver.connect().await),
            Self::Threads(receiver) => Receiver::Threads(receiver),
        }
    }
}

impl<M: Send + 'static> Sender<M> {
    /// Sends the message, unless the channel is full.
    pub(super) fn try_send(&self, message: M) -> Result<(), Refused<M>> {
        match self {
            Self::Uring(sender) => sender.try_send(message).map_err(|error| match error {
                GlommioError::WouldBlock(ResourceType::Channel(message)) => Refused::Full(message),
                _ => Refused::Closed,
            }),
            Self::Threads(sender) => sender.try_send(message).map_err(|error| match error {
                TrySendError::Full(message) => Refused::Full(message),
                TrySendError::Closed(_) => Refused::Closed,
            }),
        }
    }
}

impl<M: Send + 'static> Receiver<M> {
    /// Waits for the next message; `None` if the other core has ended.
    pub(super) async fn recv(&self) -> Option<M> {
        match self {
            Self::Uring(receiver) => receiver.recv().await,
            Self::Threads(receiver) => receiver.recv().await.ok(),
        }
    }
}
