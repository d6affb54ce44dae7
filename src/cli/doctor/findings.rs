//! Judges the facts of a machine: what is well, what makes it slower, and what stops it. Pure.

use super::facts::{Facts, Limit, Trial};
use crate::console::finding::{Finding, Verdict};
use crate::console::units::Size;
use crate::limits::LOCKED_MEMORY_BYTES_MIN;

/// Oldest kernel whose io_uring has all that is needed.
const KERNEL_OLDEST: (u32, u32) = (5, 8);
/// Open files below which peers are refused under load.
const OPEN_FILES_FEW: u64 = 4096;
/// Socket buffer below which a fast and distant peer is slow, bytes.
const BUFFER_SMALL: u64 = 4 << 20;
/// Free space below which a download is likely to find the disk full, bytes.
const FREE_LITTLE: u64 = 1 << 30;
/// Memory below which few chunks fit, bytes.
const MEMORY_LITTLE: u64 = 256 << 20;

/// The findings, in the order in which they matter.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts), io_uring(facts), seccomp(facts), locked_memory(facts), open_files(facts)];
    findings.extend(folder(facts));
    findings.extend([congestion(facts), buffers(facts), hashing(facts), cpu(facts), memory(facts)]);
    findings.extend(huge_pages(facts));
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let text = format!("Linux {}", facts.kernel);
    match version(&facts.kernel) {
        Some(version) if version < KERNEL_OLDEST => {
            Finding::warning("kernel", format!("{text} is old"), "use Linux 5.8 or later")
        }
        _ => Finding::ok("kernel", text),
    }
}

/// Major and minor of a release such as `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn io_uring(facts: &Facts) -> Finding {
    match &facts.uring_refusal {
        None => Finding::ok("io_uring", "io_uring can be used"),
        Some((reason, remedy)) => {
            Finding::warning("io_uring", format!("plain threads do the work, slower: {reason}"), remedy)
        }
    }
}

fn seccomp(facts: &Facts) -> Finding {
    match facts.seccomp {
        Some(2) if facts.uring_refusal.is_some() => Finding::warning(
            "seccomp",
            "a filter on system calls is active",
            "choose a profile that permits io_uring_setup, io_uring_enter and io_uring_register",
        ),
        Some(2) => Finding::ok("seccomp", "a filter on system calls is active, and permits what is needed"),
        Some(1) => Finding::problem("seccomp", "strict mode refuses nearly all system calls", "run outside of it"),
        _ => Finding::ok("seccomp", "no filter on system calls is active"),
    }
}

fn locked_memory(facts: &Facts) -> Finding {
    let name = "locked memory";
    match facts.locked_memory {
        Limit::None => Finding::ok(name, "no limit (RLIMIT_MEMLOCK)"),
        Limit::Most(bytes) if bytes < LOCKED_MEMORY_BYTES_MIN => Finding::warning(
            name,
            format!("at most {}: io_uring needs {} a core", Size(bytes), Size(LOCKED_MEMORY_BYTES_MIN)),
            "`ulimit -l unlimited`, LimitMEMLOCK=infinity in a unit, or `--ulimit memlock=-1` for a container",
        ),
        Limit::Most(bytes) => Finding::ok(name, format!("at most {}", Size(bytes))),
    }
}

fn open_files(facts: &Facts) -> Finding {
    let name = "open files";
    match (facts.open_files, facts.open_files_hard) {
        (Limit::Most(files), hard) if files < OPEN_FILES_FEW => {
            let hard = match hard {
                Limit::Most(hard) => hard.to_string(),
                Limit::None => "any number".to_owned(),
            };
            let text = format!("at most {files} files and connections, and {hard} by the hard limit");
            Finding::warning(name, text, "`ulimit -Hn 65536`, LimitNOFILE=65536 in a unit, or `--ulimit nofile=65536`")
        }
        (Limit::Most(files), _) => Finding::ok(name, format!("at most {files} files and connections")),
        (Limit::None, _) => Finding::ok(name, "no limit"),
    }
}

fn folder(facts: &Facts) -> Vec<Finding> {
    let folder = &facts.folder;
    let shown = crate::text::path(&folder.path);
    let on = folder.file_system.as_deref().unwrap_or("an unknown file system");
    if let Trial::Refused(error) = &folder.buffered {
        let remedy = "name a folder that this user may write to: `mtorrent doctor DIR`";
        return vec![Finding::problem("folder", format!("{shown} cannot be written to: {error}"), remedy)];
    }
    if folder.buffered == Trial::Different || folder.direct == Trial::Different {
        let text = format!("{shown} ({on}) returns other bytes than were written");
        return vec![Finding::problem("folder", text, "check the disk and its driver; store nothing there")];
    }
    let direct = match &folder.direct {
        Trial::Refused(error) => Finding::warning(
            "direct I/O",
            format!("{shown} ({on}) has no O_DIRECT: {error}; data goes through the page cache"),
            "use ext4, xfs or btrfs",
        ),
        _ => Finding::ok("direct I/O", format!("{shown} ({on}) takes O_DIRECT in blocks of 4096 bytes")),
    };
    let free = folder.free_bytes.map(|free| match free {
        free if free < FREE_LITTLE => {
            Finding::warning("free space", format!("{} in {shown}", Size(free)), "free space, or take another folder")
        }
        free => Finding::ok("free space", format!("{} in {shown}", Size(free))),
    });
    [Some(direct), free].into_iter().flatten().collect()
}

fn congestion(facts: &Facts) -> Finding {
    let name = "congestion control";
    let available = facts.congestion_available.as_deref().unwrap_or_default();
    match facts.congestion.as_deref() {
        Some("bbr") => Finding::ok(name, "bbr for distant peers"),
        Some(used) if available.split_whitespace().any(|known| known == "bbr") => Finding::warning(
            name,
            format!("{used}: distant peers over links with loss are slow"),
            "`sysctl net.ipv4.tcp_congestion_control=bbr`, if you have such",
        ),
        Some(used) => Finding::warning(
            name,
            format!("{used}, and this kernel has no bbr: distant peers over links with loss are slow"),
            "`modprobe tcp_bbr`, if you have such",
        ),
        None => Finding::ok(name, "unknown"),
    }
}

fn buffers(facts: &Facts) -> Finding {
    let name = "socket buffers";
    let (Some(receive), Some(send)) = (facts.receive_buffer, facts.send_buffer) else {
        return Finding::ok(name, "unknown");
    };
    let text = format!("receive up to {}, send up to {}", Size(receive), Size(send));
    if receive.min(send) >= BUFFER_SMALL {
        return Finding::ok(name, text);
    }
    let remedy = "for distant peers: `sysctl net.ipv4.tcp_rmem='4096 131072 16777216' \
                  net.ipv4.tcp_wmem='4096 65536 16777216'`";
    Finding::warning(name, text, remedy)
}

fn hashing(facts: &Facts) -> Finding {
    let name = "hashing";
    match facts.hash_features.as_slice() {
        [] => Finding::warning(name, "the CPU has no instructions for SHA-1 that are used", "use a newer CPU"),
        some => Finding::ok(name, format!("by {}", some.join(", "))),
    }
}

fn cpu(facts: &Facts) -> Finding {
    let name = "CPU";
    match facts.cpu_quota {
        Some(quota) if quota < 1.0 => Finding::warning(
            name,
            format!("the control group allows {quota:.2} of a CPU"),
            "allow at least one (CPUQuota= in a unit, `--cpus` for a container)",
        ),
        Some(quota) => {
            Finding::ok(name, format!("{} CPUs, of whose time the control group allows {quota:.1}", facts.cpus))
        }
        None => Finding::ok(name, format!("{} CPUs", facts.cpus)),
    }
}

fn memory(facts: &Facts) -> Finding {
    match facts.memory {
        Some(bytes) if bytes < MEMORY_LITTLE => Finding::warning(
            "memory",
            format!("the control group allows {}: fewer cores are used", Size(bytes)),
            "allow 512 MiB or more (MemoryMax= in a unit, `--memory` for a container)",
        ),
        Some(bytes) => Finding::ok("memory", format!("the control group allows {}", Size(bytes))),
        None => Finding::ok("memory", "no limit by a control group"),
    }
}

fn huge_pages(facts: &Facts) -> Option<Finding> {
    let setting = facts.huge_pages.as_deref()?;
    Some(match setting {
        "never" => Finding::warning(
            "huge pages",
            "transparent huge pages are off: a tracker with millions of files is slower",
            "`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`",
        ),
        _ => Finding::ok("huge pages", format!("transparent huge pages: {setting}")),
    })
}

/// Whether nothing stops the program.
pub(super) fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Verdict::Problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which all is well.
    fn good() -> Facts {
        Facts {
            kernel: "6.1.0-13-amd64".into(),
            seccomp: Some(0),
            open_files: Limit::Most(1 << 20),
            open_files_hard: Limit::Most(1 << 20),
            congestion: Some("bbr".into()),
            congestion_available: Some("reno bbr cubic".into()),
            receive_buffer: Some(16 << 20),
            send_buffer: Some(16 << 20),
            hash_features: vec!["SHA-NI"],
            cpus: 8,
            huge_pages: Some("madvise".into()),
            ..Facts::default()
        }
    }

    #[test]
    fn a_good_machine_has_only_good_findings() {
        let findings = judge(&good());
        assert!(
            findings.iter().all(|finding| finding.level == Verdict::Ok && finding.remedy.is_none()),
            "{findings:?}"
        );
        assert!(is_well(&findings));
    }

    #[test]
    fn every_fault_has_its_remedy() {
        type Change = fn(&mut Facts);
        let rows: &[(&str, Verdict, Change)] = &[
            ("kernel", Verdict::Warning, |facts| facts.kernel = "5.4.0".into()),
            ("io_uring", Verdict::Warning, |facts| facts.uring_refusal = Some(("reason".into(), "remedy".into()))),
            ("seccomp", Verdict::Problem, |facts| facts.seccomp = Some(1)),
            ("locked memory", Verdict::Warning, |facts| facts.locked_memory = Limit::Most(64 << 10)),
            ("open files", Verdict::Warning, |facts| facts.open_files = Limit::Most(1024)),
            ("folder", Verdict::Problem, |facts| facts.folder.buffered = Trial::Refused("read-only".into())),
            ("folder", Verdict::Problem, |facts| facts.folder.direct = Trial::Different),
            ("direct I/O", Verdict::Warning, |facts| facts.folder.direct = Trial::Refused("invalid".into())),
            ("free space", Verdict::Warning, |facts| facts.folder.free_bytes = Some(5)),
            ("congestion control", Verdict::Warning, |facts| facts.congestion = Some("cubic".into())),
            ("socket buffers", Verdict::Warning, |facts| facts.receive_buffer = Some(212_992)),
            ("hashing", Verdict::Warning, |facts| facts.hash_features.clear()),
            ("CPU", Verdict::Warning, |facts| facts.cpu_quota = Some(0.5)),
            ("memory", Verdict::Warning, |facts| facts.memory = Some(64 << 20)),
            ("huge pages", Verdict::Warning, |facts| facts.huge_pages = Some("never".into())),
        ];
        for (check, level, change) in rows {
            let mut facts = good();
            change(&mut facts);
            let findings = judge(&facts);
            let bad: Vec<_> = findings.iter().filter(|finding| finding.level != Verdict::Ok).collect();
            let names: Vec<_> = bad.iter().map(|finding| (finding.check, finding.level)).collect();
            assert_eq!(names, [(*check, *level)]);
            assert!(bad.iter().all(|finding| finding.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty())));
            assert_eq!(is_well(&findings), *level != Verdict::Problem);
        }
    }
}
