//! Reports of downloaders, and the pages of what the tracker knows.

use super::*;

fn share(info_hash: InfoHash, port: u16) -> Message<'static> {
    let (name, length, chunk_size, version) = ("a file", 10 << 20, 1 << 20, None);
    Message::Share(Share { info_hash, name, length, chunk_size, endpoint: endpoint(1, port), version })
}

fn report(info_hash: InfoHash, port: u16, done: u32) -> Message<'static> {
    let progress = wire::Progress { done, count: 10, rate_bytes_s: 7, state: wire::ProgressState::Running };
    Message::ReportProgress(wire::ReportProgress { info_hash, endpoint: endpoint(1, port), progress })
}

/// All pages of a tracker as one client gets them.
fn status_of(client: &mut Client) -> StatusPage {
    let (mut all, mut next) = (StatusPage::default(), Some(Cursor::default()));
    while let Some(start) = next {
        client.send(&Message::StatusRequest(start));
        let Some(Reply::Page(Status::Ok, following, page)) = client.reply() else { panic!("no page") };
        all.tracker = all.tracker.or(page.tracker);
        all.totals = all.totals.or(page.totals);
        all.files.extend(page.files);
        next = following;
    }
    all
}

#[test]
fn what_downloaders_report_is_told() {
    let tracker = start(config()).unwrap();
    let mut client = Client::new(&tracker);
    let files = [InfoHash([1; 20]), InfoHash([0xff; 20])];
    assert_eq!(
        client.ask(&report(files[0], 70, 3)),
        Reply::Response(
            Status::NotFound,
            "this endpoint is not announced for this file: announce it first".to_owned(),
            None
        )
    );
    for info_hash in files {
        let Reply::Response(Status::Ok, text, Some(_)) = client.ask(&share(info_hash, 70)) else { panic!("refused") };
        assert!(wire::takes_progress(&text), "{text}");
        assert_eq!(client.ask(&report(info_hash, 70, 3)), Reply::Response(Status::Ok, String::new(), None));
    }
    let foreign = Client::from(&tracker, 9).ask(&report(files[0], 70, 9));
    assert!(matches!(foreign, Reply::Response(Status::NotAllowed, ..)), "{foreign:?}");
    let status = status_of(&mut client);
    assert_eq!(
        status.files.iter().map(|file| file.info_hash.clone()).collect::<Vec<_>>(),
        files.map(|f| f.to_string())
    );
    for file in &status.files {
        assert_eq!((file.seeders, file.downloaders), (1, 1));
        let [row] = &file.downloads[..] else { panic!("{file:?}") };
        assert_eq!(
            (row.endpoint.as_str(), row.state.as_str(), row.done, row.chunks),
            ("127.0.0.1:70", "running", 3, 10)
        );
    }
    assert!(status.tracker.is_some() && status.totals.is_some());
}

#[test]
fn a_private_tracker_lists_files_to_loopback_and_trusted_addresses_only() {
    let private = TrackerConfig { private: true, ..config() };
    let tracker = start(private).unwrap();
    let mut client = Client::new(&tracker);
    assert!(matches!(client.ask(&share(InfoHash([1; 20]), 70)), Reply::Response(Status::Ok, ..)));
    assert_eq!(status_of(&mut client).files.len(), 1);
    let asked = |ip: &str, trusted| {
        let members = tracker.members.clone();
        let source = crate::tracker::server::status::source::StatusSource {
            figures: tracker.figures.clone(),
            members,
            limits: tracker.limits.clone(),
            listen: tracker.listen_addr(),
            private: true,
            started_ms: 0,
        };
        crate::tracker::server::status::page::Scope::of(ip.parse().unwrap(), trusted, &source).files
    };
    assert!(!asked("10.0.0.1", false) && asked("10.0.0.1", true) && asked("::1", false));
}

/// A flood of status requests costs a bounded part of a core: the rest is answered as busy.
#[test]
fn status_pages_are_rationed() {
    let tracker = start(config()).unwrap();
    let mut client = Client::new(&tracker);
    let count = 1000;
    let mut frames = Vec::new();
    (0..count).for_each(|_| Message::StatusRequest(Cursor::default()).encode(&mut frames));
    client.stream.write_all(&frames).unwrap();
    let replies: Vec<_> = (0..count).map(|_| client.reply().unwrap()).collect();
    assert!(replies.iter().any(|reply| matches!(reply, Reply::Page(Status::Busy, ..))), "all were answered");
    let Reply::Response(Status::Ok, ..) = client.ask(&share(InfoHash([1; 20]), 70)) else { panic!("refused") };
}
