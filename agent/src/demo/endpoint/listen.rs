//! Owns sockets: a certificate of our own, connections, their orderly end.
//! Must not know: what requests mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::EndpointError;
use super::server::Server;

/// Pause after an accept that failed, so that a lack of descriptors does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

pub(super) fn tls(addr: SocketAddr) -> Result<(TlsAcceptor, String), EndpointError> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "fintail demo authority");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let ca = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), addr.ip().to_string()];
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "fintail demo endpoint");
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(leaf_key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), ca.pem()))
}

pub(super) async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            socket = listener.accept() => socket,
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        // Accept fails for lack of descriptors or a client gone already; the next one may do.
        let Ok((socket, _)) = socket else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        server.totals.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(connection(socket, acceptor.clone(), server.clone(), stopped.clone()));
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small: without this they wait for the client's delayed ACK.
    let _ = socket.set_nodelay(true);
    match acceptor {
        Some(acceptor) => {
            let socket = tokio::select! {
                socket = acceptor.accept(socket) => socket,
                _ = stopped.changed() => return,
            };
            // A client that dislikes our certificate is a test's business; nothing to do for it here.
            if let Ok(socket) = socket {
                serve(TokioIo::new(socket), server, stopped).await;
            }
        }
        None => serve(TokioIo::new(socket), server, stopped).await,
    }
}

async fn serve<I>(io: I, server: Arc<Server>, mut stopped: watch::Receiver<bool>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = hyper::service::service_fn(move |request| {
        let server = server.clone();
        async move { server.answer(request).await }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
