//! The status page of a tracker or a client: one HTML file without anything from outside, kept current by server-sent
//! events.
//!
//! | route | answer |
//! |---|---|
//! | `/` | the page |
//! | `/events` | a stream of events named `status`, one a second: the whole snapshot as JSON |
//! | `/status.json` | the same snapshot, for scripts |
//!
//! A snapshot is made by one thread for all readers ([`board`]), and only while there are some. Its size is bounded:
//! each list ends after [`STATUS_ROWS_MAX`](crate::limits::STATUS_ROWS_MAX) rows, and says how many there are in all.
//! [`tracker`] and [`client`] document the keys; while the process starts, `kind` is `starting`.
//!
//! **Names are hostile.** The page writes them as text, never as HTML, and its policy forbids every script but its own
//! ([`html`]), every connection but to this address, and every resource.

mod board;
mod client;
mod html;
mod tracker;

use std::sync::{Arc, OnceLock};

use super::http::{Answer, EventSource, Response, ServerEvent, Site};
use super::subject::Subject;
use crate::limits::STATUS_PATIENCE;
use board::Board;
use html::{PAGE, POLICY};

/// The thread that makes the snapshots. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Page(Arc<Board>);

impl Page {
    /// Adds the page's routes to a site.
    pub(crate) fn start(subject: &Arc<OnceLock<Subject>>, site: Site) -> std::io::Result<(Self, Site)> {
        let board = Board::start(maker(subject.clone()))?;
        let (streamed, asked) = (board.clone(), board.clone());
        let site = site
            .page("/", |_| Response::html(PAGE, POLICY.as_str()).into())
            .page("/events", move |_| Answer::Events(Box::new(Stream { board: streamed.clone(), seen: 0 })))
            .page("/status.json", move |_| match asked.fresh(STATUS_PATIENCE) {
                Some(json) => Response::new(200, "application/json", json.as_bytes()).into(),
                None => Response::text(503, "the service does not answer\n").into(),
            });
        Ok((Self(board), site))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The snapshot before the process runs anything.
const STARTING: &str = r#"{"schema":1,"kind":"starting"}"#;

/// Makes a snapshot of what the process runs; `None` if it does not answer.
fn maker(subject: Arc<OnceLock<Subject>>) -> impl FnMut() -> Option<String> + Send {
    let mut walk = tracker::Walk::default();
    move || match subject.get() {
        Some(Subject::Tracker(observer)) => tracker::snapshot(observer, &mut walk),
        Some(Subject::Node(observer)) => client::snapshot(observer),
        None => Some(STARTING.to_owned()),
    }
}

/// One reader of the snapshots.
struct Stream {
    board: Arc<Board>,
    seen: u64,
}

impl EventSource for Stream {
    fn next(&mut self) -> Option<ServerEvent> {
        let (number, json) = self.board.latest()?;
        (std::mem::replace(&mut self.seen, number) != number)
            .then(|| ServerEvent { name: "status", data: json.to_string() })
    }
}
