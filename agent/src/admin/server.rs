//! `/metrics`, `/livez` and `/readyz` over plain HTTP for Prometheus and the kubelet. It shows no event data.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; one more waits.
const MAX_CONNECTIONS: usize = 64;
/// A client that does not send its request line and headers in this time is let go.
const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What the server asks of the agent.
pub trait Health: Send + Sync + 'static {
    /// All metrics in the OpenMetrics text format.
    fn metrics(&self) -> String;
    /// `Err` with the reason where a thread hangs.
    ///
    /// # Errors
    /// The name of the thread.
    fn live(&self) -> Result<(), String>;
    /// `Err` with the reason until sources are opened.
    ///
    /// # Errors
    /// What is not ready.
    fn ready(&self) -> Result<(), String>;
}

/// Binds `listen`; where a node has no IPv6 and `[::]` was asked for, `0.0.0.0`.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Err(_) if listen.is_ipv6() && listen.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        bound => bound,
    }
}

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, health: Arc<dyn Health>) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors: they come back when others close theirs.
                tracing::warn!(%error, "admin: cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = answer(&request, &*health);
                async move { Ok::<_, Infallible>(response) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin: connection ended early");
            }
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, health: &dyn Health) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let state = |state: Result<(), String>| match state {
        Ok(()) => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, why + "\n"),
    };
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, OPEN_METRICS, health.metrics()),
        (&Method::GET | &Method::HEAD, "/livez") => state(health.live()),
        (&Method::GET | &Method::HEAD, "/readyz") => state(health.ready()),
        (_, "/metrics" | "/livez" | "/readyz") => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "/metrics /livez /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
