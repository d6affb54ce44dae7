//! Flags, variables, the file and defaults, in their order of precedence; and what is refused.

use std::path::Path;

use super::*;
use crate::cli::args::{LowArgs, LowCommand};
use crate::cli::parse::{Parsed, Refusal, parse};
use crate::cli::settings::ConfigFile;

/// Parses a command line with variables (`NAME=VALUE`, several by a blank) and a file.
fn run(line: &str, variables: &str, file: &str) -> Result<Parsed, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, file).expect("a file");
    let words = std::iter::once("mtorrent").chain(line.split_whitespace());
    let config = ["--config".into(), path.clone().into_os_string()];
    let arguments: Vec<OsString> = words.map(OsString::from).chain(config).collect();
    let variable = |name: &str| {
        let mut pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.into())
    };
    parse(&arguments, &variable).map_err(|refusal| {
        let message = match refusal {
            Refusal::Clap(error) => sentence(&error),
            Refusal::Settings(error) => error.message,
        };
        message.replace(&path.display().to_string(), "FILE")
    })
}

fn low(line: &str, variables: &str, file: &str) -> LowArgs {
    match run(line, variables, file) {
        Ok(Parsed::Command(low, _)) => *low,
        other => panic!("{line}, {variables}, {file}: {other:?}"),
    }
}

/// The effective settings of a command line, by flag.
fn printed(line: &str, variables: &str, file: &str) -> toml::Table {
    let text = printed_text(line, variables, file);
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (_, settings) = table.into_iter().next().expect("one table");
    settings.as_table().expect("a table").clone()
}

fn printed_text(line: &str, variables: &str, file: &str) -> String {
    match run(&format!("{line} --print-config"), variables, file) {
        Ok(Parsed::Config(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

/// The text of a value: a number may stand for a text.
fn as_text(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One row a kind of value: command, flag, the default, and a value for the file, its table, the variable and the flag.
#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    for (command, flag, default, [top, table, variable, typed]) in [
        ("tracker", "listen", None, [r#""1.1.1.1:1""#, r#""1.1.1.2:2""#, "1.1.1.3:3", "1.1.1.4:4"]),
        ("client", "stall-timeout", Some(r#""5m""#), ["30", r#""1h 30m""#, "50", "2h"]),
        ("client", "cache", Some(r#""96MiB""#), ["1048576", r#""2MiB""#, "3MiB", "4MiB"]),
        ("client", "upload-limit", None, [r#""1Mbit""#, r#""off""#, "3Mbit", "4MiB"]),
        ("client", "cores", None, ["1", "2", "3", "4"]),
        ("client", "picker", Some(r#""rarest""#), [r#""random""#, r#""rarest""#, "random", "rarest"]),
        ("client", "data-dir", None, [r#""/a""#, r#""/b""#, "/c", "/d"]),
        ("client", "tracker", None, [r#"["a:1", "b:2"]"#, r#"["c:3"]"#, "d:4,e:5", "f:6"]),
        ("get", "seed", Some("false"), ["true", "false", "yes", "no"]),
        ("get", "json", Some("false"), ["false", "true", "0", "yes"]),
    ] {
        let value = |text: &str| as_text(&format!("x = {text}").parse::<toml::Table>().expect(text)["x"]);
        let typed_value = |text: &str| match flag {
            "tracker" => as_text(&toml::Value::from(text.split(',').collect::<Vec<_>>())),
            "seed" | "json" => matches!(text, "yes" | "1").to_string(),
            _ => text.to_owned(),
        };
        let [at_top, in_table] =
            [format!("{flag} = {top}\n"), format!("{flag} = {top}\n[{command}]\n{flag} = {table}\n")];
        let shared = format!("MTORRENT_{}={variable}", flag.replace('-', "_").to_uppercase());
        let own = shared.replace("MTORRENT_", &format!("MTORRENT_{}_", command.to_uppercase()));
        let line = format!("{command} --{flag}={typed}");
        let found = |line: &str, variables: &str, file: &str| printed(line, variables, file).get(flag).map(as_text);
        let context = format!("--{flag} of {command}");
        assert_eq!(found(command, "", ""), default.map(value), "{context}: default");
        assert_eq!(found(command, "", &at_top), Some(value(top)), "{context}: file");
        assert_eq!(found(command, "", &in_table), Some(value(table)), "{context}: table");
        assert_eq!(found(command, &shared, &in_table), Some(typed_value(variable)), "{context}: variable");
        assert_eq!(found(&line, &shared, &in_table), Some(typed_value(typed)), "{context}: flag");
        // The variable of the command takes precedence over the shared one, as the table over the top level.
        let both = format!("{own} MTORRENT_{}=nonsense", flag.replace('-', "_").to_uppercase());
        assert_eq!(found(command, &both, &in_table), Some(typed_value(variable)), "{context}: own variable");
        // An empty variable counts as not set.
        let empty = shared.replace(variable, "");
        assert_eq!(found(command, &empty, &in_table), Some(value(table)), "{context}: empty");
    }
}

#[test]
fn a_required_flag_may_be_in_the_file_and_clap_parses_it() {
    let low = low(
        "tracker",
        "",
        "[tracker]\nlisten = \"127.0.0.1:7\"\nlease = 1200\nmax-connections = 9\ntrust = [\"10.0.0.0/8\"]",
    );
    let LowCommand::Tracker(tracker) = low.command else { panic!("not a tracker") };
    assert_eq!((tracker.listen.port(), tracker.lease.as_secs()), (7, 1200));
    assert_eq!((tracker.max_connections, tracker.trust.len()), (9, 1));
}

#[test]
fn a_tracker_and_its_clients_may_share_an_environment() {
    let variables = "MTORRENT_LISTEN=1.1.1.1:1 MTORRENT_TRACKER_LISTEN=2.2.2.2:2";
    assert_eq!(printed("tracker", variables, "")["listen"].as_str(), Some("2.2.2.2:2"));
    assert_eq!(printed("get", variables, "")["listen"].as_str(), Some("1.1.1.1:1"));
    // What one script sets for all is still accepted by the tracker.
    assert_eq!(printed("tracker", "MTORRENT_LISTEN=1.1.1.1:1", "")["listen"].as_str(), Some("1.1.1.1:1"));
}

#[test]
fn ctl_finds_the_client_by_its_settings() {
    let folder = |variables: &str, file: &str| printed("ctl", variables, file)["data-dir"].as_str().map(str::to_owned);
    let file = "[client]\ndata-dir = '/a'\njson = true\n";
    assert_eq!(folder("", file).as_deref(), Some("/a"));
    assert_eq!(folder("MTORRENT_CLIENT_DATA_DIR=/b", file).as_deref(), Some("/b"));
    assert_eq!(folder("", &format!("{file}[ctl]\ndata-dir = '/c'\n")).as_deref(), Some("/c"));
    // How the client prints is not how its answers are printed.
    assert_eq!(printed("ctl", "", file)["json"].as_bool(), Some(false));
}

#[test]
fn what_is_printed_sets_the_same_again() {
    let file = "log = \"warn,mtorrent=\\\"x\\\"\"\n[tracker]\nlisten = \"[::]:7\"\npeer = [\"p:1\", \"q:2\"]\n";
    for (line, variables) in [
        ("tracker --lease 20m --trust 10.0.0.0/8 --cores 3", "MTORRENT_DATA_DIR=/d MTORRENT_GROUP_KEY_FILE=/key"),
        ("tracker", ""),
        ("client --upload-limit 5MiB --json", "MTORRENT_ADVERTISE=1.2.3.4:5 MTORRENT_WAIT=7"),
        ("get --seed --tracker z:9", "MTORRENT_FORCE=1"),
        ("share", ""),
        ("create --chunk-size 1MiB", ""),
        ("demo", ""),
    ] {
        let first = printed_text(line, variables, file);
        let command = line.split_whitespace().next().unwrap_or_default();
        assert_eq!(printed(line, variables, file), printed(command, "", &first), "{line}\n{first}");
    }
}

#[test]
fn what_is_printed_says_where_it_comes_from() {
    let text = printed_text("tracker --lease 20m", "MTORRENT_CORES=2", "\nlisten = \"[::]:7\"");
    for words in [
        "# How long a seeder entry lives unless it is renewed\n# Set by --lease.\nlease = \"20m\"",
        "# Set by MTORRENT_CORES.\ncores = 2",
        "config.toml:2.\nlisten = \"[::]:7\"",
        "# The default.\nmax-files-per-address = ",
        "# Not set.\n#data-dir = \"DIR\"",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    let needs = printed_text("tracker", "", "");
    assert!(needs.contains("# Not set, but the command needs it.\n#listen = \"IP:PORT\""), "{needs}");
}

/// What other parts of the program add must be here, too.
#[test]
fn every_flag_is_printed_and_is_a_key() {
    let commands = args::definition();
    for command in commands.get_subcommands() {
        let name = command.get_name();
        let text = printed_text(name, "", "");
        for flag in args::settings_of(&commands, name).filter_map(Arg::get_long) {
            let shown = text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{flag} = ")));
            assert!(shown, "--{flag} of {name} in\n{text}");
        }
    }
}

#[test]
fn wrong_settings_are_refused_by_line_and_key() {
    for (line, variables, file, message) in [
        ("info x", "", "a\nb", "FILE:1: not valid TOML"),
        ("info x", "", "tracker = ['a:1']\n[tracker]", "FILE:2: `tracker` at top level is the list"),
        ("info x", "", "\nlissen = 1", "FILE:2: unknown key `lissen`: did you mean `listen`?"),
        ("info x", "", "[tracker]\nstall-timeout = 1", "FILE:2: unknown key `stall-timeout` in [tracker]"),
        ("info x", "", "[tracker]\ndata_dir = 'x'", "did you mean `data-dir`?"),
        ("info x", "", "[trakcer]\nlisten = 'x'", "FILE:2: [trakcer] is not a command: did you mean [tracker]?"),
        ("info x", "", "get = 1", "FILE:1: `get` is a command"),
        ("info x", "", "config = 'x'", "FILE:1: `config` belongs on the command line"),
        ("info x", "", "[tracker]\nlisten = 'here'", "FILE:2: `listen`: invalid value 'here' for '--listen <IP:PORT>'"),
        ("info x", "", "wait = 'soon'", "FILE:1: `wait`, for `mtorrent client`: invalid value 'soon'"),
        ("info x", "", "cores = 0", "FILE:1: `cores`, for `mtorrent "),
        ("info x", "", "cores = true", "takes a value, not true or false"),
        ("info x", "", "wait = [1]", "takes one value, not an array"),
        ("info x", "", "force = 1", "write force = true or force = false"),
        ("info x", "", "[client]\ntracker = ['a:1', 'b']", "invalid value 'b' for '--tracker"),
        ("get x", "MTORRENT_WAIT=soon", "", "MTORRENT_WAIT: invalid value 'soon' for '--wait <DURATION>'"),
        ("get x", "MTORRENT_FORCE=perhaps", "", "MTORRENT_FORCE: invalid value 'perhaps'"),
        ("get x", "MTORRENT_GET_TRACKER=a", "", "MTORRENT_GET_TRACKER: invalid value 'a'"),
    ] {
        let refused = run(line, variables, file).expect_err(file);
        assert!(refused.contains(message), "{message:?} in {refused:?}");
    }
    // A wrong variable of a flag that is typed does not matter.
    low("get x --wait 5", "MTORRENT_WAIT=soon", "");
}

#[test]
fn the_example_for_users_holds() {
    let page = include_str!("../../../docs/settings.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(printed("client", "", example)["tracker"].as_array().map(Vec::len), Some(2));
    assert_eq!(printed("tracker", "", example)["lease"].as_str(), Some("20m"));
}

#[test]
fn a_file_is_bounded_and_a_missing_one_is_named() {
    let commands = args::definition();
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing\n.toml");
    let error = ConfigFile::read(&missing, &commands).expect_err("no file").message;
    assert!(error.starts_with("cannot read the configuration ") && error.contains("missing\\n.toml: "), "{error}");
    let error = ConfigFile::read(Path::new("/dev/zero"), &commands).expect_err("no end").message;
    assert!(error.contains("more than"), "{error}");
}

#[test]
fn a_check_of_several_flags_says_which_setting_it_is_about() {
    let Ok(Parsed::Command(_, settings)) = run("get x", "MTORRENT_SEED=1", "chunk-size = 3\ndiscard = true") else {
        panic!("refused")
    };
    let error = settings.locate(CommandError::usage("--discard keeps nothing: leave out --seed and --seed-for"));
    let message = error.message.split_once(" (").expect("an addition").1.to_owned();
    assert!(message.contains("config.toml:2") && message.contains("--seed is set by MTORRENT_SEED"), "{message}");
}
