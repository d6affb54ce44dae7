//! One file onto twenty nodes by `deploy/rollout`: services, `mtorrent ctl` and JSON, each node on a host of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::network::Star;
use crate::support::skip::has_programs;
use crate::support::{Folder, Running};

const NODES: usize = 20;
const PROGRAM: &str = env!("CARGO_BIN_EXE_mtorrent");

#[test]
fn one_file_is_rolled_out_to_twenty_nodes() {
    let Some(star) = Star::new(NODES + 1).filter(|_| has_programs(&["python3"])) else { return };
    let folder = Folder::new();
    let file = folder.random_file("release.img", 6 << 20);
    let listen = format!("--listen={}:7000", star.address(0));
    let mut tracker = Running::spawn(&mut star.command(0, &[PROGRAM, "tracker", &listen, "--cores=1"]));
    tracker.wait_ready();
    let tracker_at = format!("--tracker={}:7000", star.address(0));
    let start = |host: usize| {
        let data_dir = format!("--data-dir={}", folder.text(&format!("state{host}")));
        let line = [PROGRAM, "client", "--daemon", "--cores=1", &data_dir, &tracker_at];
        Running::spawn(&mut star.command(host, &line))
    };
    let mut clients: Vec<Running> = (0..=NODES).map(start).collect();
    clients.iter_mut().for_each(|client| _ = client.wait_ready());
    // As ssh would: the line is for a shell of the node.
    let run_on = "import os, sys\nhost, line = sys.argv[1:]\n\
         os.makedirs(f'{os.environ[\"STATES\"]}/node{host}', exist_ok=True)\n\
         os.chdir(f'{os.environ[\"STATES\"]}/node{host}')\n\
         os.environ['MTORRENT_DATA_DIR'] = f'{os.environ[\"STATES\"]}/state{host}'\n\
         os.execvp('sh', ['sh', '-c', line])";
    folder.file("on.py", run_on.as_bytes());
    let nodes: Vec<String> = (1..=NODES).map(|host| host.to_string()).collect();
    let programs = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let rolled_out = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rollout"))
        .args([&file.display().to_string(), "."])
        .args(&nodes)
        .env("ON", format!("python3 {}", folder.text("on.py")))
        .env("STATES", folder.text("."))
        .env("MTORRENT_DATA_DIR", folder.text("state0"))
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&rolled_out.stdout);
    assert!(rolled_out.status.success(), "{said}\n{}", String::from_utf8_lossy(&rolled_out.stderr));
    let results: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(results.len(), NODES);
    let content = std::fs::read(&file).unwrap();
    for (node, result) in nodes.iter().zip(&results) {
        assert_eq!((&result["node"], &result["verified"]), (&node.as_str().into(), &true.into()), "{result}");
        assert!(std::fs::read(folder.path(&format!("node{node}/release.img"))).unwrap() == content);
    }
    clients.into_iter().for_each(|client| _ = client.terminate().expect(0));
    tracker.terminate().expect(0);
}
