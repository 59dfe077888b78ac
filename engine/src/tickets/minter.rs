//! Minters: code of the app that gets a fresh ticket.

use std::{any::Any, fmt};

use futures_util::{FutureExt, future::BoxFuture};
use url::Url;

use super::TicketError;
use crate::{pure::protocol::ticket::Ticket, transport::http::Http, vault::Vault};

/// Why a ticket is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum MintReason {
    /// There is none yet.
    First,
    /// The last one has expired, or is about to.
    Expired,
    /// The server refused the last one.
    Refused,
}

/// What a ticket is wanted for.
#[derive(Clone)]
pub struct MintRequest {
    /// The `watchRecords` URL that the ticket is to open, with its query.
    pub url: Url,
    /// DID of the account whose watch it is, where the app named one.
    pub account: Option<String>,
    /// Why a ticket is wanted.
    pub reason: MintReason,
    pub(crate) http: Http,
    pub(crate) vault: Vault,
}

impl fmt::Debug for MintRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintRequest")
            .field("url", &crate::transport::http::bare(&self.url))
            .field("account", &self.account)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Gets tickets, in Rust: no credential ever enters a webview.
///
/// Any async closure will do:
///
/// ```
/// use contrail_sync_engine::{MintRequest, NamedMinter};
///
/// let minter = NamedMinter::new("session", |request: MintRequest| async move {
///     // Ask your own server, as the signed-in account.
///     Ok::<_, std::io::Error>(format!("ticket-for.{}", request.account.unwrap_or_default()))
/// });
/// ```
///
/// The text of its error is what the followers are told. One that knows more fails with a [`TicketError`], which is kept as
/// it is: [`TicketError::Forbidden`] takes access away.
pub trait Minter: Send + Sync {
    /// Answers a ticket for the request's watch. It is asked again later when it fails or takes too long.
    fn mint(&self, request: MintRequest) -> BoxFuture<'_, Result<Ticket, TicketError>>;
}

impl<F, Answer, Failure> Minter for F
where
    F: Fn(MintRequest) -> Answer + Send + Sync,
    Answer: Future<Output = Result<String, Failure>> + Send + 'static,
    Failure: fmt::Display + 'static,
{
    fn mint(&self, request: MintRequest) -> BoxFuture<'_, Result<Ticket, TicketError>> {
        let answer = self(request);
        async move {
            match answer.await {
                Ok(text) => Ok(Ticket::parse(&text)?),
                Err(error) => Err(failed(&error)),
            }
        }
        .boxed()
    }
}

/// What a closure failed with: an error of ours as it is, any other by its words.
fn failed(error: &(impl fmt::Display + 'static)) -> TicketError {
    let ours = (error as &dyn Any).downcast_ref::<TicketError>();
    ours.cloned()
        .unwrap_or_else(|| TicketError::Failed(error.to_string()))
}
