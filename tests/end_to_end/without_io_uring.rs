//! Processes to which the system refuses io_uring, as container engines do: all commands run on plain threads, and say
//! so once.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::seccomp::refuse;
use crate::support::skip::is_root;
use crate::support::{Folder, Outcome, Running, finish};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
/// The user and the group `nobody` of most systems.
const NOBODY: u32 = 65534;

/// A kind of container: what it refuses how, and to whom.
struct Container {
    folder: Folder,
    program: PathBuf,
    /// The error of io_uring_setup.
    errno: libc::c_int,
    user: Option<u32>,
}

impl Container {
    fn new(errno: libc::c_int, user: Option<u32>) -> Self {
        let folder = Folder::new();
        // The user may not be allowed to enter the folder of the build. A process of its own copies the program: a child
        // that another test starts meanwhile would inherit the open file, which then could not be executed.
        let program = folder.path("mtorrent");
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_mtorrent")).arg(&program).status();
        assert!(copied.expect("cp is there").success());
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("it is ours");
        if user.is_some() {
            std::os::unix::fs::chown(&folder, user, user).expect("root may do that");
        }
        Self { folder, program, errno, user }
    }

    /// A command line in the container.
    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MTORRENT_")) {
            command.env_remove(name);
        }
        command.env_remove("RUST_LOG").env("HOME", self.folder.path("")).stdin(Stdio::null()).args(arguments);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        refuse(&mut command, libc::SYS_io_uring_setup, self.errno);
        command
    }

    fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::spawn(&mut self.command(arguments))
    }

    /// Runs all commands that have cores.
    fn run_all(&self) {
        let text = |name: &str| self.folder.text(name);
        let source = self.folder.random_file("file", (5 << 20) + 1);
        std::fs::set_permissions(&source, PermissionsExt::from_mode(0o644)).expect("it is ours");
        let mut tracker = self.start(["tracker", LOOPBACK]);
        let at = format!("--tracker={}", tracker.wait_ready().listen());
        let metainfo = text("file.mtorrent");
        let mut seeder = self.start(["share", &text("file"), &metainfo, LOOPBACK, &at]);
        seeder.wait_ready();
        let got = finish(&mut self.command(["get", &metainfo, &text("copy"), LOOPBACK, &at])).expect(0);
        self.expect_reason(&got);
        let state = text("state");
        let client = ["client", "--data-dir", &state, LOOPBACK, &at];
        let mut client = Running::spawn(self.command(client).stdin(Stdio::piped()));
        client.say(&format!("get {metainfo} {}", text("copy-of-the-client")));
        self.expect_reason(&client.end().expect(0));
        let mut daemon = self.start(["client", "--daemon", "--data-dir", &text("daemon"), LOOPBACK, &at]);
        daemon.wait_ready();
        self.expect_reason(&daemon.terminate().expect(0));
        let content = std::fs::read(&source).expect("readable");
        for copy in ["copy", "copy-of-the-client"] {
            assert!(std::fs::read(self.folder.path(copy)).expect("readable") == content, "{copy} differs");
        }
        self.expect_reason(&seeder.terminate().expect(0));
        self.expect_reason(&tracker.terminate().expect(0));
        let demo = finish(&mut self.command(["demo", "--size=8MiB", "--dir", &text("")])).expect(0);
        assert_eq!(demo.stdout.lines().last(), Some("PASS"), "{demo:?}");
        self.expect_reason(&demo);
    }

    /// Checks that the command said once why it runs without io_uring, and what would allow it.
    #[track_caller]
    fn expect_reason(&self, outcome: &Outcome) {
        let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("without io_uring")).collect();
        let reason = if self.errno == libc::ENOSYS { "has no io_uring" } else { "seccomp" };
        let [line] = lines[..] else { panic!("not said once: {outcome:#?}") };
        assert!(line.contains(reason) && line.contains("; to allow it: "), "{line}");
    }
}

#[test]
fn root_where_it_is_not_permitted() {
    Container::new(libc::EPERM, None).run_all();
}

#[test]
fn root_where_it_is_missing() {
    Container::new(libc::ENOSYS, None).run_all();
}

#[test]
fn nobody_where_it_is_not_permitted() {
    if is_root("to become another user") {
        Container::new(libc::EPERM, Some(NOBODY)).run_all();
    }
}

#[test]
fn nobody_where_it_is_missing() {
    if is_root("to become another user") {
        Container::new(libc::ENOSYS, Some(NOBODY)).run_all();
    }
}

#[test]
fn io_uring_that_is_asked_for_is_needed() {
    let container = Container::new(libc::EPERM, None);
    let forced = finish(&mut container.command(["tracker", LOOPBACK, "--runtime=uring"]));
    forced.expect_sentence(1, "--runtime auto");
    let forced = finish(&mut container.command(["demo", "--runtime=uring", "--dir", &container.folder.text("")]));
    forced.expect_sentence(1, "seccomp");
}

#[test]
fn threads_that_are_asked_for_need_no_reason() {
    let container = Container::new(libc::EPERM, None);
    let mut tracker = container.start(["tracker", LOOPBACK, "--runtime=threads", "--log=warn"]);
    tracker.wait_ready();
    let outcome = tracker.terminate().expect(0);
    assert!(!outcome.stderr.contains("io_uring"), "{outcome:?}");
}

#[test]
fn too_little_locked_memory() {
    let script = "ulimit -l 64 && exec \"$0\" tracker --listen 127.0.0.1:0 \"$@\"";
    let command = |runtime: &str| {
        let mut command = Command::new("sh");
        command.env_remove("MTORRENT_RUNTIME").args(["-c", script, env!("CARGO_BIN_EXE_mtorrent"), runtime]);
        command
    };
    finish(&mut command("--runtime=uring")).expect_sentence(1, "ulimit -l");
    let mut tracker = Running::spawn(&mut command("--runtime=auto"));
    tracker.wait_ready();
    let outcome = tracker.terminate().expect(0);
    assert!(
        outcome.stderr.contains("running without io_uring: ") && outcome.stderr.contains("ulimit -l"),
        "{outcome:?}"
    );
}
