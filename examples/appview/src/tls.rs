//! The port that speaks TLS, with a certificate that lives as long as the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// A second port, with HTTP/2 and HTTP/1.1 over TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Streams that a client may have open on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
        }
    }
}

/// What a server tells about its TLS port.
#[derive(Debug)]
pub(crate) struct TlsPort {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
}

/// Binds the port, and makes its certificate.
pub(crate) async fn bind() -> Result<(TlsPort, TcpListener, TlsAcceptor), Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let port = TlsPort {
        address,
        certificate,
    };
    Ok((port, listener, TlsAcceptor::from(Arc::new(config))))
}
