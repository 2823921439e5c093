//! A worker that does the jobs of a directory, and loses none of them, whatever stops it.
//!
//! A job is a shell script in `DIRECTORY/new`. A worker moves it to `running`, does it, and moves it to `done` or `failed`.
//! Ctrl-C and SIGTERM let the jobs under way end, for two seconds; what is not done by then is ended and moved back to `new`. So
//! is what a worker that was killed has left in `running`, at the next start.
//!
//! What you learn here: child processes that never outlive their task; how cleanup waits for something, but not for ever; why
//! a request needs no flag that everybody has to look at.
//!
//! ```text
//! mkdir -p jobs/new && for n in 1 2 3 4 5 6; do echo "sleep 1; echo job $n" > jobs/new/$n; done
//! cargo run --example job_queue -- jobs 2
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use asyncio::process::{Child, Command};
use asyncio::{TaskGroup, catch_cancelled, sleep, timeout};

/// How long a job may go on when the worker is asked to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a job may take to end when it is asked to.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often an idle worker looks for new jobs.
const INTERVAL: Duration = Duration::from_millis(100);

#[asyncio::main(terminate)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments
        .next()
        .ok_or("usage: job_queue DIRECTORY [WORKERS]")?;
    let workers = arguments.next().unwrap_or_else(|| "4".into());
    let workers: usize = workers.to_str().unwrap_or_default().parse()?;
    let queue = Queue::open(directory.as_ref())?;
    println!("{workers} workers are waiting for jobs");
    let done = TaskGroup::scope(async |group| {
        for _ in 0..workers {
            group.spawn(work(queue.clone()));
        }
    });
    asyncio::finally(done, async || println!("{}", queue.describe())).await?;
    Ok(())
}

/// Does one job after the other, for ever.
async fn work(queue: Queue) -> io::Result<()> {
    loop {
        match queue.claim()? {
            Some(job) => job.run().await?,
            None => sleep(INTERVAL).await,
        }
    }
}

/// Directories of jobs, by their state. Renaming is one step, also if several programs work on the same queue; it takes
/// microseconds, and so needs no thread.
#[derive(Clone)]
struct Queue {
    directory: PathBuf,
}

impl Queue {
    fn open(directory: &Path) -> io::Result<Queue> {
        let queue = Queue {
            directory: directory.into(),
        };
        for state in ["new", "running", "done", "failed"] {
            fs::create_dir_all(queue.directory.join(state))?;
        }
        for name in queue.names("running")? {
            println!("found {} unfinished", name.display());
            queue.rename(&name, "running", "new")?;
        }
        Ok(queue)
    }

    /// The jobs in a state, the first first.
    fn names(&self, state: &str) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directory.join(state))?;
        let names = entries.map(|entry| Ok(entry?.file_name().into()));
        let mut names = names.collect::<io::Result<Vec<PathBuf>>>()?;
        names.sort();
        Ok(names)
    }

    fn rename(&self, name: &Path, from: &str, to: &str) -> io::Result<()> {
        fs::rename(
            self.directory.join(from).join(name),
            self.directory.join(to).join(name),
        )
    }

    /// Takes the first job, if there is one.
    fn claim(&self) -> io::Result<Option<Job>> {
        for name in self.names("new")? {
            match self.rename(&name, "new", "running") {
                Ok(()) => {
                    let queue = self.clone();
                    return Ok(Some(Job { queue, name }));
                }
                // Another program was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn describe(&self) -> String {
        let count = |state| self.names(state).map_or(0, |names| names.len());
        let states = ["new", "running", "done", "failed"];
        let counts = states.map(|state| format!("{} {state}", count(state)));
        counts.join(", ")
    }
}

/// A job that is this worker's.
struct Job {
    queue: Queue,
    name: PathBuf,
}

impl Job {
    async fn run(self) -> io::Result<()> {
        let script = self.queue.directory.join("running").join(&self.name);
        println!("{} begins", self.name.display());
        // A group of its own: Ctrl-C at the terminal is for the worker, which decides what it means for the job.
        let mut child = Command::new("sh")
            .arg(script)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        match catch_cancelled(child.wait()).await {
            Ok(status) => self.finish(status?),
            Err(cancelled) => {
                println!("{} has {PATIENCE:?} left", self.name.display());
                match timeout(PATIENCE, child.wait()).await {
                    Ok(status) => self.finish(status?)?,
                    Err(_too_long) => {
                        end(&mut child).await?;
                        self.put_back()?;
                    }
                }
                cancelled.raise().await
            }
        }
    }

    fn finish(&self, status: ExitStatus) -> io::Result<()> {
        let state = if status.success() { "done" } else { "failed" };
        println!("{} is {state}", self.name.display());
        self.queue.rename(&self.name, "running", state)
    }

    fn put_back(&self) -> io::Result<()> {
        println!("{} goes back", self.name.display());
        self.queue.rename(&self.name, "running", "new")
    }
}

/// Asks the job to end, and then ends it.
async fn end(child: &mut Child) -> io::Result<()> {
    child.terminate()?;
    if timeout(GOODBYE, child.wait()).await.is_err() {
        child.kill()?;
        child.wait().await?;
    }
    Ok(())
}
