//! The example of the job queue as its users meet it: stopped by SIGTERM, by Ctrl-C, and killed.
#![cfg(unix)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::child::{SIGINT, SIGTERM, Setup, example};

/// A directory with jobs, gone with its test.
struct Jobs {
    directory: PathBuf,
}

impl Jobs {
    fn new(name: &str) -> Jobs {
        let directory = format!("job_queue.{name}.{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir_all(directory.join("new")).unwrap();
        Jobs { directory }
    }

    fn add(&self, name: &str, script: &str) {
        fs::write(self.directory.join("new").join(name), script).unwrap();
    }

    fn names(&self, state: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.directory.join(state)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn worker(&self, workers: &str) -> Setup {
        let mut command = Command::new(example("job_queue"));
        command.arg(&self.directory).arg(workers);
        Setup::new(command)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn jobs_are_done_in_their_order_and_those_that_fail_are_kept_apart() {
    let jobs = Jobs::new("order");
    jobs.add("1", "true");
    jobs.add("2", "exit 3");
    jobs.add("3", "true");
    let mut child = jobs.worker("1").start();
    for line in ["1 is done", "2 is failed", "3 is done"] {
        child.wait_for_line(line);
    }
    child.signal(SIGTERM);
    let finished = child.finish();
    finished
        .died_of(SIGTERM)
        .said("0 new, 0 running, 2 done, 1 failed");
}

#[test]
fn a_job_under_way_is_done_before_the_worker_stops() {
    let jobs = Jobs::new("under_way");
    let go_on = jobs.directory.join("go on");
    let waits = r#"echo at work; until [ -e "$(dirname $0)/../go on" ]; do sleep 0.01; done"#;
    jobs.add("1", waits);
    jobs.add("2", "true");
    let mut child = jobs.worker("1").on_terminal().start();
    child.wait_for_line("at work");
    child.press_ctrl_c();
    child.wait_for_line("1 has 2s left");
    fs::write(&go_on, "").unwrap();
    child.finish().died_of(SIGINT).said("1 is done");
    assert_eq!(jobs.names("done"), set(["1"]));
    assert_eq!(jobs.names("new"), set(["2"]));
}

#[test]
fn a_job_that_takes_too_long_goes_back_and_its_process_is_ended() {
    let jobs = Jobs::new("too_long");
    jobs.add("1", "echo process $$; exec sleep 1000");
    let mut child = jobs.worker("1").start();
    let line = child.wait_for_line("process ");
    child.signal(SIGTERM);
    child.finish().died_of(SIGTERM).said("1 goes back");
    assert_eq!(jobs.names("new"), set(["1"]));
    let process = Path::new("/proc").join(line.trim_start_matches("process ").trim());
    assert!(!process.exists(), "{} lives on", process.display());
}

#[test]
fn what_a_killed_worker_has_left_is_done_by_the_next_one() {
    let jobs = Jobs::new("killed");
    // Nobody ends it with its worker. It ends when its script has gone.
    jobs.add(
        "1",
        r#"echo at work; while [ -e "$0" ]; do sleep 0.01; done"#,
    );
    let mut child = jobs.worker("1").start();
    child.wait_for_line("at work");
    child.signal(libc::SIGKILL);
    child.finish().died_of(libc::SIGKILL);
    assert_eq!(jobs.names("running"), set(["1"]));
    fs::write(jobs.directory.join("running/1"), "true").unwrap();
    let mut child = jobs.worker("1").start();
    child.wait_for_line("found 1 unfinished");
    child.wait_for_line("1 is done");
    child.signal(SIGTERM);
    child.finish().died_of(SIGTERM);
}
