//! The live view: asks once a second, and draws the answer over the one before, until a key ends it.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::client::Client;
use crate::print::picture;

/// Between two pictures.
const PERIOD: Duration = Duration::from_secs(1);

const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The terminal in the live view's mode; given back with this.
struct Screen {
    before: Termios,
}

impl Screen {
    fn begin() -> io::Result<Screen> {
        let before = tcgetattr(stdin())
            .map_err(|_| io::Error::other("top needs a terminal; ps and pstree do not"))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Flush, &raw)?;
        let screen = Screen { before };
        write(BEGIN)?;
        Ok(screen)
    }

    /// Columns and rows.
    fn size() -> (usize, usize) {
        let size = tcgetwinsize(stdout()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |it| (it.ws_col.into(), it.ws_row.into()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(END);
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows the program's tasks until a key ends it, or the program ends.
pub(crate) fn run(mut client: Client, pid: &str) -> io::Result<()> {
    let shown = show(&mut client);
    match shown {
        Err(error) if error.to_string() == "the program has ended" => {
            write(&format!("process {pid} has ended\n"))
        }
        shown => shown,
    }
}

fn show(client: &mut Client) -> io::Result<()> {
    let _screen = Screen::begin()?;
    let (mut before, mut asked) = (client.ask("top")?, Instant::now());
    write(CLEAR)?;
    let mut patience = PERIOD / 4;
    while !is_ended(patience)? {
        let (answer, now) = (client.ask("top")?, Instant::now());
        let seconds = (now - asked).as_secs_f64();
        let text = picture(&answer, &before, seconds, Screen::size());
        write(&format!("{CLEAR}{text}"))?;
        (before, asked, patience) = (answer, now, PERIOD);
    }
    Ok(())
}

/// Waits for a key: `q`, Escape, or Ctrl-C, which is a letter in this mode.
fn is_ended(patience: Duration) -> io::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let input = stdin();
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut watched, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            // A resized window: the next picture knows.
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 16];
        let count = rustix::io::read(stdin(), &mut keys)?;
        if count == 0 || keys[..count].iter().any(|key| b"qQ\x1b\x03".contains(key)) {
            return Ok(true);
        }
    }
}
