//! The text and the JSON of every event.

use super::*;
use crate::console::demo_figures::GetterFigures;
use crate::console::download_text::tests::status;
use crate::console::{files_list, peers_list, shares_list, trackers_list};
use crate::geometry::Geometry;
use crate::node::{Cause, Direction, DownloadState, Failure, FailureKind, TrackerState, Why};

const HASH: InfoHash = InfoHash([0xab; 20]);

fn check(event: &OutputEvent<'_>, text: &str, json: &str) {
    let hash = "ab".repeat(20);
    assert_eq!(event.to_string(), text.replace("HASH", &hash));
    assert_eq!(event.to_json().unwrap(), json.replace("HASH", &hash));
}

#[test]
fn progress_and_troubles() {
    let progress = HashProgress { done_bytes: 1 << 30, bytes: 4 << 30, rate_bytes_s: 1 << 20 };
    check(
        &OutputEvent::HashProgress { file: Path::new("f"), progress },
        "hashing f: 1.0 GiB of 4.0 GiB (25 %), 1.0 MiB/s",
        r#"{"bytes":4294967296,"done_bytes":1073741824,"event":"hash_progress","file":"f","rate_bytes_s":1048576}"#,
    );
    check(
        &OutputEvent::tracker_trouble("t:1", &TrackerTrouble::NotAllowed("a is not b".into())),
        "tracker t:1: not allowed: a is not b; it is tried again",
        r#"{"event":"tracker_trouble","kind":"not_allowed","tracker":"t:1","why":"not allowed: a is not b"}"#,
    );
}

#[test]
fn services() {
    let listen = "127.0.0.1:7000".parse().unwrap();
    check(
        &OutputEvent::Ready { listen, info_hash: Some(HASH), synced: None, metrics: None },
        "ready listen=127.0.0.1:7000 info_hash=HASH",
        r#"{"event":"ready","info_hash":"HASH","listen":"127.0.0.1:7000","schema":1}"#,
    );
    check(
        &OutputEvent::Ready { listen, info_hash: None, synced: Some(false), metrics: Some(listen) },
        "ready listen=127.0.0.1:7000 synced=no metrics=127.0.0.1:7000",
        r#"{"event":"ready","listen":"127.0.0.1:7000","metrics":"127.0.0.1:7000","schema":1,"synced":"no"}"#,
    );
    check(
        &OutputEvent::Announced { tracker: "t:1", path: None, info_hash: None },
        "announced to t:1",
        r#"{"event":"announced","tracker":"t:1"}"#,
    );
    check(
        &OutputEvent::Announced { tracker: "t:1", path: Some(Path::new("a\n")), info_hash: Some(HASH) },
        "announced a\\n to t:1",
        r#"{"event":"announced","info_hash":"HASH","path":"a\\n","tracker":"t:1"}"#,
    );
}

#[test]
fn downloads() {
    let done = status(3, DownloadState::Done { up_to_date: false });
    let fields = |state: &str, rate: u64, more: &str| {
        let hash = "03".repeat(20);
        format!(
            r#""fetched_bytes":5368709120,"fetched_from":[{{"bytes":5368709120,"endpoint":"10.0.0.1:80"}}],"id":3,"info_hash":"{hash}","name":"disk.img","peers":3,"rate_bytes_s":{rate},"seconds":14.2,"state":"{state}",{more}}}"#
        )
    };
    let start = r#"{"bad_chunks":0,"bytes":21474836480,"dest":"/data/disk.img","done_bytes":5368709120,"#;
    let ended = r#""event":"ended","#;
    let is_done = fields(
        "done",
        378_078_107,
        r#""up_to_date":false,"verified":true,"why":{"cause":"nothing","text":"it has just begun"},"zero_bytes":0"#,
    );
    let json = format!("{start}{ended}{is_done}");
    check(&OutputEvent::ended(&done, true), "#3 done 20.0 GiB in 14.2 s, verified", &json);
    let by_name = "done disk.img -> /data/disk.img 20.0 GiB in 14.2 s, verified";
    check(&OutputEvent::ended(&done, false), by_name, &json);
    let failure = Failure { kind: FailureKind::Retry, message: "no seeder: try later".into() };
    let failed = status(3, DownloadState::Failed(failure));
    let fields = |more| fields("failed", 378_078_107, more);
    let has_failed = fields(
        r#""up_to_date":false,"verified":false,"why":{"cause":"nothing","text":"it has just begun"},"zero_bytes":0"#,
    );
    let json = format!(r#"{start}"error":"no seeder: try later",{ended}{has_failed}"#);
    check(&OutputEvent::ended(&failed, true), "#3 failed: no seeder: try later", &json);
    let rows = [done];
    let table = OutputEvent::downloads(&rows);
    let json = format!(r#"{{"downloads":[{start}{is_done}],"event":"downloads"}}"#);
    check(&table, &table.to_string(), &json);
    check(
        &OutputEvent::progress(&status(3, DownloadState::Running)),
        "disk.img: 5.0 GiB of 20.0 GiB (25 %), 1.0 GiB/s, 15s left, 3 peers, running",
        r#"{"bytes":21474836480,"done_bytes":5368709120,"event":"progress","id":3,"name":"disk.img","peers":3,"rate_bytes_s":1073741824,"state":"running","why":{"cause":"nothing","text":"it has just begun"}}"#,
    );
}

#[test]
fn reports_on_progress() {
    let why = Why::with(Cause::Disk, "it is\nslow");
    let event = Event::NoProgress { id: 3, waited: Duration::from_millis(10_250), why, next_step: "wait".into() };
    check(
        &OutputEvent::of(&event).unwrap(),
        "#3 no progress for 10 s: it is\\nslow; next: wait",
        r#"{"cause":"disk","event":"no_progress","id":3,"next_step":"wait","seconds":10.25,"text":"it is\nslow"}"#,
    );
    let event = Event::ProgressAgain { id: 3, waited: Duration::from_secs(20) };
    let json = r#"{"event":"progress_again","id":3,"seconds":20.0}"#;
    check(&OutputEvent::of(&event).unwrap(), "#3 progress again after 20 s", json);
}

#[test]
fn lists() {
    let (share, peer) = (shares_list::tests::share(Some("away")), peers_list::tests::peer(Direction::Down));
    let tracker = trackers_list::tests::tracker(TrackerState::Failed("refused".to_owned()));
    let file = files_list::tests::file();
    for (event, object) in [
        (
            OutputEvent::Shares { shares: vec![ShareFields(&share)] },
            r#"{"event":"shares","shares":[{"bytes":1073741824,"file":"/d/a","info_hash":"HASH","name":"a","path":"/m/a.mtorrent","peers":2,"rate_bytes_s":1048576,"sent_bytes":3145728,"state":"stopped","trackers":1,"why":"away"}]}"#,
        ),
        (
            OutputEvent::Peers { peers: vec![PeerFields(&peer)] },
            r#"{"event":"peers","peers":[{"address":"10.0.0.7:7000","chunks":9,"class":"lan","congestion_control":"cubic","connections":2,"direction":"down","id":3,"info_hash":"HASH","name":"a","rate_bytes_s":0,"received_bytes":3145728,"requests":1,"sent_bytes":0,"state":"paused","why":"it sent a wrong chunk"}]}"#,
        ),
        (
            OutputEvent::Trackers { trackers: vec![TrackerFields(&tracker)] },
            r#"{"event":"trackers","trackers":[{"answered_seconds":3.0,"files":2,"latency_seconds":0.0015,"seconds":90.0,"state":"failed","tracker":"t:7000","why":"refused"}]}"#,
        ),
        (
            OutputEvent::Files { files: vec![FileFields(&file)] },
            r##"{"event":"files","files":[{"bytes":5242880,"chunk_size":1048576,"chunks":5,"done":2,"id":3,"in_flight":1,"info_hash":"HASH","map":"#!>..","missing":2,"name":"a","path":"/d/a","unreadable":1}]}"##,
        ),
    ] {
        check(&event, &event.to_string(), object);
    }
}

#[test]
fn changes() {
    let (from, to) = (Path::new("/a"), Path::new("/b"));
    for (event, text, json) in [
        (OutputEvent::Paused { ids: &[1, 2] }, "paused #1, #2", r#"{"event":"paused","ids":[1,2]}"#),
        (OutputEvent::Resumed { ids: &[3] }, "resumed #3", r#"{"event":"resumed","ids":[3]}"#),
        (OutputEvent::Cancelled { ids: &[] }, "nothing to be cancelled", r#"{"event":"cancelled","ids":[]}"#),
        (
            OutputEvent::Moving { id: Some(3), from, to },
            "#3 moving /a -> /b",
            r#"{"event":"moving","from":"/a","id":3,"to":"/b"}"#,
        ),
        (OutputEvent::Moved { id: None, from, to }, "moved /a -> /b", r#"{"event":"moved","from":"/a","to":"/b"}"#),
    ] {
        check(&event, text, json);
    }
}

#[test]
fn answers_of_the_repl() {
    let (file, path) = (Path::new("/f\n"), Path::new("/f.mtorrent"));
    check(
        &OutputEvent::Started { id: 3, name: "f", dest: file, info_hash: HASH },
        "#3 started f -> /f\\n",
        r#"{"dest":"/f\n","event":"started","id":3,"info_hash":"HASH","name":"f"}"#,
    );
    check(&OutputEvent::Hashing { file }, "hashing /f\\n", r#"{"event":"hashing","file":"/f\\n"}"#);
    check(
        &OutputEvent::Sharing { file, path, info_hash: HASH },
        "sharing /f\\n as /f.mtorrent info_hash=HASH",
        r#"{"event":"sharing","file":"/f\n","info_hash":"HASH","path":"/f.mtorrent"}"#,
    );
    check(&OutputEvent::Removed { path }, "removed /f.mtorrent", r#"{"event":"removed","path":"/f.mtorrent"}"#);
    check(
        &OutputEvent::Limit { up_bytes_s: NonZeroU64::new(1 << 20), down_bytes_s: None },
        "limit up 1.0 MiB/s, down off",
        r#"{"down_bytes_s":null,"event":"limit","up_bytes_s":1048576}"#,
    );
    check(&OutputEvent::Help { text: "t" }, "t", r#"{"event":"help","text":"t"}"#);
    check(&OutputEvent::Question { text: "t" }, "t", r#"{"event":"question","text":"t"}"#);
    check(&OutputEvent::Error { error: "e", exit: None }, "e", r#"{"error":"e","event":"error"}"#);
    check(&OutputEvent::Error { error: "e", exit: Some(2) }, "e", r#"{"error":"e","event":"error","exit":2}"#);
}

#[test]
fn files() {
    let (path, chunk) = (Path::new("f"), Geometry::new(20, 1 << 14).unwrap().chunk(0).unwrap());
    let trackers = ["t:1".to_owned()];
    check(
        &OutputEvent::Created { state: "created", path, info_hash: HASH, length: 9, chunk_size: 8, chunks: 2 },
        "created f info_hash=HASH length=9 chunk_size=8 chunks=2",
        r#"{"chunk_size":8,"chunks":2,"info_hash":"HASH","length":9,"path":"f","state":"created"}"#,
    );
    let (name, remark) = ("f", " (remark)".to_owned());
    check(
        &OutputEvent::Info { name, remark, length: 9, chunk_size: 8, chunks: 2, info_hash: HASH, trackers: &trackers },
        "name: f (remark)\nlength: 9 (9 B)\nchunk size: 8 (8 B)\nchunks: 2\ninfo hash: HASH\ntrackers: t:1",
        r#"{"chunk_size":8,"chunks":2,"info_hash":"HASH","length":9,"name":"f","trackers":["t:1"]}"#,
    );
    check(
        &OutputEvent::Verified { state: "ok", path, info_hash: HASH, length: 9, chunks: 2 },
        "ok f: 2 chunks, 9 B, verified",
        r#"{"chunks":2,"info_hash":"HASH","length":9,"path":"f","state":"ok"}"#,
    );
    check(
        &OutputEvent::BadChunk { state: "bad", chunk, offset: 0, length: 20, why: "missing" },
        "bad chunk 0 bytes 0-19 missing",
        r#"{"chunk":0,"length":20,"offset":0,"state":"bad","why":"missing"}"#,
    );
}

#[test]
fn findings() {
    let all = [Finding::ok("CPU", "8 CPUs"), Finding::warning("memory", "little", "more")];
    let json = r#"{"check":"CPU","event":"finding","level":"ok","text":"8 CPUs"}"#;
    check(&OutputEvent::Finding(&all[0]), "ok       CPU: 8 CPUs", json);
    let json = r#"{"check":"memory","event":"finding","level":"warning","remedy":"more","text":"little"}"#;
    check(&OutputEvent::Finding(&all[1]), "warning  memory: little\n         remedy: more", json);
    let json = r#"{"event":"doctor","ok":1,"problems":0,"warnings":1}"#;
    check(&OutputEvent::doctor(&all), "1 ok, 1 warnings, 0 problems", json);
}

#[test]
fn health() {
    check(
        &OutputEvent::Health { metrics: Some("127.0.0.1:9100".parse().unwrap()), text: "ok" },
        "127.0.0.1:9100: ok",
        r#"{"event":"health","metrics":"127.0.0.1:9100","text":"ok"}"#,
    );
    check(&OutputEvent::Health { metrics: None, text: "it runs" }, "it runs", r#"{"event":"health","text":"it runs"}"#);
}

#[test]
fn the_demo() {
    let getter =
        GetterFigures { seconds: 0.5, rate_bytes_s: 2, from_seeder_bytes: 3, from_other_bytes: 1, verified: true };
    let figures = DemoFigures {
        text: "PASS".into(),
        bytes: 4,
        disk_limit_bytes_s: 5,
        disk_limit_is_direct: true,
        getters: [getter; 2],
        seconds: 1.5,
        rate_bytes_s: 6,
        ratio: 1.25,
        killed_at_percent: 50,
        fallback_seconds: None,
        sha256: ["a", "b", "c"].map(String::from),
        faults: Vec::new(),
        pass: true,
    };
    let getter = r#"{"from_other_bytes":1,"from_seeder_bytes":3,"rate_bytes_s":2,"seconds":0.5,"verified":true}"#;
    let json = r#"{"bytes":4,"disk_limit_bytes_s":5,"disk_limit_is_direct":true,"event":"demo","fallback_seconds":null,"faults":[],"getters":[GETTER,GETTER],"killed_at_percent":50,"pass":true,"rate_bytes_s":6,"ratio":1.25,"seconds":1.5,"sha256":["a","b","c"]}"#;
    check(&OutputEvent::Demo(figures), "PASS", &json.replace("GETTER", getter));
}
