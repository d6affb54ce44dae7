//! `create`, `info` and `verify` by the real binary: files of every shape, bad input, exit codes.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Folder, Outcome, Running, finish, limits, mtorrent, run};

const CHUNK: usize = 256 << 10;

fn create(folder: &Folder, file: &str, metainfo: &str) -> Outcome {
    let chunk_size = CHUNK.to_string();
    run(["create", &folder.text(file), &folder.text(metainfo), "--chunk-size", &chunk_size, "--tracker", "t:7000"])
}

fn verify(folder: &Folder, metainfo: &str, path: &str) -> Outcome {
    run(["verify", &folder.text(metainfo), &folder.text(path)])
}

#[test]
fn files_of_every_shape() {
    let folder = Folder::new();
    for (name, length, chunks) in [
        ("empty", 0, 0),
        ("one byte", 1, 1),
        ("ein Stück.bin", CHUNK, 1),
        ("块+1", CHUNK + 1, 2),
        ("'quoted' & \"odd\"", 3 * CHUNK, 3),
    ] {
        folder.random_file(name, length);
        let metainfo = format!("{name}.mtorrent");
        let created = create(&folder, name, &metainfo).expect(0);
        assert!(
            created.stdout.contains(&format!(" length={length} chunk_size={CHUNK} chunks={chunks}")),
            "{created:?}"
        );
        let info = run(["info", &folder.text(&metainfo), "--json"]).expect(0);
        let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("one object");
        assert_eq!((info["name"].as_str(), info["length"].as_u64()), (Some(name), Some(length as u64)));
        assert_eq!(info["trackers"], serde_json::json!(["t:7000"]));
        let hash = info["info_hash"].as_str().expect("text");
        assert!(created.stdout.contains(&format!("info_hash={hash}")));
        assert!(run(["info", &folder.text(&metainfo)]).expect(0).stdout.contains(&format!("info hash: {hash}")));
        let verified = verify(&folder, &metainfo, name).expect(0);
        assert!(verified.stdout.starts_with("ok "), "{verified:?}");
        run(["verify".as_ref(), folder.path(&metainfo).as_os_str(), folder.as_ref().as_os_str()]).expect(0);
    }
}

#[test]
fn bad_chunks_are_named() {
    let folder = Folder::new();
    let path = folder.random_file("file", 3 * CHUNK + 5);
    create(&folder, "file", "file.mtorrent").expect(0);
    let right = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], lines: &[&str], words: &str| {
        folder.file("file", bytes);
        let outcome = verify(&folder, "file.mtorrent", "file").expect_sentence(4, words);
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), lines);
    };
    let mut wrong = right.clone();
    wrong[CHUNK] ^= 1;
    wrong[3 * CHUNK + 4] ^= 1;
    check(
        &wrong,
        &["bad chunk 1 bytes 262144-524287 different", "bad chunk 3 bytes 786432-786436 different"],
        "2 of 4 chunks are bad",
    );
    check(
        &right[..2 * CHUNK + 1],
        &["bad chunk 2 bytes 524288-786431 missing", "bad chunk 3 bytes 786432-786436 missing"],
        "2 of 4 chunks are bad",
    );
    check(&[right.as_slice(), b"more"].concat(), &[], "bytes, not 786437");
    let json = run(["verify", &folder.text("file.mtorrent"), &folder.text("file"), "--json"]).expect(4);
    assert!(json.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{json:?}");
    folder.file("file", &right);
    verify(&folder, "file.mtorrent", "file").expect(0);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = Folder::new();
    folder.random_file("one", 1000);
    folder.random_file("two", 2000);
    create(&folder, "one", "x.mtorrent").expect(0);
    let first = std::fs::read(folder.path("x.mtorrent")).unwrap();
    assert!(create(&folder, "one", "x.mtorrent").expect(0).stdout.starts_with("up to date "));
    create(&folder, "two", "x.mtorrent").expect_sentence(1, "--force");
    assert_eq!(std::fs::read(folder.path("x.mtorrent")).unwrap(), first);
    // Swapped arguments never destroy a file, --force or not.
    for arguments in [["x.mtorrent", "one"], ["one", "one"]] {
        let [file, metainfo] = arguments.map(|name| folder.text(name));
        let before = std::fs::read(folder.path("one")).unwrap();
        run(["create", &file, &metainfo, "--force"]).expect(1);
        assert_eq!(std::fs::read(folder.path("one")).unwrap(), before);
    }
    run(["create", &folder.text("two"), &folder.text("x.mtorrent"), "--force"]).expect(0);
    assert_ne!(std::fs::read(folder.path("x.mtorrent")).unwrap(), first);
    assert_eq!(folder.names(), ["one", "two", "x.mtorrent"], "no temporary file is left");
}

#[test]
fn share_refuses_what_does_not_fit() {
    let folder = Folder::new();
    folder.random_file("one", 1000);
    folder.random_file("two", 2000);
    create(&folder, "one", "x.mtorrent").expect(0);
    folder.file("damaged.mtorrent", b"d4:infod6:lengthi5ee");
    for (file, metainfo, flags, words) in [
        ("two", "x.mtorrent", vec![], "--force"),
        ("one", "x.mtorrent", vec!["--chunk-size", "1MiB"], "--force"),
        ("one", "damaged.mtorrent", vec![], "--force"),
        ("missing", "x.mtorrent", vec![], "there is no file"),
    ] {
        let (file, metainfo) = (folder.text(file), folder.text(metainfo));
        let line = [["share", &file, &metainfo, "--tracker", "127.0.0.1:1"].as_slice(), &flags].concat();
        run(line).expect_sentence(1, words);
    }
    run(["share", &folder.text("one"), &folder.text("new.mtorrent")]).expect_sentence(2, "--tracker HOST:PORT");
    // A file that lacks trackers and thus cannot be shared is not replaced either.
    run(["create", &folder.text("one"), &folder.text("alone.mtorrent")]).expect(0);
    for metainfo in ["alone.mtorrent", "damaged.mtorrent"] {
        let before = std::fs::read(folder.path(metainfo)).unwrap();
        run(["share", &folder.text("two"), &folder.text(metainfo), "--force"])
            .expect_sentence(2, "--tracker HOST:PORT");
        assert_eq!(std::fs::read(folder.path(metainfo)).unwrap(), before);
    }
}

#[test]
fn a_share_made_anew_keeps_its_trackers() {
    let folder = Folder::new();
    folder.random_file("one", 1000);
    folder.random_file("two", 2000);
    run(["create", &folder.text("one"), &folder.text("x.mtorrent"), "--tracker=127.0.0.1:1"]).expect(0);
    let line = ["share", &folder.text("two"), &folder.text("x.mtorrent"), "--force", "--listen=127.0.0.1:0"];
    let sharer = Running::spawn(&mut mtorrent(line));
    sharer.wait_signals_handled();
    let trackers = || {
        let info = run(["info", &folder.text("x.mtorrent"), "--json"]).expect(0);
        serde_json::from_str::<serde_json::Value>(&info.stdout).expect("one object")
    };
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while trackers()["length"] != 2000 {
        assert!(std::time::Instant::now() < deadline, "it is never made anew");
    }
    assert_eq!(trackers()["trackers"], serde_json::json!(["127.0.0.1:1"]));
    sharer.signal(Signal::TERM);
    sharer.wait().expect(143);
}

#[test]
fn bad_input_is_one_sentence() {
    let folder = Folder::new();
    folder.random_file("file", 1000);
    folder.file("empty.mtorrent", b"");
    folder.file("text.mtorrent", b"hello");
    folder.file("damaged.mtorrent", b"d4:infod6:lengthi5ee");
    std::fs::create_dir(folder.path("folder")).unwrap();
    let big = std::fs::File::create(folder.path("big.mtorrent")).unwrap();
    big.set_len(9 << 20).unwrap();
    create(&folder, "file", "x.mtorrent").expect(0);
    for (command, first, second, code, words) in [
        ("create", "missing", "m.mtorrent", 1, "there is no file"),
        ("create", "folder", "m.mtorrent", 1, "is a directory"),
        ("create", "file", "no/m.mtorrent", 1, "create it first"),
        ("create", "file", "folder", 1, "is a directory"),
        ("create", "file/inside", "m.mtorrent", 1, "through a file"),
        ("verify", "missing.mtorrent", "file", 1, "there is no file"),
        ("verify", "empty.mtorrent", "file", 1, "damaged"),
        ("verify", "text.mtorrent", "file", 1, "damaged"),
        ("verify", "damaged.mtorrent", "file", 1, "damaged"),
        ("verify", "big.mtorrent", "file", 1, "8 MiB"),
        ("verify", "folder", "file", 1, "is a directory"),
        ("verify", "x.mtorrent", "missing", 1, "there is no file"),
        ("verify", "x.mtorrent", "folder", 1, "there is no file"),
        ("get", "damaged.mtorrent", "dest", 1, "damaged"),
        ("get", "x.mtorrent", "no/dest", 1, "create it first"),
        ("get", "x.mtorrent", "no/", 1, "create it first"),
    ] {
        println!("{command} {first} {second}");
        run([command, &folder.text(first), &folder.text(second)]).expect_sentence(code, words);
    }
    run(["info", "/dev/null"]).expect_sentence(1, "not a regular file");
    let json = run(["info", &folder.text("text.mtorrent"), "--json"]).expect(1);
    let error: serde_json::Value = serde_json::from_str(&json.stdout).expect("one object");
    assert_eq!((error["event"].as_str(), error["exit"].as_u64()), (Some("error"), Some(1)));
}

#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.random_file("file", 1000);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut create = mtorrent(["create", path.to_str().unwrap(), &folder.text("x.mtorrent")]);
    finish(limits::obey_modes(&mut create)).expect_sentence(1, "no permission to read");
}

#[test]
fn a_lease_that_cannot_be_kept_is_a_wrong_line() {
    run(["tracker", "--listen=127.0.0.1:0", "--lease=0s"]).expect_sentence(2, "the shortest is one second");
}

#[test]
fn usage_and_help() {
    for line in [vec![], vec!["fly"], vec!["create"], vec!["info", "a", "b"], vec!["get"]] {
        let outcome = run(&line).expect(2);
        assert!(outcome.stdout.is_empty() && outcome.stderr.contains("Usage"), "{outcome:?}");
    }
    run(["get", "x.mtorrent"]).expect_sentence(2, "DEST is missing");
    run(["get", "x.mtorrent", "--discard", "--seed"]).expect_sentence(2, "--discard");
    assert!(run(["--help"]).expect(0).stdout.contains("Exit codes"));
    assert!(run(["--version"]).expect(0).stdout.starts_with("mtorrent "));
    assert!(run(["get", "--help"]).expect(0).stdout.contains("MTORRENT_WAIT"));
}

#[test]
fn variables_stand_behind_flags() {
    let folder = Folder::new();
    folder.random_file("file", 1000);
    let (file, metainfo) = (folder.text("file"), folder.text("x.mtorrent"));
    let mut command = mtorrent(["create", &file, &metainfo, "--chunk-size", "512KiB"]);
    command.env("MTORRENT_TRACKER", "a:1,b:2").env("MTORRENT_CHUNK_SIZE", "1MiB");
    assert!(finish(&mut command).expect(0).stdout.contains("chunk_size=524288"));
    let info = finish(mtorrent(["info", &metainfo]).env("MTORRENT_JSON", "1")).expect(0);
    assert!(info.stdout.contains(r#""trackers":["a:1","b:2"]"#), "{info:?}");
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    for line in [["--help", "--help"], ["help", "get"]] {
        let mut child = mtorrent(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let outcome = child.wait_with_output().unwrap();
        assert!(outcome.stderr.is_empty(), "{outcome:?}");
        assert_eq!(outcome.status.code(), Some(0));
    }
}

#[test]
fn signals_before_the_work_is_done() {
    let folder = Folder::new();
    // Sparse, and far longer than can be hashed during the test.
    std::fs::File::create(folder.path("huge")).unwrap().set_len(4 << 40).unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = Running::spawn(&mut mtorrent(["create", &folder.text("huge"), &folder.text("x.mtorrent")]));
        running.wait_signals_handled();
        running.signal(signal);
        running.wait().expect_sentence(code, "nothing was changed");
    }
    assert_eq!(folder.names(), ["huge"]);
}

#[test]
fn the_doctor_looks_at_a_folder() {
    let folder = Folder::new();
    let outcome = run(["doctor", &folder.text("."), "--json"]).expect(0);
    let rows: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (summary, findings) = rows.split_last().expect("a summary");
    assert!(findings.iter().all(|row| row["event"] == "finding" && row["check"].is_string()), "{findings:?}");
    let count = |level: &str| findings.iter().filter(|row| row["level"] == level).count();
    assert_eq!(summary["event"], "doctor");
    assert_eq!((summary["ok"].as_u64(), summary["problems"].as_u64()), (Some(count("ok") as u64), Some(0)));
    assert!(findings.iter().all(|row| row["level"] == "ok" || row["remedy"].is_string()), "{findings:?}");
    assert!(folder.names().is_empty(), "nothing is left");
    let missing = run(["doctor", &folder.text("missing")]).expect(1);
    assert!(missing.stdout.contains("PROBLEM  folder: ") && missing.stdout.contains("remedy: "), "{missing:?}");
}
