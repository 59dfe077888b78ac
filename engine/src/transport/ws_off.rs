//! In the place of WebSocket, in a program that was built without the feature `ws`.

use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};

use super::{ConnectRequest, Events, Transport, TransportError, handshake::Handshake, http::Http};

/// Whether this program can open one.
pub(crate) const IS_BUILT_IN: bool = false;

/// Refuses.
#[derive(Debug, Clone)]
pub(crate) struct Ws;

impl Ws {
    /// Needs no client.
    pub(crate) fn new(_: Http) -> Self {
        Self
    }

    pub(super) async fn open(
        &self,
        _: Handshake,
        _: &ConnectRequest,
    ) -> Result<Events, TransportError> {
        Err(TransportError::NotBuiltIn)
    }
}

impl Transport for Ws {
    fn connect(&self, _: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        future::ready(Err(TransportError::NotBuiltIn)).boxed()
    }
}
