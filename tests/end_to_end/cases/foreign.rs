//! `.mtorrent` files of other programs, and deceptive names.

use sha1::{Digest as _, Sha1};

use crate::support::{Folder, Running, random_bytes, run};

const LOOPBACK: &str = "--listen=127.0.0.1:0";

/// A bencoded string.
fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// A `.mtorrent` file whose info dictionary has unsorted keys, the given name, and bytes after its end.
fn metainfo(content: &[u8], chunk_size: usize, name: &[u8], tracker: &str) -> Vec<u8> {
    let pieces: Vec<u8> = content.chunks(chunk_size).flat_map(|chunk| <[u8; 20]>::from(Sha1::digest(chunk))).collect();
    let info = [
        text("pieces"),
        text(pieces),
        text("piece length"),
        format!("i{chunk_size}e").into_bytes(),
        name.to_vec(),
        text("length"),
        format!("i{}e", content.len()).into_bytes(),
    ];
    let trackers = [b"l".to_vec(), text(tracker), b"e".to_vec()].concat();
    let info = [b"d".to_vec(), info.concat(), b"e".to_vec()].concat();
    [b"d".to_vec(), text("mtorrent trackers"), trackers, text("info"), info, b"e\n".to_vec()].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    [text("name"), text(name)].concat()
}

#[test]
fn chunks_of_any_length_are_verified_and_not_transferred() {
    let folder = Folder::new();
    let content = random_bytes(folder.seed(), 300_001);
    let file = folder.file("f", &content).display().to_string();
    for chunk_size in [16 << 10, 20_000, 48 << 10, 100_000, 32 << 20, 256 << 20] {
        let path = folder.file("x.mtorrent", &metainfo(&content, chunk_size, &named(b"f"), "127.0.0.1:1"));
        let path = path.display().to_string();
        let info = run(["info", &path]).expect(0).stdout;
        assert!(info.contains(&format!("chunk size: {chunk_size} ")), "{info}");
        run(["verify", &path, &file]).expect(0);
        let mut wrong = content.clone();
        wrong[300_000] ^= 1;
        let wrong = folder.file("wrong", &wrong).display().to_string();
        let outcome = run(["verify", &path, &wrong]).expect(4);
        assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:?}");
        if chunk_size == 16 << 10 {
            continue;
        }
        let words = "verified but not transferred";
        run(["get", &path, &folder.text("g"), LOOPBACK]).expect_sentence(1, words);
        run(["share", &file, &path, LOOPBACK]).expect_sentence(1, words);
        let mut client = Running::piped(["client", LOOPBACK, "--data-dir", &folder.text("d"), "--json"]);
        client.wait_line(|line| line.contains(r#""event":"ready""#));
        client.say(&format!("get {path} {}", folder.text("g")));
        let refusal = client.wait_line(|line| line.contains("\"error\""));
        assert!(refusal.contains(words), "{refusal}");
        client.end().expect(1);
        assert!(!folder.path("g.part").exists());
    }
    for chunk_size in [0, 1, (16 << 10) - 1, (256 << 20) + 1] {
        let bytes = metainfo(&content, 1 << 20, &named(b"f"), "127.0.0.1:1");
        let bytes = String::from_utf8_lossy(&bytes).replace("i1048576e", &format!("i{chunk_size}e"));
        let path = folder.file("x.mtorrent", bytes.as_bytes()).display().to_string();
        run(["info", &path]).expect(1);
    }
}

#[test]
fn a_file_whose_name_is_none_goes_where_dest_says() {
    let folder = Folder::new();
    let content = random_bytes(folder.seed(), 100_000);
    let file = folder.file("f", &content).display().to_string();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let tracker = ready.listen().to_string();
    let long = "n".repeat(300);
    let list = [text("files"), b"ld".to_vec(), text("length"), b"i100000e".to_vec(), text("path"), b"l".to_vec()];
    let listed = [list.concat(), text("sub"), text("f"), b"eee".to_vec(), named(b"folder")].concat();
    for (number, name) in
        [named(b"../escaped"), named(long.as_bytes()), named(b"a/b"), named(b"\xe4"), named(b".."), listed]
            .iter()
            .enumerate()
    {
        let path = folder.file(&format!("{number}.mtorrent"), &metainfo(&content, 1 << 15, name, &tracker));
        let path = path.display().to_string();
        assert!(run(["info", &path]).expect(0).stdout.contains("DEST has to name the file"));
        let to_folder = run(["get", &path, &folder.text(""), LOOPBACK]).expect_sentence(1, "name the file itself");
        assert!(!to_folder.stderr.contains("panicked"), "{to_folder:?}");
        run(["verify", &path, &folder.text("")]).expect_sentence(1, "name the file itself");
        let (seeder, _) = Running::ready(["share", &file, &path, LOOPBACK]);
        let dest = folder.text(&format!("got{number}"));
        run(["get", &path, &dest, LOOPBACK, "--wait=20s"]).expect(0);
        assert_eq!(std::fs::read(dest).expect("it is there"), content);
        seeder.terminate().expect(0);
    }
    // The UTF-8 name beside one in a legacy encoding.
    let name = [named(b"\xe4"), text("name.utf-8"), text("ä")].concat();
    let path = folder.file("utf8.mtorrent", &metainfo(&content, 1 << 15, &name, &tracker)).display().to_string();
    std::fs::write(folder.path("ä"), &content).expect("it can be written");
    run(["get", &path, &folder.text(""), LOOPBACK]).expect(0);
    assert!(!folder.path("../escaped").exists());
}

#[test]
fn a_name_makes_no_line() {
    let folder = Folder::new();
    let content = random_bytes(folder.seed(), 1000);
    let name = "f\nmtorrent: forged\r#1 done forged";
    let path = folder.file("x.mtorrent", &metainfo(&content, 1 << 14, &named(name.as_bytes()), "127.0.0.1:1"));
    let path = path.display().to_string();
    let is_forged =
        |text: &str| text.lines().any(|line| line.starts_with("mtorrent: forged") || line.starts_with("#1 done"));
    let check = |outcome: crate::support::Outcome| {
        assert!(!is_forged(&outcome.stdout) && !is_forged(&outcome.stderr), "{outcome:?}");
        assert!(!outcome.stderr.contains('\r'), "{outcome:?}");
    };
    let get = ["get", &path, &folder.text(""), LOOPBACK, "--wait=1s", "--report-every=100ms"];
    check(run(["info", &path]).expect(0));
    check(run(["verify", &path, &folder.text("")]).expect(1));
    check(run(get).expect(3));
    for (stands_there, code) in [(&b"another file"[..], 1), (&content, 0)] {
        std::fs::write(folder.path(name), stands_there).expect("such a name is allowed");
        check(run(get).expect(code));
        check(run(["verify", &path, &folder.text("")]).expect(if code == 0 { 0 } else { 4 }));
    }
    std::fs::remove_file(folder.path(name)).expect("it is there");
    std::fs::write(folder.path(&format!("{name}.part")), b"not ours").expect("such a name is allowed");
    check(run(get).expect(1));
    std::fs::remove_file(folder.path(&format!("{name}.part"))).expect("it is there");
    std::fs::create_dir(folder.path(name)).expect("such a name is allowed");
    check(run(get).expect(1));
    let mut client = Running::piped(["client", LOOPBACK, "--data-dir", &folder.text("d")]);
    client.wait_ready();
    client.say(&format!("get {path} {}", folder.text("")));
    client.say("show downloads");
    check(client.end().expect(1));
}
