use runner_core as asyncio;
fn main() -> Result<(), Box<dyn std::error::Error>> {
let runner = asyncio::Runner::new();
runner.run(async { drop(asyncio::task().name("left over").spawn(std::future::pending::<()>())) })?;
let report = runner.close()?;
assert!(report.is_clean());
assert_eq!(report.cancelled()[0].name(), "left over");
 Ok(())
 }
