//! How HTTP clients are set up: trust, time-outs, windows.

use std::time::Duration;

use reqwest::{
    Client, ClientBuilder,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect::Policy,
};
use rustls::ClientConfig;

/// Longest time until a TCP and TLS connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle HTTP/1.1 connections that a client keeps for the next request.
const MAX_IDLE_CONNECTIONS: usize = 4;
/// Streams of one HTTP/2 connection. Servers allow a hundred or more; a request beyond their limit hangs.
pub(super) const STREAMS: usize = 80;

/// A client for requests and event streams, over HTTP/2 where the server speaks it. Its connections live as
/// long as it does.
#[cfg(feature = "http2")]
pub(super) fn streaming(mut tls: ClientConfig) -> reqwest::Result<Client> {
    /// Bytes that a stream may have sent without being read.
    const STREAM_WINDOW: u32 = 256 * 1024;
    /// Room for every stream to be full: those that nobody reads cannot hold up the others.
    const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

    // A configuration that is handed over is used as it is: without these it is HTTP/1.1 only.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    builder(tls)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(20))
        .http2_keep_alive_while_idle(true)
        // An HTTP/2 connection counts as idle since its last new stream: busy ones would leave the pool.
        .pool_idle_timeout(None)
        .build()
}

/// A client for requests and event streams, each over a connection of its own.
#[cfg(not(feature = "http2"))]
pub(super) fn streaming(mut tls: ClientConfig) -> reqwest::Result<Client> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    builder(tls).http1_only().build()
}

/// A client for what only HTTP/1.1 can do: switch protocols.
pub(super) fn upgrading(mut tls: ClientConfig) -> reqwest::Result<Client> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // One that was refused an upgrade is of no more use.
    let builder = builder(tls).pool_max_idle_per_host(0);
    builder.http1_only().build()
}

fn builder(tls: ClientConfig) -> ClientBuilder {
    // Without it anybody on the way may compress an answer, and nothing here unpacks one.
    let identity = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Client::builder()
        .default_headers(HeaderMap::from_iter([identity]))
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .user_agent(concat!("contrail-sync/", env!("CARGO_PKG_VERSION")))
}

/// ring, named explicitly: rustls without a chosen provider panics.
pub(super) fn default_tls() -> Result<ClientConfig, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // The platform's verifier needs a Java context on Android, which nobody gives it there.
    #[cfg(target_os = "android")]
    let config = builder
        .with_root_certificates(rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
        .with_no_client_auth();
    #[cfg(not(target_os = "android"))]
    let config = {
        use rustls_platform_verifier::BuilderVerifierExt;
        match builder.clone().with_platform_verifier() {
            Ok(builder) => builder.with_no_client_auth(),
            // A machine without trust roots can still use plain HTTP; TLS then fails where it is tried.
            Err(error) => {
                tracing::warn!(%error, "no trust roots: TLS will not work");
                let none = rustls::RootCertStore::empty();
                builder.with_root_certificates(none).with_no_client_auth()
            }
        }
    };
    Ok(config)
}
