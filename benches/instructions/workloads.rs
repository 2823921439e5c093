//! What is counted: each workload does one operation a given number of times.

use std::future::pending;
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{Runner, Task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// One thing to count.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Does it that many times.
    pub(crate) run: fn(usize),
}

const fn workload(name: &'static str, run: fn(usize)) -> Workload {
    Workload { name, run }
}

pub(crate) const WORKLOADS: &[Workload] = &[
    workload("cancel", cancel),
    workload("cycle", cycle),
    workload("run-again", run_again),
    workload("spawn-detached", spawn_detached),
    workload("spawn-join", spawn_join),
    workload("tcp-round-trip", tcp_round_trip),
    workload("timeout-pending", timeout_pending),
    workload("timeout-ready", timeout_ready),
    workload("wake", wake),
    workload("yield", yield_now),
    workload("yield-debug", yield_in_debug_mode),
];

pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Tasks that exist at the same time.
const TASKS: usize = 100;
/// Never reached.
const FAR: Duration = Duration::from_secs(3600);

fn quiet_runner() -> Runner {
    Runner::builder().interrupt(false).build()
}

fn run<F: Future>(future: F) -> F::Output {
    run_on(quiet_runner(), future)
}

fn run_on<F: Future>(runner: Runner, future: F) -> F::Output {
    let output = runner.run(future).expect("the run failed");
    runner.close().expect("the close failed");
    output
}

fn batch<F: Future + 'static>(make: impl Fn(usize) -> F) -> Vec<Task<F::Output>> {
    (0..TASKS)
        .map(|index| asyncio::spawn(make(index)))
        .collect()
}

/// Tasks that wait are cancelled and awaited; their spawning counts as well.
fn cancel(operations: usize) {
    run(async move {
        for _ in 0..operations / TASKS {
            let tasks = batch(|_| pending::<()>());
            asyncio::yield_now().await;
            for task in &tasks {
                task.cancel();
            }
            for task in tasks {
                assert!(task.await.is_err());
            }
        }
    });
}

/// A runner is made, runs an empty future and is closed.
fn cycle(operations: usize) {
    for _ in 0..operations {
        run(async {});
    }
}

/// One more empty run of a runner in use.
fn run_again(operations: usize) {
    let runner = quiet_runner();
    for _ in 0..operations {
        runner.run(async {}).expect("the run failed");
    }
}

fn spawn_detached(operations: usize) {
    run(async move {
        for _ in 0..operations / TASKS {
            drop(batch(|index| async move { index }));
            asyncio::yield_now().await;
        }
    });
}

fn spawn_join(operations: usize) {
    run(async move {
        for _ in 0..operations / TASKS {
            for task in batch(|index| async move { index }) {
                task.await.expect("nobody cancels it");
            }
        }
    });
}

/// 64 bytes there and back between two tasks of one loop. The system calls themselves are not counted.
fn tcp_round_trip(operations: usize) {
    run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("no port");
        let address = listener.local_addr().expect("no address");
        let server = asyncio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("no connection");
            echo(stream, operations).await;
        });
        let mut client = TcpStream::connect(address).await.expect("no server");
        let mut answer = [0; 64];
        for _ in 0..operations {
            client.write_all(&[1; 64]).await.expect("cannot write");
            client.read_exact(&mut answer).await.expect("cannot read");
        }
        server.await.expect("nobody cancels it");
    });
}

async fn echo(mut stream: TcpStream, operations: usize) {
    let mut request = [0; 64];
    for _ in 0..operations {
        stream.read_exact(&mut request).await.expect("cannot read");
        stream.write_all(&request).await.expect("cannot write");
    }
}

/// A timeout that has to set its timer, and takes it back.
fn timeout_pending(operations: usize) {
    run(async move {
        for _ in 0..operations {
            let turn = asyncio::timeout(FAR, asyncio::yield_now());
            turn.await.expect("an hour cannot be over");
        }
    });
}

fn timeout_ready(operations: usize) {
    run(async move {
        for number in 0..operations {
            let ready = asyncio::timeout(FAR, std::future::ready(number));
            ready.await.expect("an hour cannot be over");
        }
    });
}

/// Two tasks that wake each other in turn: each operation is one wake-up and one poll.
fn wake(operations: usize) {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::{Poll, Waker};

    #[derive(Default)]
    struct Turn {
        next: Cell<usize>,
        waiting: RefCell<[Option<Waker>; 2]>,
    }

    async fn player(side: usize, rounds: usize, turn: Rc<Turn>) {
        for _ in 0..rounds {
            poll_fn(|cx| {
                if turn.next.get() == side {
                    return Poll::Ready(());
                }
                turn.waiting.borrow_mut()[side] = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            turn.next.set(1 - side);
            let other = turn.waiting.borrow_mut()[1 - side].take();
            if let Some(other) = other {
                other.wake();
            }
        }
    }

    run(async move {
        let turn = Rc::<Turn>::default();
        let players = [0, 1].map(|side| asyncio::spawn(player(side, operations / 2, turn.clone())));
        for player in players {
            player.await.expect("nobody cancels it");
        }
    });
}

fn yield_now(operations: usize) {
    run(yields(operations));
}

/// With all that debug mode does in a program: a poll is timed, and told to those who would ask what blocks the loop.
fn yield_in_debug_mode(operations: usize) {
    run_on(Runner::builder().debug(true).build(), yields(operations));
}

async fn yields(operations: usize) {
    let tasks = batch(|_| async move {
        for _ in 0..operations / TASKS {
            asyncio::yield_now().await;
        }
    });
    for task in tasks {
        task.await.expect("nobody cancels it");
    }
}
