//! HTTP/1.1 around the calls: connections, bodies, and answers of JSON. By hyper alone: a thousand nodes hold the
//! program's pages, and a framework would be a twentieth of them.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use overlay_control::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::answer;
use crate::driver::ACCEPT_REST;
use crate::node::Node;

/// The longest body of a call. A login with a full host cache and a thousand buddies has half of it.
const BODY_LIMIT: usize = 128 * 1024;

/// What is answered.
pub(super) type Response = hyper::Response<UnsyncBoxBody<Bytes, serde_json::Error>>;

/// Answers calls until the process ends.
pub(super) async fn serve(listener: &UnixListener, node: &Arc<Node>) -> Infallible {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "no connection to the control socket is accepted for a moment");
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let node = Arc::clone(node);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let node = Arc::clone(&node);
                async move {
                    let answered = answer(&node, request).await;
                    Ok::<_, Infallible>(
                        answered.unwrap_or_else(|Refusal(status, problem)| json(status, &problem)),
                    )
                }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // A caller that has had enough, mostly.
            if let Err(error) = served {
                debug!(%error, "a connection to the control socket has ended");
            }
        });
    }
}

/// A call that was refused.
#[derive(Debug)]
pub(super) struct Refusal(StatusCode, Problem);

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &impl Display) -> Self {
        Self(status, Problem { error: error.to_string() })
    }
}

/// The body as JSON, whatever its content type says: so `curl --data` works.
pub(super) async fn parse<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|fault| {
        if fault.is::<LengthLimitError>() {
            let text = format!("the body is longer than {BODY_LIMIT} bytes, which no call needs");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, &text)
        } else {
            Refusal::new(StatusCode::BAD_REQUEST, &format!("the body did not come: {fault}"))
        }
    })?;
    from_json(&body.to_bytes())
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|fault| {
        Refusal::new(StatusCode::BAD_REQUEST, &format!("the body is not what the call takes: {fault}"))
    })
}

/// An answer without a body.
pub(super) fn nothing() -> Response {
    let mut response =
        Response::new(Full::default().map_err(|never: Infallible| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // What is answered are our own plain structures, which JSON can always tell.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    typed(status, "application/json", body)
}

/// An answer of lines of JSON, each when it comes.
pub(super) fn lines(lines: impl Stream<Item = serde_json::Result<Bytes>> + Send + 'static) -> Response {
    let body = BodyExt::boxed_unsync(StreamBody::new(lines.map(|line| line.map(Frame::data))));
    typed(StatusCode::OK, "application/x-ndjson", body)
}

fn typed(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, serde_json::Error>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
