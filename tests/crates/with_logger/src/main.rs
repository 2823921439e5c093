//! With the feature `log`, messages reach the program's logger.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

/// Keeps what it gets.
struct Kept(Mutex<Vec<String>>);

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

impl log::Log for Kept {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "asyncio" {
            let line = format!("{} {}", record.level(), record.args());
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// Has something to say on every level.
fn work() -> Result<(), Box<dyn Error>> {
    let event_loop = asyncio::EventLoop::builder()
        .debug(true)
        .slow_callback_duration(Duration::ZERO)
        .build()?;
    event_loop.run_until_complete(async { drop(asyncio::spawn(async { panic!("unseen") })) })?;
    event_loop.run_until_complete(asyncio::sleep(Duration::from_millis(1)))?;
    let found = event_loop.run_until_complete(asyncio::net::lookup_host("localhost:80"))??;
    drop(found);
    event_loop.close()?;
    Ok(())
}

/// Messages that begin like this.
fn count(beginning: &str) -> usize {
    let kept = KEPT.0.lock().unwrap();
    kept.iter()
        .filter(|line| line.starts_with(beginning))
        .count()
}

fn main() -> Result<(), Box<dyn Error>> {
    log::set_logger(&KEPT).map_err(|error| error.to_string())?;
    log::set_max_level(log::LevelFilter::Debug);
    work()?;
    println!("{} errors", count("ERROR "));
    Ok(())
}

// By its long name: a loop runs in it, so it is no `#[asyncio::test]`.
#[::core::prelude::v1::test]
fn messages_reach_the_logger_once_there_is_one() {
    work().unwrap();
    assert_eq!(count(""), 0, "nobody has set it up yet");
    log::set_logger(&KEPT).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    work().unwrap();
    assert_eq!(count("ERROR Task exception was never retrieved"), 1);
    assert!(count("WARN Executing <Task") >= 4);
    assert_eq!(count("DEBUG Get address info localhost:80"), 1);
    assert_eq!(count("INFO Getting address info localhost:80 took "), 1);
    assert!(count("DEBUG poll ") + count("WARN poll ") > 0);
    assert_eq!(
        count("DEBUG Close <EventLoop running=false closed=false debug=true>"),
        1
    );
}
