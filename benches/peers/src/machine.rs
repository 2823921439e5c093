//! What the figures were measured on, and how much memory this process uses.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The value of the first line of `path` that begins with `key`.
fn field(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    let (_, value) = line.split_once(':')?;
    Some(value.trim().to_owned())
}

/// The memory that this process occupies.
pub(crate) fn resident_bytes() -> u64 {
    let value = field("/proc/self/status", "VmRSS").expect("cannot read the resident size");
    let kilobytes = value.trim_end_matches(" kB").trim();
    kilobytes
        .parse::<u64>()
        .expect("the resident size is no number")
        * 1024
}

/// Raises the limit of open descriptors as far as it may be: a thousand connections take two thousand here.
pub(crate) fn allow_many_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    // Should it fail, the workload that needs more will say so.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Processor, kernel and compiler, in one line.
pub(crate) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let unknown = || "unknown".to_owned();
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
    let compiler = Command::new("rustc").arg("--version").output();
    let compiler = compiler.map_or_else(
        |_| unknown(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!(
        "{cores} cores ({processor}), Linux {}, {compiler}",
        kernel.trim()
    )
}

/// Returns `true` if processes can be kept on one processor (with `taskset`, of util-linux).
pub(crate) fn can_pin() -> bool {
    let test = Command::new("taskset").args(["-c", "0", "true"]).output();
    test.is_ok_and(|output| output.status.success())
}

/// The version of a crate that this program was built with.
pub(crate) fn version_of(name: &str) -> &'static str {
    const LOCK: &str = include_str!("../Cargo.lock");
    let head = format!("name = \"{name}\"");
    LOCK.lines()
        .skip_while(|line| *line != head)
        .nth(1)
        .and_then(|line| line.split('"').nth(1))
        .unwrap_or("unknown")
}
