//! What the commands need from the system, how to see that it is there, and what each platform calls it.

use crate::proc;

/// What something is needed for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Need {
    /// Compiling the workspace and the front ends.
    Build,
    /// A window without a display, driven from outside.
    Window,
    /// A Secret Service of the tests' own.
    Keyring,
}

impl Need {
    /// Everything that has a use on this platform.
    pub(crate) fn all() -> Vec<Self> {
        if cfg!(target_os = "linux") {
            vec![Self::Build, Self::Window, Self::Keyring]
        } else {
            vec![Self::Build]
        }
    }
}

enum Probe {
    Program(&'static str),
    Library(&'static str),
    Font(&'static str),
}

impl Probe {
    fn found(&self) -> bool {
        match self {
            Self::Program(name) => proc::find(name).is_some(),
            Self::Library(name) => proc::output("pkg-config", &["--exists", name]).is_some(),
            Self::Font(family) => {
                proc::output("fc-list", &[&format!(":family={family}"), "family"])
                    .is_some_and(|list| !list.is_empty())
            }
        }
    }
}

/// One thing that must be there.
pub(super) struct Entry {
    need: Need,
    /// What people call it.
    pub what: &'static str,
    probe: Probe,
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
}

const fn entry(
    need: Need,
    what: &'static str,
    probe: Probe,
    [apt, dnf, pacman]: [&'static str; 3],
) -> Entry {
    Entry {
        need,
        what,
        probe,
        apt,
        dnf,
        pacman,
    }
}

const NODE: Entry = entry(
    Need::Build,
    "Node.js",
    Probe::Program("node"),
    ["nodejs", "nodejs", "nodejs"],
);
const COMPILER: Entry = entry(
    Need::Build,
    "a C compiler",
    Probe::Program("cc"),
    ["build-essential", "gcc", "base-devel"],
);

static LINUX: [Entry; 13] = [
    COMPILER,
    entry(
        Need::Build,
        "pkg-config",
        Probe::Program("pkg-config"),
        ["pkg-config", "pkgconf-pkg-config", "pkgconf"],
    ),
    entry(
        Need::Build,
        "WebKitGTK 4.1",
        Probe::Library("webkit2gtk-4.1"),
        [
            "libwebkit2gtk-4.1-dev",
            "webkit2gtk4.1-devel",
            "webkit2gtk-4.1",
        ],
    ),
    NODE,
    entry(
        Need::Build,
        "npm",
        Probe::Program("npm"),
        ["npm", "npm", "npm"],
    ),
    entry(
        Need::Window,
        "Xvfb",
        Probe::Program("Xvfb"),
        ["xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb"],
    ),
    entry(
        Need::Window,
        "WebKitWebDriver",
        Probe::Program("WebKitWebDriver"),
        [
            "webkit2gtk-driver",
            "/usr/bin/WebKitWebDriver",
            "webkitgtk-6.0",
        ],
    ),
    entry(
        Need::Window,
        "fontconfig",
        Probe::Program("fc-list"),
        ["fontconfig", "fontconfig", "fontconfig"],
    ),
    entry(
        Need::Window,
        "a text font",
        Probe::Font("DejaVu Sans"),
        ["fonts-dejavu-core", "dejavu-sans-fonts", "ttf-dejavu"],
    ),
    entry(
        Need::Window,
        "an emoji font",
        Probe::Font("Noto Color Emoji"),
        [
            "fonts-noto-color-emoji",
            "google-noto-color-emoji-fonts",
            "noto-fonts-emoji",
        ],
    ),
    entry(
        Need::Keyring,
        "dbus-run-session",
        Probe::Program("dbus-run-session"),
        ["dbus-daemon", "dbus-daemon", "dbus"],
    ),
    entry(
        Need::Keyring,
        "gnome-keyring",
        Probe::Program("gnome-keyring-daemon"),
        ["gnome-keyring", "gnome-keyring", "gnome-keyring"],
    ),
    entry(
        Need::Keyring,
        "gdbus",
        Probe::Program("gdbus"),
        ["libglib2.0-bin", "glib2", "glib2"],
    ),
];

static MACOS: [Entry; 2] = [COMPILER, NODE];
static WINDOWS: [Entry; 1] = [NODE];

/// What serves `needs` and is not there.
pub(super) fn missing(needs: &[Need]) -> Vec<&'static Entry> {
    let here: &[Entry] = match std::env::consts::OS {
        "macos" => &MACOS,
        "windows" => &WINDOWS,
        _ => &LINUX,
    };
    here.iter()
        .filter(|entry| needs.contains(&entry.need) && !entry.probe.found())
        .collect()
}

/// Who installs programs here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Manager {
    Apt,
    Dnf,
    Pacman,
    Brew,
    Winget,
}

impl Manager {
    /// The one of this machine, if it is a known one.
    pub(super) fn here() -> Option<Self> {
        match std::env::consts::OS {
            "macos" => Some(Self::Brew),
            "windows" => Some(Self::Winget),
            _ => [
                ("apt-get", Self::Apt),
                ("dnf", Self::Dnf),
                ("pacman", Self::Pacman),
            ]
            .into_iter()
            .find(|(program, _)| proc::find(program).is_some())
            .map(|(_, manager)| manager),
        }
    }

    /// Whether installing is root's business.
    pub(super) fn wants_root(self) -> bool {
        matches!(self, Self::Apt | Self::Dnf | Self::Pacman)
    }

    /// The command that installs `entries`, word by word.
    pub(super) fn install(self, entries: &[&Entry]) -> Option<Vec<String>> {
        let (start, name): (&str, fn(&Entry) -> &'static str) = match self {
            Self::Apt => ("apt-get install -y --no-install-recommends", |e| e.apt),
            Self::Dnf => ("dnf install", |e| e.dnf),
            Self::Pacman => ("pacman -S --needed", |e| e.pacman),
            Self::Brew => {
                // The compiler comes from Apple, and comes first.
                let compiler = entries.iter().any(|e| e.what == COMPILER.what);
                let start = if compiler {
                    "xcode-select --install"
                } else {
                    "brew install node"
                };
                return Some(words(start));
            }
            Self::Winget => return Some(words("winget install OpenJS.NodeJS.LTS")),
        };
        let mut command = words(start);
        command.extend(entries.iter().map(|entry| name(entry).to_owned()));
        Some(command)
    }
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<&'static Entry> {
        LINUX.iter().collect()
    }

    #[test]
    fn apt_installs_without_questions_and_without_recommended_packages() {
        let command = Manager::Apt.install(&all()).unwrap().join(" ");
        assert!(command.starts_with("apt-get install -y --no-install-recommends "));
        for package in [
            "libwebkit2gtk-4.1-dev",
            "webkit2gtk-driver",
            "xvfb",
            "gnome-keyring",
        ] {
            assert!(command.split(' ').any(|word| word == package), "{package}");
        }
    }

    #[test]
    fn every_manager_names_every_need_in_its_own_words() {
        let lengths =
            [Manager::Dnf, Manager::Pacman].map(|manager| manager.install(&all()).unwrap().len());
        assert_eq!(lengths, [2 + LINUX.len(), 3 + LINUX.len()]);
        let mac: Vec<_> = MACOS.iter().collect();
        assert_eq!(
            Manager::Brew.install(&mac).unwrap().join(" "),
            "xcode-select --install"
        );
        assert_eq!(
            Manager::Brew.install(&mac[1..]).unwrap().join(" "),
            "brew install node"
        );
    }

    #[test]
    fn a_missing_program_a_missing_library_and_a_missing_font_are_seen() {
        assert!(!Probe::Program("no-such-program").found());
        assert!(!Probe::Library("no-such-library").found());
        assert!(!Probe::Font("No Such Font").found());
        assert!(Probe::Program("cargo").found());
    }
}
