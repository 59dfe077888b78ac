//! Child processes: run to the end, or kept in the background and ended with us whatever happens.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a child may take to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// Every child that is alive now, for the signal handler.
static ALIVE: Mutex<Vec<Target>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, PartialEq)]
struct Target {
    pid: u32,
    /// Leads its own process group, which is signalled as a whole.
    group: bool,
}

/// A child with a group of its own, so that what it starts ends with it. Dropping it ends the group.
pub(crate) struct Background {
    child: Child,
    target: Target,
    name: String,
}

impl Background {
    /// Starts `command`, with a name for error messages.
    pub(crate) fn spawn(name: &str, mut command: Command) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name} ({command:?})"))?;
        let target = Target {
            pid: child.id(),
            group: true,
        };
        alive(|all| all.push(target));
        Ok(Self {
            child,
            target,
            name: name.to_owned(),
        })
    }

    /// The first line it writes to its piped stdout; an error when it ends or stays silent instead.
    pub(crate) fn first_line(&mut self, patience: Duration) -> Result<String> {
        let stdout = self.child.stdout.take().context("stdout is not piped")?;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = send.send(reader.read_line(&mut line).map(|_| line));
            // Keeps reading, so that the child never blocks on a full pipe.
            let _ = std::io::copy(&mut reader, &mut std::io::stderr());
        });
        let line = receive
            .recv_timeout(patience)
            .with_context(|| format!("{} said nothing within {patience:?}", self.name))??;
        if line.is_empty() {
            bail!("{} ended before it was ready", self.name);
        }
        Ok(line.trim().to_owned())
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        alive(|all| all.retain(|t| *t != self.target));
        signal(self.target, false);
        let until = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        // Also reaches what outlived the group's leader.
        signal(self.target, true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command with inherited output; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    finish(command, |_| ())
}

/// As [`run`], and hands every line of stdout to `line` after it was printed.
pub(crate) fn run_reading(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    eprintln!("$ {}", shown(command));
    command.stdout(Stdio::piped());
    finish(command, |child| {
        let Some(stdout) = child.stdout.take() else {
            return;
        };
        for text in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            line(&text);
        }
    })
}

fn finish(command: &mut Command, read: impl FnOnce(&mut Child)) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let target = Target {
        pid: child.id(),
        group: false,
    };
    alive(|all| all.push(target));
    read(&mut child);
    let status = child.wait();
    alive(|all| all.retain(|t| *t != target));
    let status = status?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// What a command prints, or `None` when it cannot be run or fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program)
        .args(args)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Where `program` is in PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(&name))
        .find(|path| path.is_file())
}

/// Ctrl-C, SIGTERM and SIGHUP end every child, then this process.
pub(crate) fn end_children_on_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        let all = alive(|all| all.clone());
        all.iter().for_each(|t| signal(*t, false));
        let until = Instant::now() + GRACE;
        while all.iter().any(|t| runs(*t)) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        all.iter().for_each(|t| signal(*t, true));
        std::process::exit(130);
    })
    .context("cannot handle signals")
}

fn alive<T>(act: impl FnOnce(&mut Vec<Target>) -> T) -> T {
    act(&mut ALIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(unix)]
fn signal(target: Target, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let Some(pid) = i32::try_from(target.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    // Gone already is as good as ended.
    let _ = if target.group {
        kill_process_group(pid, signal)
    } else {
        kill_process(pid, signal)
    };
}

#[cfg(unix)]
fn runs(target: Target) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let exists = i32::try_from(target.pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| test_kill_process(pid).is_ok());
    // Linux: one that has ended stays listed, as a zombie, until its parent asks.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid)).unwrap_or_default();
    exists
        && !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
}

#[cfg(not(unix))]
fn signal(target: Target, kill: bool) {
    if kill {
        let pid = target.pid.to_string();
        let _ = Command::new("taskkill")
            .args(["/T", "/F", "/PID", &pid])
            .output();
    }
}

#[cfg(not(unix))]
fn runs(_: Target) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    #[test]
    fn a_dropped_child_ends_together_with_what_it_started() {
        let mut child = Background::spawn("sh", shell("sleep 600 & echo $!; wait")).unwrap();
        let grandchild: u32 = child.first_line(GRACE).unwrap().parse().unwrap();
        let grandchild = Target {
            pid: grandchild,
            group: false,
        };
        assert!(runs(grandchild));
        drop(child);
        let until = Instant::now() + GRACE;
        while runs(grandchild) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        assert!(!runs(grandchild));
    }

    #[test]
    fn a_child_that_ends_or_stays_silent_before_it_is_ready_is_an_error() {
        let mut ends = Background::spawn("ends", shell("exit 3")).unwrap();
        assert!(
            ends.first_line(GRACE)
                .unwrap_err()
                .to_string()
                .contains("ended")
        );
        let mut silent = Background::spawn("silent", shell("sleep 600")).unwrap();
        assert!(
            silent
                .first_line(POLL)
                .unwrap_err()
                .to_string()
                .contains("nothing")
        );
    }

    #[test]
    fn a_failed_command_is_an_error_and_its_lines_were_read() {
        let mut lines = Vec::new();
        let outcome = run_reading(&mut shell("echo a; echo b; exit 1"), |line| {
            lines.push(line.to_owned());
        });
        assert!(outcome.is_err());
        assert_eq!(lines, ["a", "b"]);
    }
}
