//! Which public type may leave its thread: one table, so that a change of any fact is seen.

use std::fmt::Write as _;
use std::marker::PhantomData;

use asyncio::driver::{
    Events, Interest, Mode, PollingDriver, Readiness, Token, VirtualClock, VirtualTime, Wait,
};

/// Asks for a trait where a `bool` is wanted: the inherent constant exists only for types with the trait, and goes first.
struct Probe<T: ?Sized>(PhantomData<T>);

trait No {
    const SEND: bool = false;
    const SYNC: bool = false;
    const UNPIN: bool = false;
    const COPY: bool = false;
    const CLONE: bool = false;
}

impl<T: ?Sized> No for Probe<T> {}

impl<T: ?Sized + Send> Probe<T> {
    const SEND: bool = true;
}

impl<T: ?Sized + Sync> Probe<T> {
    const SYNC: bool = true;
}

impl<T: ?Sized + Unpin> Probe<T> {
    const UNPIN: bool = true;
}

impl<T: Copy> Probe<T> {
    const COPY: bool = true;
}

impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}

/// One line per type: its name, and the traits that it has.
macro_rules! facts {
    ($table:ident, $($type:ty),+ $(,)?) => {
        $(
            let name = stringify!($type).replace("asyncio :: ", "").replace("asyncio::", "");
            write!($table, "{}:", name.replace(' ', "")).unwrap();
            let traits = [
                (<Probe<$type>>::SEND, "Send"),
                (<Probe<$type>>::SYNC, "Sync"),
                (<Probe<$type>>::UNPIN, "Unpin"),
                (<Probe<$type>>::CLONE, "Clone"),
                (<Probe<$type>>::COPY, "Copy"),
            ];
            for (_, name) in traits.into_iter().filter(|(has, _)| *has) {
                write!($table, " {name}").unwrap();
            }
            $table.push('\n');
        )+
    };
}

type Ready = std::future::Ready<u32>;
type Pinned = std::marker::PhantomPinned;

#[test]
fn every_public_type_stays_on_its_thread_or_leaves_it_as_documented() {
    let mut table = String::new();
    facts!(
        table,
        // The loop and what belongs to its thread.
        asyncio::EventLoop,
        asyncio::EventLoopBuilder,
        asyncio::TaskBuilder,
        asyncio::Task<u32>,
        asyncio::TaskRef,
        asyncio::Handle,
        asyncio::TimerHandle,
        asyncio::Context,
        asyncio::Runner,
        asyncio::RunnerBuilder,
        asyncio::ExceptionContext,
        asyncio::Sleep,
        asyncio::CatchCancelled<Ready>,
        asyncio::WithTimeout<Ready>,
        asyncio::CatchCancelled<Pinned>,
        asyncio::WithTimeout<Pinned>,
        asyncio::Timeout,
        asyncio::Shield<u32>,
        asyncio::Gather<u32>,
        asyncio::GatherSettled<u32>,
        asyncio::AsCompleted<u32>,
        asyncio::Wait<asyncio::Task<u32>>,
        asyncio::TaskGroup,
        asyncio::io::Async<std::net::TcpStream>,
        asyncio::sync::Queue<u32>,
        asyncio::sync::Event,
        asyncio::sync::Lock,
        asyncio::sync::LockGuard<'_, u32>,
        asyncio::sync::Semaphore,
        asyncio::sync::SemaphorePermit<'_>,
        asyncio::sync::Condition<u32>,
        asyncio::sync::Barrier,
        asyncio::sync::Future<u32>,
        asyncio::io::PipeReader,
        asyncio::io::PipeWriter,
        asyncio::net::TcpListener,
        asyncio::net::TcpStream,
        asyncio::net::UdpSocket,
        asyncio::net::UnixListener,
        asyncio::net::UnixStream,
        asyncio::net::UnixDatagram,
        asyncio::net::OwnedReadHalf,
        asyncio::net::OwnedWriteHalf,
        asyncio::net::ReuniteError,
        asyncio::process::Child,
        PollingDriver,
        VirtualTime,
        VirtualClock,
        // Remote controls.
        asyncio::LoopHandle,
        asyncio::CancelHandle,
        asyncio::RemoteTask<u32>,
        asyncio::RemoteTask<std::cell::Cell<u32>>,
        // The executor.
        asyncio::ThreadPoolExecutor,
        asyncio::ThreadPoolExecutorBuilder,
        asyncio::Job<u32>,
        asyncio::StopToken,
        asyncio::RunningJob,
        asyncio::ExecutorReport,
        // Listeners know no loop.
        asyncio::signal::Listener,
        asyncio::signal::Once,
        // The standard streams are the process's.
        asyncio::io::Stdin,
        asyncio::io::Stdout,
        asyncio::io::Stderr,
        asyncio::process::Command,
        // Variables are statics.
        asyncio::ContextVar<String>,
        asyncio::Token<String>,
        // Errors and reports.
        asyncio::RunError,
        asyncio::JoinError,
        asyncio::CancelledError,
        asyncio::CancelReason,
        asyncio::TimeoutError,
        asyncio::RescheduleError,
        asyncio::TaskGroupError,
        asyncio::TaskFailure,
        asyncio::ContextError,
        asyncio::sync::QueueShutDown<u32>,
        asyncio::sync::PutError<u32>,
        asyncio::sync::GetError,
        asyncio::sync::BrokenBarrierError,
        asyncio::sync::InvalidStateError<u32>,
        asyncio::ClosedError,
        asyncio::TaskInfo,
        asyncio::ShutdownReport,
        asyncio::Survivor,
        asyncio::AbandonedJob,
        asyncio::AbandonedCompanion,
        asyncio::AbandonedChild,
        asyncio::AbandonedWorker,
        asyncio::Worker,
        asyncio::WorkerTask<u32>,
        asyncio::RunnerState,
        asyncio::ReturnWhen,
        asyncio::DetachedPanic,
        // Plain data.
        asyncio::YieldNow,
        Events,
        Interest,
        Mode,
        Readiness,
        Token,
        Wait,
    );
    assert_eq!(table, EXPECTED);
}

const EXPECTED: &str = "\
EventLoop: Unpin Clone
EventLoopBuilder: Unpin
TaskBuilder: Unpin
Task<u32>: Unpin
TaskRef: Unpin Clone
Handle: Unpin Clone
TimerHandle: Unpin Clone
Context: Unpin Clone
Runner: Unpin
RunnerBuilder: Unpin
ExceptionContext: Unpin
Sleep: Unpin
CatchCancelled<Ready>: Unpin
WithTimeout<Ready>: Unpin
CatchCancelled<Pinned>:
WithTimeout<Pinned>:
Timeout: Unpin Clone
Shield<u32>: Unpin
Gather<u32>: Unpin
GatherSettled<u32>: Unpin
AsCompleted<u32>: Unpin
Wait<Task<u32>>: Unpin
TaskGroup: Unpin Clone
io::Async<std::net::TcpStream>: Unpin
sync::Queue<u32>: Unpin
sync::Event: Unpin
sync::Lock: Unpin
sync::LockGuard<'_,u32>: Unpin
sync::Semaphore: Unpin
sync::SemaphorePermit<'_>: Unpin
sync::Condition<u32>: Unpin
sync::Barrier: Unpin
sync::Future<u32>: Unpin Clone
io::PipeReader: Unpin
io::PipeWriter: Unpin
net::TcpListener: Unpin
net::TcpStream: Unpin
net::UdpSocket: Unpin
net::UnixListener: Unpin
net::UnixStream: Unpin
net::UnixDatagram: Unpin
net::OwnedReadHalf: Unpin
net::OwnedWriteHalf: Unpin
net::ReuniteError: Unpin
process::Child: Unpin
PollingDriver: Unpin
VirtualTime: Unpin
VirtualClock: Unpin Clone
LoopHandle: Send Sync Unpin Clone Copy
CancelHandle: Send Sync Unpin Clone
RemoteTask<u32>: Send Sync Unpin
RemoteTask<std::cell::Cell<u32>>: Send Sync Unpin
ThreadPoolExecutor: Send Sync Unpin Clone
ThreadPoolExecutorBuilder: Send Sync Unpin Clone
Job<u32>: Send Sync Unpin
StopToken: Send Sync Unpin Clone
RunningJob: Send Sync Unpin Clone
ExecutorReport: Send Sync Unpin Clone
signal::Listener: Send Sync Unpin
signal::Once: Send Sync Unpin
io::Stdin: Send Sync Unpin
io::Stdout: Send Sync Unpin Clone
io::Stderr: Send Sync Unpin Clone
process::Command: Send Sync Unpin
ContextVar<String>: Send Sync Unpin
Token<String>: Send Sync Unpin
RunError: Send Sync Unpin
JoinError: Send Sync
CancelledError: Send Sync Unpin Clone
CancelReason: Send Sync Unpin Clone Copy
TimeoutError: Send Sync Unpin Clone Copy
RescheduleError: Send Sync Unpin Clone Copy
TaskGroupError: Send Sync Unpin
TaskFailure: Send Sync Unpin
ContextError: Send Sync Unpin Clone Copy
sync::QueueShutDown<u32>: Send Sync Unpin Clone Copy
sync::PutError<u32>: Send Sync Unpin Clone Copy
sync::GetError: Send Sync Unpin Clone Copy
sync::BrokenBarrierError: Send Sync Unpin Clone Copy
sync::InvalidStateError<u32>: Send Sync Unpin
ClosedError: Send Sync Unpin Clone Copy
TaskInfo: Send Sync Unpin Clone
ShutdownReport: Send Sync Unpin
Survivor: Send Sync Unpin Clone
AbandonedJob: Send Sync Unpin Clone
AbandonedCompanion: Send Sync Unpin Clone
AbandonedChild: Send Sync Unpin Clone
AbandonedWorker: Send Sync Unpin Clone
Worker: Send Sync Unpin Clone Copy
WorkerTask<u32>: Unpin
RunnerState: Send Sync Unpin Clone Copy
ReturnWhen: Send Sync Unpin Clone Copy
DetachedPanic: Send Sync Unpin Clone Copy
YieldNow: Send Sync Unpin
Events: Send Sync Unpin
Interest: Send Sync Unpin Clone Copy
Mode: Send Sync Unpin Clone Copy
Readiness: Send Sync Unpin Clone Copy
Token: Send Sync Unpin Clone Copy
Wait: Send Sync Unpin Clone Copy
";

/// Errors travel in a `Box<dyn Error + Send + Sync>`, as `?` in most programs wants it.
#[test]
fn errors_fit_the_usual_boxes() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let boxed: [Boxed; 3] = [
        asyncio::RunError::Closed.into(),
        asyncio::TimeoutError::default().into(),
        asyncio::run(async {
            let task = asyncio::spawn(std::future::pending::<()>());
            task.cancel();
            task.await.unwrap_err()
        })
        .unwrap()
        .into(),
    ];
    assert_eq!(boxed[0].to_string(), "Runner is closed");
}
