//! Processes of the same build on pipes, for benches that measure mtorrent alone.
//!
//! Benches that also measure other programs, or CPU time and memory, use [`crate::harness::child`].

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The reason why a bench failed.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A program that is ready; it ends when this is dropped.
pub struct Running {
    /// The process, with stdin piped.
    pub child: Child,
    said: BufReader<ChildStdout>,
    ready: String,
}

/// Path of a program of the same build.
pub fn program(name: &str) -> Result<PathBuf, Failed> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() { Ok(path) } else { Err(format!("{} is missing: build the workspace", path.display()).into()) }
}

impl Running {
    /// Starts the program and waits for its ready line.
    pub fn start(mut command: Command) -> Result<Self, Failed> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("it has no stdout")?);
        // From here on the process ends when this is dropped.
        let mut running = Self { child, said, ready: String::new() };
        running.ready = running.wait_line("ready ")?;
        Ok(running)
    }

    /// The value of `key` in the ready line.
    pub fn ready(&self, key: &str) -> Option<&str> {
        self.ready.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }

    /// The address at which the program listens.
    pub fn address(&self) -> Result<&str, Failed> {
        Ok(self.ready("listen").ok_or("it does not say where it listens")?)
    }

    /// Waits for the next line that starts with `start`.
    pub fn wait_line(&mut self, start: &str) -> Result<String, Failed> {
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line)? == 0 {
                return Err(format!("it ended before it said {start:?}").into());
            }
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
