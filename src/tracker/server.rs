//! stub
#![allow(missing_docs)]
use std::net::SocketAddr;
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    pub listen: SocketAddr,
    pub cores: usize,
}
impl Default for TrackerConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 0)), cores: 1 }
    }
}
pub struct TrackerHandle {
    listener: std::net::TcpListener,
}
pub fn start(config: TrackerConfig) -> std::io::Result<TrackerHandle> {
    Ok(TrackerHandle { listener: std::net::TcpListener::bind(config.listen)? })
}
impl TrackerHandle {
    pub fn listen_addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 1)))
    }
    pub fn stop(&self) {}
    pub fn join(self) {}
}
