//! Which programs proptest tries: small ones, whose times meet often.

use proptest::collection::vec;
use proptest::prelude::*;

use super::program::{Act, Block, Child, HandleEnd, Op, OutsideEvent, Owner, Program, Then, Whom};

/// Any program.
pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let ops = vec(op(), 1..6);
    (ops, vec(outside_event(), 0..5)).prop_map(|(ops, events)| Program::new(ops, events))
}

/// Simpler ones first: that is where shrinking goes.
fn op() -> impl Strategy<Value = Op> {
    simple_op().prop_recursive(5, 24, 4, |op| {
        let block = || vec(op.clone(), 0..4).prop_map(Block::of);
        let child = || vec(op.clone(), 0..5).prop_map(Child::of);
        let owner = prop_oneof![Just(Owner::Loop), Just(Owner::Group)];
        let then = prop_oneof![Just(Then::Swallow), Just(Then::Raise)];
        let end = prop_oneof![
            3 => Just(HandleEnd::Join),
            1 => Just(HandleEnd::Insist),
            2 => Just(HandleEnd::Shield),
            2 => Just(HandleEnd::Detach),
        ];
        prop_oneof![
            1 => simple_op(),
            2 => (block(), block()).prop_map(|(body, cleanup)| Op::Finally { body, cleanup }),
            2 => (0..6u64, block()).prop_map(|(limit, body)| Op::Timeout { limit, body }),
            3 => (block(), block(), then)
                .prop_map(|(body, handler, then)| Op::Catch { body, handler, then }),
            2 => block().prop_map(|body| Op::Group { body }),
            1 => (vec(child(), 0..4), any::<bool>())
                .prop_map(|(children, settled)| Op::Gather { children, settled }),
            5 => (owner, child(), block(), end)
                .prop_map(|(owner, child, meanwhile, end)| Op::Spawn { owner, child, meanwhile, end }),
        ]
    })
}

fn simple_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Log(0)),
        2 => Just(Op::Yield),
        6 => (1..6u64).prop_map(Op::Sleep),
        3 => (act(), whom()).prop_map(|(act, whom)| Op::Ask { act, whom, request: 0 }),
        1 => Just(Op::Raise),
        1 => Just(Op::Fail),
        1 => Just(Op::Panic),
        1 => Just(Op::StopGroup),
    ]
}

fn outside_event() -> impl Strategy<Value = OutsideEvent> {
    (0..12u64, act(), task()).prop_map(|(at, act, task)| OutsideEvent {
        at,
        act,
        task,
        request: 0,
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![3 => Just(Act::Cancel), 1 => Just(Act::Uncancel)]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![Just(Whom::Itself), task().prop_map(Whom::Task)]
}

/// Some task; see [`Program::new`].
fn task() -> std::ops::Range<usize> {
    0..8
}
