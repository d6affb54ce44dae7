//! curl, downloading from nginx.

use std::process::Command;

use super::contestant::{Contestant, Pace, Role};
use super::session::{Proof, Session};
use super::stage::{Sink, Stage};
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::child::ready_deadline;
use crate::harness::ports::free_port;
use crate::harness::program::Need;

/// HTTP at full speed with widespread programs.
pub const CURL: Contestant = Contestant {
    name: "curl",
    role: Role::Copier,
    pace: Pace::Fast,
    sinks: &[Sink::Disk, Sink::Memory, Sink::Nothing],
    needs: &[Need::Program { name: "curl", package: "curl" }, Need::Program { name: "nginx", package: "nginx-light" }],
    settings: "HTTP/1.1 without TLS from nginx with sendfile on, tcp_nopush on and no limit of a chunk of sendfile; \
               curl checks no hash and does not fsync; with nothing kept: --output /dev/null",
    prepare,
};

fn prepare(stage: &Stage) -> Result<Session, Error> {
    let port = free_port()?;
    let folder = stage.folder("nginx")?;
    let configuration = stage.file("nginx.conf", &configuration(stage, port))?;
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(&folder).arg("-c").arg(&configuration).args(["-e", "stderr"]);
    let mut nginx = Child::spawn(nginx, "nginx", &stage.scratch)?;
    nginx.wait_until("its port is open", ready_deadline(), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]);
    let url = format!("http://127.0.0.1:{port}/{}", stage.source.name());
    if stage.sink == Sink::Nothing {
        curl.args(["/dev/null", "--write-out", "%{size_download}", &url]);
        let mut session = Session::copy(vec![nginx], curl, stage.target());
        session.proof = Proof::Count(|output| output.trim().parse().ok());
        return Ok(session);
    }
    curl.arg(stage.target()).arg(url);
    Ok(Session::copy(vec![nginx], curl, stage.target()))
}

fn configuration(stage: &Stage, port: u16) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path temp_{kind};\n"))
        .collect();
    format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\n    access_log off;\n    sendfile on;\n    sendfile_max_chunk 0;\n    tcp_nopush on;\n{temporary}    \
         server {{\n        listen 127.0.0.1:{port};\n        root \"{}\";\n    }}\n}}\n",
        stage.seed().display()
    )
}
