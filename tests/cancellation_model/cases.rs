//! Programs written by hand, with everything that must happen: they pin the model down, and the crate with it.

use super::program::{Act, Block, Child, HandleEnd, Op, OutsideEvent, Owner, Program, Then, Whom};
use super::{real, reference};

fn block(ops: impl Into<Vec<Op>>) -> Block {
    Block::of(ops.into())
}

fn catch(body: impl Into<Vec<Op>>, handler: impl Into<Vec<Op>>, then: Then) -> Op {
    Op::Catch {
        body: block(body),
        handler: block(handler),
        then,
    }
}

fn finally(body: impl Into<Vec<Op>>, cleanup: impl Into<Vec<Op>>) -> Op {
    Op::Finally {
        body: block(body),
        cleanup: block(cleanup),
    }
}

fn timeout(limit: u64, body: impl Into<Vec<Op>>) -> Op {
    Op::Timeout {
        limit,
        body: block(body),
    }
}

fn spawn(owner: Owner, child: impl Into<Vec<Op>>, end: HandleEnd) -> Op {
    Op::Spawn {
        owner,
        child: Child::of(child.into()),
        meanwhile: block([]),
        end,
    }
}

fn itself(act: Act) -> Op {
    Op::Ask {
        act,
        whom: Whom::Itself,
        request: 0,
    }
}

/// Somebody cancels the root task at this time.
fn cancel_at(at: u64) -> OutsideEvent {
    OutsideEvent {
        at,
        act: Act::Cancel,
        task: 0,
        request: 0,
    }
}

#[track_caller]
fn check<const N: usize>(
    ops: impl Into<Vec<Op>>,
    events: impl Into<Vec<OutsideEvent>>,
    expected: [&str; N],
) {
    let program = Program::new(ops.into(), events.into());
    for (who, events) in [
        ("the model", reference::run(&program)),
        ("the crate", real::run(&program)),
    ] {
        let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected, "{who} in\n{program:?}");
    }
}

#[test]
fn a_task_without_a_scope_is_dropped_where_it_waits() {
    check(
        [Op::Sleep(5), Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b0",
            "2ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn a_task_cancelled_before_its_first_step_never_begins() {
    check(
        [Op::Log(0)],
        [cancel_at(0)],
        ["0ms -: cancel t0: Some(true)", "0ms -: t0 ended cancelled"],
    );
}

#[test]
fn a_handler_awaits_in_peace_and_what_it_raises_goes_to_the_next_scope() {
    let inner = catch([Op::Sleep(9)], [Op::Sleep(3)], Then::Raise);
    check(
        [catch([inner], [Op::Log(0)], Then::Swallow), Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b2",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b2",
            "2ms t0: caught User r0 [1]",
            "2ms t0: enter b3 [1]",
            "5ms t0: leave b3",
            "5ms t0: leave b1",
            "5ms t0: caught User r0 [1]",
            "5ms t0: enter b4 [1]",
            "5ms t0: log 0 [1]",
            "5ms t0: leave b4",
            "5ms t0: log 1 [1]",
            "5ms t0: leave b0",
            "5ms -: value of t0 dropped",
            "5ms -: t0 ended by itself",
        ],
    );
}

#[test]
fn a_second_request_ends_a_cleanup_where_it_waits() {
    check(
        [finally([Op::Sleep(9)], [Op::Sleep(9), Op::Log(0)])],
        [cancel_at(1), cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "1ms -: cancel t0: Some(true)",
            "1ms t0: leave b1",
            "1ms t0: enter b2 [1]",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b2",
            "2ms t0: leave b0",
            "2ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn a_request_that_is_withdrawn_is_not_delivered() {
    check(
        [itself(Act::Cancel), itself(Act::Uncancel), Op::Yield],
        [],
        [
            "0ms t0: enter b0",
            "0ms t0: cancel t0: Some(true) [1]",
            "0ms t0: uncancel t0: Some(0)",
            "0ms t0: leave b0",
            "0ms -: value of t0 dropped",
            "0ms -: t0 ended by itself",
        ],
    );
}

#[test]
fn a_task_that_cancels_itself_and_returns_ends_cancelled() {
    check(
        [itself(Act::Cancel)],
        [],
        [
            "0ms t0: enter b0",
            "0ms t0: cancel t0: Some(true) [1]",
            "0ms t0: leave b0",
            "0ms t0: value of t0 dropped",
            "0ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn an_expiry_is_cleaned_up_after_and_claimed_by_its_own_timeout() {
    check(
        [timeout(
            9,
            [timeout(2, [finally([Op::Sleep(8)], [Op::Sleep(1)])])],
        )],
        [],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b2",
            "0ms t0: enter b3",
            "2ms t0: leave b3",
            "2ms t0: enter b4 [1]",
            "3ms t0: leave b4",
            "3ms t0: leave b2",
            "3ms t0: timed out",
            "3ms t0: leave b1",
            "3ms t0: in time",
            "3ms t0: leave b0",
            "3ms -: value of t0 dropped",
            "3ms -: t0 ended by itself",
        ],
    );
}

#[test]
fn a_request_that_comes_together_with_an_expiry_is_not_swallowed() {
    check(
        [timeout(2, [Op::Sleep(8)]), Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b1",
            "2ms t0: leave b0",
            "2ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn a_request_is_handed_on_to_the_awaited_task_which_ends_first() {
    let child = [catch([Op::Sleep(9)], [Op::Sleep(1)], Then::Raise)];
    check(
        [spawn(Owner::Loop, child, HandleEnd::Join)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b4",
            "0ms t0: leave b4",
            "0ms t1: enter b1",
            "0ms t1: enter b2",
            "2ms -: cancel t0: Some(true)",
            "2ms t1: leave b2",
            "2ms t1: caught Parent r0 [1]",
            "2ms t1: enter b3 [1]",
            "3ms t1: leave b3",
            "3ms t1: leave b1",
            "3ms -: t1 ended cancelled",
            "3ms t0: leave b0",
            "3ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn the_result_of_a_task_is_there_after_the_request_was_caught() {
    let child = [catch([Op::Sleep(9)], [], Then::Swallow)];
    check(
        [spawn(Owner::Loop, child, HandleEnd::Insist)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b4",
            "0ms t0: leave b4",
            "0ms t1: enter b1",
            "0ms t1: enter b2",
            "2ms -: cancel t0: Some(true)",
            "2ms t1: leave b2",
            "2ms t1: caught Parent r0 [1]",
            "2ms t1: enter b3 [1]",
            "2ms t1: leave b3",
            "2ms t1: leave b1",
            "2ms -: t1 ended by itself",
            "2ms t0: t1 gave a value [1]",
            "2ms t0: value of t1 dropped",
            "2ms t0: leave b0",
            "2ms -: value of t0 dropped",
            "2ms -: t0 ended by itself",
        ],
    );
}

#[test]
fn a_request_does_not_go_through_a_shield() {
    check(
        [spawn(Owner::Loop, [Op::Sleep(5)], HandleEnd::Shield)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b2",
            "0ms t0: leave b2",
            "0ms t1: enter b1",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b0",
            "2ms -: t0 ended cancelled",
            "5ms t1: leave b1",
            "5ms -: value of t1 dropped",
            "5ms -: t1 ended by itself",
        ],
    );
}

#[test]
fn a_gather_hands_a_request_on_and_raises_it_even_if_all_have_swallowed_it() {
    let child = || Child::of(vec![catch([Op::Sleep(9)], [], Then::Swallow)]);
    let gather = Op::Gather {
        children: vec![child(), child()],
        settled: true,
    };
    check(
        [gather, Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t1: enter b1",
            "0ms t1: enter b2",
            "0ms t2: enter b4",
            "0ms t2: enter b5",
            "2ms -: cancel t0: Some(true)",
            "2ms t1: leave b2",
            "2ms t1: caught Parent r0 [1]",
            "2ms t1: enter b3 [1]",
            "2ms t1: leave b3",
            "2ms t1: leave b1",
            "2ms t2: leave b5",
            "2ms t2: caught Parent r0 [1]",
            "2ms t2: enter b6 [1]",
            "2ms t2: leave b6",
            "2ms t2: leave b4",
            "2ms -: t1 ended by itself",
            "2ms t0: value of t1 dropped",
            "2ms t0: value of t2 dropped",
            "2ms t0: leave b0",
            "2ms -: t2 ended by itself",
            "2ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn a_child_that_fails_cancels_the_others_and_the_body_of_its_group() {
    let group = Op::Group {
        body: block([
            spawn(Owner::Group, [Op::Sleep(9)], HandleEnd::Detach),
            spawn(Owner::Group, [Op::Sleep(2), Op::Fail], HandleEnd::Detach),
            catch([Op::Sleep(9)], [Op::Sleep(1)], Then::Raise),
        ]),
    };
    check(
        [group],
        [],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b3",
            "0ms t0: leave b3",
            "0ms t0: enter b5",
            "0ms t0: leave b5",
            "0ms t0: enter b6",
            "0ms t1: enter b2",
            "0ms t2: enter b4",
            "2ms t2: leave b4",
            "2ms t1: leave b2",
            "2ms t0: leave b6",
            "2ms t0: caught Parent [1]",
            "2ms t0: enter b7 [1]",
            "2ms -: t2 ended by itself",
            "2ms -: t1 ended cancelled",
            "3ms t0: leave b7",
            "3ms t0: leave b1",
            "3ms t0: group failed: error of t2",
            "3ms t0: leave b0",
            "3ms -: value of t0 dropped",
            "3ms -: t0 ended by itself",
        ],
    );
}

#[test]
fn a_request_that_a_group_has_taken_comes_back_at_the_await_after_its_error() {
    let child = [finally([Op::Sleep(9)], [Op::Fail])];
    let child = [Op::Sleep(1), catch(child, [], Then::Swallow), Op::Fail];
    let group = Op::Group {
        body: block([spawn(Owner::Group, child, HandleEnd::Detach)]),
    };
    check(
        [group, Op::Log(0), Op::Yield, Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b7",
            "0ms t0: leave b7",
            "0ms t0: leave b1",
            "0ms t1: enter b2",
            "1ms t1: enter b3",
            "1ms t1: enter b4",
            "2ms -: cancel t0: Some(true)",
            "2ms t1: leave b4",
            "2ms t1: enter b5 [1]",
            "2ms t1: leave b5",
            "2ms t1: leave b3",
            "2ms t1: caught Parent r0 [1]",
            "2ms t1: enter b6 [1]",
            "2ms t1: leave b6",
            "2ms t1: leave b2",
            "2ms -: t1 ended by itself",
            "2ms t0: group failed: error of t1 [1]",
            "2ms t0: log 0 [1]",
            "2ms t0: leave b0",
            "2ms -: t0 ended cancelled",
        ],
    );
}

#[test]
fn a_branch_that_looked_away_goes_on_when_the_other_one_swallows_the_request() {
    let both = Op::Both {
        left: block([Op::Sleep(2)]),
        right: block([catch([Op::Sleep(9)], [], Then::Swallow)]),
    };
    check(
        [both, Op::Log(0)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b2",
            "0ms t0: enter b3",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b3",
            "2ms t0: caught User r0 [1]",
            "2ms t0: enter b4 [1]",
            "2ms t0: leave b4",
            "2ms t0: leave b2",
            "2ms t0: leave b1",
            "2ms t0: log 0 [1]",
            "2ms t0: leave b0",
            "2ms -: value of t0 dropped",
            "2ms -: t0 ended by itself",
        ],
    );
}

/// The left branch does not disturb the cleanup of the right one, and then still gets out.
#[test]
fn what_is_raised_is_raised_again_when_the_other_branch_swallows_it() {
    let both = Op::Both {
        left: block([catch([Op::Sleep(9)], [], Then::Raise)]),
        right: block([
            catch([Op::Sleep(9)], [Op::Sleep(3)], Then::Swallow),
            Op::Sleep(9),
        ]),
    };
    check(
        [catch([both], [], Then::Swallow)],
        [cancel_at(2)],
        [
            "0ms t0: enter b0",
            "0ms t0: enter b1",
            "0ms t0: enter b2",
            "0ms t0: enter b3",
            "0ms t0: enter b5",
            "0ms t0: enter b6",
            "2ms -: cancel t0: Some(true)",
            "2ms t0: leave b3",
            "2ms t0: caught User r0 [1]",
            "2ms t0: enter b4 [1]",
            "2ms t0: leave b4",
            "2ms t0: leave b6",
            "2ms t0: caught User r0 [1]",
            "2ms t0: enter b7 [1]",
            "5ms t0: leave b7",
            "5ms t0: leave b2",
            "5ms t0: leave b5",
            "5ms t0: leave b1",
            "5ms t0: caught User r0 [1]",
            "5ms t0: enter b8 [1]",
            "5ms t0: leave b8",
            "5ms t0: leave b0",
            "5ms -: value of t0 dropped",
            "5ms -: t0 ended by itself",
        ],
    );
}
