//! A window on a program that draws: what it writes is kept by an emulated terminal, whose screen tests look at.

// Each test file that includes this one uses a part of it.
#![allow(dead_code)]

use std::num::NonZeroU16;
use std::process::Command;

use vt100::{Parser, Screen};

use crate::child::{Child, Finished, Setup};

/// What is written last: the cursor is hidden after each picture, the screen given back, a line said afterwards.
const PICTURE_ENDS: [&[u8]; 3] = [b"\x1b[?25l", b"\x1b[?1049l", b"\n"];

pub(crate) struct Window {
    child: Child,
    terminal: Parser,
    /// How much of what was written the terminal has got.
    read: usize,
}

fn size(columns: u16, rows: u16) -> (NonZeroU16, NonZeroU16) {
    let of = |count| NonZeroU16::new(count).expect("a window of some size");
    (of(rows), of(columns))
}

impl Window {
    pub(crate) fn open(command: Command, columns: u16, rows: u16) -> Window {
        let child = Setup::new(command).in_window(columns, rows).start();
        let (rows, columns) = size(columns, rows);
        Window {
            child,
            terminal: Parser::new(rows, columns, 0),
            read: 0,
        }
    }

    /// Waits until the screen is as `is_so` wants it. It is looked at between two pictures only, when one is whole.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, is_so: impl Fn(&Screen) -> bool) -> &Screen {
        let (terminal, read) = (&mut self.terminal, &mut self.read);
        self.child.wait_for_output(|written| {
            terminal.process(&written[*read..]);
            *read = written.len();
            let is_whole = PICTURE_ENDS.iter().any(|end| written.ends_with(end));
            (is_whole && is_so(terminal.screen())).then_some(())
        });
        self.terminal.screen()
    }

    /// What was there is gone: all that is seen afterwards was drawn since.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let (new_rows, new_columns) = size(columns, rows);
        self.terminal.set_size(new_rows, new_columns);
        self.terminal.process(b"\x1b[2J");
        self.child.resize(columns, rows);
    }

    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        self.child.type_bytes(bytes);
    }

    pub(crate) fn reads_lines(&self) -> bool {
        self.child.reads_lines()
    }

    /// Waits for the program's end; returns it with the screen as it was left.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (Finished, Screen) {
        let finished = self.child.finish();
        self.terminal
            .process(&finished.stderr.as_bytes()[self.read..]);
        (finished, self.terminal.screen().clone())
    }
}

/// The lines of a screen, without what is blank at their ends and below.
pub(crate) fn lines(screen: &Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let rows = screen.rows(0, columns.get());
    let mut lines: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
