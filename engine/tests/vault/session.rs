//! A private D-Bus session with a real gnome-keyring for one test.
//!
//! The session's address is an environment variable, which belongs to the whole process. So each test runs
//! itself once more, alone, in a process inside its own session: it may stop, kill and lock that keyring.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dbus::{arg::Variant, blocking::Connection, message::MatchRule};
use dbus_secret_service_keyring_store::Store;
use keyring_core::{CredentialStore, Entry};

/// What a test finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// No session bus.
    Bare,
    /// A session bus without a keyring.
    Bus,
    /// A session bus with an unlocked keyring.
    Keyring,
}

/// Names the test that the inner process runs.
const INNER: &str = "CONTRAIL_VAULT_CASE";
/// Begins every secret of these tests, and nothing else.
pub(crate) const MARK: &str = "hush-";
/// The service of most vaults in these tests.
pub(crate) const SERVICE: &str = "org.example.chat";

/// The keyring's name on the bus.
const SECRETS: &str = "org.freedesktop.secrets";
/// The keyring's collection that the user's password opens.
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// A name on the bus, its old and its new owner.
type Names = (String, String, String);

/// A bus that starts no service by itself, as another keyring would take the place of the one under test.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"#;

/// Runs `body`, a closure in a test, on such a machine; then sees that nothing secret was logged.
pub(crate) fn on<F: AsyncFnOnce(&mut Session)>(machine: Machine, body: F) {
    let test = test_of::<F>();
    if env::var_os(INNER).as_deref() != Some(OsStr::new(test)) {
        return in_session(machine, test);
    }
    let mut session = Session::new(test);
    if machine == Machine::Keyring {
        session.start();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(body(&mut session));
    // Waits for blocking tasks: a vault must not have any.
    drop(runtime);
    assert!(!session.log().contains(MARK), "logged: {}", session.log());
}

/// The name of the test that a closure is in. Were it wrong, the inner process would run no test.
fn test_of<F>() -> &'static str {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").expect("a path").1
}

fn in_session(machine: Machine, test: &str) {
    let home = tempfile::Builder::new()
        .prefix("vault-")
        .tempdir()
        .expect("home");
    let run = home.path().join("run");
    fs::create_dir(&run).expect("runtime directory");
    private(&run);
    let bus = home.path().join("bus.conf");
    fs::write(&bus, BUS).expect("bus configuration");

    // A hanging process is a failure, not a hanging test run.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", "60"]);
    if machine != Machine::Bare {
        command
            .arg("dbus-run-session")
            .arg("--config-file")
            .arg(&bus)
            .arg("--");
    }
    command.arg(env::current_exe().expect("own path")).args([
        "--exact",
        test,
        "--nocapture",
        "--test-threads=1",
    ]);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("XDG_") || name.starts_with("DBUS_") || name.ends_with("DISPLAY") {
            command.env_remove(name);
        }
    }
    let output = command
        .env(INNER, test)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &run)
        .output()
        .expect("timeout (coreutils) and dbus-run-session (dbus-daemon) are installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("permissions");
}

/// The inner process: its keyring and its log.
pub(crate) struct Session {
    /// The test's name.
    pub test: &'static str,
    daemon: Option<u32>,
    log: Log,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Session {
    fn new(test: &'static str) -> Self {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        Self {
            test,
            daemon: None,
            log,
        }
    }

    /// Everything logged so far, at every level, also by the keyring's libraries.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().expect("log")).into_owned()
    }

    /// How many warnings were logged.
    pub(crate) fn warnings(&self) -> usize {
        let log = self.log();
        log.lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
            .count()
    }

    /// Starts a keyring and unlocks it, or creates it with an empty password.
    pub(crate) fn start(&mut self) {
        let bus = Connection::new_session().expect("the session bus");
        let owned = Arc::new(AtomicBool::new(false));
        let seen = owned.clone();
        let signal = MatchRule::new_signal("org.freedesktop.DBus", "NameOwnerChanged");
        bus.add_match(signal, move |(name, _, new): Names, _, _| {
            seen.fetch_or(name == SECRETS && !new.is_empty(), Ordering::Relaxed);
            true
        })
        .expect("a match");
        let mut starter = Command::new("gnome-keyring-daemon")
            .args(["--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring is installed");
        let mut password = starter.stdin.take().expect("stdin");
        password.write_all(b"\n").expect("password");
        drop(password);
        assert!(starter.wait().expect("gnome-keyring-daemon").success());
        // It takes its name only after the command has ended.
        while !owned.load(Ordering::Relaxed) {
            bus.process(Duration::from_secs(30))
                .expect("the session bus");
        }
        let (pid,) = bus
            .with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", TIMEOUT)
            .method_call(
                "org.freedesktop.DBus",
                "GetConnectionUnixProcessID",
                (SECRETS,),
            )
            .expect("a process id");
        assert_ne!(self.daemon.replace(pid), Some(pid));
    }

    /// Sends the keyring a signal: `STOP`, `CONT` or `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.daemon.expect("a running keyring");
        let kill = format!("kill -s {signal} {pid}");
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh");
        assert!(status.success());
    }

    /// Has the keyring ask for its password where nobody sees it, while the result lives.
    pub(crate) fn prompter_that_waits_for_ever(&self) -> Prompter {
        let bus = Connection::new_session().expect("the session bus");
        bus.request_name("org.gnome.keyring.SystemPrompter", false, true, false)
            .expect("the prompter's name");
        Prompter(bus)
    }

    /// Unlocks the keyring by its password, as the user's login does.
    pub(crate) fn unlock(&mut self) {
        let bus = Connection::new_session().expect("the session bus");
        let secrets = bus.with_proxy(SECRETS, "/org/freedesktop/secrets", TIMEOUT);
        let plain = ("plain", Variant(""));
        let (_, session): (Variant<String>, dbus::Path) = secrets
            .method_call("org.freedesktop.Secret.Service", "OpenSession", plain)
            .expect("a session");
        let password = (session, Vec::<u8>::new(), b"\n".to_vec(), "text/plain");
        let () = secrets
            .method_call(
                "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
                "UnlockWithMasterPassword",
                (dbus::Path::from(LOGIN), password),
            )
            .expect("unlocked");
    }

    /// Locks the keyring as the user's screen lock may do.
    pub(crate) fn lock(&self) {
        let bus = Connection::new_session().expect("the session bus");
        let login = vec![dbus::Path::from(LOGIN)];
        let (locked, _prompt): (Vec<dbus::Path>, dbus::Path) = bus
            .with_proxy(SECRETS, "/org/freedesktop/secrets", TIMEOUT)
            .method_call("org.freedesktop.Secret.Service", "Lock", (login,))
            .expect("an answer");
        assert_eq!(locked.len(), 1);
    }
}

/// A screen where the keyring's prompts appear, and nobody who answers them.
pub(crate) struct Prompter(#[expect(dead_code, reason = "owns the name")] Connection);

impl Drop for Session {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.signal("KILL");
        }
    }
}

/// The keyring as other programs see it.
pub(crate) struct Outside(Arc<CredentialStore>);

impl Outside {
    pub(crate) fn open() -> Self {
        Self(Store::new().expect("a keyring"))
    }

    pub(crate) fn item(&self, name: &str) -> Entry {
        self.0.build(SERVICE, name, None).expect("an entry")
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.item(name).get_secret().ok()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.item(name).set_secret(bytes.as_ref()).expect("written");
    }

    /// The names of all items of the tests' service.
    pub(crate) fn names(&self) -> Vec<String> {
        let all = self.0.search(&[("service", SERVICE)].into());
        let mut names: Vec<_> = all
            .expect("a listing")
            .iter()
            .map(|entry| entry.get_specifiers().expect("an item of ours").1)
            .collect();
        names.sort();
        names
    }
}
