//! What each command does, for `help`, for refusals and for completion. Pure.

/// The help for one command.
#[derive(Debug)]
pub(crate) struct Help {
    /// The command, with its sub-command if it has one.
    pub name: &'static str,
    /// Its form.
    pub usage: &'static str,
    /// Its effect, in a few words.
    pub summary: &'static str,
    /// What a first-time user needs beyond that; may be empty.
    pub more: &'static str,
}

const fn help(name: &'static str, usage: &'static str, summary: &'static str, more: &'static str) -> Help {
    Help { name, usage, summary, more }
}

/// All commands, in the order of `help`.
pub(crate) const ALL: &[Help] = &[
    help(
        "share",
        "share FILE NAME.mtorrent [--force]",
        "share FILE: create NAME.mtorrent, or verify FILE against it, and seed",
        "FILE is hashed first; the next command need not wait for that. An existing NAME.mtorrent of another file is \
         refused; --force replaces it.",
    ),
    help(
        "get",
        "get NAME.mtorrent DEST [--force] [--in-place]",
        "download to DEST, a file or an existing folder",
        "The answer has the number of the download, which pause, resume, cancel and move take. An unfinished download \
         of the same file at DEST is resumed. A different file at DEST is refused; --force replaces it at the \
         end, --in-place writes its wrong chunks where it is.",
    ),
    help(
        "show downloads",
        "show downloads [ID|NAME]",
        "ongoing and completed downloads",
        "States: waiting (for a tracker or a seeder), hashing (verifying what is on the disk), running, paused, \
         stalled (peers send nothing), done, failed.",
    ),
    help(
        "show shares",
        "show shares [NAME]",
        "the files that this client seeds",
        "A share that is not served says why, and is served again by itself when that is over.",
    ),
    help(
        "show peers",
        "show peers [ID|NAME]",
        "the peers that send (down) or receive (up)",
        "States: active (chunks are requested), choked (it serves others first), idle, connecting, paused (for a \
         moment, after a failure or a wrong chunk), banned (it sent wrong chunks of this file).",
    ),
    help(
        "show trackers",
        "show trackers [HOST:PORT]",
        "the trackers, and whether they answer",
        "States: connected (in use), trying, failed, unused (another one is in use).",
    ),
    help(
        "show files",
        "show files [ID|NAME]",
        "which chunks are there, drawn as a line",
        "# all chunks of the cell are there, + some, > one is arriving, . none, ! the disk cannot read one.",
    ),
    help(
        "pause",
        "pause ID...|all",
        "stop receiving, keep and serve what is there",
        "A paused download stays paused when the client is restarted.",
    ),
    help("resume", "resume ID...|all", "go on receiving", "Nothing is hashed again unless the client was restarted."),
    help(
        "cancel",
        "cancel ID...|all",
        "end the download; what was received is kept",
        "`get` to the same DEST resumes it. Remove DEST.part and DEST.part.mtorrent to forget it.",
    ),
    help(
        "move",
        "move ID|NAME.mtorrent PATH",
        "move a download or a shared file to PATH, a file or a folder",
        "The file is served all the time. On another file system it is copied and verified first. PATH must not exist.",
    ),
    help(
        "wait",
        "wait [ID|all]",
        "wait for the end of one download, or of all",
        "By `mtorrent ctl wait` a script waits; the exit code is that of the download.",
    ),
    help("remove", "remove NAME.mtorrent", "stop sharing the file", "The file itself stays where it is."),
    help(
        "limit",
        "limit",
        "the rate limits of this client",
        "A limit holds until it is changed, also after a restart; --upload-limit and --download-limit win over it.",
    ),
    help("limit up", "limit up RATE", "send at most RATE, such as 100Mbit or 20MiB; off for no limit", ""),
    help("limit down", "limit down RATE", "receive at most RATE", ""),
    help(
        "events",
        "events [--progress]",
        "by `mtorrent ctl` only: all events, with --progress also figures every second",
        "",
    ),
    help("help", "help [COMMAND]", "this list, or more about one command", ""),
    help("quit", "quit", "end the client", "Downloads resume and shares are seeded again at the next start."),
];

const FOOTER: &str = "share and get take --wait (until the file is hashed, or the download has ended) and --no-wait.
Quote names as in a shell; ~ is the home folder; # starts a comment.";

/// The list of all commands.
pub(crate) fn list() -> String {
    let width = ALL.iter().map(|help| help.usage.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Help { usage, summary, .. } in ALL {
        text.push_str(&format!("{usage:<width$}   {summary}\n"));
    }
    text + FOOTER
}

/// The help for the commands with this name, or with this first word; `None` if there is none.
pub(crate) fn about(name: &str) -> Option<String> {
    let known: Vec<&Help> = matching(name).collect();
    let one = |help: &&Help| match help.more {
        "" => format!("{}\n    {}", help.usage, help.summary),
        more => format!("{}\n    {}\n    {more}", help.usage, help.summary),
    };
    let texts: Vec<String> = known.iter().map(one).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn matching(name: &str) -> impl Iterator<Item = &'static Help> {
    let is_it =
        move |help: &&Help| help.name == name || help.name.split_once(' ').is_some_and(|(first, _)| first == name);
    ALL.iter().filter(is_it)
}

/// The forms of a command on one line, for a refusal.
pub(crate) fn usage(name: &str) -> String {
    matching(name).map(|help| help.usage).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_and_explained() {
        let list = list();
        for Help { name, usage, summary, .. } in ALL {
            assert!(usage.starts_with(name) && list.contains(usage) && list.contains(summary), "{name}");
            assert!(about(name).is_some_and(|text| text.contains(usage)), "{name}");
        }
        assert!(about("show").unwrap().contains("show peers") && about("fly").is_none());
        assert_eq!(usage("limit"), "limit, limit up RATE, limit down RATE");
    }
}
