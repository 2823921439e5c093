//! Timers against a sorted list, and at the places where numbers wrap.

use super::*;

/// A small generator of numbers that look random and are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The same by the simplest means: a list in order of insertion.
#[derive(Default)]
struct Model {
    /// Deadline, key and value of every timer.
    timers: Vec<(u64, TimerKey, u64)>,
}

impl Model {
    fn first(&self) -> Option<usize> {
        (0..self.timers.len()).min_by_key(|&index| self.timers[index].0)
    }

    fn next_deadline(&self) -> Option<u64> {
        self.first()
            .map(|first| self.timers[first].0)
            .filter(|&deadline| deadline != NEVER)
    }

    fn pop_expired(&mut self, now: u64) -> Option<u64> {
        let first = self.first()?;
        let deadline = self.timers[first].0;
        (deadline <= now && deadline != NEVER).then(|| self.timers.remove(first).2)
    }
}

fn expired(timers: &mut Timers<u64>, now: u64) -> Vec<u64> {
    std::iter::from_fn(|| timers.pop_expired(now)).collect()
}

#[test]
fn entries_are_sixteen_bytes() {
    assert_eq!(size_of::<Entry>(), 16);
    assert_eq!(size_of::<TimerKey>(), 8);
}

#[test]
fn behaves_like_a_sorted_list() {
    for seed in 1..=20 {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut timers = Timers::new();
        // Half of the runs cross the wrap of the sequence number.
        timers.next_seq = if seed % 2 == 0 { u32::MAX - 500 } else { 0 };
        let mut model = Model::default();
        let mut gone = Vec::new();
        let mut now = 0;
        // Later runs remove most of what they insert, as timeouts do.
        let removals = if seed > 10 { 45 } else { 15 };
        for value in 0..4_000 {
            match numbers.below(100) {
                roll if roll < removals && !model.timers.is_empty() => {
                    let index = numbers.below(model.timers.len() as u64) as usize;
                    let (_, key, expected) = model.timers.remove(index);
                    assert_eq!(timers.get_mut(key).copied(), Some(expected));
                    assert_eq!(timers.remove(key), Some(expected));
                    gone.push(key);
                }
                roll if roll < 90 => {
                    // Few different deadlines, so that ties are common; some are past, some never come.
                    let deadline = match numbers.below(50) {
                        0 => NEVER,
                        far @ 1..10 => now + far * 1_000_000_000_000,
                        near => (now + near).saturating_sub(15),
                    };
                    let key = timers.insert(deadline, value);
                    model.timers.push((deadline, key, value));
                }
                _ => {
                    now += numbers.below(20);
                    assert_eq!(timers.next_deadline(), model.next_deadline());
                    while let Some(expected) = model.pop_expired(now) {
                        assert_eq!(timers.pop_expired(now), Some(expected), "seed {seed}");
                    }
                    assert_eq!(timers.pop_expired(now), None);
                }
            }
            assert_eq!(timers.len(), model.timers.len());
            assert_eq!(timers.is_empty(), model.timers.is_empty());
            let dead = timers.heap.len() - timers.len();
            assert!(dead <= SWEEP_ABOVE.max(timers.len()), "{dead} dead");
        }
        assert!(gone.iter().all(|&key| timers.remove(key).is_none()));
        let mut left: Vec<u64> = timers.drain().collect();
        left.sort_unstable();
        let mut expected: Vec<u64> = model.timers.iter().map(|timer| timer.2).collect();
        expected.sort_unstable();
        assert_eq!(left, expected);
        assert_eq!(timers.next_deadline(), None);
    }
}

#[test]
fn timers_of_one_deadline_leave_in_the_order_in_which_they_came() {
    for start in [0, u32::MAX - 500, i32::MAX as u32 - 500] {
        let mut timers = Timers::new();
        timers.next_seq = start;
        for value in 0..1_000 {
            timers.insert(7, value);
        }
        assert!(expired(&mut timers, 7).into_iter().eq(0..1_000));
    }
}

#[test]
fn order_holds_across_every_boundary_of_a_clock() {
    const MS: u64 = 1_000_000;
    const DAY: u64 = 86_400_000 * MS;
    let boundaries = [
        1 << 31,
        1 << 32,
        (1 << 31) * MS,
        (1 << 32) * MS,
        (1 << 36) * MS,
        12 * DAY,
        49 * DAY + 61_200_000 * MS,
        840 * DAY,
        31 * 366 * DAY,
        1 << 63,
    ];
    for boundary in boundaries {
        let mut timers = Timers::new();
        for value in [3, 1, 2, 0, 4] {
            timers.insert(boundary - 2 + value, value);
        }
        assert_eq!(timers.next_deadline(), Some(boundary - 2));
        assert_eq!(expired(&mut timers, boundary - 3), [0_u64; 0]);
        assert_eq!(expired(&mut timers, boundary - 1), [0, 1]);
        assert_eq!(expired(&mut timers, boundary), [2]);
        assert_eq!(expired(&mut timers, u64::MAX), [3, 4]);
    }
}

#[test]
fn a_timer_that_never_expires_can_still_be_removed() {
    let mut timers = Timers::new();
    let never = timers.insert(NEVER, 1);
    timers.insert(NEVER - 1, 2);
    assert_eq!(timers.next_deadline(), Some(NEVER - 1));
    assert_eq!(expired(&mut timers, NEVER), [2]);
    assert_eq!(timers.next_deadline(), None);
    assert_eq!(timers.len(), 1);
    assert_eq!(timers.remove(never), Some(1));
    assert!(timers.is_empty());
}

#[test]
fn a_key_outlives_its_timer_harmlessly() {
    let mut timers = Timers::new();
    let removed = timers.insert(1, 1);
    assert_eq!(timers.remove(removed), Some(1));
    let reused = timers.insert(2, 2);
    assert_eq!(reused.slot, removed.slot);
    assert_eq!(timers.remove(removed), None);
    assert_eq!(timers.get_mut(removed), None);
    // The entry of the removed timer neither fires its successor nor hides it.
    assert_eq!(timers.pop_expired(1), None);
    assert_eq!(timers.pop_expired(2), Some(2));
    assert_eq!(timers.get_mut(reused), None);
}

#[test]
fn removed_timers_are_swept_once_they_outnumber_the_others() {
    let mut timers = Timers::new();
    let keys: Vec<TimerKey> = (0..300).map(|value| timers.insert(value, value)).collect();
    for &key in &keys[..150] {
        timers.remove(key);
    }
    assert_eq!(timers.heap.len(), 300); // as many dead as living
    timers.remove(keys[150]);
    assert_eq!(timers.heap.len(), 149); // one more
    assert!(expired(&mut timers, 300).into_iter().eq(151..300));
}

#[test]
fn removed_timers_are_swept_when_the_others_expire() {
    let mut timers = Timers::new();
    let keys: Vec<TimerKey> = (0..400).map(|value| timers.insert(value, value)).collect();
    for &key in &keys[200..350] {
        timers.remove(key);
    }
    assert_eq!(timers.heap.len(), 400);
    assert!(expired(&mut timers, 199).into_iter().eq(0..200));
    assert_eq!(timers.heap.len(), timers.len());
    assert!(expired(&mut timers, 400).into_iter().eq(350..400));
}

#[test]
fn a_few_removed_timers_are_not_worth_a_sweep() {
    let mut timers = Timers::new();
    let keys: Vec<TimerKey> = (0..101).map(|value| timers.insert(value, value)).collect();
    for &key in &keys[..100] {
        timers.remove(key);
    }
    assert_eq!(timers.heap.len(), 101);
    timers.remove(keys[100]);
    assert_eq!(timers.heap.len(), 0);
}

#[test]
fn a_pile_of_removed_timers_on_top_is_dropped_by_the_next_look() {
    let mut timers = Timers::new();
    let keys: Vec<TimerKey> = (0..50).map(|value| timers.insert(value, value)).collect();
    timers.insert(99, 99);
    for key in keys {
        timers.remove(key);
    }
    assert_eq!(timers.next_deadline(), Some(99));
    assert_eq!(timers.heap.len(), 1);
}
