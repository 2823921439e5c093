//! Runners with several event loops: what is sent from one to another, and how all of them end together.
//!
//! What is interrupted runs in a child process, on its main thread; the other tests run on this process's own.

#![cfg(unix)]

#[path = "support/child.rs"]
mod child;

use std::future::pending;
use std::io::{self, Read as _, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use asyncio::net::TcpListener;
use asyncio::{
    CancelReason, EventLoop, RunError, Runner, RunnerState, Worker, at_exit, catch_cancelled,
    context_var, current_task, exit, finally, running_loop, sleep, spawn_on, to_thread, worker,
    workers, yield_now,
};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

use child::{Program, SIGINT, SIGTERM, Setup, Test, scenario};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Long enough that the loop has to wait for it.
const A_MOMENT: Duration = Duration::from_millis(1);
/// Short for a person, and long for a machine.
const SOON: Duration = Duration::from_millis(50);

/// A runner with that many workers.
fn crew(count: usize) -> Runner {
    Runner::builder().workers(count).build()
}

/// The workers but the first.
fn siblings() -> impl Iterator<Item = Worker> {
    workers().into_iter().skip(1)
}

/// Waits until everything that was sent so far has begun, on every loop.
async fn all_begun() {
    for each in workers() {
        spawn_on(each, yield_now).await.unwrap();
    }
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

// ----- who is there -----

fn each_worker_has_a_loop_and_a_thread_of_its_own() {
    let runner = crew(3);
    let seen = runner.run(async {
        assert_eq!(worker().index(), 0);
        assert_eq!(worker(), workers()[0]);
        let mut seen = Vec::new();
        for each in workers() {
            let look = || async { (worker(), workers().len(), thread_name()) };
            seen.push((each, spawn_on(each, look).await.unwrap()));
        }
        seen
    });
    let seen = seen.unwrap();
    for (index, (sent_to, (ran_on, count, name))) in seen.iter().enumerate() {
        assert_eq!((sent_to, sent_to.index(), *count), (ran_on, index, 3));
        let own = format!("asyncio-loop-{index}");
        assert_eq!(*name == own, index > 0, "{name}");
    }
    assert!(runner.close().unwrap().is_clean());
}

fn a_runner_without_siblings_is_its_only_worker() {
    asyncio::run(async {
        assert_eq!(workers(), [worker()]);
        let here = spawn_on(worker(), || async { worker().index() });
        assert_eq!(here.await.unwrap(), 0);
    })
    .unwrap();
}

fn a_loop_driven_by_hand_is_its_only_worker() {
    let runner = crew(2);
    runner.run(async {}).unwrap();
    let by_hand = EventLoop::new().unwrap();
    let count = by_hand.run_until_complete(async { workers().len() });
    assert_eq!(count.unwrap(), 1);
    by_hand.close().unwrap();
}

fn no_thread_is_started_before_the_first_run() {
    let runner = crew(2);
    assert_eq!(runner.state(), RunnerState::Created);
    assert!(!threads().contains(&"asyncio-loop-1".to_owned()));
    runner.run(async {}).unwrap();
    assert!(threads().contains(&"asyncio-loop-1".to_owned()));
    runner.close().unwrap();
    assert!(!threads().contains(&"asyncio-loop-1".to_owned()));
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

fn none_is_too_few() {
    let built = panic::catch_unwind(|| Runner::builder().workers(0));
    let message = built.err().unwrap();
    assert_eq!(
        *message.downcast::<&str>().unwrap(),
        "`workers(0)` leaves nobody to run main; `workers(1)` is the least"
    );
}

#[asyncio::main(workers = 2)]
async fn entry_point() -> usize {
    workers().len()
}

fn the_attribute_sets_the_number() {
    assert_eq!(entry_point(), 2);
}

fn siblings_go_on_from_run_to_run() {
    let runner = crew(2);
    let there = runner.run(async { workers()[1] }).unwrap();
    let (tell, told) = mpsc::channel();
    drop(there.handle().spawn_with(move || async move {
        sleep(A_MOMENT).await;
        tell.send(worker().index()).unwrap();
    }));
    // No run is under way.
    assert_eq!(told.recv().unwrap(), 1);
    assert_eq!(runner.run(async { workers()[1] }).unwrap(), there);
}

// ----- making the loops -----

fn the_factory_makes_every_loop_but_the_first() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let makers = made.clone();
    let runner = Runner::builder()
        .workers(3)
        .worker_loop_factory(move || {
            makers.lock().unwrap().push(thread_name());
            EventLoop::new()
        })
        .build();
    runner.run(async {}).unwrap();
    let mut made = made.lock().unwrap().clone();
    made.sort();
    assert_eq!(made, ["asyncio-loop-1", "asyncio-loop-2"]);
}

fn a_loop_that_cannot_be_made_is_named_and_the_next_run_tries_again() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let runner = Runner::builder()
        .workers(3)
        .worker_loop_factory(move || {
            let is_first =
                thread_name() == "asyncio-loop-2" && counted.fetch_add(1, Ordering::SeqCst) == 0;
            match is_first {
                true => Err(io::Error::other("out of loops")),
                false => EventLoop::new(),
            }
        })
        .build();
    let error = runner.run(async {}).unwrap_err();
    assert!(matches!(error, RunError::EventLoop(_)), "{error:?}");
    let text = format!("{error}");
    let expected = "the event loop of worker 2 could not be made: out of loops";
    assert!(text.contains(expected), "{text}");
    assert_eq!(runner.state(), RunnerState::Created);
    assert!(
        !threads()
            .iter()
            .any(|name| name.starts_with("asyncio-loop"))
    );
    assert_eq!(runner.run(async { workers().len() }).unwrap(), 3);
    assert!(runner.close().unwrap().is_clean());
}

fn a_factory_that_panics_is_an_error_of_the_run() {
    let runner = Runner::builder()
        .workers(2)
        .worker_loop_factory(|| -> EventLoop { panic!("no loop today") })
        .build();
    let error = runner.run(async {}).unwrap_err().to_string();
    assert!(error.contains("worker 1"), "{error}");
}

// ----- tasks on other loops -----

fn a_future_that_is_not_send_runs_where_it_was_sent() {
    let runner = crew(2);
    let sum = runner.run(async {
        let numbers = vec![1, 2, 3];
        let task = spawn_on(workers()[1], move || async move {
            let numbers = Rc::new(numbers);
            sleep(A_MOMENT).await;
            numbers.iter().sum::<i32>()
        });
        assert_eq!(task.worker(), workers()[1]);
        task.await.unwrap()
    });
    assert_eq!(sum.unwrap(), 6);
}

context_var! {
    /// Who asks.
    static CALLER: &'static str = "nobody";
}

fn a_task_runs_in_a_copy_of_its_spawners_context() {
    let runner = crew(2);
    runner
        .run(async {
            CALLER.set("main");
            let there = spawn_on(workers()[1], || async {
                let inherited = CALLER.get();
                CALLER.set("sibling");
                sleep(A_MOMENT).await;
                (inherited, CALLER.get())
            });
            CALLER.set("main, later");
            assert_eq!(there.await.unwrap(), (Some("main"), Some("sibling")));
            assert_eq!(CALLER.get(), Some("main, later"));
            let next = spawn_on(workers()[1], || async { CALLER.get() });
            assert_eq!(next.await.unwrap(), Some("main, later"));
        })
        .unwrap();
}

fn siblings_send_to_each_other_and_back() {
    let runner = crew(3);
    let route = runner.run(async {
        let [first, second, third] = workers().try_into().unwrap();
        spawn_on(second, move || async move {
            let inner = spawn_on(third, move || async move {
                let back = spawn_on(first, || async { worker().index() });
                (worker().index(), back.await.unwrap())
            });
            (worker().index(), inner.await.unwrap())
        })
        .await
        .unwrap()
    });
    assert_eq!(route.unwrap(), (1, (2, 0)));
}

fn a_panic_arrives_as_a_join_error() {
    let runner = crew(2);
    runner
        .run(async {
            let there = workers()[1];
            let error = spawn_on(there, || async { panic!("out of cheese") })
                .await
                .unwrap_err();
            assert!(
                error.is_panic() && error.to_string().contains("out of cheese"),
                "{error}"
            );
            // Also one of the function that makes the future.
            let make = || -> std::future::Ready<()> { panic!("out of futures") };
            let error = spawn_on(there, make).await.unwrap_err();
            assert!(
                error.is_panic() && error.to_string().contains("out of futures"),
                "{error}"
            );
            assert_eq!(
                spawn_on(there, || async { "alive" }).await.unwrap(),
                "alive"
            );
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
}

fn a_panic_that_nobody_awaits_goes_to_the_exception_handler_of_its_loop() {
    let runner = crew(2);
    let (tell, told) = mpsc::channel();
    runner
        .run(async {
            let there = workers()[1];
            let listen = move || async move {
                running_loop().set_exception_handler(move |_loop, context| {
                    tell.send((thread_name(), context.message().to_owned()))
                        .unwrap();
                });
            };
            spawn_on(there, listen).await.unwrap();
            drop(spawn_on(there, || async { panic!("unseen") }));
            let heard = to_thread(move || told.recv().unwrap()).await.unwrap();
            let message = "Task exception was never retrieved".to_owned();
            assert_eq!(heard, ("asyncio-loop-1".to_owned(), message));
        })
        .unwrap();
}

fn a_detached_panic_stops_the_program_from_any_worker() {
    let runner = Runner::builder()
        .workers(2)
        .detached_panic(asyncio::DetachedPanic::Stop)
        .build();
    let run = || {
        runner.run(async {
            drop(spawn_on(workers()[1], || async { panic!("out of cheese") }));
            pending::<()>().await;
        })
    };
    let payload = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "out of cheese");
    assert!(runner.close().unwrap().is_clean());
}

fn a_panic_whose_handle_goes_only_afterwards_stops_the_program_as_well() {
    let runner = Runner::builder()
        .workers(2)
        .detached_panic(asyncio::DetachedPanic::Stop)
        .build();
    let run = || {
        runner.run(async {
            let task = spawn_on(workers()[1], || async { panic!("out of cheese") });
            while !task.is_finished() {
                yield_now().await;
            }
            drop(task);
            pending::<()>().await;
        })
    };
    let payload = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "out of cheese");
    assert!(runner.close().unwrap().is_clean());
}

fn debug_mode_is_that_of_the_first_loop() {
    for debug in [true, false] {
        let runner = Runner::builder().workers(2).debug(debug).build();
        let there = runner.run(async {
            let ask = || async { running_loop().debug() };
            spawn_on(workers()[1], ask).await.unwrap()
        });
        assert_eq!(there.unwrap(), debug);
    }
}

// ----- cancellation -----

fn a_cancellation_passes_through_awaiting_and_waits_for_the_cleanup() {
    let runner = crew(2);
    runner
        .run(async {
            let cleaned = Arc::new(AtomicBool::new(false));
            let cleaning = cleaned.clone();
            let (tell, told) = mpsc::channel();
            let awaiting = asyncio::spawn(async move {
                spawn_on(workers()[1], move || async move {
                    let cancelled = catch_cancelled(async {
                        tell.send(()).unwrap();
                        sleep(FOREVER).await;
                    });
                    let cancelled = cancelled.await.unwrap_err();
                    assert_eq!(cancelled.reason(), CancelReason::Parent);
                    assert_eq!(cancelled.message(), Some("enough"));
                    sleep(SOON).await;
                    cleaning.store(true, Ordering::SeqCst);
                    cancelled.raise().await
                })
                .await
                .map(|never: std::convert::Infallible| match never {})
            });
            to_thread(move || told.recv().unwrap()).await.unwrap();
            awaiting.cancel_with("enough");
            let error = awaiting.await.unwrap_err();
            assert!(error.is_cancelled(), "{error}");
            assert!(cleaned.load(Ordering::SeqCst));
        })
        .unwrap();
}

fn a_value_after_a_swallowed_cancellation_is_received() {
    let runner = crew(2);
    let value = runner.run(async {
        let (tell, told) = mpsc::channel();
        let awaiting = asyncio::spawn(async move {
            spawn_on(workers()[1], move || async move {
                let swallowed = catch_cancelled(async {
                    tell.send(()).unwrap();
                    sleep(FOREVER).await;
                });
                swallowed.await.unwrap_err();
                "nevertheless"
            })
            .await
        });
        to_thread(move || told.recv().unwrap()).await.unwrap();
        awaiting.cancel();
        awaiting.await.unwrap().unwrap()
    });
    assert_eq!(value.unwrap(), "nevertheless");
}

fn a_timeout_ends_the_task_on_the_other_loop() {
    let runner = crew(2);
    runner
        .run(async {
            let ended = Arc::new(AtomicBool::new(false));
            let end = ended.clone();
            let work = spawn_on(workers()[1], move || {
                finally(sleep(FOREVER), async move || {
                    end.store(true, Ordering::SeqCst)
                })
            });
            assert!(asyncio::timeout(SOON, work).await.is_err());
            assert!(ended.load(Ordering::SeqCst));
        })
        .unwrap();
}

fn a_task_is_cancelled_by_its_handle() {
    let runner = crew(2);
    runner
        .run(async {
            let task = spawn_on(workers()[1], || sleep(FOREVER));
            assert!(task.cancel_with("not today"));
            let error = task.await.unwrap_err();
            assert!(
                error.is_cancelled() && error.to_string().contains("not today"),
                "{error}"
            );
            let done = spawn_on(workers()[1], || async {});
            while !done.is_finished() {
                yield_now().await;
            }
            assert!(!done.cancel());
            done.await.unwrap();
        })
        .unwrap();
}

fn a_cancellation_that_a_sibling_in_a_join_keeps_leaves_the_join_error() {
    let runner = crew(2);
    runner
        .run(async {
            let awaiting = asyncio::spawn(async {
                let task = spawn_on(workers()[1], || sleep(FOREVER));
                let keeper = catch_cancelled(pending::<()>());
                let (ended, kept) = futures_util::join!(task, keeper);
                (ended.unwrap_err().is_cancelled(), kept.is_err())
            });
            all_begun().await;
            awaiting.cancel();
            assert_eq!(awaiting.await.unwrap(), (true, true));
        })
        .unwrap();
}

fn a_detached_task_goes_on() {
    let runner = crew(2);
    runner
        .run(async {
            let (tell, told) = mpsc::channel();
            drop(spawn_on(workers()[1], move || async move {
                sleep(A_MOMENT).await;
                tell.send("done").unwrap();
            }));
            let told = to_thread(move || told.recv().unwrap()).await.unwrap();
            assert_eq!(told, "done");
        })
        .unwrap();
}

fn a_task_sent_to_a_closed_loop_ends_cancelled() {
    let runner = crew(2);
    let there = runner.run(async { workers()[1] }).unwrap();
    runner.close().unwrap();
    assert!(there.handle().is_closed());
    asyncio::run(async {
        let error = spawn_on(there, || async {}).await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    })
    .unwrap();
}

// ----- the shutdown -----

fn the_tasks_of_all_loops_are_cancelled_and_awaited_together() {
    let runner = crew(3);
    let (begun, cleaned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let in_cleanup = begun.clone();
    let counted = cleaned.clone();
    runner
        .run(async move {
            for each in workers() {
                let (begun, cleaned) = (begun.clone(), cleaned.clone());
                drop(spawn_on(each, move || async move {
                    let wait = sleep(FOREVER);
                    let cleanup = async move || {
                        // Each waits for the two others: one loop after the other would never end.
                        begun.fetch_add(1, Ordering::SeqCst);
                        while begun.load(Ordering::SeqCst) < 3 {
                            sleep(A_MOMENT).await;
                        }
                        cleaned.fetch_add(1, Ordering::SeqCst);
                    };
                    finally(wait, cleanup).await;
                }));
            }
            all_begun().await;
        })
        .unwrap();
    assert_eq!(in_cleanup.load(Ordering::SeqCst), 0);
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.cancelled().len(), 3);
    assert_eq!(counted.load(Ordering::SeqCst), 3);
}

fn cleanup_reaches_the_other_loops() {
    let runner = crew(3);
    let (tell, told) = mpsc::channel();
    runner
        .run(async move {
            let [first, second, third] = workers().try_into().unwrap();
            drop(spawn_on(second, move || {
                finally(sleep(FOREVER), async move || {
                    for each in [first, third] {
                        let tell = tell.clone();
                        let cleanup = move || async move {
                            tell.send(worker().index()).unwrap();
                        };
                        // It may be cancelled before its first step: everybody ends.
                        let _ = spawn_on(each, cleanup).await;
                    }
                    tell.send(1).unwrap();
                })
            }));
            all_begun().await;
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    let told: Vec<usize> = told.iter().collect();
    assert_eq!(told.last(), Some(&1), "{told:?}");
}

fn what_a_cleanup_leaves_on_another_loop_is_ended_as_well() {
    let runner = crew(3);
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    runner
        .run(async move {
            drop(spawn_on(workers()[1], move || {
                finally(sleep(FOREVER), async move || {
                    for each in workers() {
                        let count = OnDrop(count.clone());
                        drop(spawn_on(each, move || async move {
                            let _count = count;
                            sleep(FOREVER).await;
                        }));
                    }
                })
            }));
            all_begun().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.cancelled().len(), 1 + 3);
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn a_stubborn_task_is_named_with_its_worker() {
    let runner = Runner::builder().workers(3).shutdown_timeout(SOON).build();
    runner
        .run(async {
            let stubborn = || async {
                loop {
                    let _swallowed = catch_cancelled(sleep(FOREVER)).await;
                }
            };
            drop(spawn_on(workers()[2], stubborn));
            all_begun().await;
        })
        .unwrap();
    let begun = Instant::now();
    let report = runner.close().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(report.survivors().len(), 1, "{report:?}");
    let survivor = &report.survivors()[0];
    assert_eq!(survivor.worker().index(), 2);
    assert_eq!(survivor.cancels_swallowed(), 1);
    assert!(report.abandoned_workers().is_empty());
}

fn a_blocked_sibling_is_named_and_left() {
    let runner = Runner::builder().workers(3).shutdown_timeout(SOON).build();
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    runner
        .run(async {
            drop(spawn_on(workers()[1], move || async move {
                tell.send(()).unwrap();
                let _closed = released.recv();
            }));
            to_thread(move || told.recv().unwrap()).await.unwrap();
        })
        .unwrap();
    let report = runner.close().unwrap();
    let left: Vec<usize> = report
        .abandoned_workers()
        .iter()
        .map(|left| left.worker().index())
        .collect();
    assert_eq!(left, [1]);
    assert!(!report.is_clean());
    // Once it is free, it ends.
    let there = report.abandoned_workers()[0].worker().handle();
    assert!(!there.is_closed());
    drop(release);
    let patience = Instant::now() + Duration::from_secs(20);
    while threads().contains(&"asyncio-loop-1".to_owned()) {
        assert!(Instant::now() < patience, "it did not end");
        thread::sleep(A_MOMENT);
    }
    assert!(there.is_closed());
}

fn jobs_and_generators_of_a_sibling_are_ended_in_order() {
    let runner = crew(2);
    let log = Arc::new(Mutex::new(Vec::new()));
    let (tell, told) = mpsc::channel();
    let (task, hook, closed, job) = (log.clone(), log.clone(), log.clone(), log.clone());
    runner
        .run(async move {
            at_exit(async move { hook.lock().unwrap().push("hook") });
            drop(spawn_on(workers()[1], move || async move {
                let mut generator = Box::pin(asyncio::generator(async move |yielder| {
                    finally(
                        async {
                            yielder.emit(1).await;
                            yielder.emit(2).await;
                        },
                        async move || closed.lock().unwrap().push("generator"),
                    )
                    .await;
                }));
                assert_eq!(generator.next().await, Some(1));
                std::mem::forget(generator);
                let job = move || {
                    tell.send(()).unwrap();
                    thread::sleep(SOON);
                    job.lock().unwrap().push("job");
                };
                drop(asyncio::spawn(async move { to_thread(job).await.unwrap() }));
                finally(sleep(FOREVER), async move || {
                    task.lock().unwrap().push("task");
                })
                .await;
            }));
            to_thread(move || told.recv().unwrap()).await.unwrap();
            all_begun().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let log = log.lock().unwrap().clone();
    let place = |what| log.iter().position(|entry| *entry == what).unwrap();
    assert!(place("task") < place("hook"), "{log:?}");
    assert!(log.contains(&"job"));
    assert!(place("hook") < place("generator"), "{log:?}");
}

fn exit_hooks_can_use_the_siblings() {
    let runner = crew(2);
    let (tell, told) = mpsc::channel();
    runner
        .run(async move {
            at_exit(async move {
                let there = spawn_on(workers()[1], || async {
                    sleep(SOON).await;
                    worker().index()
                });
                tell.send((worker().index(), there.await.unwrap())).unwrap();
            });
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(told.recv().unwrap(), (0, 1));
}

fn exit_hooks_are_registered_on_the_first_loop() {
    let runner = crew(2);
    runner
        .run(async {
            let register = || async { at_exit(async {}) };
            let error = spawn_on(workers()[1], register).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("exit hooks run on the loop of main"),
                "{text}"
            );
        })
        .unwrap();
}

fn exit_on_a_sibling_ends_the_run_of_its_runner() {
    let runner = crew(2);
    let outcome = runner.run(async {
        drop(spawn_on(workers()[1], || async { exit(3) }));
        pending::<()>().await;
    });
    assert!(matches!(outcome, Err(RunError::Exit(3))), "{outcome:?}");
    assert!(runner.close().unwrap().is_clean());
}

fn what_fails_in_a_siblings_shutdown_is_in_the_report() {
    let runner = crew(2);
    runner
        .run(async {
            drop(spawn_on(workers()[1], || {
                finally(sleep(FOREVER), async || panic!("out of cheese"))
            }));
            all_begun().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(!report.is_clean());
    let errors = report.errors().join("\n");
    assert!(errors.contains("out of cheese"), "{errors}");
}

fn a_panic_of_main_still_ends_the_siblings() {
    let cleaned = Arc::new(AtomicUsize::new(0));
    let count = cleaned.clone();
    let run = || {
        let runner = crew(2);
        let _ = runner.run(async {
            drop(spawn_on(workers()[1], move || async move {
                let _count = OnDrop(count);
                sleep(FOREVER).await;
            }));
            all_begun().await;
            panic!("out of cheese");
        });
    };
    assert!(panic::catch_unwind(AssertUnwindSafe(run)).is_err());
    assert_eq!(cleaned.load(Ordering::SeqCst), 1);
    assert!(!threads().contains(&"asyncio-loop-1".to_owned()));
}

fn a_runner_dropped_inside_of_another_loop_lets_its_siblings_go() {
    let runner = crew(2);
    let there = runner.run(async { workers()[1].handle() }).unwrap();
    asyncio::run(async move { drop(runner) }).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !there.is_closed() {
        assert!(Instant::now() < patience, "it did not end");
        thread::sleep(A_MOMENT);
    }
}

fn a_virtual_clock_does_not_jump_past_the_siblings_cleanup() {
    let runner = Runner::builder()
        .workers(2)
        .loop_factory(|| EventLoop::builder().virtual_time().build())
        .shutdown_timeout(FOREVER)
        .build();
    runner
        .run(async {
            let cleanup = || finally(sleep(FOREVER), async || sleep(SOON).await);
            drop(spawn_on(workers()[1], cleanup));
            all_begun().await;
        })
        .unwrap();
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.cancelled().len(), 1);
}

fn what_is_watched_on_the_first_loop_is_watched_on_the_siblings() {
    let mut child = Setup::new(scenario("watched")).start();
    child.wait_for_line("its thread 'asyncio-loop-1'");
    child.signal(libc::SIGKILL);
    child.finish().died_of(libc::SIGKILL);
}

fn two_hundred_lives_leave_no_thread_and_no_descriptor() {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/self/{what}"))
            .unwrap()
            .count()
    };
    let life = || {
        let runner = crew(3);
        runner
            .run(async {
                for each in siblings() {
                    let work = || async {
                        drop(asyncio::spawn(pending::<()>()));
                        let listener = TcpListener::bind_shared("127.0.0.1:0").await.unwrap();
                        let peer = asyncio::net::TcpStream::connect(listener.local_addr().unwrap());
                        let (accepted, peer) = futures_util::join!(listener.accept(), peer);
                        drop((accepted.unwrap(), peer.unwrap()));
                    };
                    spawn_on(each, work).await.unwrap();
                }
            })
            .unwrap();
        assert!(runner.close().unwrap().is_clean());
    };
    life();
    let before = (count("task"), count("fd"));
    for _ in 0..200 {
        life();
    }
    // A thread that was joined is in the list for a moment more: so there may be fewer than at the beginning.
    let patience = Instant::now() + Duration::from_secs(10);
    while count("task") > before.0 && Instant::now() < patience {
        thread::yield_now();
    }
    assert!(count("task") <= before.0, "{:?}", threads());
    assert_eq!(count("fd"), before.1);
}

// ----- listeners on one address -----

#[cfg(target_os = "linux")]
fn a_server_on_one_address_serves_on_all_loops() {
    const CONNECTIONS: usize = 200;
    let runner = crew(3);
    let seen = runner.run(async {
        let first = TcpListener::bind_shared("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap();
        drop(asyncio::spawn(echo_for_ever(first)));
        for each in siblings() {
            let (ready, is_ready) = mpsc::channel();
            drop(spawn_on(each, move || async move {
                let listener = TcpListener::bind_shared(address).await.unwrap();
                ready.send(()).unwrap();
                echo_for_ever(listener).await;
            }));
            to_thread(move || is_ready.recv().unwrap()).await.unwrap();
        }
        let ask = move || {
            let mut seen = [0; 3];
            for _ in 0..CONNECTIONS {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(b"?").unwrap();
                let mut answer = [0];
                stream.read_exact(&mut answer).unwrap();
                seen[usize::from(answer[0])] += 1;
            }
            seen
        };
        to_thread(ask).await.unwrap()
    });
    let seen = seen.unwrap();
    assert_eq!(seen.iter().sum::<usize>(), CONNECTIONS);
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    assert!(runner.close().unwrap().is_clean());
}

/// Answers each byte with the worker's number.
#[cfg(target_os = "linux")]
async fn echo_for_ever(listener: TcpListener) {
    loop {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        drop(asyncio::spawn(async move {
            stream.read_exact(&mut [0]).await.unwrap();
            let number = u8::try_from(worker().index()).unwrap();
            stream.write_all(&[number]).await.unwrap();
        }));
    }
}

fn an_address_is_shared_only_by_those_who_share_it() {
    asyncio::run(async {
        let shared = TcpListener::bind_shared("127.0.0.1:0").await.unwrap();
        let error = TcpListener::bind(shared.local_addr().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    })
    .unwrap();
}

// ----- programs that are interrupted -----

const PROGRAMS: &[Program] = &[
    ("clean_up_everywhere", || {
        clean_up_everywhere();
        ExitCode::SUCCESS
    }),
    ("stubborn", || {
        stubborn();
        ExitCode::SUCCESS
    }),
    ("exit_on_sibling", || {
        exit_on_sibling();
        ExitCode::SUCCESS
    }),
    ("blocked", || {
        blocked();
        ExitCode::SUCCESS
    }),
    ("watched", || {
        watched();
        ExitCode::SUCCESS
    }),
    ("dump", || {
        dump();
        ExitCode::SUCCESS
    }),
];

/// Prints when every worker's task sleeps, and when each has cleaned up.
#[asyncio::main(workers = 3, terminate)]
async fn clean_up_everywhere() {
    for each in siblings() {
        let (tell, told) = mpsc::channel();
        drop(spawn_on(each, move || {
            finally(
                async move {
                    tell.send(()).unwrap();
                    sleep(FOREVER).await;
                },
                async || {
                    sleep(SOON).await;
                    println!("worker {} cleaned up", worker().index());
                },
            )
        }));
        to_thread(move || told.recv().unwrap()).await.unwrap();
    }
    println!("ready");
    finally(sleep(FOREVER), async || println!("main cleaned up")).await;
}

#[asyncio::main(workers = 2)]
async fn stubborn() {
    drop(spawn_on(workers()[1], || {
        finally(sleep(FOREVER), async || {
            println!("cleanup begins");
            loop {
                let _swallowed = catch_cancelled(sleep(FOREVER)).await;
            }
        })
    }));
    all_begun().await;
    println!("ready");
    sleep(FOREVER).await;
}

#[asyncio::main(workers = 2)]
async fn exit_on_sibling() {
    drop(spawn_on(workers()[1], || async { exit(7) }));
    finally(pending::<()>(), async || println!("main cleaned up")).await;
}

#[asyncio::main(workers = 2)]
async fn blocked() {
    drop(spawn_on(workers()[1], || async {
        println!("ready");
        thread::sleep(FOREVER);
    }));
    finally(sleep(FOREVER), async || println!("main cleaned up")).await;
}

#[asyncio::main(workers = 2, blocked_loop_after = "20ms")]
async fn watched() {
    let block = || async { thread::sleep(FOREVER) };
    spawn_on(workers()[1], block).await.unwrap();
}

#[asyncio::main(workers = 2, dump_on_signal)]
async fn dump() {
    let name = || async {
        println!("ready");
        assert!(current_task().is_some());
        sleep(FOREVER).await;
    };
    spawn_on(workers()[1], name).await.unwrap();
}

fn ctrl_c_lets_the_tasks_of_all_loops_clean_up() {
    for signal in [SIGINT, SIGTERM] {
        let mut child = Setup::new(scenario("clean_up_everywhere")).start();
        child.wait_for_line("ready");
        child.signal(signal);
        let finished = child.finish();
        finished
            .died_of(signal)
            .said("main cleaned up")
            .said("worker 1 cleaned up")
            .said("worker 2 cleaned up");
        assert_eq!(finished.stderr, "");
    }
}

fn ctrl_c_on_a_terminal_reaches_the_siblings_through_the_first_loop() {
    let mut child = Setup::new(scenario("clean_up_everywhere"))
        .on_terminal()
        .start();
    child.wait_for_line("ready");
    child.press_ctrl_c();
    let finished = child.finish();
    finished
        .died_of(SIGINT)
        .said("worker 1 cleaned up")
        .said("worker 2 cleaned up");
}

fn a_second_press_bounds_the_siblings_cleanup() {
    let mut child = Setup::new(scenario("stubborn")).start();
    child.wait_for_line("ready");
    child.signal(SIGINT);
    child.wait_for_line("cleanup begins");
    child.signal(SIGINT);
    let finished = child.finish();
    finished
        .died_of(SIGINT)
        .said("on worker 1")
        .said("did not end");
}

fn a_second_press_leaves_a_blocked_sibling_behind() {
    let mut child = Setup::new(scenario("blocked")).start();
    child.wait_for_line("ready");
    child.signal(SIGINT);
    child.wait_for_line("main cleaned up");
    child.signal(SIGINT);
    let finished = child.finish();
    finished
        .died_of(SIGINT)
        .said("worker 1 (thread 'asyncio-loop-1')");
}

fn exit_on_a_sibling_is_the_status_of_the_process() {
    let finished = Setup::new(scenario("exit_on_sibling")).start().finish();
    finished.exited_with(7).said("main cleaned up");
}

fn a_signal_asks_every_loop_for_its_tasks() {
    let mut child = Setup::new(scenario("dump")).start();
    child.wait_for_line("ready");
    child.signal(libc::SIGUSR1);
    child.wait_for_line("the tasks of the event loop in thread 'main'");
    child.signal(libc::SIGUSR1);
    child.wait_for_line("the tasks of the event loop in thread 'asyncio-loop-1'");
    child.signal(SIGINT);
    child.finish().died_of(SIGINT);
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$(Test::new(stringify!($name), $name)),*]
    };
}

fn main() -> ExitCode {
    let tests = tests![
        each_worker_has_a_loop_and_a_thread_of_its_own,
        a_runner_without_siblings_is_its_only_worker,
        a_loop_driven_by_hand_is_its_only_worker,
        no_thread_is_started_before_the_first_run,
        none_is_too_few,
        the_attribute_sets_the_number,
        siblings_go_on_from_run_to_run,
        the_factory_makes_every_loop_but_the_first,
        a_loop_that_cannot_be_made_is_named_and_the_next_run_tries_again,
        a_factory_that_panics_is_an_error_of_the_run,
        a_future_that_is_not_send_runs_where_it_was_sent,
        a_task_runs_in_a_copy_of_its_spawners_context,
        siblings_send_to_each_other_and_back,
        a_panic_arrives_as_a_join_error,
        a_panic_that_nobody_awaits_goes_to_the_exception_handler_of_its_loop,
        a_detached_panic_stops_the_program_from_any_worker,
        a_panic_whose_handle_goes_only_afterwards_stops_the_program_as_well,
        debug_mode_is_that_of_the_first_loop,
        a_cancellation_passes_through_awaiting_and_waits_for_the_cleanup,
        a_value_after_a_swallowed_cancellation_is_received,
        a_timeout_ends_the_task_on_the_other_loop,
        a_task_is_cancelled_by_its_handle,
        a_cancellation_that_a_sibling_in_a_join_keeps_leaves_the_join_error,
        a_detached_task_goes_on,
        a_task_sent_to_a_closed_loop_ends_cancelled,
        the_tasks_of_all_loops_are_cancelled_and_awaited_together,
        cleanup_reaches_the_other_loops,
        what_a_cleanup_leaves_on_another_loop_is_ended_as_well,
        a_stubborn_task_is_named_with_its_worker,
        a_blocked_sibling_is_named_and_left,
        jobs_and_generators_of_a_sibling_are_ended_in_order,
        exit_hooks_can_use_the_siblings,
        exit_hooks_are_registered_on_the_first_loop,
        exit_on_a_sibling_ends_the_run_of_its_runner,
        what_fails_in_a_siblings_shutdown_is_in_the_report,
        a_panic_of_main_still_ends_the_siblings,
        a_runner_dropped_inside_of_another_loop_lets_its_siblings_go,
        a_virtual_clock_does_not_jump_past_the_siblings_cleanup,
        what_is_watched_on_the_first_loop_is_watched_on_the_siblings,
        two_hundred_lives_leave_no_thread_and_no_descriptor,
        a_server_on_one_address_serves_on_all_loops,
        an_address_is_shared_only_by_those_who_share_it,
        ctrl_c_lets_the_tasks_of_all_loops_clean_up,
        ctrl_c_on_a_terminal_reaches_the_siblings_through_the_first_loop,
        a_second_press_bounds_the_siblings_cleanup,
        a_second_press_leaves_a_blocked_sibling_behind,
        exit_on_a_sibling_is_the_status_of_the_process,
        a_signal_asks_every_loop_for_its_tasks,
    ];
    child::run_programs(PROGRAMS, tests)
}
