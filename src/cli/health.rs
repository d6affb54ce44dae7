//! `mtorrent health`: whether a running mtorrent is well, for a health check where there is neither a shell nor curl.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::args::{LowArgs, LowCommand};
use super::parse::{self, Parsed, Refusal};
use super::resolved::Health;
use super::settings;
use crate::console::exit::{CommandError, CommandResult, Exit};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;
use crate::control::http;
use crate::limits::HEALTH_TIMEOUT;
use crate::text;

/// Runs the command: asks the address, or that of the first process of this container.
pub(crate) fn run(args: &Health, output: &Output) -> CommandResult {
    let address = match args.metrics {
        Some(address) => Some(address),
        None => address_of_first_process()?,
    };
    let Some(address) = address.map(reachable) else {
        output.print(&OutputEvent::Health { metrics: None, text: "process 1 runs, and has no --metrics to ask" })?;
        return Ok(Exit::Done);
    };
    if address.port() == 0 {
        return Err(CommandError::failed(
            "the port of --metrics is a free one that only the ready line names: give one",
        ));
    }
    let answer = http::ask(address, "/health", HEALTH_TIMEOUT);
    let (status, text) = answer.map_err(|error| CommandError::failed(format!("{address}: {error}")))?;
    let text = text::plain(text.trim_end());
    if status != 200 {
        return Err(CommandError::failed(format!("{address}: {text}")));
    }
    output.print(&OutputEvent::Health { metrics: Some(address), text: &text })?;
    Ok(Exit::Done)
}

/// The address at which a listener is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        false => address,
    }
}

/// The address of the figures of process 1, which is the service itself in a container; `None` if it has none.
fn address_of_first_process() -> Result<Option<SocketAddr>, CommandError> {
    let list = |name: &str| -> io::Result<Vec<OsString>> {
        let content = std::fs::read(Path::new("/proc/1").join(name))?;
        let ends = content.split(|&byte| byte == 0).map(|part| OsStr::from_bytes(part).to_owned());
        Ok(ends.collect())
    };
    let unknown =
        |why: String| CommandError::failed(format!("{why}: name the address of its figures by --metrics IP:PORT"));
    let read = list("cmdline").and_then(|arguments| Ok((arguments, list("environ")?)));
    let (mut arguments, variables) =
        read.map_err(|error| unknown(format!("cannot read the command line of process 1: {error}")))?;
    // The last one ends, too.
    arguments.pop();
    // An init process names the program after its own arguments.
    let start = arguments.iter().position(|argument| Path::new(argument).file_name() == Some(OsStr::new("mtorrent")));
    let start = start.ok_or_else(|| unknown("process 1 is not mtorrent".to_owned()))?;
    metrics_of(&arguments[start..], &variables).map_err(|error| unknown(format!("process 1: {}", error.message)))
}

/// The address of the figures by a command line and an environment.
fn metrics_of(arguments: &[OsString], variables: &[OsString]) -> Result<Option<SocketAddr>, CommandError> {
    let pairs = variables.iter().filter_map(|pair| {
        let equals = pair.as_bytes().iter().position(|&byte| byte == b'=')?;
        let (name, value) = pair.as_bytes().split_at(equals);
        Some((name, OsStr::from_bytes(&value[1..]).to_owned()))
    });
    let variables: HashMap<&[u8], OsString> = pairs.collect();
    match parse::parse(arguments, &|name| variables.get(name.as_bytes()).cloned()) {
        Ok(Parsed::Command(low, _)) => Ok(of_command(&low)),
        Ok(Parsed::Config(_)) => Ok(None),
        Err(Refusal::Settings(error)) => Err(error),
        Err(Refusal::Clap(error)) => Err(CommandError::usage(settings::sentence(&error))),
    }
}

fn of_command(low: &LowArgs) -> Option<SocketAddr> {
    match &low.command {
        LowCommand::Tracker(typed) => typed.metrics.metrics,
        LowCommand::Client(typed) => typed.peer.metrics.metrics,
        LowCommand::Share(typed) => typed.peer.metrics.metrics,
        LowCommand::Get(typed) => typed.peer.metrics.metrics,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(line: &str, variables: &[&str]) -> Option<SocketAddr> {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        let variables: Vec<OsString> = variables.iter().map(Into::into).collect();
        metrics_of(&words, &variables).expect("a right line")
    }

    #[test]
    fn the_address_is_that_of_the_service() {
        let address = |text: &str| Some(text.parse().expect("an address"));
        let variables = ["HOME=/", "MTORRENT_TRACKER_METRICS=127.0.0.1:9100", "MTORRENT_LISTEN=[::]:7000"];
        assert_eq!(metrics("/mtorrent tracker", &variables), address("127.0.0.1:9100"));
        assert_eq!(metrics("/mtorrent tracker --metrics [::]:80", &variables), address("[::]:80"));
        assert_eq!(metrics("/mtorrent client --daemon", &variables), None);
        assert_eq!(metrics("/mtorrent get x.mtorrent y", &["MTORRENT_METRICS=10.0.0.1:1"]), address("10.0.0.1:1"));
        assert_eq!(metrics("mtorrent demo", &variables), None);
        assert!(metrics_of(&["mtorrent".into(), "fly".into()], &[]).is_err());
    }

    #[test]
    fn any_address_is_reached_over_loopback() {
        for (listening, reached) in
            [("[::]:9100", "127.0.0.1:9100"), ("0.0.0.0:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2")]
        {
            let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(reachable(parse(listening)), parse(reached));
        }
    }
}
