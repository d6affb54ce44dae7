//! In a small container a download works with what there is, or says in one sentence what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, Outcome, Running, finish};

const LOOPBACK: &str = "--listen=127.0.0.1:0";
const MIB: usize = 1 << 20;

/// A control group of our own with a limit on memory, removed when dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one.
    fn new(name: &str, bytes: usize) -> Option<Self> {
        let name = format!("mtorrent-test-{name}-{}", std::process::id());
        let version1 = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes");
        let version2 = (Path::new("/sys/fs/cgroup"), "memory.max");
        [version1, version2].into_iter().find_map(|(mounted, limit)| {
            let group = Self(mounted.join(&name));
            std::fs::create_dir(&group.0).ok()?;
            let limit = group.0.join(limit);
            (limit.exists() && std::fs::write(limit, bytes.to_string()).is_ok()).then_some(group)
        })
    }

    /// Runs the binary in the group.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        finish(command.arg(env!("CARGO_BIN_EXE_mtorrent")).args(arguments))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It is empty, since what ran there has ended.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Eight cores with chunks of 16 MiB would take 768 MiB.
#[test]
fn a_small_container_is_enough_or_told_at_once() {
    let (Some(enough), Some(too_small)) = (Group::new("enough", 192 * MIB), Group::new("small", 48 * MIB)) else {
        return println!("skipped: no control group with a memory limit can be made here");
    };
    let folder = Folder::new();
    let (_tracker, ready) = Running::ready(["tracker", LOOPBACK, "--cores=1"]);
    let at = format!("--tracker={}", ready.listen());
    let file = folder.random_file("f", 256 * MIB);
    let (path, metainfo) = (folder.text("f"), folder.text("f.mtorrent"));
    let _seeder = Running::ready(["share", &path, &metainfo, LOOPBACK, &at, "--chunk-size=16MiB", "--cores=2"]);
    let got = folder.text("g");
    too_small
        .run(&["get", &metainfo, &got, LOOPBACK, "--cores=8"])
        .expect_sentence(1, "the control group allows 48 MiB of memory");
    assert!(!folder.names().iter().any(|name| name.starts_with('g')), "{:?}", folder.names());
    enough.run(&["get", &metainfo, &got, LOOPBACK, "--cores=8"]).expect(0);
    assert!(std::fs::read(&file).unwrap() == std::fs::read(&got).unwrap(), "the copy differs");
}
