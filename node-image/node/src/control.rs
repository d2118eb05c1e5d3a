//! The control socket: HTTP/1.1 and JSON over a Unix socket, for the node's owner alone.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use overlay_control::{
    AgeRequest, AwaitCallRequest, CallRequest, LoginRequest, Problem, Role, SOCKET_FILE, SearchRequest,
    Status, UserRecord,
};
use overlay_protocol::{LoginServerCommand, Password, SuperNode, SuperNodeCommand, UserName};
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

use crate::client::{CallRefused, ClientNode, LoginRefused, SearchRefused};
use crate::driver::Stopped;
use crate::node::{Node, Running};
use crate::server::Server;

/// The longest body of a call. A login with a full host cache and a thousand buddies has half of it.
const BODY_LIMIT: usize = 128 * 1024;

/// The control socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {} cannot be made: {source}; the node must be able to write to its directory", path.display())]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

/// Makes the control socket in the node's directory, in place of one that an earlier run left. Only the
/// node's own user (and root) can use it. It appears under its name when it can be connected to.
pub fn listen(directory: &Path) -> Result<UnixListener, SocketError> {
    let path = directory.join(SOCKET_FILE);
    let new = directory.join(format!("{SOCKET_FILE}.new"));
    let make = || {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        Ok(listener)
    };
    make().map_err(|source| SocketError { path: path.clone(), source })
}

/// Removes the control socket.
pub fn remove(directory: &Path) -> io::Result<()> {
    fs::remove_file(directory.join(SOCKET_FILE))
}

/// Answers calls until the process ends.
pub async fn serve(listener: UnixListener, node: Arc<Node>) -> io::Result<()> {
    axum::serve(listener, router(node)).await
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/login", post(login))
        .route("/v1/logout", post(logout))
        .route("/v1/search", post(search))
        .route("/v1/call", post(call))
        .route("/v1/await-call", post(await_call))
        .route("/v1/answer", post(answer))
        .route("/v1/hang-up", post(hang_up))
        .route("/v1/users", post(users))
        .route("/v1/age", post(age))
        .route("/v1/forget-results", post(forget_results))
        .fallback(no_such_call)
        .method_not_allowed_fallback(no_such_call)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(node)
}

async fn status(State(node): State<Arc<Node>>) -> Result<Json<Status>, Refusal> {
    Ok(Json(node.status().await?))
}

async fn login(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let client = client(&node)?;
    let request: LoginRequest = parse(body)?;
    let lines = client.login(request).await?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn logout(State(node): State<Arc<Node>>) -> Result<StatusCode, Refusal> {
    client(&node)?.logout().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn search(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let client = client(&node)?;
    let SearchRequest { user } = parse(body)?;
    let user = UserName::new(&user).map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, &fault))?;
    let lines = client.search(user).await?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn call(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let client = client(&node)?;
    let request: CallRequest = parse(body)?;
    let user = UserName::new(&request.user).map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, &fault))?;
    let lines = client.call(user, request.talk_ms, request.sound).await?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn await_call(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let client = client(&node)?;
    let request: AwaitCallRequest = parse(body)?;
    let lines = client.await_call(request.answer_after_ms, request.sound).await?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn answer(State(node): State<Arc<Node>>) -> Result<StatusCode, Refusal> {
    client(&node)?.answer().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hang_up(State(node): State<Arc<Node>>) -> Result<StatusCode, Refusal> {
    client(&node)?.hang_up().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn age(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let servers = super_nodes(&node)?;
    let AgeRequest { user, by_s } = parse(body)?;
    let user = UserName::new(&user).map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, &fault))?;
    let by = Duration::from_secs(by_s.into());
    for server in servers {
        server.command(SuperNodeCommand::AgeRecord { user: user.clone(), by }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn forget_results(State(node): State<Arc<Node>>) -> Result<StatusCode, Refusal> {
    for server in super_nodes(&node)? {
        server.command(SuperNodeCommand::ForgetResults).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn users(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let Running::LoginServer(server) = &node.running else {
        return Err(wrong_role(&node, "a login server"));
    };
    let UserRecord { user, password } = parse(body)?;
    let user = UserName::new(&user).map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, &fault))?;
    server.command(LoginServerCommand::AddUser { user, password: Password::new(password) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn no_such_call(method: Method, uri: Uri, State(_): State<Arc<Node>>) -> Refusal {
    let text = format!(
        "there is no call {method} {}; the calls are GET /v1/status and POST /v1/login, /v1/logout, /v1/search, \
         /v1/call, /v1/await-call, /v1/answer, /v1/hang-up, /v1/users, /v1/age and /v1/forget-results",
        uri.path()
    );
    Refusal::new(StatusCode::NOT_FOUND, &text)
}

fn client(node: &Node) -> Result<&ClientNode, Refusal> {
    match &node.running {
        Running::Client(client) => Ok(client),
        _ => Err(wrong_role(node, "a client")),
    }
}

fn super_nodes(node: &Node) -> Result<&[Server<SuperNode>], Refusal> {
    match &node.running {
        Running::SuperNodes(servers) => Ok(servers),
        _ => Err(wrong_role(node, "a super node")),
    }
}

fn wrong_role(node: &Node, needed: &str) -> Refusal {
    let is = match node.role() {
        Role::Client => "a client",
        Role::SuperNode => "a super node",
        Role::LoginServer => "a login server",
    };
    Refusal::new(StatusCode::CONFLICT, &format!("this node is {is}; the call is for {needed}"))
}

/// The body as JSON, whatever its content type says: so `curl --data` works.
fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), &rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|fault| {
        Refusal::new(StatusCode::BAD_REQUEST, &format!("the body is not what the call takes: {fault}"))
    })
}

/// A call that was refused.
#[derive(Debug)]
struct Refusal(StatusCode, Problem);

impl Refusal {
    fn new(status: StatusCode, error: &impl ToString) -> Self {
        Self(status, Problem { error: error.to_string() })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, &stopped)
    }
}

impl From<CallRefused> for Refusal {
    fn from(refused: CallRefused) -> Self {
        let status = match refused {
            CallRefused::NotLoggedIn | CallRefused::UnderWay | CallRefused::Stopped(_) => {
                StatusCode::CONFLICT
            }
            CallRefused::FileName(_) | CallRefused::Sound(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, &refused)
    }
}

impl From<SearchRefused> for Refusal {
    fn from(refused: SearchRefused) -> Self {
        Self::new(StatusCode::CONFLICT, &refused)
    }
}

impl From<LoginRefused> for Refusal {
    fn from(refused: LoginRefused) -> Self {
        let status = match refused {
            LoginRefused::InProgress => StatusCode::CONFLICT,
            LoginRefused::Request { .. } => StatusCode::BAD_REQUEST,
            LoginRefused::Bind(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, &refused)
    }
}
