//! The programs of the model test: a syntax tree, its numbering, and how it is printed.
//!
//! Every operation runs at most once, so that the numbers of blocks, tasks and requests can be given beforehand.

use std::fmt;

use asyncio::ReturnWhen;

/// A task's first code, the tasks that it starts in turn, and the requests that come from outside.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) root: Child,
    pub(crate) events: Vec<OutsideEvent>,
    /// The number of tasks that there are if everything is run.
    pub(crate) tasks: usize,
}

/// At this virtual time, somebody who is no task cancels one, or takes a request back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutsideEvent {
    /// In milliseconds; at 0 the root task has been spawned and has not begun.
    pub(crate) at: u64,
    pub(crate) act: Act,
    pub(crate) task: usize,
    /// The request's number.
    pub(crate) request: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Cancel,
    Uncancel,
}

/// A task: its number, in the order of the program's text, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) task: usize,
    pub(crate) body: Block,
}

/// A sequence, with a guard around it that notes its beginning and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) number: usize,
    pub(crate) ops: Vec<Op>,
}

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Notes the number.
    Log(usize),
    /// Waits for so many milliseconds, at least one.
    Sleep(u64),
    Yield,
    /// `catch_cancelled(body)`, then, if that was cancelled, the handler.
    Catch {
        body: Block,
        handler: Block,
        then: Then,
    },
    /// `finally(body, cleanup)`
    Finally {
        body: Block,
        cleanup: Block,
    },
    /// `timeout(limit, body)`, in milliseconds.
    Timeout {
        limit: u64,
        body: Block,
    },
    /// `Timeout::scope_at(limit, body)`, in milliseconds from then on.
    Moving {
        limit: Option<u64>,
        body: Block,
    },
    /// `timeout.reschedule(after)` of the innermost moving timeout around this text, if there is one.
    Reschedule(Option<u64>),
    /// Starts a task, and keeps its handle during another block.
    Spawn {
        owner: Owner,
        child: Child,
        meanwhile: Block,
        end: HandleEnd,
    },
    /// `join!(left, right)`
    Both {
        left: Block,
        right: Block,
    },
    /// `gather(children)`, or, settled, `gather(children).return_exceptions()`.
    Gather {
        children: Vec<Child>,
        settled: bool,
    },
    /// `wait(&children, until)`, perhaps with a timeout.
    Wait {
        children: Vec<Child>,
        until: ReturnWhen,
        limit: Option<u64>,
    },
    /// `as_completed(children)`, to the last of them.
    AsCompleted(Vec<Child>),
    /// `TaskGroup::scope(body)`
    Group {
        body: Block,
    },
    /// `group.cancel()` of the innermost group around this text, if there is one.
    StopGroup,
    /// Makes a request, or takes one back.
    Ask {
        act: Act,
        whom: Whom,
        request: usize,
    },
    /// Raises a cancellation that is not the task's own.
    Raise,
    /// Returns early with an error, through all blocks, to the task's end.
    Fail,
    Panic,
}

/// How the handler of a `catch` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Swallow,
    Raise,
}

/// Who waits for a task to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Loop,
    /// The innermost group around this text; the loop, if there is none.
    Group,
}

/// What becomes of a task's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandleEnd {
    /// `task.await`
    Join,
    /// `catch_cancelled(&mut task).await`, and, if that was cancelled, `task.await` after it.
    Insist,
    /// `shield(task).await`
    Shield,
    /// `drop(task)`
    Detach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Itself,
    Task(usize),
}

impl Program {
    /// Numbers everything. The tasks that are named in requests may be any numbers: they are taken modulo the tasks that
    /// there are.
    pub(crate) fn new(ops: Vec<Op>, events: Vec<OutsideEvent>) -> Program {
        let mut root = Child::of(ops);
        let mut numbers = Numbers::default();
        numbers.child(&mut root);
        let tasks = numbers.tasks;
        resolve(&mut root.body, tasks);
        let mut program = Program {
            root,
            events,
            tasks,
        };
        for event in &mut program.events {
            event.task %= tasks;
            event.request = numbers.request();
        }
        program
    }
}

impl Child {
    pub(crate) fn of(ops: Vec<Op>) -> Child {
        Child {
            task: 0,
            body: Block::of(ops),
        }
    }
}

impl Block {
    pub(crate) fn of(ops: Vec<Op>) -> Block {
        Block { number: 0, ops }
    }
}

impl Op {
    /// The blocks of this operation that belong to the same task.
    fn blocks(&mut self) -> Vec<&mut Block> {
        match self {
            Op::Catch { body, handler, .. } => vec![body, handler],
            Op::Finally { body, cleanup } => vec![body, cleanup],
            Op::Timeout { body, .. } | Op::Moving { body, .. } | Op::Group { body } => vec![body],
            Op::Both { left, right } => vec![left, right],
            Op::Spawn { meanwhile, .. } => vec![meanwhile],
            _ => Vec::new(),
        }
    }

    fn children(&mut self) -> Vec<&mut Child> {
        match self {
            Op::Spawn { child, .. } => vec![child],
            Op::Gather { children, .. } | Op::Wait { children, .. } | Op::AsCompleted(children) => {
                children.iter_mut().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The next numbers to be given.
#[derive(Default)]
struct Numbers {
    tasks: usize,
    blocks: usize,
    logs: usize,
    requests: usize,
}

fn take(next: &mut usize) -> usize {
    *next += 1;
    *next - 1
}

impl Numbers {
    fn request(&mut self) -> usize {
        take(&mut self.requests)
    }

    fn child(&mut self, child: &mut Child) {
        child.task = take(&mut self.tasks);
        self.block(&mut child.body);
    }

    fn block(&mut self, block: &mut Block) {
        block.number = take(&mut self.blocks);
        for op in &mut block.ops {
            match op {
                Op::Log(number) => *number = take(&mut self.logs),
                Op::Ask { request, .. } => *request = self.request(),
                _ => {}
            }
            op.children().into_iter().for_each(|it| self.child(it));
            op.blocks().into_iter().for_each(|it| self.block(it));
        }
    }
}

/// Makes every named task one that there is.
fn resolve(block: &mut Block, tasks: usize) {
    for op in &mut block.ops {
        if let Op::Ask {
            whom: Whom::Task(number),
            ..
        } = op
        {
            *number %= tasks;
        }
        for child in op.children() {
            resolve(&mut child.body, tasks);
        }
        for block in op.blocks() {
            resolve(block, tasks);
        }
    }
}

impl fmt::Debug for Program {
    /// Readable text, because this is what a failing case prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "task t{} {}", self.root.task, Text(&self.root.body, 0))?;
        for event in &self.events {
            let ask = Asking(event.act, event.request);
            writeln!(f, "at {}ms from outside: {ask} t{}", event.at, event.task)?;
        }
        Ok(())
    }
}

/// A block, and how deep it stands.
struct Text<'a>(&'a Block, usize);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(block, depth) = *self;
        writeln!(f, "b{} {{", block.number)?;
        for op in &block.ops {
            write!(f, "{:1$}", "", 4 * (depth + 1))?;
            write_op(f, op, depth + 1)?;
            writeln!(f)?;
        }
        write!(f, "{:1$}}}", "", 4 * depth)
    }
}

struct Asking(Act, usize);

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Act::Cancel => write!(f, "cancel (request r{})", self.1),
            Act::Uncancel => f.write_str("uncancel"),
        }
    }
}

fn write_op(f: &mut fmt::Formatter<'_>, op: &Op, depth: usize) -> fmt::Result {
    let text = |block| Text(block, depth);
    match op {
        Op::Log(number) => write!(f, "log {number}"),
        Op::Sleep(duration) => write!(f, "sleep {duration}ms"),
        Op::Yield => write!(f, "yield"),
        Op::Catch {
            body,
            handler,
            then,
        } => write!(
            f,
            "catch {} if cancelled {} then {then:?}",
            text(body),
            text(handler)
        ),
        Op::Finally { body, cleanup } => write!(f, "try {} finally {}", text(body), text(cleanup)),
        Op::Timeout { limit, body } => write!(f, "timeout {limit}ms {}", text(body)),
        Op::Moving { limit, body } => write!(f, "moving timeout {limit:?} {}", text(body)),
        Op::Reschedule(after) => write!(f, "reschedule to {after:?}"),
        Op::Wait {
            children,
            until,
            limit,
        } => {
            write!(f, "wait for {until:?} at most {limit:?}")?;
            write_children(f, children, depth)
        }
        Op::AsCompleted(children) => {
            write!(f, "as completed")?;
            write_children(f, children, depth)
        }
        Op::Spawn {
            owner,
            child,
            meanwhile,
            end,
        } => write!(
            f,
            "spawn in the {owner:?} t{} {} meanwhile {} then {end:?}",
            child.task,
            text(&child.body),
            text(meanwhile)
        ),
        Op::Gather { children, settled } => {
            write!(f, "gather {}", if *settled { "all of" } else { "" })?;
            write_children(f, children, depth)
        }
        Op::Both { left, right } => write!(f, "both {} and {}", text(left), text(right)),
        Op::Group { body } => write!(f, "group {}", text(body)),
        Op::StopGroup => write!(f, "stop the group"),
        Op::Ask { act, whom, request } => {
            let ask = Asking(*act, *request);
            match whom {
                Whom::Itself => write!(f, "{ask} itself"),
                Whom::Task(task) => write!(f, "{ask} t{task}"),
            }
        }
        Op::Raise => write!(f, "raise"),
        Op::Fail => write!(f, "fail"),
        Op::Panic => write!(f, "panic"),
    }
}

fn write_children(f: &mut fmt::Formatter<'_>, children: &[Child], depth: usize) -> fmt::Result {
    let mut each = children.iter();
    each.try_for_each(|child| write!(f, " t{} {}", child.task, Text(&child.body, depth)))
}
