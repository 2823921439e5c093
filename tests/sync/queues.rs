//! `Queue`: its order, its bound, its end, and what a cancellation leaves.

use std::cmp::Ordering;
use std::rc::Rc;

use asyncio::sync::{GetError, PutError, Queue};
use asyncio::{Task, spawn};

use crate::support::trace::Trace;
use crate::{activity, at_once, interrupt, panic_of, poll_once, settle, started};

/// Gets one item, and notes it with a name.
fn getter(queue: &Rc<Queue<u32>>, trace: &Trace, name: &'static str) -> Task<()> {
    let (queue, trace) = (queue.clone(), trace.clone());
    spawn(async move {
        match queue.get().await {
            Ok(item) => trace.note(format!("{name} got {item}")),
            Err(error) => trace.note(format!("{name}: {error}")),
        }
    })
}

/// Puts one item, and notes it.
fn putter(queue: &Rc<Queue<u32>>, trace: &Trace, item: u32) -> Task<()> {
    let (queue, trace) = (queue.clone(), trace.clone());
    spawn(async move {
        match queue.put(item).await {
            Ok(()) => trace.note(format!("put {item}")),
            Err(error) => trace.note(format!("{} not put", error.into_inner())),
        }
    })
}

fn unbounded() -> (Rc<Queue<u32>>, Trace) {
    (Rc::new(Queue::unbounded()), Trace::new())
}

/// A queue for one item, which is 0 and there.
fn full() -> (Rc<Queue<u32>>, Trace) {
    let queue = Rc::new(Queue::bounded(1));
    queue.put_nowait(0).unwrap();
    (queue, Trace::new())
}

fn drain<T>(queue: &Queue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.get_nowait().ok()).collect()
}

// ----- orders and bounds -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_oldest_item_comes_out_first() {
    let queue = Queue::unbounded();
    for item in 1..=3 {
        at_once(queue.put(item)).await.unwrap();
    }
    assert_eq!(queue.len(), 3);
    assert_eq!(at_once(queue.get()).await.unwrap(), 1);
    assert_eq!(drain(&queue), [2, 3]);
    assert!(queue.is_empty());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn out_of_a_lifo_queue_the_newest_item_comes_first() {
    let queue = Queue::lifo();
    (1..=3).for_each(|item| queue.put_nowait(item).unwrap());
    assert_eq!(drain(&queue), [3, 2, 1]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn out_of_a_priority_queue_the_least_item_comes_first() {
    let queue = Queue::priority();
    for item in [3, 1, 4, 1, 5, 9, 2, 6] {
        queue.put_nowait(item).unwrap();
    }
    assert_eq!(drain(&queue), [1, 1, 2, 3, 4, 5, 6, 9]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_bound_holds_in_every_order() {
    for queue in [
        Queue::bounded(2),
        Queue::unbounded().with_maxsize(2),
        Queue::lifo().with_maxsize(2),
        Queue::priority().with_maxsize(2),
    ] {
        queue.put_nowait(1).unwrap();
        assert!(!queue.is_full());
        queue.put_nowait(2).unwrap();
        assert!(queue.is_full());
        assert_eq!(queue.put_nowait(3), Err(PutError::QueueFull(3)));
        assert_eq!(queue.maxsize(), Some(2));
    }
    assert_eq!(Queue::<u32>::default().maxsize(), None);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_queue_without_room_is_a_mistake() {
    let text = panic_of(|| drop(Queue::<u32>::bounded(0)));
    assert!(text.contains("use `Queue::unbounded`"), "{text}");
    let text = panic_of(|| drop(Queue::<u32>::lifo().with_maxsize(0)));
    assert!(text.starts_with("a queue without room"), "{text}");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn an_empty_queue_has_nothing_now() {
    let queue = Queue::<u32>::unbounded();
    assert_eq!(queue.get_nowait(), Err(GetError::QueueEmpty));
    assert_eq!(GetError::QueueEmpty.to_string(), "no item in the queue");
    assert_eq!(PutError::QueueFull(1).to_string(), "no room in the queue");
}

// ----- waiting -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn getters_are_served_in_the_order_in_which_they_came() {
    let (queue, trace) = unbounded();
    let _getters = ["a", "b", "c"].map(|name| getter(&queue, &trace, name));
    settle().await;
    (1..=3).for_each(|item| queue.put_nowait(item).unwrap());
    settle().await;
    assert_eq!(trace.take(), ["a got 1", "b got 2", "c got 3"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn putters_are_served_in_the_order_in_which_they_came() {
    let (queue, trace) = full();
    let _putters = [1, 2, 3].map(|item| putter(&queue, &trace, item));
    settle().await;
    assert_eq!(trace.len(), 0);
    for item in 0..=3 {
        assert_eq!(queue.get_nowait(), Ok(item));
        settle().await;
    }
    assert_eq!(trace.take(), ["put 1", "put 2", "put 3"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_does_not_overtake_a_getter_that_was_woken() {
    let (queue, trace) = unbounded();
    let woken = getter(&queue, &trace, "woken");
    settle().await;
    queue.put_nowait(1).unwrap();
    let newcomer = getter(&queue, &trace, "newcomer");
    // It is polled before the woken one has run.
    let mut first = Box::pin(queue.get());
    assert!(poll_once(&mut first).is_pending());
    woken.await.unwrap();
    queue.put_nowait(2).unwrap();
    queue.put_nowait(3).unwrap();
    assert_eq!(first.await.unwrap(), 2);
    newcomer.await.unwrap();
    assert_eq!(trace.take(), ["woken got 1", "newcomer got 3"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_takes_an_item_that_nobody_waits_for() {
    let (queue, trace) = unbounded();
    let woken = getter(&queue, &trace, "woken");
    settle().await;
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    assert_eq!(at_once(queue.get()).await.unwrap(), 1);
    woken.await.unwrap();
    assert_eq!(trace.take(), ["woken got 2"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_newcomer_does_not_overtake_a_putter_that_was_woken() {
    let (queue, trace) = full();
    let woken = putter(&queue, &trace, 1);
    settle().await;
    assert_eq!(queue.get_nowait(), Ok(0));
    let mut newcomer = Box::pin(queue.put(2));
    assert!(poll_once(&mut newcomer).is_pending());
    woken.await.unwrap();
    assert_eq!(queue.get_nowait(), Ok(1));
    newcomer.await.unwrap();
    assert_eq!(drain(&queue), [2]);
}

/// What `len` says holds: an item that is there can be taken, whoever was woken for it. That one keeps its place.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn getters_that_were_woken_in_vain_keep_their_places() {
    let (queue, trace) = unbounded();
    let _getters = ["a", "b", "c"].map(|name| getter(&queue, &trace, name));
    settle().await;
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    assert_eq!(drain(&queue), [1, 2]);
    settle().await;
    assert_eq!(trace.len(), 0);
    (3..=5).for_each(|item| queue.put_nowait(item).unwrap());
    settle().await;
    assert_eq!(trace.take(), ["a got 3", "b got 4", "c got 5"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn putters_that_were_woken_in_vain_keep_their_places() {
    let (queue, trace) = full();
    let _putters = [1, 2].map(|item| putter(&queue, &trace, item));
    settle().await;
    assert_eq!(queue.get_nowait(), Ok(0));
    queue.put_nowait(9).unwrap();
    settle().await;
    assert_eq!(trace.len(), 0);
    assert_eq!(queue.get_nowait(), Ok(9));
    settle().await;
    assert_eq!(queue.get_nowait(), Ok(1));
    settle().await;
    assert_eq!(trace.take(), ["put 1", "put 2"]);
}

// ----- cancellation -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_item_of_a_cancelled_getter_that_was_woken_goes_to_the_next() {
    let (queue, trace) = unbounded();
    let [a, b] = ["a", "b"].map(|name| getter(&queue, &trace, name));
    settle().await;
    queue.put_nowait(1).unwrap();
    a.cancel();
    a.await.unwrap_err();
    b.await.unwrap();
    assert_eq!(trace.take(), ["b got 1"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_room_of_a_cancelled_putter_that_was_woken_goes_to_the_next() {
    let (queue, trace) = full();
    let [one, two] = [1, 2].map(|item| putter(&queue, &trace, item));
    settle().await;
    assert_eq!(queue.get_nowait(), Ok(0));
    one.cancel();
    one.await.unwrap_err();
    two.await.unwrap();
    assert_eq!(drain(&queue), [2]);
}

/// Not cancelled, only dropped.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn the_turn_of_a_dropped_future_goes_to_the_next() {
    let (queue, trace) = unbounded();
    let mut dropped = Box::pin(queue.get());
    assert!(poll_once(&mut dropped).is_pending());
    let next = getter(&queue, &trace, "next");
    settle().await;
    queue.put_nowait(1).unwrap();
    settle().await;
    assert_eq!(trace.len(), 0);
    drop(dropped);
    next.await.unwrap();
    assert_eq!(trace.take(), ["next got 1"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_getter_in_the_middle_leaves_the_queue() {
    let (queue, trace) = unbounded();
    let getters = ["a", "b", "c"].map(|name| getter(&queue, &trace, name));
    settle().await;
    getters[1].cancel();
    settle().await;
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    settle().await;
    assert_eq!(trace.take(), ["a got 1", "c got 2"]);
}

/// "Cancelled, nothing was taken."
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_get_leaves_the_item_in_the_queue() {
    let queue = Queue::unbounded();
    queue.put_nowait(1).unwrap();
    interrupt(queue.get()).await;
    assert_eq!(drain(&queue), [1]);
}

/// "Nothing was put."
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_put_has_put_nothing() {
    let queue = Queue::unbounded();
    interrupt(queue.put(1)).await;
    assert!(queue.is_empty());
    at_once(queue.join()).await;
}

// ----- join -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn joining_waits_for_a_task_done_for_each_item() {
    let (queue, trace) = unbounded();
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    let joiners = [1, 2].map(|number| {
        let (queue, notes) = (queue.clone(), trace.clone());
        spawn(async move {
            queue.join().await;
            notes.note(format!("joined {number}"));
        })
    });
    assert_eq!(drain(&queue), [1, 2]);
    settle().await;
    queue.task_done();
    settle().await;
    assert_eq!(trace.len(), 0);
    queue.task_done();
    settle().await;
    assert_eq!(trace.take(), ["joined 1", "joined 2"]);
    assert!(joiners.iter().all(|task| task.is_finished()));
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn joining_a_queue_without_work_does_not_suspend() {
    at_once(Queue::<u32>::unbounded().join()).await;
}

/// As in asyncio: the work was done at that moment.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_joiner_goes_on_although_new_work_has_come() {
    let (queue, _) = full();
    let joiner = started({
        let queue = queue.clone();
        async move { queue.join().await }
    })
    .await;
    assert_eq!(drain(&queue), [0]);
    queue.task_done();
    queue.put_nowait(1).unwrap();
    joiner.await.unwrap();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_cancelled_join_leaves_nothing_behind() {
    let (queue, _) = full();
    let joiner = started({
        let queue = queue.clone();
        async move { queue.join().await }
    })
    .await;
    joiner.cancel();
    joiner.await.unwrap_err();
    assert_eq!(drain(&queue), [0]);
    queue.task_done();
    interrupt(queue.join()).await;
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_task_done_too_many_is_a_mistake() {
    let (queue, _) = full();
    queue.task_done();
    let text = panic_of(|| queue.task_done());
    assert!(
        text.starts_with("task_done() called too many times"),
        "{text}"
    );
    at_once(queue.join()).await;
}

// ----- shutdown -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn after_a_shutdown_nothing_is_put_and_the_rest_can_be_got() {
    let (queue, _) = full();
    queue.shutdown(false);
    assert!(queue.is_shut_down());
    assert_eq!(at_once(queue.put(1)).await.unwrap_err().into_inner(), 1);
    assert_eq!(queue.put_nowait(1), Err(PutError::QueueShutDown(1)));
    assert_eq!(at_once(queue.get()).await, Ok(0));
    assert!(at_once(queue.get()).await.is_err());
    assert_eq!(queue.get_nowait(), Err(GetError::QueueShutDown));
    let error = queue.get().await.unwrap_err();
    assert_eq!(error.to_string(), "the queue was shut down");
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_shutdown_ends_the_wait_of_all_getters() {
    let (queue, trace) = unbounded();
    let _getters = ["a", "b"].map(|name| getter(&queue, &trace, name));
    settle().await;
    queue.put_nowait(1).unwrap();
    queue.shutdown(false);
    settle().await;
    assert_eq!(trace.take(), ["a got 1", "b: the queue was shut down"]);
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_shutdown_ends_the_wait_of_all_putters_and_gives_their_items_back() {
    let (queue, trace) = full();
    let _putters = [1, 2].map(|item| putter(&queue, &trace, item));
    settle().await;
    assert_eq!(queue.get_nowait(), Ok(0));
    queue.shutdown(false);
    settle().await;
    assert_eq!(trace.take(), ["1 not put", "2 not put"]);
    assert!(queue.is_empty());
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn an_immediate_shutdown_drops_what_is_there_and_counts_it_as_done() {
    let (queue, trace) = unbounded();
    let woken = getter(&queue, &trace, "woken");
    settle().await;
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    let joiner = {
        let queue = queue.clone();
        spawn(async move { queue.join().await })
    };
    queue.shutdown(true);
    woken.await.unwrap();
    joiner.await.unwrap();
    assert_eq!(trace.take(), ["woken: the queue was shut down"]);
    assert!(queue.is_empty());
}

/// What was got before is still to be worked on.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn after_an_immediate_shutdown_a_joiner_waits_for_what_was_got_before() {
    let (queue, _) = full();
    assert_eq!(queue.get_nowait(), Ok(0));
    queue.put_nowait(1).unwrap();
    let joiner = started({
        let queue = queue.clone();
        async move { queue.join().await }
    })
    .await;
    queue.shutdown(true);
    settle().await;
    assert!(!joiner.is_finished());
    queue.task_done();
    joiner.await.unwrap();
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_shutdown_may_become_immediate_later() {
    let (queue, _) = full();
    queue.shutdown(false);
    queue.shutdown(true);
    queue.shutdown(false);
    assert!(queue.is_empty() && queue.is_shut_down());
    assert_eq!(format!("{queue:?}"), "<Queue len=0 maxsize=1 shutdown>");
}

/// Compares as its number says, and panics for the number 13.
#[derive(PartialEq, Eq, Debug)]
struct Unlucky(u32);

impl Ord for Unlucky {
    fn cmp(&self, other: &Unlucky) -> Ordering {
        assert!(self.0 != 13 && other.0 != 13, "unlucky");
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Unlucky {
    fn partial_cmp(&self, other: &Unlucky) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_comparison_that_panics_loses_no_other_item() {
    let queue = Queue::priority();
    queue.put_nowait(Unlucky(1)).unwrap();
    assert_eq!(panic_of(|| drop(queue.put_nowait(Unlucky(13)))), "unlucky");
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.get().await.unwrap(), Unlucky(1));
    assert_eq!(queue.get().await.unwrap(), Unlucky(13));
    assert_eq!(queue.get_nowait(), Err(GetError::QueueEmpty));
}

/// What is dropped is dropped when the queue is ready to be used again.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn an_items_destructor_may_use_the_queue() {
    struct Item(Rc<Queue<Item>>, Trace);
    impl Drop for Item {
        fn drop(&mut self) {
            self.1.note(format!("{:?}", self.0));
        }
    }
    let (queue, trace) = (Rc::new(Queue::unbounded()), Trace::new());
    queue
        .put_nowait(Item(queue.clone(), trace.clone()))
        .unwrap_or_else(|_| unreachable!("it has room"));
    queue.shutdown(true);
    assert_eq!(trace.take(), ["<Queue len=0 shutdown>"]);
}

// ----- what is said -----

#[asyncio::test(virtual_time, timeout = "1h")]
async fn a_dump_says_what_of_a_queue_is_waited_for() {
    let (empty, trace) = unbounded();
    let (full, _) = full();
    let get = getter(&empty, &trace, "getter");
    let put = putter(&full, &trace, 1);
    let join = started({
        let full = full.clone();
        async move { full.join().await }
    })
    .await;
    assert_eq!(activity(&get), "waits for an item of a queue");
    assert_eq!(activity(&put), "waits for room in a queue");
    assert_eq!(activity(&join), "waits for the end of a queue's work");
    assert_eq!(format!("{full:?}"), "<Queue len=1 maxsize=1 tasks=1>");
    empty.shutdown(false);
    full.shutdown(true);
    settle().await;
    assert!(join.is_finished());
}

/// A putter whose turn came in vain, because `put_nowait` was quicker, is still before those who came later and have their turn.
#[asyncio::test(virtual_time, timeout = "1h")]
async fn whoever_waits_again_is_not_overtaken_by_a_later_one_whose_turn_has_come() {
    let queue = Rc::new(Queue::bounded(2));
    queue.put_nowait("full").unwrap();
    queue.put_nowait("full").unwrap();
    let putter = |item| {
        let queue = queue.clone();
        spawn(async move { queue.put(item).await.unwrap() })
    };
    let putters = [putter("first"), putter("second")];
    asyncio::yield_now().await;
    queue.get_nowait().unwrap();
    // Between the turns of the two.
    let getter = spawn({
        let queue = queue.clone();
        async move {
            queue.get_nowait().unwrap();
        }
    });
    queue.get_nowait().unwrap();
    queue.put_nowait("quicker").unwrap();
    queue.put_nowait("quicker").unwrap();
    getter.await.unwrap();
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(queue.get().await.unwrap());
    }
    assert_eq!(came, ["quicker", "first", "second"]);
    for putter in putters {
        putter.await.unwrap();
    }
}
