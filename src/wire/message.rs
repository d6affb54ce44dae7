//! The messages in frames: one variant per message type.

use bytes::BufMut;

use crate::ids::{Endpoint, InfoHash, PeerId};

use super::arguments::{Arguments, Payload, Sink};
use super::{
    Body, ChunkInfo, Cursor, DecodeError, Entry, Frame, HaveChunks, ListRequest, ListResponse, ReportProgress,
    Response, SeederChange, SeederInfo, SendChunk, SendChunkRequest, Share, StatusPage, SyncHello, frame, peer_id,
    tracker_status,
};

/// A message, borrowed from the frame in which it arrived, or from the data to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// To a tracker: the sender shares a file.
    Share(Share<'a>),
    /// To a tracker: the sender has chunks of a file.
    AddSeeder(SeederChange),
    /// To a tracker: the sender no longer serves a file.
    RemoveSeeder(SeederChange),
    /// To a tracker: requests the seeders of a file.
    SeederInfoRequest(InfoHash),
    /// To a tracker: the sender downloads a file, and is this far.
    ReportProgress(ReportProgress),
    /// To a tracker: requests what it knows, from this cursor on.
    StatusRequest(Cursor),
    /// To a tracker: asks it to connect to this endpoint, to test whether others reach the sender.
    ReachRequest(Endpoint),
    /// A page of what a tracker knows.
    StatusResponse(StatusPage<'a>),
    /// Seeders of a file.
    SeederInfoResponse(SeederInfo<'a>),
    /// To a peer: requests the list of its chunks.
    ChunkInfoRequest(InfoHash),
    /// The chunks that the peer has.
    ChunkInfoResponse(ChunkInfo<'a>),
    /// To a peer: requests its chunks, and notifications of new ones.
    ChunkSubscribeRequest(InfoHash),
    /// To a subscriber: new chunks.
    HaveChunks(HaveChunks<'a>),
    /// To a peer: requests a chunk.
    SendChunkRequest(SendChunkRequest<'a>),
    /// The requested chunk.
    SendChunkResponse(SendChunk<'a>),
    /// Outcome of a request.
    Response(Response<'a>),
    /// To a peer: requests its id.
    PeerIdRequest,
    /// The id of the peer.
    PeerIdResponse(PeerId),
    /// Between trackers: opens a link.
    SyncHello(SyncHello<'a>),
    /// To a tracker: SyncShare, SyncAddSeeder or SyncRemoveSeeder, depending on the entry.
    SyncEntry(Entry<'a>),
    /// To a tracker: requests the entries that differ.
    SyncSeederListRequest(ListRequest<'a>),
    /// The entries that differ.
    SyncSeederListResponse(ListResponse<'a>),
}

pub(super) const SHARE: &str = "Share";
pub(super) const ADD_SEEDER: &str = "AddSeeder";
pub(super) const REMOVE_SEEDER: &str = "RemoveSeeder";
pub(super) const REPORT_PROGRESS: &str = "ReportProgress";
pub(super) const STATUS_REQUEST: &str = "StatusRequest";
pub(super) const REACH_REQUEST: &str = "ReachRequest";
pub(super) const STATUS_RESPONSE: &str = "StatusResponse";
pub(super) const SEEDER_INFO_REQUEST: &str = "SeederInfoRequest";
pub(super) const SEEDER_INFO_RESPONSE: &str = "SeederInfoResponse";
pub(super) const CHUNK_INFO_REQUEST: &str = "ChunkInfoRequest";
pub(super) const CHUNK_INFO_RESPONSE: &str = "ChunkInfoResponse";
pub(super) const CHUNK_SUBSCRIBE_REQUEST: &str = "ChunkSubscribeRequest";
pub(super) const HAVE_CHUNKS: &str = "HaveChunks";
pub(super) const SEND_CHUNK_REQUEST: &str = "SendChunkRequest";
pub(super) const SEND_CHUNK_RESPONSE: &str = "SendChunkResponse";
pub(super) const RESPONSE: &str = "Response";
pub(super) const PEER_ID_REQUEST: &str = "PeerIdRequest";
pub(super) const PEER_ID_RESPONSE: &str = "PeerIdResponse";
pub(super) const SYNC_HELLO: &str = "SyncHello";
pub(super) const SYNC_SHARE: &str = "SyncShare";
pub(super) const SYNC_ADD_SEEDER: &str = "SyncAddSeeder";
pub(super) const SYNC_REMOVE_SEEDER: &str = "SyncRemoveSeeder";
pub(super) const SYNC_SEEDER_LIST_REQUEST: &str = "SyncSeederListRequest";
pub(super) const SYNC_SEEDER_LIST_RESPONSE: &str = "SyncSeederListResponse";

impl<'a> Message<'a> {
    /// Decodes a frame. After an error the connection stays open: see [`Response::from`].
    pub fn decode(frame: Frame<'a>) -> Result<Self, DecodeError> {
        let kind = std::str::from_utf8(frame.kind).map_err(|_| DecodeError::UnknownType)?;
        let arguments = Arguments::new(frame.payload);
        Ok(match kind {
            SHARE => Self::Share(Share::decode(arguments)?),
            ADD_SEEDER => Self::AddSeeder(SeederChange::decode(arguments)?),
            REMOVE_SEEDER => Self::RemoveSeeder(SeederChange::decode(arguments)?),
            REPORT_PROGRESS => Self::ReportProgress(ReportProgress::decode(arguments)?),
            STATUS_REQUEST => Self::StatusRequest(tracker_status::decode_request(arguments)?),
            REACH_REQUEST => Self::ReachRequest(only_endpoint(arguments)?),
            STATUS_RESPONSE => Self::StatusResponse(StatusPage::decode(arguments)?),
            SEEDER_INFO_REQUEST => Self::SeederInfoRequest(only_info_hash(arguments)?),
            SEEDER_INFO_RESPONSE => Self::SeederInfoResponse(SeederInfo::decode(arguments)?),
            CHUNK_INFO_REQUEST => Self::ChunkInfoRequest(only_info_hash(arguments)?),
            CHUNK_INFO_RESPONSE => Self::ChunkInfoResponse(ChunkInfo::decode(arguments)?),
            CHUNK_SUBSCRIBE_REQUEST => Self::ChunkSubscribeRequest(only_info_hash(arguments)?),
            HAVE_CHUNKS => Self::HaveChunks(HaveChunks::decode(arguments)?),
            SEND_CHUNK_REQUEST => Self::SendChunkRequest(SendChunkRequest::decode(arguments)?),
            SEND_CHUNK_RESPONSE => Self::SendChunkResponse(SendChunk::decode(arguments)?),
            RESPONSE => Self::Response(Response::decode(arguments)?),
            PEER_ID_REQUEST => arguments.end().map(|()| Self::PeerIdRequest)?,
            PEER_ID_RESPONSE => Self::PeerIdResponse(peer_id::decode(arguments)?),
            SYNC_HELLO => Self::SyncHello(SyncHello::decode(arguments)?),
            SYNC_SHARE => Self::SyncEntry(Entry::decode_share(arguments)?),
            SYNC_ADD_SEEDER => Self::SyncEntry(Entry::decode_seeder(arguments, false)?),
            SYNC_REMOVE_SEEDER => Self::SyncEntry(Entry::decode_seeder(arguments, true)?),
            SYNC_SEEDER_LIST_REQUEST => Self::SyncSeederListRequest(ListRequest::decode(arguments)?),
            SYNC_SEEDER_LIST_RESPONSE => Self::SyncSeederListResponse(ListResponse::decode(arguments)?),
            _ => return Err(DecodeError::UnknownType),
        })
    }

    /// Writes the frame. `out` must have room for [`Message::encoded_len`] bytes; a fixed slice without it panics.
    ///
    /// The caller must respect the limits of frames: receivers refuse larger ones.
    pub fn encode(&self, out: &mut impl BufMut) {
        frame::encode(self.kind(), self, out);
    }

    /// Length of the frame, including both magics, bytes.
    pub fn encoded_len(&self) -> usize {
        frame::encoded_len(self.kind(), self)
    }

    /// The message type as written in the frame.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Share(_) => SHARE,
            Self::AddSeeder(_) => ADD_SEEDER,
            Self::RemoveSeeder(_) => REMOVE_SEEDER,
            Self::ReportProgress(_) => REPORT_PROGRESS,
            Self::StatusRequest(_) => STATUS_REQUEST,
            Self::ReachRequest(_) => REACH_REQUEST,
            Self::StatusResponse(_) => STATUS_RESPONSE,
            Self::SeederInfoRequest(_) => SEEDER_INFO_REQUEST,
            Self::SeederInfoResponse(_) => SEEDER_INFO_RESPONSE,
            Self::ChunkInfoRequest(_) => CHUNK_INFO_REQUEST,
            Self::ChunkInfoResponse(_) => CHUNK_INFO_RESPONSE,
            Self::ChunkSubscribeRequest(_) => CHUNK_SUBSCRIBE_REQUEST,
            Self::HaveChunks(_) => HAVE_CHUNKS,
            Self::SendChunkRequest(_) => SEND_CHUNK_REQUEST,
            Self::SendChunkResponse(_) => SEND_CHUNK_RESPONSE,
            Self::Response(_) => RESPONSE,
            Self::PeerIdRequest => PEER_ID_REQUEST,
            Self::PeerIdResponse(_) => PEER_ID_RESPONSE,
            Self::SyncHello(_) => SYNC_HELLO,
            Self::SyncEntry(Entry { body: Body::File(_), .. }) => SYNC_SHARE,
            Self::SyncEntry(Entry { body: Body::Seeder(_), .. }) => SYNC_ADD_SEEDER,
            Self::SyncEntry(Entry { body: Body::Removed(_), .. }) => SYNC_REMOVE_SEEDER,
            Self::SyncSeederListRequest(_) => SYNC_SEEDER_LIST_REQUEST,
            Self::SyncSeederListResponse(_) => SYNC_SEEDER_LIST_RESPONSE,
        }
    }
}

fn only_info_hash(mut arguments: Arguments<'_>) -> Result<InfoHash, DecodeError> {
    let info_hash = arguments.info_hash()?;
    arguments.end()?;
    Ok(info_hash)
}

fn only_endpoint(mut arguments: Arguments<'_>) -> Result<Endpoint, DecodeError> {
    let endpoint = arguments.endpoint()?;
    arguments.end()?;
    Ok(endpoint)
}

impl Payload for Message<'_> {
    fn write(&self, sink: &mut impl Sink) {
        match self {
            Self::Share(share) => share.write(sink),
            Self::AddSeeder(change) | Self::RemoveSeeder(change) => change.write(sink),
            Self::ReportProgress(report) => report.write(sink),
            Self::StatusRequest(start) => start.write(sink),
            Self::ReachRequest(endpoint) => sink.endpoint(*endpoint),
            Self::StatusResponse(page) => page.write(sink),
            Self::SeederInfoRequest(info_hash)
            | Self::ChunkInfoRequest(info_hash)
            | Self::ChunkSubscribeRequest(info_hash) => sink.bytes(&info_hash.0),
            Self::SeederInfoResponse(info) => info.write(sink),
            Self::ChunkInfoResponse(info) => info.write(sink),
            Self::HaveChunks(have) => have.write(sink),
            Self::SendChunkRequest(request) => request.write(sink),
            Self::SendChunkResponse(response) => response.write(sink),
            Self::Response(response) => response.write(sink),
            Self::PeerIdRequest => {}
            Self::PeerIdResponse(id) => id.write(sink),
            Self::SyncHello(hello) => hello.write(sink),
            Self::SyncEntry(entry) => Payload::write(entry, sink),
            Self::SyncSeederListRequest(request) => request.write(sink),
            Self::SyncSeederListResponse(response) => response.write(sink),
        }
    }
}
