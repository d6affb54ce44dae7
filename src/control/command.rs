//! Parses one line into a command. Pure.

use std::path::{Path, PathBuf};

use super::help;
use crate::console::units::{RateLimit, parse_rate_limit};
use crate::direction::Direction;
use crate::node::DownloadId;
use crate::text;

/// Where the names of a command begin: the working directory and home of whoever gave it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Folder of relative paths; `None` for that of this process.
    pub cwd: Option<PathBuf>,
    /// The folder that `~` names.
    pub home: Option<PathBuf>,
}

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `share FILE NAME.mtorrent [--force] [--wait|--no-wait]`
    Share {
        /// Path of the file.
        file: PathBuf,
        /// Path of its `.mtorrent` file.
        metainfo: PathBuf,
        /// Whether a different `.mtorrent` file at the path is replaced.
        force: bool,
        /// Whether the command ends when the file is hashed, instead of at once; `None` if nothing was typed.
        wait: Option<bool>,
    },
    /// `get NAME.mtorrent DEST [--force] [--in-place] [--wait|--no-wait]`
    Get {
        /// Path of the `.mtorrent` file.
        metainfo: PathBuf,
        /// Path of the finished file, or an existing folder for it.
        dest: PathBuf,
        /// Whether a different file at `dest` is replaced.
        force: bool,
        /// Whether a different file at `dest` is repaired where it is.
        in_place: bool,
        /// Whether the command ends with the download, instead of at once; `None` if nothing was typed.
        wait: Option<bool>,
    },
    /// `show downloads|shares|peers|trackers|files [ID|NAME]`
    Show(Listing, Option<Target>),
    /// `pause|resume|cancel ID...|all`
    Change(Change, Which),
    /// `move ID|NAME.mtorrent PATH`
    Move {
        /// The download or the share.
        target: Target,
        /// The new path of its file, or an existing folder for it.
        to: PathBuf,
    },
    /// `remove NAME.mtorrent`
    Remove {
        /// Path or file name of the `.mtorrent` file.
        name: PathBuf,
    },
    /// `limit`, `limit up|down RATE|off`
    Limit(Option<(Direction, RateLimit)>),
    /// `wait [ID|all]`: ends with the download of that number, or `None` with all.
    Wait(Option<u32>),
    /// `events [--progress]`
    Events {
        /// Whether the figures of running downloads are wanted, too.
        progress: bool,
    },
    /// `help [COMMAND]`
    Help(String),
    /// `quit`
    Quit,
}

/// What `show` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The downloads.
    Downloads,
    /// The shares.
    Shares,
    /// The peers.
    Peers,
    /// The trackers.
    Trackers,
    /// The files with their chunks.
    Files,
}

/// A download or a share, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Number of a download.
    Id(DownloadId),
    /// Path or file name of the `.mtorrent` file, or path or name of the file.
    Name(PathBuf),
}

/// A change of running downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Stop receiving.
    Pause,
    /// Go on receiving.
    Resume,
    /// End.
    Cancel,
}

/// The downloads that a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All that have not ended.
    All,
    /// Those with these numbers.
    Ids(Vec<DownloadId>),
}

/// The reason why a line is not a command: a mistake of the user, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    /// A quote is not closed.
    #[error("a quote is open at the end of the line: close it, or write \\ before it")]
    OpenQuote,
    /// The command does not exist.
    #[error("there is no command {0:?}: `help` lists all commands")]
    Unknown(String),
    /// The command has no such option.
    #[error("{command} has no option {option:?}: write ./{} if you mean a file", text::plain(option))]
    Option {
        /// Name of the command.
        command: &'static str,
        /// The option as typed.
        option: String,
    },
    /// The number of arguments is wrong.
    #[error("usage: {0} (quote names with spaces)")]
    Usage(String),
    /// An argument cannot be parsed; the text has the remedy.
    #[error("{0}")]
    Value(String),
}

/// Splits a line into words as a shell does; none for an empty line or a comment.
pub(crate) fn split(line: &str) -> Result<Vec<String>, LineError> {
    shlex::split(line).ok_or(LineError::OpenQuote)
}

/// Parses the words of a command; `None` if there are none.
pub(crate) fn parse(words: &[String], place: &Place) -> Result<Option<Command>, LineError> {
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let path = |word: &str| place.path(word);
    let command = match name.as_str() {
        "share" => {
            let Options { names, force, wait, .. } = split_options("share", rest)?;
            let [file, metainfo] = names.as_slice() else { return Err(usage("share")) };
            Command::Share { file: path(file), metainfo: path(metainfo), force, wait }
        }
        "get" => {
            let Options { names, force, in_place, wait } = split_options("get", rest)?;
            let [metainfo, dest] = names.as_slice() else { return Err(usage("get")) };
            Command::Get { metainfo: path(metainfo), dest: path(dest), force, in_place, wait }
        }
        "show" => show(rest, place)?,
        "pause" => Command::Change(Change::Pause, which("pause", rest)?),
        "resume" => Command::Change(Change::Resume, which("resume", rest)?),
        "cancel" => Command::Change(Change::Cancel, which("cancel", rest)?),
        "move" => match rest {
            [what, to] if !what.is_empty() && !to.is_empty() => {
                Command::Move { target: target(what, place), to: path(to) }
            }
            _ => return Err(usage("move")),
        },
        "remove" => match rest {
            [name] if !name.is_empty() => Command::Remove { name: place.name(name) },
            _ => return Err(usage("remove")),
        },
        "limit" => Command::Limit(limit(rest)?),
        "wait" => match rest {
            [] => Command::Wait(None),
            [all] if all == "all" => Command::Wait(None),
            [id] => Command::Wait(Some(self::id(id).ok_or_else(|| usage("wait"))?)),
            _ => return Err(usage("wait")),
        },
        "events" => match rest {
            [] => Command::Events { progress: false },
            [option] if option == "--progress" => Command::Events { progress: true },
            _ => return Err(usage("events")),
        },
        "help" => match rest {
            [] => Command::Help(help::list()),
            words => Command::Help(help::about(&words.join(" ")).ok_or_else(|| LineError::Unknown(words.join(" ")))?),
        },
        "quit" => match rest {
            [] => Command::Quit,
            _ => return Err(usage("quit")),
        },
        unknown => return Err(LineError::Unknown(unknown.into())),
    };
    Ok(Some(command))
}

fn usage(command: &str) -> LineError {
    LineError::Usage(help::usage(command))
}

fn show(words: &[String], place: &Place) -> Result<Command, LineError> {
    let (what, of) = match words {
        [what] => (what, None),
        [what, of] if !of.is_empty() => (what, Some(of)),
        _ => return Err(usage("show")),
    };
    let listing = match what.as_str() {
        "downloads" => Listing::Downloads,
        "shares" => Listing::Shares,
        "peers" => Listing::Peers,
        "trackers" => Listing::Trackers,
        "files" => Listing::Files,
        _ => return Err(usage("show")),
    };
    let target = |word: &String| match listing {
        // The name of a tracker is no path.
        Listing::Trackers => Target::Name(word.into()),
        _ => target(word, place),
    };
    Ok(Command::Show(listing, of.map(target)))
}

/// Parses `all`, or the numbers of downloads.
fn which(command: &str, words: &[String]) -> Result<Which, LineError> {
    match words {
        [] => Err(usage(command)),
        [all] if all == "all" => Ok(Which::All),
        words => words.iter().map(|word| id(word)).collect::<Option<_>>().map(Which::Ids).ok_or_else(|| {
            LineError::Value(format!("{command} takes the numbers of downloads, or all: `show downloads` lists them"))
        }),
    }
}

fn target(word: &str, place: &Place) -> Target {
    id(word).map_or_else(|| Target::Name(place.name(word)), Target::Id)
}

/// The number of a download, written `3` or, quoted from the shell, `#3`.
fn id(word: &str) -> Option<DownloadId> {
    let digits = word.strip_prefix('#').unwrap_or(word);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Parses the arguments of `limit`; a RATE may be written with spaces.
fn limit(words: &[String]) -> Result<Option<(Direction, RateLimit)>, LineError> {
    let Some((direction, rate)) = words.split_first() else { return Ok(None) };
    let direction = match direction.as_str() {
        "up" => Direction::Up,
        "down" => Direction::Down,
        _ => return Err(usage("limit")),
    };
    if rate.is_empty() {
        return Err(usage("limit"));
    }
    parse_rate_limit(&rate.join(" ")).map(|limit| Some((direction, limit))).map_err(LineError::Value)
}

/// The arguments of `share` and `get`.
struct Options<'a> {
    names: Vec<&'a str>,
    force: bool,
    in_place: bool,
    wait: Option<bool>,
}

/// Separates the options from the names; after `--` every argument is a name.
fn split_options<'a>(command: &'static str, words: &'a [String]) -> Result<Options<'a>, LineError> {
    let (mut names, mut force, mut in_place, mut wait, mut only_names) = (Vec::new(), false, false, None, false);
    for word in words {
        match word.as_str() {
            "--" if !only_names => only_names = true,
            "--force" if !only_names => force = true,
            "--in-place" if !only_names && command == "get" => in_place = true,
            "--wait" if !only_names => wait = Some(true),
            "--no-wait" if !only_names => wait = Some(false),
            option if option.starts_with("--") && !only_names => {
                return Err(LineError::Option { command, option: option.into() });
            }
            "" => return Err(usage(command)),
            name => names.push(name),
        }
    }
    Ok(Options { names, force, in_place, wait })
}

impl Place {
    /// The path that a word means here.
    pub(crate) fn path(&self, word: &str) -> PathBuf {
        let path = self.expand_home(word);
        match &self.cwd {
            Some(cwd) => cwd.join(path),
            None => path,
        }
    }

    /// The name that a word means: a bare file name stays one, so that it matches in any folder.
    fn name(&self, word: &str) -> PathBuf {
        let name = self.expand_home(word);
        let is_bare = is_bare(&name);
        if is_bare { name } else { self.path(word) }
    }

    fn expand_home(&self, word: &str) -> PathBuf {
        match (&self.home, word.strip_prefix('~')) {
            (Some(home), Some("")) => home.into(),
            (Some(home), Some(rest)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => word.into(),
        }
    }
}

/// Whether a name is a file name without a folder.
pub(crate) fn is_bare(name: &Path) -> bool {
    name.components().count() == 1 && name.file_name().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU64;

    fn parse(line: &str, home: Option<&Path>) -> Result<Option<Command>, LineError> {
        let place = Place { cwd: None, home: home.map(PathBuf::from) };
        super::parse(&split(line)?, &place)
    }

    #[test]
    fn names_begin_where_the_command_was_given() {
        let place = Place { cwd: Some("/srv/images".into()), home: Some("/home/u".into()) };
        let parsed = |line: &str| super::parse(&split(line).unwrap(), &place).unwrap().unwrap();
        let get = |metainfo: &str, dest: &str| Command::Get {
            metainfo: metainfo.into(),
            dest: dest.into(),
            force: false,
            in_place: false,
            wait: None,
        };
        assert_eq!(parsed("get a.mtorrent ../d/"), get("/srv/images/a.mtorrent", "/srv/images/../d/"));
        assert_eq!(parsed("get ~/a /d"), get("/home/u/a", "/d"));
        for (typed, meant) in [("a", "a"), ("./a", "/srv/images/./a"), ("b/a", "/srv/images/b/a"), ("/a", "/a")] {
            assert_eq!(parsed(&format!("remove {typed}")), Command::Remove { name: meant.into() }, "{typed}");
        }
    }

    fn share(file: &str, metainfo: &str, force: bool) -> Result<Option<Command>, LineError> {
        Ok(Some(Command::Share { file: file.into(), metainfo: metainfo.into(), force, wait: None }))
    }

    fn get(metainfo: &str, dest: &str, force: bool) -> Result<Option<Command>, LineError> {
        Ok(Some(Command::Get { metainfo: metainfo.into(), dest: dest.into(), force, in_place: false, wait: None }))
    }

    #[test]
    fn a_repair_in_place_is_asked_for() {
        let place = Place::default();
        let parsed = |line: &str| super::parse(&split(line).unwrap(), &place);
        let Ok(Some(Command::Get { in_place, force, .. })) = parsed("get a b --in-place") else {
            panic!("it is a get")
        };
        assert!(in_place && !force);
        assert!(matches!(parsed("share a b --in-place"), Err(LineError::Option { .. })));
    }

    #[test]
    fn lines() {
        let remove = |name: &str| Ok(Some(Command::Remove { name: name.into() }));
        let limit =
            |direction, bytes_s| Ok(Some(Command::Limit(Some((direction, RateLimit(NonZeroU64::new(bytes_s)))))));
        assert!(matches!(parse("limit up fast", None), Err(LineError::Value(_))));
        let unknown = |word: &str| Err(LineError::Unknown(word.into()));
        let show = |listing, target| Ok(Some(Command::Show(listing, target)));
        let named = |name: &str| Some(Target::Name(name.into()));
        let change = |change, which| Ok(Some(Command::Change(change, which)));
        let moved = |target, to: &str| Ok(Some(Command::Move { target, to: to.into() }));
        for wrong in ["pause x", "cancel 1 all", "resume -1", "pause 99999999999"] {
            assert!(matches!(parse(wrong, None), Err(LineError::Value(_))), "{wrong}");
        }
        for (line, expected) in [
            ("", Ok(None)),
            ("   \t", Ok(None)),
            ("# share a b", Ok(None)),
            ("share a b.mtorrent", share("a", "b.mtorrent", false)),
            ("  share   a\tb  # why", share("a", "b", false)),
            ("share 'a b' \"ü 'x'.mtorrent\"", share("a b", "ü 'x'.mtorrent", false)),
            ("share a\\ b c", share("a b", "c", false)),
            ("share --force a b", share("a", "b", true)),
            ("share a b --force", share("a", "b", true)),
            ("share -- --force b", share("--force", "b", false)),
            ("share ~/a ~", share("/home/u/a", "/home/u", false)),
            ("share ~root/a a~", share("~root/a", "a~", false)),
            ("share a", Err(usage("share"))),
            ("share a b c", Err(usage("share"))),
            ("share '' b", Err(usage("share"))),
            ("share 'a b", Err(LineError::OpenQuote)),
            ("share a b --fast", Err(LineError::Option { command: "share", option: "--fast".into() })),
            ("get a.mtorrent /tmp/", get("a.mtorrent", "/tmp/", false)),
            ("get a.mtorrent d --force", get("a.mtorrent", "d", true)),
            ("get a.mtorrent", Err(usage("get"))),
            ("get '' d", Err(usage("get"))),
            ("show downloads", show(Listing::Downloads, None)),
            ("show peers 3", show(Listing::Peers, Some(Target::Id(3)))),
            ("show files '#3'", show(Listing::Files, Some(Target::Id(3)))),
            ("show shares a.mtorrent", show(Listing::Shares, named("a.mtorrent"))),
            ("show shares ~/a.mtorrent", show(Listing::Shares, named("/home/u/a.mtorrent"))),
            ("show trackers t:7000", show(Listing::Trackers, named("t:7000"))),
            ("show peers 1 2", Err(usage("show"))),
            ("pause 3", change(Change::Pause, Which::Ids(vec![3]))),
            ("resume 3 '#4'", change(Change::Resume, Which::Ids(vec![3, 4]))),
            ("cancel all", change(Change::Cancel, Which::All)),
            ("pause", Err(usage("pause"))),
            ("move 3 /d/", moved(Target::Id(3), "/d/")),
            ("move a.mtorrent ~/b", moved(Target::Name("a.mtorrent".into()), "/home/u/b")),
            ("move 3", Err(usage("move"))),
            ("move '' b", Err(usage("move"))),
            ("show", Err(usage("show"))),
            ("show uploads", Err(usage("show"))),
            ("remove a.mtorrent", remove("a.mtorrent")),
            ("remove ~/a.mtorrent", remove("/home/u/a.mtorrent")),
            ("remove", Err(usage("remove"))),
            ("remove ''", Err(usage("remove"))),
            ("limit", Ok(Some(Command::Limit(None)))),
            ("limit up 20 MiB", limit(Direction::Up, 20 << 20)),
            ("limit down 100Mbit/s", limit(Direction::Down, 12_500_000)),
            ("limit down off", Ok(Some(Command::Limit(Some((Direction::Down, RateLimit(None))))))),
            ("wait", Ok(Some(Command::Wait(None)))),
            ("wait all", Ok(Some(Command::Wait(None)))),
            ("wait 3", Ok(Some(Command::Wait(Some(3))))),
            ("wait '#3'", Ok(Some(Command::Wait(Some(3))))),
            ("wait +3", Err(usage("wait"))),
            ("wait 3 4", Err(usage("wait"))),
            ("wait 99999999999", Err(usage("wait"))),
            ("events", Ok(Some(Command::Events { progress: false }))),
            ("events --progress", Ok(Some(Command::Events { progress: true }))),
            ("events now", Err(usage("events"))),
            ("limit up", Err(usage("limit"))),
            ("limit sideways 1MiB", Err(usage("limit"))),
            ("help", Ok(Some(Command::Help(help::list())))),
            ("help limit up", Ok(help::about("limit up").map(Command::Help))),
            ("help fly", unknown("fly")),
            ("quit", Ok(Some(Command::Quit))),
            ("quit now", Err(usage("quit"))),
            ("Quit", unknown("Quit")),
            ("exit", unknown("exit")),
        ] {
            assert_eq!(parse(line, Some(Path::new("/home/u"))), expected, "{line:?}");
        }
        assert_eq!(parse("get ~/a b", None), get("~/a", "b", false));
        for (line, expected) in [("--wait", Some(true)), ("--no-wait", Some(false)), ("--wait --no-wait", Some(false))]
        {
            let line = format!("share a b {line}");
            assert!(matches!(parse(&line, None), Ok(Some(Command::Share { wait, .. })) if wait == expected), "{line}");
        }
    }

    /// Control characters in pasted text do not start a new line.
    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for line in ["get --\\n\u{1b}[2J a", "\u{1b}x", "get '--a\nmtorrent: forged' b", "limit up '\n'"] {
            let said = parse(line, None).unwrap_err().to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line: String) {
            let _ = parse(&line, Some(Path::new("/home/u")));
        }

        #[test]
        fn quoted_names_arrive(file in "[^\0]{1,20}", metainfo in "[^\0~]{1,20}") {
            let (quoted, also) = (shlex::try_quote(&file).unwrap(), shlex::try_quote(&metainfo).unwrap());
            prop_assume!(!file.starts_with('~'));
            prop_assert_eq!(parse(&format!("share -- {quoted} {also}"), None), share(&file, &metainfo, false));
        }
    }
}
