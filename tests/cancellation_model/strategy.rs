//! Which programs proptest tries: small ones, whose times meet often.

use std::ops::Range;

use asyncio::ReturnWhen;
use proptest::collection::vec;
use proptest::prelude::*;

use super::program::{Act, Block, Child, HandleEnd, Op, OutsideEvent, Owner, Program, Then, Whom};

/// Any program.
pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let ops = sequence(op().boxed(), 1..5);
    (ops, vec(outside_event(), 0..5)).prop_map(|(ops, events)| Program::new(ops, events))
}

/// Simpler ones first: that is where shrinking goes.
fn op() -> impl Strategy<Value = Op> {
    simple_op().prop_recursive(5, 40, 3, |op| {
        let block = || sequence(op.clone(), 0..3).prop_map(Block::of);
        let child = || sequence(op.clone(), 0..4).prop_map(Child::of);
        let then = prop_oneof![Just(Then::Swallow), Just(Then::Raise)];
        let owner = prop_oneof![Just(Owner::Loop), Just(Owner::Group)];
        let end = prop_oneof![
            3 => Just(HandleEnd::Join),
            1 => Just(HandleEnd::Insist),
            2 => Just(HandleEnd::Shield),
            2 => Just(HandleEnd::Detach),
        ];
        prop_oneof![
            1 => simple_op(),
            3 => (block(), block()).prop_map(|(body, cleanup)| Op::Finally { body, cleanup }),
            3 => (0..6u64, block()).prop_map(|(limit, body)| Op::Timeout { limit, body }),
            3 => (block(), block()).prop_map(|(left, right)| Op::Both { left, right }),
            4 => (block(), block(), then)
                .prop_map(|(body, handler, then)| Op::Catch { body, handler, then }),
            4 => (vec(child(), 0..4), sequence(op.clone(), 0..3))
                .prop_map(|(children, ops)| group(children, ops)),
            2 => (limit(), block()).prop_map(|(limit, body)| Op::Moving { limit, body }),
            1 => (vec(child(), 0..4), until(), limit())
                .prop_map(|(children, until, limit)| Op::Wait { children, until, limit }),
            1 => vec(child(), 0..4).prop_map(Op::AsCompleted),
            2 => (vec(child(), 0..4), any::<bool>())
                .prop_map(|(children, settled)| Op::Gather { children, settled }),
            6 => (owner, child(), block(), end)
                .prop_map(|(owner, child, meanwhile, end)| Op::Spawn { owner, child, meanwhile, end }),
        ]
    })
}

/// Some operations, seldom followed by one that leaves the block, because nothing after that one is run.
fn sequence(op: BoxedStrategy<Op>, length: Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    let last = prop_oneof![
        12 => Just(None),
        1 => Just(Some(Op::Raise)),
        1 => Just(Some(Op::Fail)),
        1 => Just(Some(Op::Panic)),
    ];
    (vec(op, length), last).prop_map(|(mut ops, last)| {
        ops.extend(last);
        ops
    })
}

/// A group that starts these children first.
fn group(children: Vec<Child>, ops: Vec<Op>) -> Op {
    let start = |child| Op::Spawn {
        owner: Owner::Group,
        child,
        meanwhile: Block::default(),
        end: HandleEnd::Detach,
    };
    let children = children.into_iter().map(start);
    Op::Group {
        body: Block::of(children.chain(ops).collect()),
    }
}

fn simple_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Log(0)),
        4 => Just(Op::Yield),
        16 => (1..8u64).prop_map(Op::Sleep),
        4 => (act(), whom()).prop_map(|(act, whom)| Op::Ask { act, whom, request: 0 }),
        2 => limit().prop_map(Op::Reschedule),
        1 => Just(Op::StopGroup),
    ]
}

fn limit() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 3 => (0..6u64).prop_map(Some)]
}

fn until() -> impl Strategy<Value = ReturnWhen> {
    prop_oneof![
        Just(ReturnWhen::FirstCompleted),
        Just(ReturnWhen::FirstException),
        Just(ReturnWhen::AllCompleted),
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
    prop_oneof![4 => Just(Act::Cancel), 1 => Just(Act::Uncancel)]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![Just(Whom::Itself), task().prop_map(Whom::Task)]
}

/// Some task; see [`Program::new`].
fn task() -> Range<usize> {
    0..8
}
