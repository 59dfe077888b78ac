//! The app that is killed: this test binary again, in a process of its own. Its lines of interest start with `> `.

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use contrail_sync_engine::{Cache, CacheConfig};

use super::{
    common::*,
    traffic::{ACCOUNTS, Watched, watch_of, wrong},
};

/// No test takes this long unless it hangs.
const LONGEST_LIFE: Duration = Duration::from_secs(60);

pub(crate) struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl App {
    /// `logout` makes it log the second account out once all is live.
    pub(crate) fn start(file: &Path, watches: &[Watched; 2], logout: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap());
        Self::of(
            child.env("KILLS_LOGOUT", if logout { "1" } else { "" }),
            file,
            watches,
        )
    }

    /// The same by another command that comes to it in the end.
    pub(crate) fn of(command: &mut Command, file: &Path, watches: &[Watched; 2]) -> Self {
        for (n, watch) in watches.iter().enumerate() {
            command.env(format!("KILLS_URL{n}"), watch.spec.url.as_str());
            command.env(format!("KILLS_TICKET{n}"), &watch.ticket);
        }
        let mut child = command
            .args(["app::app", "--exact", "--ignored", "--nocapture"])
            .env("KILLS_FILE", file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says up to this, or to its end.
    pub(crate) fn until(&mut self, last: &str) -> Vec<String> {
        let mut said = Vec::new();
        for line in self.lines.by_ref() {
            let Some((_, line)) = line.as_ref().ok().and_then(|it| it.split_once("> ")) else {
                continue;
            };
            said.push(line.to_owned());
            if line == last {
                break;
            }
        }
        said
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Kills it, and gives what it said that was not heard yet.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.until("")
    }

    /// Ends it as an app ends.
    pub(crate) fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let said = self.until("");
        assert!(self.child.wait().unwrap().success(), "{said:?}");
        said
    }
}

fn say(line: impl std::fmt::Display) {
    println!("> {line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests"]
async fn app() {
    let Ok(file) = std::env::var("KILLS_FILE") else {
        return;
    };
    // Whoever waits for a word that never comes hears of its end.
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST_LIFE);
        std::process::exit(1);
    });
    let mut config = CacheConfig::new(Some(file.into()));
    config.retry_after = Duration::from_millis(200);
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    let engine = engine_with(|engine| engine.cache = Some(cache));
    let mut warnings = engine.cache().unwrap().warnings();
    let mut watches = Vec::new();
    for (n, did) in ACCOUNTS.into_iter().enumerate() {
        let of = |name: &str| std::env::var(format!("KILLS_{name}{n}")).unwrap();
        let spec = watch_of(of("URL").parse().unwrap(), did, &of("TICKET"));
        watches.push((did, engine.watch(spec).await));
    }
    for (did, watch) in &watches {
        let state = until(watch, |it| !it.entries.is_empty()).await;
        if let Some(wrong) = wrong(&state, did, u64::MAX) {
            say(format!("wrong: {wrong}"));
        }
        until_live(watch).await;
    }
    say("live");
    if std::env::var("KILLS_LOGOUT").is_ok_and(|it| !it.is_empty()) {
        let (did, watch) = watches.pop().unwrap();
        drop(watch);
        engine.clear_cache(None, Some(did.into())).await.unwrap();
        say("logged out");
    }
    let (ended, mut end_asked) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().for_each(drop);
        let _ = ended.send(());
    });
    loop {
        let delta = watches[0].1.next();
        tokio::select! {
            delta = delta => drop(delta.unwrap()),
            warning = warnings.recv() => say(format!("warning: {:?}", warning.unwrap().kind)),
            _ = &mut end_asked => break,
        }
    }
    for (_, watch) in &watches {
        let state = watch.state().await.unwrap();
        say(format!("ends {:?} {:?}", state.status, state.error));
    }
    engine.flush(Duration::from_secs(5)).await;
    let memory_only = engine.cache().unwrap().info().await.unwrap().memory_only;
    say(format!("memory only: {memory_only}"));
    engine.cache().unwrap().close().await.unwrap();
}
