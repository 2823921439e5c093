//! Tests that a runner starts one by one, each in a process of its own, as `cargo nextest` does.

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::num::ParseIntError;
    use std::time::Duration;

    use asyncio::{finally, sleep, spawn, yield_now};

    const LONG: Duration = Duration::from_secs(1000);

    #[asyncio::test]
    async fn passes() {
        spawn(yield_now()).await.unwrap();
    }

    #[asyncio::test(virtual_time, timeout = "2h")]
    async fn sleeps() {
        sleep(LONG).await;
    }

    #[asyncio::test(seeds = 3)]
    async fn runs_with_seeds() {
        thread_local! {
            static RUNS: Cell<u8> = const { Cell::new(0) };
        }
        yield_now().await;
        RUNS.set(RUNS.get() + 1);
        assert!(RUNS.get() <= 3);
    }

    #[asyncio::test(timeout = "10ms")]
    #[should_panic(expected = "did not finish")]
    async fn runs_out_of_time() {
        sleep(LONG).await;
    }

    #[asyncio::test]
    async fn returns() -> Result<(), ParseIntError> {
        assert_eq!("5".parse::<u8>()?, 5);
        Ok(())
    }

    #[asyncio::test]
    async fn fails_if_it_is_told_to() {
        let cleanup = async || {
            yield_now().await;
            println!("cleaned up");
        };
        drop(spawn(finally(sleep(LONG), cleanup)));
        yield_now().await;
        assert!(std::env::var_os("FAIL").is_none(), "told to");
    }
}
