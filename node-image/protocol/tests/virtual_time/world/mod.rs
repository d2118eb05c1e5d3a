//! An overlay in memory and in virtual time: nodes, round trips, loss, gateways, and a meter at each client.

pub mod gateway;
pub mod searching;
pub mod setup;
mod traffic;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddrV4;
use std::time::Duration;

use overlay_protocol::wire::stream::Stream;
use overlay_protocol::{
    CallEvent, Client, ClientCommand, ClientEvent, ConnectionId, Input, LoginEvent, LoginServer, Machine,
    Output, SearchEvent, ServerEvent, StreamError, SuperNode, SuperNodeCommand, Time, UdpSocket,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use self::gateway::Gateway;

/// A node by its place in the world.
pub type NodeId = usize;

/// The machine that a node runs.
pub enum Role {
    Client(Box<Client>),
    SuperNode(Box<SuperNode>),
    LoginServer(Box<LoginServer>),
}

/// Bytes of application payload at a client, both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    pub udp_out: usize,
    pub udp_in: usize,
    pub tcp_out: usize,
    pub tcp_in: usize,
}

impl Meter {
    /// All of it.
    pub fn total(&self) -> usize {
        self.udp_out + self.udp_in + self.tcp_out + self.tcp_in
    }
}

pub struct Node {
    pub role: Role,
    pub address: SocketAddrV4,
    pub alternate: Option<SocketAddrV4>,
    pub gateway: Option<Gateway>,
    pub meter: Meter,
    /// Ports on which TCP is refused.
    pub closed_ports: Vec<u16>,
    /// A dead node neither gets nor sends anything.
    pub dead: bool,
    next_accepted: u64,
    timer: Option<Time>,
}

/// A message that a client sent or got.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    pub node: NodeId,
    pub text: String,
    pub bytes: usize,
}

struct Flow {
    ends: [(NodeId, ConnectionId); 2],
    taps: [Stream; 2],
}

enum Happening {
    Datagram { to: SocketAddrV4, from: SocketAddrV4, data: Vec<u8> },
    Syn { flow: usize, to: SocketAddrV4, from: SocketAddrV4 },
    Established { flow: usize, local: SocketAddrV4 },
    Failed { node: NodeId, connection: ConnectionId, error: StreamError },
    Bytes { flow: usize, end: usize, data: Vec<u8> },
    Closed { flow: usize, end: usize },
    Timer { node: NodeId },
}

/// Changes the bytes that a node is about to send by TCP.
pub type Tamper = Box<dyn FnMut(NodeId, &mut Vec<u8>)>;

/// The whole overlay.
pub struct World {
    pub nodes: Vec<Node>,
    pub now: Time,
    /// What clients told: when, who, what.
    pub events: Vec<(Time, NodeId, LoginEvent)>,
    /// What clients told of searches: when, who, what.
    pub searches: Vec<(Time, NodeId, SearchEvent)>,
    /// What clients told of calls.
    pub calls: Vec<(Time, NodeId, CallEvent)>,
    /// Voice that clients got: when, who, sequence number, content.
    pub voices: Vec<(Time, NodeId, u32, Vec<u8>)>,
    /// What servers told.
    pub server_events: Vec<(NodeId, ServerEvent)>,
    /// Every message to or from clients, if asked for.
    pub messages: Option<Vec<Sighting>>,
    /// Everything that clients sent by TCP: by client and destination port's node.
    pub recorded: BTreeMap<(NodeId, NodeId), Vec<u8>>,
    /// Changes bytes that a node sends by TCP.
    pub tamper: Option<Tamper>,
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// Share of datagrams that arrive twice.
    pub duplicates: f64,
    /// Datagrams take up to so much longer, each another time, so that they overtake each other.
    pub reordering: Duration,
    /// Least and greatest round trip between two nodes; each pair has its own.
    pub round_trips: (Duration, Duration),
    by_address: BTreeMap<SocketAddrV4, NodeId>,
    flows: Vec<Flow>,
    flow_of: BTreeMap<(NodeId, ConnectionId), usize>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    happened: u64,
    seed: u64,
    random: ChaCha20Rng,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            now: Time::ZERO,
            events: Vec::new(),
            searches: Vec::new(),
            calls: Vec::new(),
            voices: Vec::new(),
            server_events: Vec::new(),
            messages: None,
            recorded: BTreeMap::new(),
            tamper: None,
            loss: 0.0,
            duplicates: 0.0,
            reordering: Duration::ZERO,
            round_trips: (Duration::from_millis(30), Duration::from_millis(90)),
            by_address: BTreeMap::new(),
            flows: Vec::new(),
            flow_of: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            happened: 0,
            seed,
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    pub fn add(
        &mut self,
        role: Role,
        address: SocketAddrV4,
        alternate: Option<SocketAddrV4>,
        gateway: Option<Gateway>,
    ) -> NodeId {
        let id = self.nodes.len();
        if gateway.is_none() {
            self.by_address.insert(address, id);
        }
        if let Some(alternate) = alternate {
            self.by_address.insert(alternate, id);
        }
        let timer = match &role {
            Role::Client(machine) => machine.next_timeout(),
            Role::SuperNode(machine) => machine.next_timeout(),
            Role::LoginServer(machine) => machine.next_timeout(),
        };
        let timer = timer.map(|at| at.max(self.now));
        self.nodes.push(Node {
            role,
            address,
            alternate,
            gateway,
            meter: Meter::default(),
            closed_ports: Vec::new(),
            dead: false,
            next_accepted: 1,
            timer,
        });
        if let Some(at) = timer {
            self.later(at - self.now, Happening::Timer { node: id });
        }
        id
    }

    pub fn client(&self, node: NodeId) -> &Client {
        match &self.nodes[node].role {
            Role::Client(client) => client,
            _ => panic!("node {node} is no client"),
        }
    }

    pub fn super_node(&self, node: NodeId) -> &SuperNode {
        match &self.nodes[node].role {
            Role::SuperNode(node) => node,
            _ => panic!("node {node} is no super node"),
        }
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
        self.now = until;
    }

    pub fn command(&mut self, node: NodeId, command: ClientCommand) {
        self.input(node, &Fed::Command(command));
    }

    /// Runs until `done`, or until nothing more happens before `limit`.
    pub fn run_until(&mut self, limit: Time, mut done: impl FnMut(&Self) -> bool) -> bool {
        while !done(self) {
            let Some(&Reverse((at, number))) = self.queue.peek().filter(|Reverse((at, _))| *at <= limit)
            else {
                return false;
            };
            self.queue.pop();
            self.now = at;
            let happening = self.happenings.remove(&number).expect("queued with its number");
            self.happen(happening);
        }
        true
    }

    /// A node's program ends: its system closes its connections.
    pub fn crash(&mut self, node: NodeId) {
        self.nodes[node].dead = true;
        let flows: Vec<_> = self
            .flow_of
            .iter()
            .filter(|((owner, _), _)| *owner == node)
            .map(|(&key, &flow)| (key, flow))
            .collect();
        for (key, flow) in flows {
            self.flow_of.remove(&key);
            let far = usize::from(self.flows[flow].ends[0] == key);
            let delay = self.delay(node, self.flows[flow].ends[far].0);
            self.later(delay, Happening::Closed { flow, end: far });
        }
    }

    /// A super node is told to leave.
    pub fn leave(&mut self, node: NodeId) {
        let now = self.now;
        let Role::SuperNode(machine) = &mut self.nodes[node].role else {
            panic!("node {node} is no super node");
        };
        machine.handle(now, Input::Command(SuperNodeCommand::Leave));
        self.input(node, &Fed::Timeout);
    }

    /// The events of one client.
    pub fn events_of(&self, node: NodeId) -> impl Iterator<Item = (Time, &LoginEvent)> {
        self.events.iter().filter(move |(_, who, _)| *who == node).map(|(at, _, event)| (*at, event))
    }

    fn later(&mut self, delay: Duration, happening: Happening) {
        self.happened += 1;
        self.queue.push(Reverse((self.now + delay, self.happened)));
        self.happenings.insert(self.happened, happening);
    }

    /// One way between two nodes; always the same for the same pair.
    fn delay(&self, one: NodeId, other: NodeId) -> Duration {
        let pair = (one.min(other) as u64) << 32 | one.max(other) as u64;
        let mut random = ChaCha20Rng::seed_from_u64(self.seed ^ pair.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let share = f64::from(random.next_u32()) / f64::from(u32::MAX);
        let (least, most) = self.round_trips;
        (least + most.saturating_sub(least).mul_f64(share)) / 2
    }

    /// The round trip between two nodes.
    pub fn round_trip(&self, one: NodeId, other: NodeId) -> Duration {
        2 * self.delay(one, other)
    }

    /// The public node at an address.
    pub fn node_at(&self, address: SocketAddrV4) -> Option<NodeId> {
        self.by_address.get(&address).copied()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { to, from, data } => self.datagram_arrives(to, from, &data),
            Happening::Syn { flow, to, from } => self.syn_arrives(flow, to, from),
            Happening::Established { flow, local } => {
                let (node, connection) = self.flows[flow].ends[0];
                if self.flow_of.contains_key(&(node, connection)) {
                    self.input(node, &Fed::Connected(connection, local));
                }
            }
            Happening::Failed { node, connection, error } => {
                if self.flow_of.remove(&(node, connection)).is_some() {
                    self.input(node, &Fed::ConnectFailed(connection, error));
                }
            }
            Happening::Bytes { flow, end, data } => {
                let (node, connection) = self.flows[flow].ends[end];
                if self.flow_of.contains_key(&(node, connection)) && !self.nodes[node].dead {
                    self.nodes[node].meter.tcp_in += data.len();
                    if end == 0 {
                        self.tap(flow, 1, &data);
                    }
                    self.input(node, &Fed::Data(connection, data));
                }
            }
            Happening::Closed { flow, end } => {
                let end = self.flows[flow].ends[end];
                if self.flow_of.remove(&end).is_some() {
                    self.input(end.0, &Fed::Closed(end.1));
                }
            }
            Happening::Timer { node } => {
                if self.nodes[node].timer == Some(self.now) {
                    self.nodes[node].timer = None;
                    self.input(node, &Fed::Timeout);
                }
            }
        }
    }

    fn input(&mut self, node: NodeId, fed: &Fed) {
        if self.nodes[node].dead {
            return;
        }
        let now = self.now;
        let next = match &mut self.nodes[node].role {
            Role::Client(machine) => {
                let command = if let Fed::Command(command) = fed { Some(command.clone()) } else { None };
                feed(machine.as_mut(), now, fed, command)
            }
            Role::SuperNode(machine) => feed(machine.as_mut(), now, fed, None),
            Role::LoginServer(machine) => feed(machine.as_mut(), now, fed, None),
        };
        self.outputs(node);
        let next = next.map(|at| at.max(now));
        if next != self.nodes[node].timer {
            self.nodes[node].timer = next;
            if let Some(at) = next {
                self.later(at - now, Happening::Timer { node });
            }
        }
    }

    fn outputs(&mut self, node: NodeId) {
        loop {
            let output = match &mut self.nodes[node].role {
                Role::Client(machine) => machine.poll_output().map(|output| {
                    split(output).map_err(|event| match event {
                        ClientEvent::Login(event) => self.events.push((self.now, node, event)),
                        ClientEvent::Search(event) => self.searches.push((self.now, node, event)),
                        ClientEvent::Call(event) => self.calls.push((self.now, node, event)),
                        ClientEvent::Voice { sequence, voice } => {
                            self.voices.push((self.now, node, sequence, voice));
                        }
                    })
                }),
                Role::SuperNode(machine) => machine
                    .poll_output()
                    .map(|output| split(output).map_err(|event| self.server_events.push((node, event)))),
                Role::LoginServer(machine) => machine
                    .poll_output()
                    .map(|output| split(output).map_err(|event| self.server_events.push((node, event)))),
            };
            match output {
                None => return,
                Some(Err(())) => {}
                Some(Ok(action)) => self.act(node, action),
            }
        }
    }
}

/// Any machine's input, owned.
enum Fed {
    Datagram(UdpSocket, SocketAddrV4, Vec<u8>),
    Connected(ConnectionId, SocketAddrV4),
    ConnectFailed(ConnectionId, StreamError),
    Accepted(ConnectionId, u16, SocketAddrV4),
    Data(ConnectionId, Vec<u8>),
    Closed(ConnectionId),
    Timeout,
    Command(ClientCommand),
}

/// Any machine's output but its events.
enum Action {
    Datagram(UdpSocket, SocketAddrV4, Vec<u8>),
    Connect(ConnectionId, SocketAddrV4),
    Send(ConnectionId, Vec<u8>),
    Close(ConnectionId),
}

fn feed<M: Machine>(machine: &mut M, now: Time, fed: &Fed, command: Option<M::Command>) -> Option<Time> {
    let input = match fed {
        Fed::Datagram(socket, from, data) => Input::Datagram { socket: *socket, from: *from, data },
        Fed::Connected(connection, local) => Input::Connected { connection: *connection, local: *local },
        Fed::ConnectFailed(connection, error) => {
            Input::ConnectFailed { connection: *connection, error: *error }
        }
        Fed::Accepted(connection, local_port, from) => {
            Input::Accepted { connection: *connection, local_port: *local_port, from: *from }
        }
        Fed::Data(connection, data) => Input::Data { connection: *connection, data },
        Fed::Closed(connection) => Input::Closed { connection: *connection, error: None },
        Fed::Timeout => Input::Timeout,
        Fed::Command(_) => Input::Command(command.expect("only clients get commands here")),
    };
    machine.handle(now, input);
    machine.next_timeout()
}

fn split<E>(output: Output<E>) -> Result<Action, E> {
    match output {
        Output::Datagram { socket, to, data } => Ok(Action::Datagram(socket, to, data)),
        Output::Connect { connection, to } => Ok(Action::Connect(connection, to)),
        Output::Send { connection, data } => Ok(Action::Send(connection, data)),
        Output::Close { connection } => Ok(Action::Close(connection)),
        Output::Event(event) => Err(event),
    }
}
