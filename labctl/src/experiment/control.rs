//! Client of a node's control socket: HTTP/1.1 with JSON over a Unix socket (see [`overlay_control`]).

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use overlay_control::{
    AgeRequest, AwaitCallRequest, CallLine, CallRequest, EventLine, LoginRequest, Problem, SearchLine,
    SearchRequest, Status, UserRecord,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use crate::meter::Timestamp;

/// The most that a node's answer, or one line of it, may have.
const LONGEST_ANSWER: usize = 1 << 20;

/// What a call was about, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    socket: PathBuf,
    method: Method,
    path: &'static str,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} on {}", self.method, self.path, self.socket.display())
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("{0}: nobody answers ({1}); is the node running? 'labctl ps' tells, 'labctl logs' says why not")]
    Unreachable(Call, io::Error),
    /// What came was not HTTP, or the connection broke.
    #[error("{0}: {1}")]
    Http(Call, hyper::Error),
    /// The answer's body broke off, or was larger than any answer is.
    #[error("{0}: reading the answer: {1}")]
    Body(Call, Box<dyn std::error::Error + Send + Sync>),
    /// The node refused.
    #[error("{0}: refused with status {1}: {2}")]
    Refused(Call, StatusCode, String),
    /// The answer is not what the call is documented to answer.
    #[error("{0}: the answer is not understood: {1}")]
    Malformed(Call, serde_json::Error),
    /// The stream of events ended before the login or search did.
    #[error("{0}: the node ended the stream of events before it was over")]
    Ended(Call),
}

/// The control socket of one node. Every call uses a connection of its own.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

/// A connection, and the task that drives it; the task ends with this.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    driver: Driver,
}

#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Control {
    /// The node behind this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// What the node says of itself.
    pub async fn status(&self) -> Result<Status, ControlError> {
        let call = self.call(Method::GET, "/v1/status");
        let answer = self.plain(&call, Bytes::new()).await?;
        read_json(&call, &answer)
    }

    /// Ends a login, or a session, and makes the client forget all of it.
    pub async fn logout(&self) -> Result<(), ControlError> {
        self.plain(&self.call(Method::POST, "/v1/logout"), Bytes::new()).await.map(drop)
    }

    /// Enters a user at a login server, as if registered earlier.
    pub async fn enter_user(&self, user: &UserRecord) -> Result<(), ControlError> {
        self.plain(&self.call(Method::POST, "/v1/users"), json(user)).await.map(drop)
    }

    /// Makes what a super node's container holds of a user older.
    pub async fn age(&self, request: &AgeRequest) -> Result<(), ControlError> {
        self.plain(&self.call(Method::POST, "/v1/age"), json(request)).await.map(drop)
    }

    /// Makes a super node's container forget the results of earlier searches.
    pub async fn forget_results(&self) -> Result<(), ControlError> {
        self.plain(&self.call(Method::POST, "/v1/forget-results"), Bytes::new()).await.map(drop)
    }

    /// Tells a client to log in.
    pub async fn login(&self, request: &LoginRequest) -> Result<Events, ControlError> {
        self.follow(self.call(Method::POST, "/v1/login"), json(request)).await
    }

    /// Tells a client that is logged in to search.
    pub async fn search(&self, request: &SearchRequest) -> Result<Events<SearchLine>, ControlError> {
        self.follow(self.call(Method::POST, "/v1/search"), json(request)).await
    }

    /// A call with an answer that comes as it happens. The clock runs from the moment that the command is
    /// sent: the connection is made before.
    async fn follow<T>(&self, call: Call, body: Bytes) -> Result<Events<T>, ControlError> {
        let mut connection = self.connect(&call).await?;
        let (sent, sent_at) = (Instant::now(), Timestamp::now());
        let answer = exchange(&mut connection.requests, &call, body).await?;
        let driver = connection.driver;
        let (body, unread) = (answer.into_body(), BytesMut::new());
        Ok(Events { call, sent, sent_at, body, unread, line: PhantomData, _driver: driver })
    }

    /// Calls a user. What happens comes line by line; the last is [`overlay_control::CallEvent::Ended`].
    pub async fn call_user(&self, request: &CallRequest) -> Result<CallLines, ControlError> {
        self.follow(self.call(Method::POST, "/v1/call"), json(request)).await
    }

    /// Waits for a call, and follows it.
    pub async fn await_call(&self, request: &AwaitCallRequest) -> Result<CallLines, ControlError> {
        self.follow(self.call(Method::POST, "/v1/await-call"), json(request)).await
    }

    /// Refuses, cancels, or hangs up.
    pub async fn hang_up(&self) -> Result<(), ControlError> {
        self.plain(&self.call(Method::POST, "/v1/hang-up"), Bytes::new()).await.map(drop)
    }

    fn call(&self, method: Method, path: &'static str) -> Call {
        Call { socket: self.socket.clone(), method, path }
    }

    async fn connect(&self, call: &Call) -> Result<Connection, ControlError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| ControlError::Unreachable(call.clone(), error))?;
        let made = handshake(TokioIo::new(stream)).await;
        let (requests, connection) = made.map_err(|error| ControlError::Http(call.clone(), error))?;
        // What goes wrong on the connection also fails the request, which tells.
        let driver = tokio::spawn(async { drop(connection.await) });
        Ok(Connection { requests, driver: Driver(driver.abort_handle()) })
    }

    /// A call with an answer that comes at once.
    async fn plain(&self, call: &Call, body: Bytes) -> Result<Bytes, ControlError> {
        let mut connection = self.connect(call).await?;
        let answer = exchange(&mut connection.requests, call, body).await?;
        read_body(call, answer.into_body()).await
    }
}

/// Sends a request; gives the answer if the node did not refuse.
async fn exchange(
    requests: &mut SendRequest<Full<Bytes>>,
    call: &Call,
    body: Bytes,
) -> Result<Response<Incoming>, ControlError> {
    let request = Request::builder()
        .method(&call.method)
        .uri(call.path)
        .header(HOST, "node")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("method, path and headers are constants");
    let answer = requests.send_request(request).await;
    let answer = answer.map_err(|error| ControlError::Http(call.clone(), error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = read_body(call, answer.into_body()).await?;
    let problem = serde_json::from_slice(&text).map_or_else(
        |_| String::from_utf8_lossy(&text).into_owned(), // Not ours: shown as it came.
        |problem: Problem| problem.error,
    );
    Err(ControlError::Refused(call.clone(), status, problem))
}

async fn read_body(call: &Call, body: Incoming) -> Result<Bytes, ControlError> {
    let whole = Limited::new(body, LONGEST_ANSWER).collect().await;
    Ok(whole.map_err(|error| ControlError::Body(call.clone(), error))?.to_bytes())
}

fn read_json<T: DeserializeOwned>(call: &Call, text: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(text).map_err(|error| ControlError::Malformed(call.clone(), error))
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("requests are plain data with text keys").into()
}

/// The events of a login or search, as they come. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events<T = EventLine> {
    call: Call,
    sent: Instant,
    sent_at: Timestamp,
    body: Incoming,
    unread: BytesMut,
    line: PhantomData<T>,
    _driver: Driver,
}

/// An event, and when its line arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<T = EventLine> {
    /// The moment, by labctl's monotonic clock.
    pub at: Instant,
    /// What the node said.
    pub line: T,
}

impl<T: DeserializeOwned> Events<T> {
    /// The moment at which the command was sent, by the monotonic clock.
    #[must_use]
    pub fn sent(&self) -> Instant {
        self.sent
    }

    /// The same moment by the real-time clock, to which captured packets are compared.
    #[must_use]
    pub fn sent_at(&self) -> Timestamp {
        self.sent_at
    }

    /// The next event. An error if the stream ends: a login or search says itself that it ended.
    pub async fn next(&mut self) -> Result<Received<T>, ControlError> {
        let line = next_line(&self.call, &mut self.body, &mut self.unread).await?;
        let line = read_json(&self.call, &line)?;
        Ok(Received { at: Instant::now(), line })
    }
}

/// The events of a call. If it is dropped before the last one, the node ends the call.
pub type CallLines = Events<CallLine>;

/// The next line of a stream of NDJSON.
async fn next_line(
    call: &Call,
    body: &mut Incoming,
    unread: &mut BytesMut,
) -> Result<BytesMut, ControlError> {
    loop {
        if let Some(end) = unread.iter().position(|&byte| byte == b'\n') {
            return Ok(unread.split_to(end + 1));
        }
        if unread.len() > LONGEST_ANSWER {
            let error = format!("a line has more than {LONGEST_ANSWER} bytes");
            return Err(ControlError::Body(call.clone(), error.into()));
        }
        match body.frame().await {
            None => return Err(ControlError::Ended(call.clone())),
            Some(Err(error)) => return Err(ControlError::Http(call.clone(), error)),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    unread.extend_from_slice(data);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
