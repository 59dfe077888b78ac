//! What the processes of the app have used, as Linux counts it. Elsewhere nothing is known.

use std::fs::read_to_string;

use serde::Serialize;

/// The name of WebKitGTK's process that runs the page, as far as Linux keeps it.
const WEB: &str = "WebKitWebProces";
/// And of the one that holds its connections.
const NETWORK: &str = "WebKitNetworkPr";

/// Times are in milliseconds since each process began, memory in MiB.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// Processor time of the thread that runs the page's JavaScript, layout and painting.
    pub main_thread: Option<f64>,
    /// Processor time of all threads of the app's own process.
    pub app: Option<f64>,
    /// Of the process that runs the page.
    pub web: Option<f64>,
    /// Of the one that holds the page's connections.
    pub network: Option<f64>,
    /// Resident memory of the app's own process.
    pub app_memory: Option<f64>,
    /// Of the process that runs the page.
    pub web_memory: Option<f64>,
}

/// Reads the counters.
pub(crate) fn now() -> Usage {
    let app = std::process::id();
    let (web, network) = (child(app, WEB), child(app, NETWORK));
    Usage {
        main_thread: web.and_then(|it| thread_time(it, it)),
        app: process_time(app),
        web: web.and_then(process_time),
        network: network.and_then(process_time),
        app_memory: memory(app),
        web_memory: web.and_then(memory),
    }
}

/// The process with this name that `parent` started.
fn child(parent: u32, name: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| {
            let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            field(&status, "Name:") == Some(name)
                && field(&status, "PPid:").and_then(|it| it.parse().ok()) == Some(parent)
        })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()
}

fn process_time(pid: u32) -> Option<f64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let ids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Some(ids.filter_map(|thread| thread_time(pid, thread)).sum())
}

fn thread_time(pid: u32, thread: u32) -> Option<f64> {
    let times = read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
    let nanoseconds: f64 = times.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e6)
}

fn memory(pid: u32) -> Option<f64> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib: f64 = field(&status, "VmRSS:")?.parse().ok()?;
    Some(kib / 1024.0)
}
