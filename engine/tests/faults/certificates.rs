//! Servers whose TLS is wrong in one way or another, until it is right.

use std::sync::{Arc, Mutex};

use contrail_sync_engine::{
    ErrorKind, TransportKind,
    rustls::pki_types::{CertificateDer, PrivateKeyDer},
};
use futures_util::{StreamExt, stream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring::default_provider},
};

use super::{common::*, lists, server::Server};

/// What the first connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Expired,
    NotYetValid,
    OfAnotherHost,
    SelfSigned,
    OfAnotherIssuer,
    /// The port speaks plain HTTP.
    NoTls,
    /// It hangs up on the first word.
    HangsUp,
    /// It hangs up in its own first words.
    Cut,
    /// The stream ends without the word that ends TLS.
    Truncated,
}

const ALL: [Wrong; 9] = [
    Wrong::Expired,
    Wrong::NotYetValid,
    Wrong::OfAnotherHost,
    Wrong::SelfSigned,
    Wrong::OfAnotherIssuer,
    Wrong::NoTls,
    Wrong::HangsUp,
    Wrong::Cut,
    Wrong::Truncated,
];

/// One who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// What a server has that is wrong in this way, if it is one of certificates.
    fn server(&self, wrong: Option<Wrong>) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(wrong)))
    }

    fn config(&self, wrong: Option<Wrong>) -> ServerConfig {
        let host = match wrong {
            Some(Wrong::OfAnotherHost) => "another.example",
            _ => "127.0.0.1",
        };
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        match wrong {
            Some(Wrong::Expired) => params.not_after = date_time_ymd(2020, 1, 1),
            Some(Wrong::NotYetValid) => params.not_before = date_time_ymd(2090, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let signed = match wrong {
            Some(Wrong::SelfSigned) => params.self_signed(&key),
            Some(Wrong::OfAnotherIssuer) => params.signed_by(&key, &Self::new().issuer),
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = signed.unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        config.unwrap()
    }
}

/// What speaks HTTP/2 only, and the certificate to trust.
pub(super) fn http2() -> (TlsAcceptor, CertificateDer<'static>) {
    let authority = Authority::new();
    let mut config = authority.config(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), authority.certificate)
}

/// A port before a server: everything on it goes wrong as long as this says so.
async fn front(
    authority: &Authority,
    server: &Server,
    wrong: Arc<Mutex<Option<Wrong>>>,
) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), server.address());
    let now = *wrong.lock().unwrap();
    let (bad, good) = (authority.server(now), authority.server(None));
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let now = *wrong.lock().unwrap();
            let acceptor = now.map_or(&good, |_| &bad).clone();
            connections.spawn(async move {
                let server = TcpStream::connect(behind).await.unwrap();
                carry(client, server, acceptor, now).await;
            });
        }
    });
    (port, task)
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    acceptor: TlsAcceptor,
    wrong: Option<Wrong>,
) {
    match wrong {
        Some(Wrong::NoTls) => {
            let mut hello = [0; 100];
            let _ = client.read(&mut hello).await;
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
        Some(Wrong::HangsUp) => {}
        Some(Wrong::Cut) => {
            let mut hello = [0; 100];
            let _ = client.read(&mut hello).await;
            let _ = client.write_all(&[22, 3, 3, 0]).await;
        }
        // A client that does not trust it hangs up.
        _ => {
            let Ok(mut tls) = acceptor.accept(client).await else {
                return;
            };
            if wrong == Some(Wrong::Truncated) {
                let (mut request, mut answer) = ([0; 4096], [0; 300]);
                let _ = tls.read(&mut request).await;
                let _ = server.write_all(&request).await;
                let _ = server.read_exact(&mut answer).await;
                let _ = tls.write_all(&answer).await;
                let _ = tls.flush().await;
                return;
            }
            let _ = copy_bidirectional(&mut tls, &mut server).await;
        }
    }
}

async fn meets(authority: &Authority, wrong: Wrong, transport: TransportKind) {
    let server = Server::start(lists::reply).await;
    let now = Arc::new(Mutex::new(Some(wrong)));
    let (port, _front) = front(authority, &server, now.clone()).await;
    let url = format!("https://127.0.0.1:{port}{}", lists::PATH);
    let mut spec = anywhere(url.parse().unwrap());
    spec.transport = transport;
    let roots = trusting([authority.certificate.clone()]);
    let engine = engine_with(|config| config.tls = Some(roots));
    let watch = engine.watch(spec).await;
    let state = until(&watch, |it| it.error.is_some()).await;
    let error = state.error.unwrap();
    let (kind, words) = match (wrong, transport) {
        (Wrong::NoTls, _) => (ErrorKind::Connect, "no secure connection came about"),
        (Wrong::HangsUp | Wrong::Cut, _) => (ErrorKind::Connect, "it hung up"),
        (Wrong::Truncated, _) => (ErrorKind::Disconnected, "broke"),
        _ => (ErrorKind::Connect, "its certificate is not trusted"),
    };
    assert_eq!(error.kind, kind, "{wrong:?} {transport:?}");
    assert!(
        error.message.contains(words),
        "{wrong:?}: {}",
        error.message
    );
    *now.lock().unwrap() = None;
    assert_eq!(
        texts(&until_live(&watch).await),
        ["two", "one"],
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_tls_is_wrong_is_told_why_and_followed_once_it_is_right() {
    let authority = Authority::new();
    let transports = [TransportKind::Sse, TransportKind::Ws, TransportKind::Poll];
    let all = ALL.into_iter().flat_map(|it| transports.map(|by| (it, by)));
    let cases = stream::iter(all).map(|(wrong, by)| meets(&authority, wrong, by));
    assert_eq!(cases.buffer_unordered(4).count().await, 27);
}
