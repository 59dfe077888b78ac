//! The development appview as a child process, written to through its control calls.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::proc::Background;

/// A running appview. Ends when dropped.
pub(crate) struct Appview {
    _server: Background,
    agent: ureq::Agent,
    /// Its origin.
    pub url: String,
}

impl Appview {
    /// Starts one on a free port, with more arguments.
    pub(crate) fn start(program: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["--port", "0"])
            .args(args)
            .stdout(Stdio::piped());
        let mut server = Background::spawn("the appview", command)?;
        let line = server.first_line(Duration::from_secs(20))?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("the appview said {line:?} instead of its URL"))?;
        let url = ready["url"].as_str().context("the appview named no URL")?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false);
        Ok(Self {
            _server: server,
            agent: config.build().into(),
            url: url.to_owned(),
        })
    }

    /// `POST /control/<call>`.
    pub(crate) fn control(&self, call: &str, body: &Value) -> Result<Value> {
        let mut answer = self
            .agent
            .post(format!("{}/control/{call}", self.url))
            .send_json(body)
            .with_context(|| format!("control call {call}"))?;
        let text = answer.body_mut().read_to_string()?;
        if !answer.status().is_success() {
            anyhow::bail!("control call {call}: {} {text}", answer.status());
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Creates a space and lets `members` in; its URI.
    pub(crate) fn space(&self, key: &str, owner: &str, members: &[&str]) -> Result<String> {
        let answer = self.control("space", &json!({ "key": key, "owner": owner }))?;
        let uri = answer["uri"].as_str().context("the new space has no URI")?;
        for did in members.iter().filter(|did| **did != owner) {
            self.control("addMember", &json!({ "spaceUri": uri, "did": did }))?;
        }
        Ok(uri.to_owned())
    }
}
