//! A network namespace of the run's own: loopback only, with its own congestion control, so that the machine's settings
//! stay unchanged whatever ends the run.
//!
//! It must be entered before the first thread starts: a namespace belongs to a thread, and only threads started later
//! inherit it.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;

use super::Error;

/// Addresses on the loopback device for programs that refuse peers at 127.x; the bytes take the same path.
pub const PLAIN_ADDRESSES: [Ipv4Addr; 9] = {
    let mut addresses = [Ipv4Addr::UNSPECIFIED; 9];
    let mut at = 0;
    while at < addresses.len() {
        addresses[at] = Ipv4Addr::new(10, 77, 0, at as u8 + 1);
        at += 1;
    }
    addresses
};

const CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// The namespace of this process and all its children.
#[derive(Debug)]
pub struct Network {
    _allowed: Option<AllowedControls>,
}

impl Network {
    /// Moves from the machine's network to a new one in which each of `controls` can be used.
    pub fn enter(controls: &[String]) -> Result<Self, Error> {
        let allowed = AllowedControls::extend(controls)?;
        unshare().map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM) => Error::Refused("making a network namespace needs root; run it with sudo".to_owned()),
            _ => Error::io("make a network namespace", source),
        })?;
        ip(&["link", "set", "lo", "up"])?;
        for address in PLAIN_ADDRESSES {
            ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
        }
        let network = Self { _allowed: allowed };
        // Fail now, not half-way, if one of them is not available.
        for control in controls.iter().rev() {
            network.set_congestion_control(control)?;
        }
        Ok(network)
    }

    /// Sets the congestion control of all connections made from now on.
    pub fn set_congestion_control(&self, control: &str) -> Result<(), Error> {
        std::fs::write(CONTROL, control)
            .map_err(|source| Error::io(format!("set the congestion control {control}"), source))
    }
}

/// The congestion control of connections made now.
pub fn congestion_control() -> Result<String, Error> {
    let read = std::fs::read_to_string(CONTROL).map_err(|source| Error::io(format!("read {CONTROL}"), source))?;
    Ok(read.trim().to_owned())
}

/// Namespaces may use only the congestion controls that the machine allows to everyone. The missing ones are added
/// during the run; the old list is restored at its end.
#[derive(Debug)]
struct AllowedControls {
    /// Opened in the machine's own namespace, because the list cannot be written in the run's namespace.
    file: File,
    before: String,
}

impl AllowedControls {
    fn extend(controls: &[String]) -> Result<Option<Self>, Error> {
        let fail = |source| Error::io(format!("read {ALLOWED}"), source);
        let before = std::fs::read_to_string(ALLOWED).map_err(fail)?.trim().to_owned();
        let mut list: Vec<&str> = before.split_whitespace().collect();
        list.extend(
            controls.iter().map(String::as_str).filter(|control| !before.split_whitespace().any(|c| c == *control)),
        );
        let list = list.join(" ");
        if list == before {
            return Ok(None);
        }
        let refused = |source: std::io::Error| {
            Error::Refused(format!(
                "this kernel does not let a run use the congestion controls {list:?} ({source}); root is needed, \
                 and perhaps modprobe tcp_{}",
                controls.join(", modprobe tcp_")
            ))
        };
        let mut file = File::options().write(true).open(ALLOWED).map_err(refused)?;
        file.write_all(list.as_bytes()).map_err(refused)?;
        Ok(Some(Self { file, before }))
    }
}

impl Drop for AllowedControls {
    fn drop(&mut self) {
        use std::os::unix::fs::FileExt;
        if let Err(error) = self.file.write_all_at(self.before.as_bytes(), 0) {
            eprintln!("rivals: cannot put {:?} back into {ALLOWED}: {error}", self.before);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    let done = Command::new("ip").args(arguments).output().map_err(|source| Error::io("run ip", source))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Error::Refused(format!("ip {} failed: {said}", arguments.join(" "))))
}

fn unshare() -> std::io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNET takes a plain integer and touches no memory of this process.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
