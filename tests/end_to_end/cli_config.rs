//! Configuration files, the formats of the log, completions and manual pages, by the real binary.

use std::process::Command;

use crate::support::{Folder, Running, finish, mtorrent, run};

#[test]
fn a_tracker_and_a_client_run_from_what_they_printed() {
    let folder = Folder::new();
    let (data, file) = (folder.text("data"), folder.text("tracker.toml"));
    let line = ["tracker", "--listen", "127.0.0.1:0", "--lease=1200", "--data-dir", &data, "--print-config"];
    let printed = run(line).expect(0).stdout;
    std::fs::write(&file, &printed).unwrap();
    // The origins differ, the settings do not.
    let settings = |text: &str| text.lines().filter(|line| !line.starts_with("# ")).collect::<Vec<_>>().join("\n");
    let again = run(["tracker", "--config", &file, "--print-config"]).expect(0).stdout;
    assert_eq!(settings(&again), settings(&printed));
    let (tracker, ready) = Running::ready(["--config", &file, "tracker"]);
    assert!(std::path::Path::new(&data).is_dir());

    let (client_data, client) = (folder.text("client"), folder.text("client.toml"));
    let address = ready.listen().to_string();
    let text = format!("tracker = ['{address}']\n[client]\nlisten = '127.0.0.1:0'\ndata-dir = '{client_data}'\n");
    std::fs::write(&client, text).unwrap();
    let printed = finish(mtorrent(["client", "--print-config"]).env("MTORRENT_CONFIG", &client)).expect(0).stdout;
    std::fs::write(&client, &printed).unwrap();
    let again = finish(mtorrent(["client", "--print-config"]).env("MTORRENT_CONFIG", &client)).expect(0).stdout;
    assert_eq!(settings(&again), settings(&printed));
    let mut client = Running::piped(["client", "--config", &client]);
    assert_eq!(client.wait_ready().listen().ip().to_string(), "127.0.0.1");
    client.say("quit");
    client.wait().expect(0);
    assert!(std::path::Path::new(&client_data).is_dir());
    tracker.terminate().expect(0);
}

#[test]
fn a_wrong_configuration_is_one_sentence() {
    let folder = Folder::new();
    let file = folder.text("c.toml");
    std::fs::write(&file, "\n[tracker]\nlissen = '127.0.0.1:0'\n").unwrap();
    let outcome = run(["tracker", "--config", &file]);
    outcome.expect_sentence(2, &format!("{file}:3: unknown key `lissen` in [tracker]: did you mean `listen`?"));
    run(["tracker", "--config", &folder.text("none")]).expect_sentence(1, "cannot read the configuration");
    let json = run(["tracker", "--config", &file, "--json"]).expect(2).stdout;
    let object: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(object["exit"], 2, "{object}");
}

#[test]
fn logs_are_json_or_have_the_priorities_of_the_journal() {
    let folder = Folder::new();
    folder.random_file("file", 1000);
    let (file, metainfo) = (folder.text("file"), folder.text("x.mtorrent"));
    let (tracker, _) = Running::ready(["tracker", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let log = tracker.terminate().expect(0).stderr;
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!lines.is_empty());
    for line in lines {
        let level = line["level"].as_str().expect("a level");
        assert!(["error", "warn", "info"].contains(&level) && line["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')));
        assert!(line["target"].is_string() && line["message"].is_string(), "{line}");
    }
    // A message to the user is an object, too.
    let verify = ["verify", &metainfo, &file];
    let failed = finish(mtorrent(verify).env("MTORRENT_LOG_FORMAT", "json")).expect(1).stderr;
    let failed: serde_json::Value = serde_json::from_str(failed.trim()).expect("an object");
    assert_eq!((failed["level"].as_str(), failed["target"].as_str()), (Some("error"), Some("mtorrent")));

    // The journal is recognized by its device and inode, here those of the pipe that the test reads.
    let script = r#"export JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)"; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_mtorrent"), "verify", &metainfo, &file]);
    let stderr = finish(&mut command).expect(1).stderr;
    assert!(stderr.starts_with("<3>mtorrent: "), "{stderr}");
    let other = finish(mtorrent(["verify", &metainfo, &file]).env("JOURNAL_STREAM", "1:1")).expect(1).stderr;
    assert!(other.starts_with("mtorrent: "), "{other}");
}

#[test]
fn completions_and_manual_pages() {
    let folder = Folder::new();
    for (shell, words) in [("bash", "complete -F"), ("zsh", "#compdef mtorrent"), ("fish", "complete -c mtorrent")] {
        let script = finish(mtorrent(["completions", shell]).env("MTORRENT_JSON", "1")).expect(0).stdout;
        assert!(script.contains(words), "{script}");
    }
    let script = run(["completions", "bash"]).expect(0).stdout;
    std::fs::write(folder.path("completions"), script).unwrap();
    let typed = format!(
        "source {}; COMP_WORDS=(mtorrent tracker --lis); COMP_CWORD=2; _mtorrent mtorrent --lis tracker; echo $COMPREPLY",
        folder.text("completions")
    );
    let completed = Command::new("bash").args(["-c", &typed]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "--listen", "{completed:?}");
    let pages = folder.text("man");
    run(["man", &pages]).expect(0);
    let page = std::fs::read_to_string(folder.path("man/mtorrent-tracker.1")).unwrap();
    assert!(page.contains("MTORRENT_TRACKER_LISTEN") && page.contains(".TH mtorrent-tracker 1"), "{page}");
    assert!(run(["man"]).expect(0).stdout.contains(".TH mtorrent 1"));
}
