//! The control socket: HTTP/1.1 and JSON over a Unix socket, for the node's owner alone.

mod http;

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, Uri};
use overlay_control::{
    AgeRequest, AwaitCallRequest, CallRequest, LoginRequest, Role, SOCKET_FILE, SearchRequest, UserRecord,
};
use overlay_protocol::{LoginServer, LoginServerCommand, Password, SuperNode, SuperNodeCommand, UserName};
use tokio::net::UnixListener;

use self::http::{Refusal, Response, json, lines, nothing, parse};
use crate::client::{CallRefused, ClientNode, LoginRefused, SearchRefused};
use crate::driver::Stopped;
use crate::node::{Node, Running};
use crate::server::Server;

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
pub async fn serve(listener: UnixListener, node: Arc<Node>) -> Infallible {
    http::serve(&listener, &node).await
}

/// Answers one call.
async fn answer(node: &Node, request: Request<Incoming>) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/v1/status") => Ok(json(StatusCode::OK, &node.status().await?)),
        (&Method::POST, "/v1/login") => {
            let client = client(node)?;
            let request: LoginRequest = parse(body).await?;
            Ok(lines(client.login(request).await?))
        }
        (&Method::POST, "/v1/logout") => {
            client(node)?.logout().await;
            Ok(nothing())
        }
        (&Method::POST, "/v1/search") => {
            let client = client(node)?;
            let SearchRequest { user } = parse(body).await?;
            Ok(lines(client.search(named(&user)?).await?))
        }
        (&Method::POST, "/v1/call") => {
            let client = client(node)?;
            let CallRequest { user, talk_ms, sound } = parse(body).await?;
            Ok(lines(client.call(named(&user)?, talk_ms, sound).await?))
        }
        (&Method::POST, "/v1/await-call") => {
            let client = client(node)?;
            let AwaitCallRequest { answer_after_ms, sound } = parse(body).await?;
            Ok(lines(client.await_call(answer_after_ms, sound).await?))
        }
        (&Method::POST, "/v1/answer") => {
            client(node)?.answer().await?;
            Ok(nothing())
        }
        (&Method::POST, "/v1/hang-up") => {
            client(node)?.hang_up().await?;
            Ok(nothing())
        }
        (&Method::POST, "/v1/users") => {
            let server = login_server(node)?;
            add_user(server, parse(body).await?).await
        }
        (&Method::POST, "/v1/age") => {
            let servers = super_nodes(node)?;
            age(servers, parse(body).await?).await
        }
        (&Method::POST, "/v1/forget-results") => {
            for server in super_nodes(node)? {
                server.command(SuperNodeCommand::ForgetResults).await?;
            }
            Ok(nothing())
        }
        (method, _) => Err(no_such_call(method, &head.uri)),
    }
}

async fn add_user(
    server: &Server<LoginServer>,
    UserRecord { user, password }: UserRecord,
) -> Result<Response, Refusal> {
    let user = named(&user)?;
    server.command(LoginServerCommand::AddUser { user, password: Password::new(password) }).await?;
    Ok(nothing())
}

async fn age(
    servers: &[Server<SuperNode>],
    AgeRequest { user, by_s }: AgeRequest,
) -> Result<Response, Refusal> {
    let user = named(&user)?;
    let by = Duration::from_secs(by_s.into());
    for server in servers {
        server.command(SuperNodeCommand::AgeRecord { user: user.clone(), by }).await?;
    }
    Ok(nothing())
}

fn named(user: &str) -> Result<UserName, Refusal> {
    UserName::new(user).map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, &fault))
}

fn no_such_call(method: &Method, uri: &Uri) -> Refusal {
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

fn login_server(node: &Node) -> Result<&Server<LoginServer>, Refusal> {
    match &node.running {
        Running::LoginServer(server) => Ok(server),
        _ => Err(wrong_role(node, "a login server")),
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
