//! stub
#![allow(missing_docs)]
use super::*;
pub struct Client {
    listener: std::net::TcpListener,
    events: (async_channel::Sender<Event>, async_channel::Receiver<Event>),
    downloads: std::sync::Mutex<Vec<DownloadStatus>>,
}
impl Client {
    pub fn start(config: ClientConfig) -> Result<Client, ClientError> {
        let listener = std::net::TcpListener::bind(config.listen).map_err(|e| ClientError::Refused(e.to_string()))?;
        Ok(Client { listener, events: async_channel::bounded(100), downloads: Default::default() })
    }
    pub fn listen_addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 1)))
    }
    pub fn events(&self) -> async_channel::Receiver<Event> {
        self.events.1.clone()
    }
    pub fn share(&self, _: ShareRequest) -> Result<(), ClientError> {
        Ok(())
    }
    pub fn get(&self, r: DownloadRequest) -> Result<DownloadId, ClientError> {
        let mut all = self.downloads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let id = all.len() as u32 + 1;
        let failure = Failure { kind: FailureKind::Retry, message: "no tracker".into() };
        let s = DownloadStatus {
            id,
            info_hash: r.metainfo.info_hash(),
            name: r.metainfo.name().into(),
            dest: r.dest,
            state: DownloadState::Failed(failure),
            length: r.metainfo.geometry().length(),
            done_bytes: 0,
            fetched_bytes: 0,
            fetched_from: vec![],
            bad_chunks: 0,
            rate_bytes_s: 0,
            peers: 0,
            elapsed: Duration::ZERO,
        };
        all.push(s.clone());
        let _ = self.events.0.try_send(Event::Ended(s));
        Ok(id)
    }
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.downloads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
    pub fn shares(&self) -> Vec<ShareStatus> {
        vec![]
    }
    pub fn remove(&self, name: &str) -> Result<(), ClientError> {
        Err(ClientError::Refused(format!("{name} is not shared")))
    }
    pub fn cancel(&self, _: DownloadId) -> Result<(), ClientError> {
        Ok(())
    }
    pub fn close(self) {}
}
