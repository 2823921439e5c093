//! Context variables: the rules of semantics 1.9 that concern the map and entering it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use super::{
    Context, ContextVar, Frame, HELD, Identity, Snapshot, Token, copy_context, swap_current,
};

crate::context_var! {
    static NUMBER: u32 = 0;
    static OTHER: u32 = 100;
    static NAME: String
}

fn pointer(snapshot: &Snapshot) -> Option<*const ()> {
    snapshot.0.as_ref().map(|root| Arc::as_ptr(root).cast())
}

/// Runs in a thread of its own, whose base context nobody has touched.
fn in_fresh_thread(test: impl FnOnce() + Send + 'static) {
    if let Err(payload) = thread::spawn(test).join() {
        panic::resume_unwind(payload);
    }
}

#[test]
fn the_macro_takes_any_number_of_declarations() {
    mod inner {
        crate::context_var! {}
        crate::context_var! {
            /// Documented.
            #[allow(dead_code)]
            pub(super) static A: Vec<(u8, u8)> = vec![(1, 2)];
            pub(super) static B: Option<&'static str>;
            static C: u8 = 3;
        }
        pub(super) fn c() -> Option<u8> {
            C.get()
        }
    }
    assert_eq!(inner::A.get(), Some(vec![(1, 2)]));
    assert_eq!(inner::B.get(), None);
    assert_eq!(inner::B.name(), "B");
    assert_eq!(inner::c(), Some(3));
}

#[test]
fn get_prefers_the_value_then_the_default() {
    in_fresh_thread(|| {
        assert_eq!(NUMBER.get(), Some(0));
        assert_eq!(NUMBER.get_or(9), 9, "the argument goes before the default");
        assert_eq!(NAME.get(), None);
        NAME.set("alice".into());
        assert_eq!(NAME.get().as_deref(), Some("alice"));
        assert_eq!(NAME.get_or("bob".into()), "alice");
        assert_eq!(NUMBER.with(|number| number.copied()), Some(0));
        assert_eq!(NAME.with(|name| name.map(String::len)), Some(5));
    });
}

#[test]
fn every_variable_is_itself_whatever_its_type_and_order() {
    in_fresh_thread(|| {
        let vars: Vec<ContextVar<usize>> = (0..50).map(|_| ContextVar::new("same name")).collect();
        for (value, var) in vars.iter().enumerate().rev() {
            var.set(value);
        }
        for (value, var) in vars.iter().enumerate() {
            assert_eq!(var.get(), Some(value));
        }
    });
}

#[test]
fn a_moved_variable_keeps_its_value() {
    in_fresh_thread(|| {
        let var: ContextVar<u8> = ContextVar::new("moved");
        var.set(1);
        let moved = Box::new(var);
        assert_eq!(moved.get(), Some(1));
    });
}

#[test]
fn a_snapshot_is_one_pointer_and_goes_to_other_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Snapshot>();
    send_and_sync::<ContextVar<Cell<u8>>>();
    send_and_sync::<Token<Cell<u8>>>();
    assert_eq!(size_of::<Snapshot>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Rc<()>>>(), size_of::<Context>());
}

#[test]
fn copies_share_the_map_until_one_of_them_changes() {
    in_fresh_thread(|| {
        assert_eq!(
            pointer(&Snapshot::current()),
            None,
            "nothing set, nothing allocated"
        );
        NUMBER.set(1);
        let first = Snapshot::current();
        let context = copy_context();
        let copy = context.copy();
        assert!(pointer(&first).is_some());
        assert_eq!(pointer(&first), pointer(&context.snapshot()));
        assert_eq!(pointer(&first), pointer(&copy.snapshot()));
        copy.run(|| NUMBER.set(2)).unwrap();
        assert_ne!(pointer(&first), pointer(&copy.snapshot()));
        assert_eq!(pointer(&first), pointer(&context.snapshot()));
    });
}

#[test]
fn a_map_that_nobody_shares_is_changed_in_place() {
    in_fresh_thread(|| {
        NUMBER.set(1);
        let before = pointer(&Snapshot::current());
        NUMBER.set(2);
        OTHER.set(3);
        assert_eq!(pointer(&Snapshot::current()), before);
    });
}

#[test]
fn changes_stay_in_the_context_and_out_of_the_callers() {
    in_fresh_thread(|| {
        // The default context of a runner: what the first main sets the second sees, the caller never does.
        NUMBER.set(3);
        let shared = copy_context();
        shared.run(|| NUMBER.set(10)).unwrap();
        assert_eq!(shared.run(|| NUMBER.get()).unwrap(), Some(10));
        assert_eq!(NUMBER.get(), Some(3));
        assert_eq!(NUMBER.get_in(&shared), Some(10));
    });
}

#[test]
fn copies_are_isolated_in_both_directions() {
    in_fresh_thread(|| {
        let parent = Context::new();
        parent.run(|| NUMBER.set(1)).unwrap();
        let child = parent.copy();
        child.run(|| NUMBER.set(2)).unwrap();
        parent.run(|| OTHER.set(3)).unwrap();
        assert_eq!(NUMBER.get_in(&parent), Some(1));
        assert_eq!(NUMBER.get_in(&child), Some(2));
        assert_eq!(OTHER.get_in(&child), Some(100));
        assert!(parent.contains(&OTHER) && !child.contains(&OTHER));
    });
}

#[test]
fn entering_twice_is_an_error_also_from_within() {
    let context = Context::new();
    let handle = context.clone();
    let other = Context::new();
    context
        .run(|| {
            assert!(context.run(|| unreachable!()).is_err());
            assert!(handle.run(|| unreachable!()).is_err());
            other
                .run(|| assert!(context.run(|| unreachable!()).is_err()))
                .unwrap();
            assert!(context.copy().run(|| ()).is_ok());
        })
        .unwrap();
    assert!(context.run(|| ()).is_ok(), "usable again when it is left");
    let entered = context.try_enter().unwrap();
    assert!(context.try_enter().is_err() && context.is_entered());
    drop(entered);
    assert!(!context.is_entered());
}

#[test]
fn contexts_nest_and_are_read_from_anywhere_while_entered() {
    in_fresh_thread(|| {
        let (outer, inner) = (Context::new(), Context::new());
        outer
            .run(|| {
                NUMBER.set(1);
                inner
                    .run(|| {
                        assert_eq!(NUMBER.get(), Some(0));
                        NUMBER.set(2);
                        assert_eq!(NUMBER.get_in(&outer), Some(1));
                        assert_eq!(NUMBER.get_in(&inner), Some(2));
                        assert_eq!(NUMBER.get_in(&outer.copy()), Some(1));
                        assert_eq!(NUMBER.get_in(&copy_context()), Some(2));
                    })
                    .unwrap();
                assert_eq!(NUMBER.get(), Some(1));
            })
            .unwrap();
        assert_eq!(NUMBER.get(), Some(0));
        assert_eq!(NUMBER.get_in(&inner), Some(2));
    });
}

#[test]
fn a_panic_leaves_the_context_with_its_changes() {
    in_fresh_thread(|| {
        NUMBER.set(1);
        let context = Context::new();
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            context.run(|| {
                NUMBER.set(2);
                panic::resume_unwind(Box::new("out of cheese"));
            })
        }));
        assert!(result.is_err());
        assert_eq!(NUMBER.get(), Some(1));
        assert_eq!(context.run(|| NUMBER.get()).unwrap(), Some(2));
    });
}

#[test]
fn a_snapshot_is_entered_left_and_entered_again_like_a_task() {
    in_fresh_thread(|| {
        NUMBER.set(1);
        let home = Cell::new(Snapshot::current());
        for round in 1..4 {
            let entered = Snapshot::enter(&home, Identity::task(7));
            assert_eq!(
                NUMBER.get(),
                Some(round),
                "the change of the round before is kept"
            );
            NUMBER.set(round + 1);
            drop(entered);
            assert_eq!(NUMBER.get(), Some(1));
        }
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let _entered = Snapshot::enter(&home, Identity::task(7));
            NUMBER.set(50);
            panic::resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        assert_eq!(NUMBER.get(), Some(1));
        let _entered = Snapshot::enter(&home, Identity::task(7));
        assert_eq!(NUMBER.get(), Some(50));
    });
}

#[test]
fn bare_swaps_pair_up() {
    in_fresh_thread(|| {
        NUMBER.set(1);
        let mut frame = Frame::new(Snapshot::default(), Identity::UNASSIGNED);
        swap_current(&mut frame);
        assert_eq!(NUMBER.get(), Some(0));
        NUMBER.set(2);
        swap_current(&mut frame);
        assert_eq!(NUMBER.get(), Some(1));
        let context = Context::from_snapshot(frame.take_snapshot());
        assert_eq!(NUMBER.get_in(&context), Some(2));
    });
}

#[test]
fn a_context_object_entered_below_a_snapshot_keeps_its_changes() {
    in_fresh_thread(|| {
        let context = Context::new();
        let home = Cell::new(Snapshot::default());
        context
            .run(|| {
                NUMBER.set(1);
                let entered = Snapshot::enter(&home, Identity::task(1));
                NUMBER.set(2);
                assert_eq!(NUMBER.get_in(&context), Some(1));
                drop(entered);
                NUMBER.set(3);
            })
            .unwrap();
        assert_eq!(NUMBER.get_in(&context), Some(3));
    });
}

#[test]
fn a_snapshot_carries_the_context_to_a_thread_and_not_back() {
    in_fresh_thread(|| {
        NUMBER.set(5);
        let snapshot = Snapshot::current();
        in_fresh_thread(move || {
            let home = Cell::new(snapshot);
            let _entered = Snapshot::enter(&home, Identity::UNASSIGNED);
            assert_eq!(NUMBER.get(), Some(5));
            NUMBER.set(6);
        });
        assert_eq!(NUMBER.get(), Some(5));
    });
}

#[test]
fn reset_restores_the_value_before_or_its_absence() {
    in_fresh_thread(|| {
        let first = NAME.set("a".into());
        assert_eq!(first.old_value(), None);
        let second = NAME.set("b".into());
        assert_eq!(second.old_value().as_deref(), Some("a"));
        NAME.reset(second);
        assert_eq!(NAME.get().as_deref(), Some("a"));
        NAME.reset(first);
        assert_eq!(NAME.get(), None);
        assert_eq!(
            pointer(&Snapshot::current()),
            None,
            "empty is a null pointer again"
        );
    });
}

#[test]
fn tokens_may_be_used_out_of_order() {
    in_fresh_thread(|| {
        let first = NUMBER.set(1);
        let second = NUMBER.set(2);
        NUMBER.reset(first);
        assert_eq!(NUMBER.get(), Some(0));
        NUMBER.reset(second);
        assert_eq!(NUMBER.get(), Some(1));
    });
}

#[test]
fn a_token_of_another_variable_is_refused() {
    in_fresh_thread(|| {
        let token = NUMBER.set(1);
        let token = OTHER.try_reset(token).unwrap_err();
        assert_eq!(NUMBER.get(), Some(1));
        NUMBER.reset(token);
        assert_eq!(NUMBER.get(), Some(0));
    });
}

#[test]
fn a_token_of_another_context_is_refused_and_stays_good() {
    in_fresh_thread(|| {
        NUMBER.set(1);
        let token = NUMBER.set(2);
        // A copied context, a task, and a callback, of which nobody knows a number before.
        let token = copy_context().run(|| NUMBER.try_reset(token).unwrap_err());
        let home = Cell::new(Snapshot::current());
        let mut token = token.unwrap();
        for identity in [Identity::task(0), Identity::UNASSIGNED] {
            let _entered = Snapshot::enter(&home, identity);
            token = NUMBER.try_reset(token).unwrap_err();
            assert_eq!(NUMBER.get(), Some(2));
        }
        assert_eq!(token.old_value(), Some(1));
        NUMBER.reset(token);
        assert_eq!(NUMBER.get(), Some(1));
    });
}

#[test]
fn a_token_is_good_in_a_later_step_of_its_task_but_in_no_other() {
    in_fresh_thread(|| {
        let home = Cell::new(Snapshot::default());
        let token = {
            let _entered = Snapshot::enter(&home, Identity::task(1));
            NUMBER.set(1)
        };
        let token = {
            let other = Cell::new(Snapshot::default());
            let _entered = Snapshot::enter(&other, Identity::task(2));
            NUMBER.try_reset(token).unwrap_err()
        };
        let _entered = Snapshot::enter(&home, Identity::task(1));
        NUMBER.reset(token);
        assert_eq!(NUMBER.get(), Some(0));
    });
}

#[test]
fn a_token_of_another_thread_is_refused() {
    let token = thread::spawn(|| NUMBER.set(1)).join().unwrap();
    in_fresh_thread(move || assert!(NUMBER.try_reset(token).is_err()));
}

#[test]
fn reset_panics_at_the_callers_line_and_says_what_to_do() {
    in_fresh_thread(|| {
        let message = |call: &mut dyn FnMut()| -> String {
            let payload = panic::catch_unwind(AssertUnwindSafe(call)).unwrap_err();
            *payload.downcast().unwrap()
        };
        let text = message(&mut || OTHER.reset(NUMBER.set(1)));
        assert!(
            text.contains("`OTHER` was reset with a token of `NUMBER`"),
            "{text}"
        );
        let text = message(&mut || {
            let token = Some(NUMBER.set(1));
            let token = Cell::new(token);
            Context::new()
                .run(|| NUMBER.reset(token.take().unwrap()))
                .unwrap();
        });
        assert!(text.contains("a token of another context"), "{text}");
    });
}

#[test]
fn clone_and_drop_of_a_value_may_use_variables() {
    crate::context_var! {
        static NOSY: Nosy;
    }
    struct Nosy;
    impl Clone for Nosy {
        fn clone(&self) -> Nosy {
            NUMBER.set(NUMBER.get_or(0) + 1);
            Nosy
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            NUMBER.set(NUMBER.get_or(0) + 10);
        }
    }
    in_fresh_thread(|| {
        let token = NOSY.set(Nosy);
        drop(NOSY.get());
        assert_eq!(NUMBER.get(), Some(11));
        drop(NOSY.set(Nosy));
        assert_eq!(NUMBER.get(), Some(21));
        NOSY.reset(token);
        assert_eq!(NUMBER.get(), Some(31));
    });
}

#[test]
fn variables_are_usable_in_destructors_of_the_thread() {
    struct AtExit(std::sync::mpsc::Sender<(Option<u32>, bool)>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let gone = HELD.try_with(|_| ()).is_err();
            let token = NUMBER.set(8);
            let context = copy_context();
            context.run(|| NUMBER.set(9)).unwrap();
            let home = Cell::new(context.snapshot());
            drop(Snapshot::enter(&home, Identity::UNASSIGNED));
            let _ = NUMBER.with(|number| number.copied());
            assert!(NUMBER.try_reset(token).is_ok());
            self.0.send((NUMBER.get(), gone)).unwrap();
        }
    }
    crate::context_var! { static LAST: Arc<AtExit>; }
    thread_local!(static BEFORE: Cell<Option<AtExit>> = const { Cell::new(None) });
    thread_local!(static AFTER: Cell<Option<AtExit>> = const { Cell::new(None) });
    let (sender, receiver) = std::sync::mpsc::channel();
    in_fresh_thread(move || {
        BEFORE.set(Some(AtExit(sender.clone())));
        // Destroyed with the context itself.
        LAST.set(Arc::new(AtExit(sender.clone())));
        AFTER.set(Some(AtExit(sender)));
        NUMBER.set(7);
    });
    let seen: Vec<_> = receiver.iter().collect();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.contains(&(Some(0), true)),
        "a destructor after the context's: {seen:?}"
    );
    for (number, gone) in seen {
        assert_eq!(number, Some(if gone { 0 } else { 7 }));
    }
}

#[test]
fn debug_shows_no_values() {
    struct Secret;
    static SECRET: ContextVar<Rc<Secret>> = ContextVar::new("SECRET");
    assert_eq!(
        format!("{SECRET:?}"),
        r#"ContextVar { name: "SECRET", .. }"#
    );
    let context = Context::new();
    let token = context.run(|| NUMBER.set(1)).unwrap();
    assert_eq!(
        format!("{context:?}"),
        "Context { variables: 1, entered: false }"
    );
    assert_eq!(format!("{token:?}"), r#"Token { var: "NUMBER", .. }"#);
    assert_eq!(
        format!("{:?}", context.snapshot()),
        "Snapshot { variables: 1 }"
    );
}
