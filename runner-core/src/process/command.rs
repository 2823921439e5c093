//! What is to be started, and how: the standard library's command with awaited ends.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use super::child::Child;
use super::reaper;

/// A process to be started; the [`Command`](std::process::Command) of the standard library, whose children can be awaited.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use asyncio::process::{Command, Stdio};
/// use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
///
/// asyncio::run(async {
///     let mut child = Command::new("cat")
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .kill_on_drop(true)
///         .spawn()?;
///     let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///     input.write_all(b"there and back").await?;
///     input.close().await?;
///     let mut text = String::new();
///     output.read_to_string(&mut text).await?;
///     assert_eq!(text, "there and back");
///     assert!(child.wait().await?.success());
///     std::io::Result::Ok(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "create_subprocess_exec")]
pub struct Command {
    command: std::process::Command,
    kill_on_drop: bool,
    /// Which of the streams were chosen by the program; the others depend on how the command is run.
    chosen: Chosen,
}

#[derive(Debug, Default, Clone, Copy)]
struct Chosen {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Command {
    /// Prepares to start `program`, which is searched for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command::from(std::process::Command::new(program))
    }

    /// Appends an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Command {
        self.command.arg(argument);
        self
    }

    /// Appends arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Command {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.command.env(name, value);
        self
    }

    /// Sets variables of the child's environment.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Command {
        self.command.envs(variables);
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Command {
        self.command.env_remove(name);
        self
    }

    /// Takes all variables out of the child's environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.command.env_clear();
        self
    }

    /// Sets the directory that the child starts in.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.command.current_dir(directory);
        self
    }

    /// Sets what the child reads as its input. Unless set it is inherited, or empty for [`output`](Command::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.chosen.stdin = true;
        self.command.stdin(stdin);
        self
    }

    /// Sets where the child's output goes. Unless set it is inherited, or collected by [`output`](Command::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.chosen.stdout = true;
        self.command.stdout(stdout);
        self
    }

    /// Sets where the child's errors go. Unless set they are inherited, or collected by [`output`](Command::output).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.chosen.stderr = true;
        self.command.stderr(stderr);
        self
    }

    /// Says whether the child is killed when its handle is dropped, and when the runner closes; off unless set.
    ///
    /// Only the child itself is killed, not what it has started in turn.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Starts the child in this process group, or with 0 in a new one of its own. Then Ctrl-C does not reach it.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.command.process_group(group);
        self
    }

    /// Returns the command of the standard library, for whatever else can be set there. Its streams are set here.
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.command
    }

    /// Returns the command of the standard library.
    pub fn as_std(&self) -> &std::process::Command {
        &self.command
    }

    /// Starts the child.
    ///
    /// # Errors
    ///
    /// The system's: `NotFound` if there is no such program; or when the thread that waits for children cannot be started.
    pub fn spawn(&mut self) -> io::Result<Child> {
        reaper::start()?;
        let child = self.command.spawn()?;
        let program = self.command.get_program().to_string_lossy();
        Child::new(child, program.into_owned(), self.kill_on_drop)
    }

    /// Starts the child at once; what is returned waits for its end.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait`].
    ///
    /// # Cancel safety
    ///
    /// The child goes on, or is killed with [`kill_on_drop`](Command::kill_on_drop).
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async move { child?.wait().await }
    }

    /// Starts the child at once; what is returned waits for its end and collects what it writes.
    ///
    /// Unless they are set, both outputs are collected and the input is empty.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait_with_output`].
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a running loop.
    ///
    /// # Cancel safety
    ///
    /// The child goes on, or is killed with [`kill_on_drop`](Command::kill_on_drop); what it wrote is dropped.
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        let chosen = self.chosen;
        if !chosen.stdin {
            self.command.stdin(Stdio::null());
        }
        if !chosen.stdout {
            self.command.stdout(Stdio::piped());
        }
        if !chosen.stderr {
            self.command.stderr(Stdio::piped());
        }
        let child = self.spawn();
        // The next start is by its own rules.
        if !chosen.stdin {
            self.command.stdin(Stdio::inherit());
        }
        if !chosen.stdout {
            self.command.stdout(Stdio::inherit());
        }
        if !chosen.stderr {
            self.command.stderr(Stdio::inherit());
        }
        async move { child?.wait_with_output().await }
    }
}

/// What was set for its streams counts as not set: [`output`](Command::output) sets them anew.
impl From<std::process::Command> for Command {
    fn from(command: std::process::Command) -> Command {
        Command {
            command,
            kill_on_drop: false,
            chosen: Chosen::default(),
        }
    }
}
