//! Asks a node for its status over its control socket.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use overlay_control::Status;
use tokio::net::UnixStream;

/// Why a node gave no status.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ControlError {
    /// Nobody listens there (yet).
    #[error("no answer on the control socket: {0}")]
    Unreachable(#[source] std::io::Error),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    /// What came was not HTTP.
    #[error("the control socket broke the protocol: {0}")]
    Http(#[from] hyper::Error),
    /// What came was an error.
    #[error("the node answered with status {status}: {body}")]
    Refused { status: StatusCode, body: String },
    /// What came was not a status.
    #[error("the node's answer is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// `GET /v1/status` of the node behind this socket.
pub async fn get_status(socket: &Path) -> Result<Status, ControlError> {
    let stream = UnixStream::connect(socket).await.map_err(ControlError::Unreachable)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get("/v1/status").header(hyper::header::HOST, "node").body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        drop(sender);
        Ok::<_, ControlError>((status, body))
    };
    let (exchanged, _) = tokio::join!(exchange, connection);
    let (status, body) = exchanged?;
    if !status.is_success() {
        return Err(ControlError::Refused { status, body: String::from_utf8_lossy(&body).into_owned() });
    }
    Ok(serde_json::from_slice(&body)?)
}
