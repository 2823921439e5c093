//! Whether to believe that an operation has used up what there was, or to try.
//!
//! A try that finds nothing is a system call for nothing. But a peer may have answered before the task comes to read again: who
//! tries then goes on at once, and who waits for the event waits for all that is ready. So it is tried again as long as there was
//! something, and ever more rarely where there was not.

use std::cell::Cell;

/// What is believed of one direction of a source.
pub(super) struct Belief {
    /// How often it is believed until the next try.
    left: Cell<u8>,
    /// The same, after the last try that found nothing.
    span: Cell<u8>,
    /// The next operation is a try.
    trying: Cell<bool>,
}

impl Default for Belief {
    fn default() -> Belief {
        Belief {
            left: Cell::new(Belief::FIRST),
            span: Cell::new(Belief::FIRST),
            trying: Cell::new(false),
        }
    }
}

impl Belief {
    /// A connection that lives for a few requests is none to learn from.
    const FIRST: u8 = 15;

    /// An operation says that nothing is left; returns `false` if that is to be tried.
    pub(super) fn holds(&self) -> bool {
        if self.trying.get() {
            // There was something after all.
            self.span.set(0);
            return false;
        }
        match self.left.get() {
            0 => self.trying.set(true),
            left => self.left.set(left - 1),
        }
        !self.trying.get()
    }

    /// An operation found nothing.
    pub(super) fn note_nothing(&self) {
        if self.trying.replace(false) {
            let span = self.span.get().saturating_mul(4).saturating_add(3);
            self.span.set(span);
            self.left.set(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is believed before the next try.
    fn believed(belief: &Belief) -> usize {
        (0..1000).take_while(|_| belief.holds()).count()
    }

    #[test]
    fn a_source_is_tried_ever_more_rarely_as_long_as_there_is_nothing() {
        let belief = Belief::default();
        let mut spans = Vec::new();
        for _ in 0..4 {
            spans.push(believed(&belief));
            belief.note_nothing();
        }
        assert_eq!(spans, [15, 63, 255, 255]);
    }

    #[test]
    fn a_source_is_tried_again_as_long_as_there_is_something() {
        let belief = Belief::default();
        assert_eq!(believed(&belief), 15);
        assert_eq!(believed(&belief), 0);
        assert_eq!(believed(&belief), 0);
        belief.note_nothing();
        assert_eq!(believed(&belief), 3);
        belief.note_nothing();
        assert_eq!(believed(&belief), 15);
    }

    #[test]
    fn what_finds_nothing_without_being_a_try_changes_nothing() {
        let belief = Belief::default();
        belief.note_nothing();
        assert!(belief.holds());
        belief.note_nothing();
        assert_eq!(believed(&belief), 14);
    }
}
