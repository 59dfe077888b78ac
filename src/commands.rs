//! The IPC surface: one thin function per command.

use contrail_sync_engine::{Edit, NewRecord, WriteChanges, WriteInfo};
use tauri::{
    Runtime, State, Webview,
    ipc::{CommandScope, GlobalScope, Response},
};

use crate::{
    ContrailSync,
    bridge::{
        self, Deed, Inspection, Wanted,
        payload::{InfoPayload, WarningPayload},
    },
    config::WatchOptions,
    error::{Error, Result},
    scope::{Entry, Scope},
};

/// Opens a watch for a page, or finds it open, and answers its state.
#[tauri::command]
pub(crate) async fn open_watch<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    command_scope: CommandScope<Entry>,
    global_scope: GlobalScope<Entry>,
    session: String,
    handle: u32,
    options: serde_json::Value,
) -> Result<Response> {
    let options = WatchOptions::read(options)?;
    let both = |a: &[std::sync::Arc<Entry>], b: &[std::sync::Arc<Entry>]| [a, b].concat();
    let scope = Scope::new(
        both(command_scope.allows(), global_scope.allows()),
        both(command_scope.denies(), global_scope.denies()),
    );
    let spec = options.into_spec(plugin.surroundings(), scope)?;
    let state = bridge::open(plugin.bridge(), webview, session, handle, spec).await?;
    Ok(Response::new(state))
}

/// Gives a watch back.
#[tauri::command(async)]
pub(crate) fn close_watch<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
) {
    plugin.bridge().close(webview.label(), &session, handle);
}

/// Answers a watch's whole state.
#[tauri::command]
pub(crate) async fn watch_state<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
) -> Result<Response> {
    let state = plugin
        .bridge()
        .state(webview.label(), &session, handle)
        .await?;
    Ok(Response::new(state))
}

/// Notes that a page has applied everything up to `rev`. Answers the next delta if there is one right now, else
/// `null`: it goes as an event then.
#[tauri::command]
pub(crate) async fn ack_watch<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    rev: u64,
) -> Result<Response> {
    let bridge = plugin.bridge();
    let delta = bridge.ack(webview.label(), &session, handle, rev).await?;
    Ok(Response::new(delta.unwrap_or_else(|| "null".to_owned())))
}

/// Shows an edit before the server confirms it, unless the edit of this number was made already. `inherits` is the number
/// of a watch that ended, if this edit is the last of those that it had.
#[tauri::command]
pub(crate) async fn edit_watch<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    nonce: u64,
    edit: serde_json::Value,
    inherits: Option<u64>,
) -> Result<()> {
    let (bridge, edit) = (plugin.bridge(), Edit::try_from(edit)?);
    bridge
        .edit(webview.label(), &session, handle, nonce, edit)
        .await?;
    inherits.map_or(Ok(()), |watch| {
        bridge.inherit(webview.label(), &session, handle, watch)
    })
}

/// Fetches the next page of older records. Answers the revision from which on the page has them.
#[tauri::command]
pub(crate) async fn load_more<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
) -> Result<u64> {
    let bridge = plugin.bridge();
    bridge.load_more(webview.label(), &session, handle).await
}

/// Fetches the list of a watch as it is now. Answers the revision from which on the page has it.
#[tauri::command]
pub(crate) async fn refresh_watch<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
) -> Result<u64> {
    let bridge = plugin.bridge();
    bridge.refresh(webview.label(), &session, handle).await
}

/// Writes a record: kept on disk, then shown, then sent. Two calls with one nonce write once.
#[tauri::command]
pub(crate) async fn put_record<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    nonce: String,
    write: serde_json::Value,
) -> Result<WriteInfo> {
    let wanted = Wanted::Put(record(write)?);
    let bridge = plugin.bridge();
    bridge
        .write(webview.label(), &session, handle, nonce, wanted)
        .await
}

/// What a page wants to write, with its body as the text that it is.
fn record(write: serde_json::Value) -> Result<NewRecord> {
    let invalid =
        |_| Error::InvalidOptions("a write lacks a member, or has a wrong one".to_owned());
    serde_json::from_value(write).map_err(invalid)
}

/// Takes a record away, in the same way.
#[tauri::command]
pub(crate) async fn delete_record<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    nonce: String,
    rkey: String,
    did: Option<String>,
) -> Result<WriteInfo> {
    let bridge = plugin.bridge();
    bridge
        .write(
            webview.label(),
            &session,
            handle,
            nonce,
            Wanted::Delete(rkey, did),
        )
        .await
}

/// Sends a write again that was refused, or one that waits.
#[tauri::command]
pub(crate) async fn retry_write<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    id: u64,
) -> Result<()> {
    let bridge = plugin.bridge();
    bridge.retry(webview.label(), &session, handle, id).await
}

/// Takes a write back. Answers what has become of it: a sender may have it at the moment, or the server already. `null` if
/// that is not known any more.
#[tauri::command]
pub(crate) async fn discard_write<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    id: u64,
) -> Result<Option<WriteInfo>> {
    let bridge = plugin.bridge();
    bridge.discard(webview.label(), &session, handle, id).await
}

/// Answers what has changed of an account's writes after a revision, as soon as something has.
#[tauri::command]
pub(crate) async fn watch_writes(
    plugin: State<'_, ContrailSync>,
    account: Option<String>,
    after: u64,
) -> Result<WriteChanges> {
    plugin.bridge().write_changes(account, after).await
}

/// Answers the writes of an account that wait, or all.
#[tauri::command]
pub(crate) async fn pending_writes(
    plugin: State<'_, ContrailSync>,
    account: Option<String>,
) -> Result<Vec<WriteInfo>> {
    plugin.bridge().writes(account).await
}

/// Takes them back. Answers how many there were.
#[tauri::command]
pub(crate) async fn discard_writes(
    plugin: State<'_, ContrailSync>,
    account: Option<String>,
) -> Result<usize> {
    plugin.bridge().discard_all(account).await
}

/// Answers a new record key.
#[tauri::command(async)]
pub(crate) fn next_tid(plugin: State<'_, ContrailSync>) -> Result<String> {
    plugin.bridge().next_tid()
}

/// Takes a page's answer to a write that it was asked to send: its function's result, or what it threw.
#[tauri::command(async)]
pub(crate) fn answer_send<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    request: u32,
    outcome: Option<serde_json::Value>,
    error: Option<String>,
) {
    let answer = match error {
        Some(error) => Err(error),
        None => Ok(outcome.unwrap_or_default()),
    };
    let bridge = plugin.bridge();
    bridge.answer_send(webview.label(), &session, handle, request, answer);
}

/// Renews a page's lease, and says whether it can be seen. Answers the handles that it holds.
#[tauri::command(async)]
pub(crate) fn renew_session<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    visible: Option<bool>,
) -> Vec<u32> {
    let bridge = plugin.bridge();
    bridge.renew(webview.label(), &session, visible.unwrap_or(true))
}

/// Lets watches that wait connect at once: the network may be back.
#[tauri::command(async)]
pub(crate) fn wake_watches(plugin: State<'_, ContrailSync>) {
    plugin.bridge().wake();
}

/// Takes a page's answer to a question for a ticket: the ticket, or why there is none.
#[tauri::command(async)]
pub(crate) fn answer_mint<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, ContrailSync>,
    session: String,
    handle: u32,
    request: u32,
    ticket: Option<serde_json::Value>,
    error: Option<String>,
) {
    let answer = match error {
        Some(error) => Err(error),
        None => Ok(ticket.unwrap_or_default()),
    };
    let bridge = plugin.bridge();
    bridge.answer(webview.label(), &session, handle, request, answer);
}

/// Stores a secret for minters. There is no command that reads one.
#[tauri::command]
pub(crate) async fn set_secret(
    plugin: State<'_, ContrailSync>,
    name: String,
    value: String,
) -> Result<()> {
    plugin.set_secret(&name, value).await
}

/// Forgets a secret.
#[tauri::command]
pub(crate) async fn delete_secret(plugin: State<'_, ContrailSync>, name: String) -> Result<()> {
    plugin.delete_secret(&name).await
}

/// Forgets all tickets, as a logout does.
#[tauri::command]
pub(crate) async fn clear_tickets(plugin: State<'_, ContrailSync>) -> Result<()> {
    plugin.clear_tickets().await
}

/// Removes cached records: of one key, of one account, of both at once, or all there are.
#[tauri::command]
pub(crate) async fn clear_cache(
    plugin: State<'_, ContrailSync>,
    key: Option<String>,
    account: Option<String>,
) -> Result<()> {
    plugin.clear_cache(key, account).await
}

/// Answers what the cache holds; `null` where the app has turned it off.
#[tauri::command]
pub(crate) async fn cache_info(plugin: State<'_, ContrailSync>) -> Result<Option<InfoPayload>> {
    Ok(plugin.cache_info().await?.map(Into::into))
}

/// Answers the last warnings about the cache, oldest first.
#[tauri::command(async)]
pub(crate) fn cache_warnings(plugin: State<'_, ContrailSync>) -> Vec<WarningPayload> {
    plugin.warnings().recent()
}

/// Answers what each watch of the app is about, and what happened since a line of the log.
#[tauri::command]
pub(crate) async fn inspect_watches(
    plugin: State<'_, ContrailSync>,
    since: Option<u64>,
) -> Result<Inspection> {
    Ok(plugin.bridge().inspect(since.unwrap_or_default()).await)
}

/// Does something to a watch, or to all of the app's, to see what happens.
#[tauri::command]
pub(crate) async fn inspect_act(
    plugin: State<'_, ContrailSync>,
    deed: String,
    watch: Option<u64>,
) -> Result<()> {
    plugin.bridge().act(Deed::read(&deed, watch)?).await
}
