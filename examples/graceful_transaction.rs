//! A bank that is interrupted in the middle of a transfer, and loses no money.
//!
//! Each transfer is a transaction on files: it writes a journal, changes two accounts, and removes the journal. A request
//! that arrives in between (Ctrl-C here, or the deadline) finds it half done; `catch_cancelled` gives it the time to roll
//! back, with awaits, before the program ends.
//!
//!     cargo run --example graceful_transaction             # transfers for a while; press Ctrl-C whenever you like
//!     cargo run --example graceful_transaction -- 50       # stops itself after 50 ms
//!
//! Whatever happens, the last line says that the sum is right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asyncio::{TaskGroup, catch_cancelled, sleep, timeout, to_thread};

const START: i64 = 1000;

/// Two accounts and a journal, each a file in one directory.
#[derive(Clone)]
struct Bank {
    directory: PathBuf,
}

impl Bank {
    fn open(directory: &Path) -> io::Result<Bank> {
        fs::create_dir_all(directory)?;
        let bank = Bank {
            directory: directory.into(),
        };
        fs::write(bank.path("alice"), START.to_string())?;
        fs::write(bank.path("bob"), START.to_string())?;
        Ok(bank)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn balance(&self, account: &str) -> io::Result<i64> {
        fs::read_to_string(self.path(account))?
            .trim()
            .parse()
            .map_err(io::Error::other)
    }

    fn add(&self, account: &str, amount: i64) -> io::Result<()> {
        fs::write(
            self.path(account),
            (self.balance(account)? + amount).to_string(),
        )
    }

    /// Moves the money in steps between which anything can happen.
    async fn transfer(&self, amount: i64) -> io::Result<()> {
        let balances = (self.balance("alice")?, self.balance("bob")?);
        fs::write(
            self.path("journal"),
            format!("{} {}", balances.0, balances.1),
        )?;
        let steps = async {
            self.add("alice", -amount)?;
            sleep(Duration::from_millis(3)).await; // half done
            self.add("bob", amount)
        };
        match catch_cancelled(steps).await {
            Ok(result) => {
                result?;
                fs::remove_file(self.path("journal"))
            }
            Err(cancelled) => {
                println!("interrupted in the middle of a transfer: rolling back");
                self.roll_back().await?;
                cancelled.raise().await
            }
        }
    }

    /// Puts back what the journal says. Blocking work goes to a thread; awaiting it is allowed here as anywhere.
    async fn roll_back(&self) -> io::Result<()> {
        let bank = self.clone();
        to_thread(move || {
            let journal = fs::read_to_string(bank.path("journal"))?;
            if let Some((alice, bob)) = journal.split_once(' ') {
                fs::write(bank.path("alice"), alice)?;
                fs::write(bank.path("bob"), bob)?;
            }
            fs::remove_file(bank.path("journal"))
        })
        .await?
    }
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limit = std::env::args().nth(1).map(|ms| ms.parse()).transpose()?;
    let limit = limit.map_or(Duration::from_secs(60), Duration::from_millis);
    let directory =
        std::env::temp_dir().join(format!("graceful_transaction.{}", std::process::id()));
    let bank = Bank::open(&directory)?;
    println!("the bank is open; Ctrl-C closes it");
    // The group's end is awaited, whatever ends it; so the check below sees accounts at rest.
    let work = TaskGroup::scope(async |group| {
        let bank = bank.clone();
        group.spawn(async move {
            for amount in (1..=9).cycle() {
                bank.transfer(amount).await?;
            }
            io::Result::Ok(())
        });
    });
    asyncio::finally(
        async {
            match timeout(limit, work).await {
                Ok(outcome) => outcome.map_err(Into::into),
                Err(_deadline) => Ok(()),
            }
        },
        async || {
            let sum = bank.balance("alice").unwrap_or(0) + bank.balance("bob").unwrap_or(0);
            let journal = bank.path("journal").exists();
            println!("sum {sum} of {}, journal left behind: {journal}", 2 * START);
            let _ = fs::remove_dir_all(&directory);
        },
    )
    .await
}
