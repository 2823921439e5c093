//! The live view: asks once a second, and draws the answer over the one before, until a key ends it.

use std::io::{self, Stdout, Write as _};
use std::time::{Duration, Instant};

use ratatui::backend::TermionBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::client::{Client, has_ended};
use crate::view::Picture;

/// Between two pictures.
const PERIOD: Duration = Duration::from_secs(1);
/// How late a change of the window's size is noticed at most.
const GLANCE: Duration = Duration::from_millis(100);
/// What a page key scrolls by.
const PAGE: isize = 10;

const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The terminal in the live view's mode; given back with this.
struct Screen {
    before: Termios,
    /// What is drawn on; made anew for another size.
    canvas: Option<Terminal<TermionBackend<Stdout>>>,
}

/// What ends a wait.
enum Event {
    /// The time of the next picture has come.
    Due,
    /// The window has another size.
    Resized,
    Scroll(isize),
    End,
}

impl Screen {
    fn begin() -> io::Result<Screen> {
        let before = tcgetattr(stdin())
            .map_err(|_| io::Error::other("top needs a terminal; ps and pstree do not"))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Flush, &raw)?;
        let screen = Screen {
            before,
            canvas: None,
        };
        write(BEGIN)?;
        Ok(screen)
    }

    /// All of the window. One that has no size, as some terminals say, is taken for an ordinary one.
    fn area() -> Rect {
        let size = tcgetwinsize(stdout()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (columns, rows) = size.map_or((80, 24), |it| (it.ws_col, it.ws_row));
        Rect::new(0, 0, columns, rows)
    }

    fn is_resized(&mut self) -> bool {
        let canvas = self.canvas.as_mut();
        canvas.is_some_and(|it| it.get_frame().area() != Screen::area())
    }

    fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if self.is_resized() {
            self.canvas = None;
        }
        let canvas = match self.canvas.take() {
            Some(canvas) => canvas,
            None => {
                write(CLEAR)?;
                let viewport = Viewport::Fixed(Screen::area());
                let backend = TermionBackend::new(io::stdout());
                Terminal::with_options(backend, TerminalOptions { viewport })?
            }
        };
        self.canvas.insert(canvas).draw(draw)?;
        Ok(())
    }

    /// Waits for a key, and no longer than until the next picture is due.
    fn wait(&mut self, due: Instant) -> io::Result<Event> {
        loop {
            if self.is_resized() {
                return Ok(Event::Resized);
            }
            let left = due.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left.min(GLANCE)).map_err(io::Error::other)?;
            let input = stdin();
            let mut watched = [PollFd::new(&input, PollFlags::IN)];
            match poll(&mut watched, Some(&left)) {
                Ok(0) if Instant::now() >= due => return Ok(Event::Due),
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let mut keys = [0; 64];
            let count = rustix::io::read(stdin(), &mut keys)?;
            if let Some(event) = event_of(&keys[..count]) {
                return Ok(event);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.canvas.take());
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
        let _ = write(END);
    }
}

/// What keys mean that were typed together; nothing, as most do. No keys are a terminal that is gone.
fn event_of(mut keys: &[u8]) -> Option<Event> {
    if keys.is_empty() {
        return Some(Event::End);
    }
    let mut scroll = None;
    while let Some((key, rest)) = next_key(keys) {
        keys = rest;
        let by: isize = match key {
            // Ctrl-C is a letter in this mode. Escape is alone, or it is the begin of another key.
            b"q" | b"Q" | b"\x03" | b"\x1b" => return Some(Event::End),
            b"\x1b[A" | b"\x1bOA" | b"k" => -1,
            b"\x1b[B" | b"\x1bOB" | b"j" => 1,
            b"\x1b[5~" => -PAGE,
            b"\x1b[6~" | b" " => PAGE,
            b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" => isize::MIN,
            _ => continue,
        };
        scroll = Some(by.saturating_add(scroll.unwrap_or(0)));
    }
    scroll.map(Event::Scroll)
}

/// Takes the first key out of what was typed.
fn next_key(typed: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match typed {
        [] => return None,
        [b'\x1b', b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
            end.map_or(typed.len(), |end| end + 3)
        }
        [b'\x1b', b'O', _, ..] => 3,
        [b'\x1b', _, ..] => 2,
        _ => 1,
    };
    Some(typed.split_at(length))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows the program's tasks until a key ends it, or the program ends.
pub(crate) fn run(mut client: Client, pid: &str) -> io::Result<()> {
    match show(&mut client) {
        Err(error) if has_ended(&error) => write(&format!("process {pid} has ended\n")),
        shown => shown,
    }
}

fn show(client: &mut Client) -> io::Result<()> {
    let mut screen = Screen::begin()?;
    let (mut before, mut asked) = (client.ask("top")?, Instant::now());
    let mut due = asked + PERIOD / 4;
    let mut picture: Option<Picture> = None;
    let mut first = 0_usize;
    loop {
        match screen.wait(due)? {
            Event::End => return Ok(()),
            Event::Scroll(by) => first = first.saturating_add_signed(by),
            Event::Resized => {}
            Event::Due => {
                let (answer, now) = (client.ask("top")?, Instant::now());
                let seconds = (now - asked).as_secs_f64();
                picture = Some(Picture::new(&answer, &before, seconds));
                (before, asked, due) = (answer, now, now + PERIOD);
            }
        }
        if let Some(picture) = &picture {
            first = first.min(picture.len().saturating_sub(1));
            screen.draw(|frame| picture.draw(frame, first))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrolls(keys: &[u8]) -> Option<isize> {
        match event_of(keys) {
            Some(Event::Scroll(by)) => Some(by),
            Some(_) => panic!("{keys:?} ends it"),
            None => None,
        }
    }

    #[test]
    fn keys_that_were_typed_together_are_told_apart() {
        assert_eq!(scrolls(b"\x1b[B\x1b[6~j\x1b[A"), Some(PAGE + 1));
        assert_eq!(scrolls(b"\x1b[6~\x1b[H"), Some(isize::MIN + PAGE));
        assert_eq!(scrolls(b"x\x1b[C\x1b[1;5C\x1bq\x1b["), None);
    }

    #[test]
    fn a_letter_inside_of_another_key_ends_nothing() {
        for keys in [&b"q"[..], b"\x1b", b"\x03", b"jjQ", b"\x1b[A\x1b", b""] {
            assert!(matches!(event_of(keys), Some(Event::End)), "{keys:?}");
        }
        // Alt-q, and a key that ends with this letter.
        assert!(event_of(b"\x1bq").is_none() && event_of(b"\x1b[3q").is_none());
    }
}
