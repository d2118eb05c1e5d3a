//! The real program as a child process, and a client for its control socket.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlay_control::{
    CONFIG_FILE, EventLine, Instance, LoginRequest, LoginServer, NodeConfig, Problem, Role, SOCKET_FILE,
    SearchEvent, SearchLine, SearchRequest, Status, UserRecord,
};
use overlay_protocol::parameters::{Count, Milliseconds};
use overlay_protocol::{LoginEvent, Parameters, ServerKeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::net::UnixStream;

/// A running `overlay-node`. Killed when dropped.
pub struct Process {
    child: Child,
    directory: TempDir,
    log: Receiver<String>,
}

impl Process {
    /// Starts the node and waits until it is ready.
    pub fn start(config: &NodeConfig) -> Self {
        Self::start_in(TempDir::new().unwrap(), config)
    }

    /// The same in a directory that an earlier run has left.
    pub fn start_in(directory: TempDir, config: &NodeConfig) -> Self {
        std::fs::write(directory.path().join(CONFIG_FILE), serde_json::to_vec(config).unwrap()).unwrap();
        let mut child = command(directory.path()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let process = Self { child, directory, log };
        process.wait_for("ready");
        process
    }

    /// Waits until the node logs `text`.
    pub fn wait_for(&self, text: &str) {
        let mut seen = Vec::new();
        for line in &self.log {
            if line.contains(text) {
                return;
            }
            seen.push(line);
        }
        panic!("the node ended without logging '{text}':\n{}", seen.join("\n"));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end; gives the directory back.
    pub fn wait(mut self) -> (ExitStatus, TempDir) {
        let status = self.child.wait().unwrap();
        let other = TempDir::new().unwrap();
        (status, std::mem::replace(&mut self.directory, other))
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A call with any body.
    pub async fn call(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
        let (status, body) = self.open(method, path, body.into()).await;
        (status, body.collect().await.unwrap().to_bytes())
    }

    /// A call that is refused.
    pub async fn refused(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (StatusCode, String) {
        let (status, body) = self.call(method, path, body).await;
        assert!(status.is_client_error(), "{method} {path}: {status}");
        (status, parse::<Problem>(&body).error)
    }

    pub async fn status(&self) -> Status {
        let (status, body) = self.call("GET", "/v1/status", "").await;
        assert_eq!(status, StatusCode::OK);
        parse(&body)
    }

    pub async fn add_user(&self, user: &str, password: &str) {
        let record = UserRecord { user: user.to_owned(), password: password.to_owned() };
        let (status, body) = self.call("POST", "/v1/users", json(&record)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body:?}");
    }

    pub async fn logout(&self) {
        let (status, body) = self.call("POST", "/v1/logout", "").await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body:?}");
    }

    /// Begins a login; its events are read from the answer.
    pub async fn login(&self, request: &LoginRequest) -> Events {
        let (status, body) = self.open("POST", "/v1/login", json(request)).await;
        assert_eq!(status, StatusCode::OK);
        Events { body, unread: Vec::new() }
    }

    /// Begins a search; its answer comes as it happens.
    pub async fn begin_search(&self, user: &str) -> Incoming {
        let request = json(&SearchRequest { user: user.to_owned() });
        let (status, body) = self.open("POST", "/v1/search", request).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    pub async fn open(&self, method: &str, path: &str, body: Bytes) -> (StatusCode, Incoming) {
        let stream = UnixStream::connect(self.directory.path().join(SOCKET_FILE)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "node");
        let request = request.body(Full::<Bytes>::from(body).map_err(|never: Infallible| match never {}));
        let (head, body) = sender.send_request(request.unwrap()).await.unwrap().into_parts();
        (head.status, body)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program on a directory, with its log to be read.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overlay-node"));
    command.arg("--directory").arg(directory).env_remove("OVERLAY_LOG").stderr(Stdio::piped());
    command
}

pub fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

pub fn parse<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

/// The events of a search, when it has ended.
pub async fn search_events(answer: Incoming) -> Vec<SearchEvent> {
    let text = answer.collect().await.unwrap().to_bytes();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| parse::<SearchLine>(line).event).collect()
}

/// The answer to a login. Dropping it closes the connection to the control socket.
pub struct Events {
    body: Incoming,
    unread: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<EventLine> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(parse(&line));
            }
            match self.body.frame().await {
                Some(frame) => self.unread.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => break,
            }
        }
        assert!(self.unread.is_empty(), "half a line at the end");
        None
    }

    /// All events up to the end.
    pub async fn all(mut self) -> Vec<LoginEvent> {
        let mut events = Vec::new();
        while let Some(line) = self.next().await {
            events.push(line.event);
        }
        events
    }
}

/// Parameters with short times: the tests are of the driver, not of the pacing.
pub fn parameters() -> Parameters {
    Parameters {
        udp_probe_interval: Milliseconds(50),
        answer_timeout: Milliseconds(2_000),
        udp_probe_limit: Count(30),
        super_nodes_wanted: Count(2),
        tcp_attempt_interval: Milliseconds(50),
        tcp_entry_limit: Count(10),
        first_fallback_port: Count(80),
        second_fallback_port: Count(443),
        round_pause: Milliseconds(100),
        rounds: Count(5),
        host_cache_limit: Count(200),
        bootstrap_entries: Count(7),
        host_list_entries: Count(50),
        host_lists: Count(1),
        stun_retransmit_interval: Milliseconds(100),
        stun_tries: Count(3),
        advertisement_nodes: Count(4),
        advertisement_interval: Milliseconds(20),
        advertisement_retransmit_interval: Milliseconds(100),
        advertisement_tries: Count(3),
        advertisement_answer_entries: Count(2),
        tcp_backup_nodes: Count(2),
        relay_candidates: Count(2),
        keep_alive_interval: Milliseconds(60_000),
        client_key_bits: Count(1_024),
        server_key_bits: Count(1_536),
        server_greeting_timeout: Milliseconds(10_000),
        server_idle_timeout: Milliseconds(300_000),
        server_connections: Count(1_000),
        server_records: Count(1_000),
        gossip_interval: Milliseconds(100),
        gossip_longest_interval: Milliseconds(200),
        gossip_members: Count(8),
        directory_members: Count(100),
        directory_replicas: Count(1),
        directory_refresh_interval: Milliseconds(60_000),
        directory_record_lifetime: Milliseconds(259_200_000),
        directory_cache_lifetime: Milliseconds(60_000),
        directory_cache_records: Count(100),
        directory_retransmit_interval: Milliseconds(1_000),
        directory_tries: Count(4),
        search_first_batch: Count(1),
        search_batches: Count(2),
        search_retransmit_interval: Milliseconds(1_000),
        search_tries: Count(3),
        search_time_limit: Milliseconds(60_000),
        call_setup_timeout: Milliseconds(20_000),
        ring_timeout: Milliseconds(60_000),
        call_dial_timeout: Milliseconds(2_000),
        media_silence: Milliseconds(2_000),
        media_silence_by_tcp: Milliseconds(4_000),
        media_patience: Milliseconds(6_000),
        call_silence: Milliseconds(30_000),
        relay_refresh_interval: Milliseconds(10_000),
        relay_idle_timeout: Milliseconds(30_000),
        relay_calls: Count(20),
        signalling_calls: Count(100),
    }
}

/// An overlay on loopback addresses of its own: four super nodes in one process, and a login server.
pub struct Overlay {
    network: u8,
    parameters: Parameters,
    keys: ServerKeyPair,
    port: u16,
}

pub const SUPER_NODES: u8 = 4;
const LOGIN_SERVER: u8 = 9;

impl Overlay {
    /// Addresses are 127.0.`network`.x: no other test may use the same number.
    pub fn new(network: u8) -> Self {
        let keys = ServerKeyPair::generate(u64::from(network), 1_536).unwrap();
        Self { network, parameters: parameters(), keys, port: free_port(network) }
    }

    /// Has a login that finds nobody go on for longer than any test.
    pub fn slow(mut self) -> Self {
        self.parameters.udp_probe_interval = Milliseconds(600_000);
        self.parameters.answer_timeout = Milliseconds(600_000);
        self
    }

    pub fn address(&self, host: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 0, self.network, host), self.port)
    }

    fn super_node_addresses(&self) -> Vec<SocketAddrV4> {
        (1..=SUPER_NODES).map(|host| self.address(host)).collect()
    }

    fn config(&self, name: &str, role: Role, instances: Vec<Instance>) -> NodeConfig {
        NodeConfig {
            name: name.to_owned(),
            role,
            seed: 7,
            instances,
            super_nodes: self.super_node_addresses(),
            login_servers: vec![LoginServer {
                address: self.address(LOGIN_SERVER),
                public_key: self.keys.public().to_der_hex(),
            }],
            private_key: None,
            parameters: self.parameters.clone(),
        }
    }

    pub fn super_nodes(&self) -> NodeConfig {
        let instance = |address: SocketAddrV4| Instance {
            name: format!("sn.{}", address.ip().octets()[3]),
            address: *address.ip(),
            port: address.port(),
        };
        let instances = self.super_node_addresses().into_iter().map(instance).collect();
        self.config("sn", Role::SuperNode, instances)
    }

    pub fn login_server(&self) -> NodeConfig {
        let address = *self.address(LOGIN_SERVER).ip();
        let instance = Instance { name: "login".to_owned(), address, port: self.port };
        let private_key = Some(self.keys.to_der_hex().to_string());
        NodeConfig { private_key, ..self.config("login", Role::LoginServer, vec![instance]) }
    }

    pub fn client(&self, name: &str, host: u8) -> NodeConfig {
        let instance = Instance { name: name.to_owned(), address: *self.address(host).ip(), port: 0 };
        self.config(name, Role::Client, vec![instance])
    }

    pub fn request(&self, user: &str, password: &str, first_time: bool) -> LoginRequest {
        LoginRequest {
            user: user.to_owned(),
            password: password.to_owned(),
            seed: 11,
            first_time,
            host_cache: self.super_node_addresses(),
            buddies: vec![],
        }
    }
}

/// A port that is free, UDP and TCP, beside the next one, at all addresses of an overlay.
fn free_port(network: u8) -> u16 {
    let any = Ipv4Addr::new(127, 0, network, 255);
    loop {
        let port = UdpSocket::bind((any, 0)).unwrap().local_addr().unwrap().port();
        let free = |host| {
            let address = Ipv4Addr::new(127, 0, network, host);
            TcpListener::bind((address, port)).is_ok()
                && UdpSocket::bind((address, port)).is_ok()
                && UdpSocket::bind((address, port + 1)).is_ok()
        };
        if port < u16::MAX && (1..=LOGIN_SERVER).all(free) {
            return port;
        }
    }
}
