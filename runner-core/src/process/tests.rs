//! The way of the systems without pidfds, which other tests do not take.

use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::{Runner, run, timeout};

thread_local! {
    /// Children started by this thread get no pidfd.
    pub(super) static WITHOUT_PIDFD: Cell<bool> = const { Cell::new(false) };
    /// Children that this thread would kill are left as they are, as if they hung in the system.
    pub(super) static UNKILLABLE: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn without_pidfds_every_child_is_seen_to_end() {
    WITHOUT_PIDFD.set(true);
    run(async {
        let mut long = Command::new("sleep").arg("1000").spawn().unwrap();
        for code in 0..20 {
            let script = format!("exit {code}");
            let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
            let status = timeout(Duration::from_secs(30), child.wait()).await;
            assert_eq!(status.unwrap().unwrap().code(), Some(code));
        }
        assert!(long.try_wait().unwrap().is_none());
        long.kill().unwrap();
        let status = timeout(Duration::from_secs(30), long.wait()).await;
        assert_eq!(status.unwrap().unwrap().code(), None);
    })
    .unwrap();
}

#[test]
fn a_killed_child_that_does_not_end_in_time_is_named() {
    UNKILLABLE.set(true);
    let runner = Runner::builder()
        .shutdown_timeout(Duration::from_millis(20))
        .build();
    let started =
        runner.run(async { Command::new("sleep").arg("1000").kill_on_drop(true).spawn() });
    let mut child = started.unwrap().unwrap();
    let report = runner.close().unwrap();
    assert!(!report.is_clean());
    let [left] = report.abandoned_children() else {
        panic!("{report:?}");
    };
    assert_eq!((left.id(), left.program()), (child.id(), "sleep"));
    child.kill().unwrap();
    run(async move { child.wait().await }).unwrap().unwrap();
}
