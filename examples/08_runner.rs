//! You learn: what stands behind `#[asyncio::main]`: a runner, its runs, its orderly end and the report about it.
//!
//! Run it with `cargo run --example 08_runner`.

use std::error::Error;
use std::time::Duration;

use asyncio::{Runner, RunnerState};

fn main() -> Result<(), Box<dyn Error>> {
    // Nothing is opened or started yet. The whole shutdown gets at most five seconds.
    let runner = Runner::builder()
        .shutdown_timeout(Duration::from_secs(5))
        .build();
    assert_eq!(runner.state(), RunnerState::Created);

    // The future may borrow from here: it ends with the run.
    let names = [String::from("Ada"), String::from("Grace")];
    let count = runner.run(async { names.len() })?;
    println!("first run: {count} names");

    // Tasks belong to the loop: this one is not done after the second run, and goes on in the third.
    let task = runner.event_loop()?.spawn(async {
        asyncio::sleep(Duration::from_millis(10)).await;
        "begun in the second run, done in the third"
    });
    runner.run(asyncio::yield_now())?;
    assert!(!task.is_finished());
    println!("{}", runner.run(task)??);

    // One more is left behind when the runner closes. It may await its cleanup.
    runner.run(async {
        let cleanup = async || println!("the left task cleans up");
        let body = asyncio::finally(asyncio::sleep(Duration::MAX), cleanup);
        drop(asyncio::task().name("left behind").spawn(body));
        asyncio::yield_now().await;
    })?;

    let report = runner.close()?;
    for task in report.cancelled() {
        println!("cancelled at the end: {}", task.name());
    }
    println!("everything ended in time: {}", report.is_clean());
    assert_eq!(runner.state(), RunnerState::Closed);

    // A closed runner stays closed.
    println!("{}", runner.run(async {}).unwrap_err());
    Ok(())
}
