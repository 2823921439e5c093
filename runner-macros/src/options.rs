//! What can be set on the two attributes: the one home of the options' names.
//!
//! The rule it keeps: a name that is not in [`OPTIONS`] exists nowhere else, so messages, checks and docs cannot disagree.
//! It knows neither tokens nor spans.

/// One of the two attributes of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// `#[asyncio::main]`
    Main,
    /// `#[asyncio::test]`
    Test,
}

impl Attribute {
    /// How the attribute is written, for messages.
    pub(crate) fn written(self) -> &'static str {
        match self {
            Attribute::Main => "#[asyncio::main]",
            Attribute::Test => "#[asyncio::test]",
        }
    }
}

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Nothing, or a `bool`.
    Flag,
    /// A function that makes an event loop.
    Factory,
    /// A `Duration`, or text such as `"5s"`.
    Duration,
    /// A number from 1.
    Count,
    /// A number from 1: of event loops.
    Workers,
    /// `"error"` or `"cancel"`.
    Leftovers,
    /// What a panic does that nobody awaits.
    DetachedPanic,
    /// The path of the `asyncio` crate.
    CratePath,
}

impl Wants {
    /// A valid value, for the remedy in messages.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Wants::Flag => "true",
            Wants::Factory => "EventLoop::new",
            Wants::Duration => "\"5s\"",
            Wants::Count => "10",
            Wants::Workers => "4",
            Wants::Leftovers => "\"error\"",
            Wants::DetachedPanic => "DetachedPanic::Stop",
            Wants::CratePath => "path::to::asyncio",
        }
    }
}

/// An option of one attribute or of both.
#[derive(Debug)]
pub(crate) struct Spec {
    /// As the user writes it.
    pub(crate) name: &'static str,
    /// The kind of its value.
    pub(crate) wants: Wants,
    /// The attributes that have it.
    pub(crate) on: &'static [Attribute],
    /// Whether it is there only with the crate's feature of the same name.
    pub(crate) needs_feature: bool,
}

impl Spec {
    /// The function in `private` that turns the value into what the builder's method takes.
    pub(crate) fn through(&self) -> Option<&'static str> {
        match self.wants {
            Wants::Factory => Some("factory"),
            _ => self.needs_feature.then_some(self.name),
        }
    }
}

/// Whether the one feature is on that an option needs; the tests of this crate look at all options.
pub(crate) const HAS_FEATURE: bool = cfg!(any(feature = "tokio", test));

const BOTH: &[Attribute] = &[Attribute::Main, Attribute::Test];
const MAIN: &[Attribute] = &[Attribute::Main];
const TEST: &[Attribute] = &[Attribute::Test];

/// Every option there is, in the order in which messages list them.
pub(crate) const OPTIONS: &[Spec] = &[
    Spec {
        name: "debug",
        wants: Wants::Flag,
        on: BOTH,
        needs_feature: false,
    },
    Spec {
        name: "loop_factory",
        wants: Wants::Factory,
        on: BOTH,
        needs_feature: false,
    },
    Spec {
        name: "terminate",
        wants: Wants::Flag,
        on: MAIN,
        needs_feature: false,
    },
    Spec {
        name: "hangup",
        wants: Wants::Flag,
        on: MAIN,
        needs_feature: false,
    },
    Spec {
        name: "shutdown_timeout",
        wants: Wants::Duration,
        on: BOTH,
        needs_feature: false,
    },
    Spec {
        name: "blocked_loop_after",
        wants: Wants::Duration,
        on: BOTH,
        needs_feature: false,
    },
    Spec {
        name: "dump_on_signal",
        wants: Wants::Flag,
        on: MAIN,
        needs_feature: false,
    },
    Spec {
        name: "detached_panic",
        wants: Wants::DetachedPanic,
        on: MAIN,
        needs_feature: false,
    },
    Spec {
        name: "workers",
        wants: Wants::Workers,
        on: MAIN,
        needs_feature: false,
    },
    Spec {
        name: "timeout",
        wants: Wants::Duration,
        on: TEST,
        needs_feature: false,
    },
    Spec {
        name: "virtual_time",
        wants: Wants::Flag,
        on: TEST,
        needs_feature: false,
    },
    Spec {
        name: "seeds",
        wants: Wants::Count,
        on: TEST,
        needs_feature: false,
    },
    Spec {
        name: "leftovers",
        wants: Wants::Leftovers,
        on: TEST,
        needs_feature: false,
    },
    Spec {
        name: "tokio",
        wants: Wants::Flag,
        on: BOTH,
        needs_feature: true,
    },
    Spec {
        name: "crate",
        wants: Wants::CratePath,
        on: BOTH,
        needs_feature: false,
    },
];

/// The option of that exact name, whichever attribute it belongs to.
pub(crate) fn find(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.name == name)
}

/// The names of one attribute's options.
pub(crate) fn names(attribute: Attribute) -> impl Iterator<Item = &'static str> {
    OPTIONS
        .iter()
        .filter(move |spec| spec.on.contains(&attribute))
        .map(|spec| spec.name)
}

/// The option that was probably meant by a mistyped name.
pub(crate) fn nearest(name: &str, attribute: Attribute) -> Option<&'static str> {
    // A third of the letters: `flag` is no typo of `debug`, but `loopfactory` is one of `loop_factory`.
    let limit = (name.chars().count() / 3).max(1);
    names(attribute)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to get from one word to the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// An option of other runtimes, which this one has not.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Its names here and there.
    pub(crate) names: &'static [&'static str],
    /// The attributes that are answered so.
    pub(crate) on: &'static [Attribute],
    /// What to write instead.
    pub(crate) instead: &'static str,
}

/// Every option of others that is answered with this crate's own way.
pub(crate) const FOREIGN: &[Foreign] = &[
    Foreign {
        names: &["flavor", "flavour"],
        on: BOTH,
        instead: "the event loop always runs on the calling thread; remove the option, and hand blocking work to \
                  `asyncio::to_thread`",
    },
    Foreign {
        names: &["worker_threads", "core_threads", "max_threads", "threads"],
        on: MAIN,
        instead: "write `workers = ..` for several event loops, each in a thread of its own, or size the pool for blocking \
                  work with `loop_factory = || EventLoop::builder().executor(..).build()`",
    },
    Foreign {
        names: &["worker_threads", "core_threads", "max_threads", "threads"],
        on: TEST,
        instead: "the event loop has one thread; remove the option, or size the pool for blocking work with \
                  `loop_factory = || EventLoop::builder().executor(..).build()`",
    },
    Foreign {
        names: &["start_paused", "paused"],
        on: TEST,
        instead: "write `virtual_time`",
    },
    Foreign {
        names: &["start_paused", "paused"],
        on: MAIN,
        instead: "`virtual_time` is for tests; on `main` write \
                  `loop_factory = || EventLoop::builder().virtual_time().build()`",
    },
    Foreign {
        names: &["unhandled_panic"],
        on: BOTH,
        instead: "a task's panic reaches whoever awaits the task; for all the others call `set_exception_handler` on the \
                  event loop",
    },
    Foreign {
        names: &[
            "system",
            "executor",
            "driver",
            "with_proactor",
            "entries",
            "backend",
            "backend_options",
            "use_uvloop",
        ],
        on: BOTH,
        instead: "write `loop_factory = ..` with a function that makes the event loop",
    },
    Foreign {
        names: &[
            "timer_enabled",
            "enable_timer",
            "timer",
            "enable_all",
            "enable_io",
            "enable_time",
        ],
        on: BOTH,
        instead: "I/O and timers are always there and start when first used; remove the option",
    },
    Foreign {
        names: &["name"],
        on: BOTH,
        instead: "an event loop has no name, but tasks have: `asyncio::task().name(..).spawn(..)`",
    },
    Foreign {
        names: &["seed", "iterations", "retries"],
        on: TEST,
        instead: "write `seeds = <number>`, which runs the test under that many schedules",
    },
    Foreign {
        names: &["seed", "iterations", "retries"],
        on: MAIN,
        instead: "on `main` write `loop_factory = || EventLoop::builder().seed(..).build()` for one certain schedule",
    },
    Foreign {
        names: &["leaks"],
        on: TEST,
        instead: "write `leftovers = \"error\"`",
    },
];

/// What to write instead of an option that other runtimes have and this one has not.
pub(crate) fn instead_of(name: &str, attribute: Attribute) -> Option<&'static str> {
    FOREIGN
        .iter()
        .find(|foreign| foreign.names.contains(&name) && foreign.on.contains(&attribute))
        .map(|foreign| foreign.instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        assert_eq!(edit_distance("debug", "debug"), 0);
        assert_eq!(edit_distance("debgu", "debug"), 1);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("loopfactory", "loop_factory"), 1);
    }

    #[test]
    fn only_the_options_of_the_attribute_are_proposed() {
        assert_eq!(nearest("terminat", Attribute::Main), Some("terminate"));
        assert_eq!(nearest("terminat", Attribute::Test), None);
        assert_eq!(nearest("seed_count", Attribute::Test), None);
    }

    #[test]
    fn no_option_of_ours_is_called_foreign() {
        for spec in OPTIONS {
            for &attribute in BOTH {
                assert_eq!(instead_of(spec.name, attribute), None, "{}", spec.name);
            }
        }
    }
}
