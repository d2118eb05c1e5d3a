//! How datagrams and connections get from node to node.

use std::net::SocketAddrV4;
use std::time::Duration;

use overlay_protocol::wire::Message;
use overlay_protocol::wire::datagram::Datagram;
use overlay_protocol::wire::login_server::{FromLoginServer, ToLoginServer};
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::{FromSuperNode, ToSuperNode};
use overlay_protocol::{ConnectionId, StreamError, UdpSocket};
use rand_core::RngCore;

use super::{Action, Fed, Flow, Happening, NodeId, Role, Sighting, World};

impl World {
    pub(super) fn act(&mut self, node: NodeId, action: Action) {
        match action {
            Action::Datagram(socket, to, data) => self.send_datagram(node, socket, to, &data),
            Action::Connect(connection, to) => self.connect(node, connection, to),
            Action::Send(connection, data) => self.send(node, connection, data),
            Action::Close(connection) => {
                if let Some(flow) = self.flow_of.remove(&(node, connection)) {
                    let far = usize::from(self.flows[flow].ends[0] == (node, connection));
                    let other = self.flows[flow].ends[far].0;
                    let delay = self.delay(node, other);
                    self.later(delay, Happening::Closed { flow, end: far });
                }
            }
        }
    }

    fn send_datagram(&mut self, node: NodeId, socket: UdpSocket, to: SocketAddrV4, data: &[u8]) {
        let sender = &mut self.nodes[node];
        sender.meter.udp_out += data.len();
        let own = match socket {
            UdpSocket::Main => sender.address,
            UdpSocket::Alternate => sender.alternate.expect("only super nodes use it"),
        };
        let source = match &mut sender.gateway {
            None => Some(own),
            Some(gateway) => gateway.udp_out(to),
        };
        self.note_datagram(node, "->", to, data);
        let lost = f64::from(self.random.next_u32()) < self.loss * f64::from(u32::MAX);
        if let (Some(from), false) = (source, lost) {
            let receiver = self.owner(to).unwrap_or(node);
            let delay = self.delay(node, receiver);
            let copies = if self.share() < self.duplicates { 2 } else { 1 };
            for _ in 0..copies {
                let late = if self.reordering.is_zero() { 0.0 } else { self.share() };
                let delay = delay + self.reordering.mul_f64(late);
                self.later(delay, Happening::Datagram { to, from, data: data.to_vec() });
            }
        }
    }

    /// A random number from 0 to 1; none is drawn where it makes no difference.
    fn share(&mut self) -> f64 {
        if self.duplicates == 0.0 && self.reordering.is_zero() {
            return 1.0;
        }
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }

    /// The node at an address, or the one behind the gateway with that address.
    fn owner(&self, address: SocketAddrV4) -> Option<NodeId> {
        self.nodes.iter().position(|node| match &node.gateway {
            Some(gateway) => gateway.tcp_source(0).ip() == address.ip(),
            None => node.address == address || node.alternate == Some(address),
        })
    }

    fn connect(&mut self, node: NodeId, connection: ConnectionId, to: SocketAddrV4) {
        let port = 50_000 + u16::try_from(self.flows.len() % 10_000).expect("less than 10,000");
        let from = match &self.nodes[node].gateway {
            None => SocketAddrV4::new(*self.nodes[node].address.ip(), port),
            Some(gateway) => gateway.tcp_source(port),
        };
        let flow = self.flows.len();
        let ends = [(node, connection), (usize::MAX, ConnectionId(0))];
        self.flows.push(Flow { ends, taps: [Stream::default(), Stream::default()] });
        self.flow_of.insert((node, connection), flow);
        if let Some(gateway) = &self.nodes[node].gateway
            && !gateway.tcp_out(to.port())
        {
            if gateway.policy.tcp_rejects {
                let error = StreamError::Refused;
                self.later(Duration::from_millis(1), Happening::Failed { node, connection, error });
            }
            return;
        }
        let far =
            self.nodes.iter().position(|other| other.gateway.is_none() && other.address.ip() == to.ip());
        if let Some(far) = far {
            let delay = self.delay(node, far);
            self.later(delay, Happening::Syn { flow, to, from });
        }
    }

    fn send(&mut self, node: NodeId, connection: ConnectionId, mut data: Vec<u8>) {
        let Some(&flow) = self.flow_of.get(&(node, connection)) else {
            return;
        };
        let near = usize::from(self.flows[flow].ends[0] != (node, connection));
        let far = self.flows[flow].ends[1 - near].0;
        if let Some(tamper) = &mut self.tamper {
            tamper(node, &mut data);
        }
        self.nodes[node].meter.tcp_out += data.len();
        if near == 0 {
            self.recorded.entry((node, far)).or_default().extend_from_slice(&data);
            self.tap(flow, 0, &data);
        }
        let delay = self.delay(node, far);
        self.later(delay, Happening::Bytes { flow, end: 1 - near, data });
    }

    /// Notes the messages that one end of a client's connection sent.
    pub(super) fn tap(&mut self, flow: usize, sender: usize, data: &[u8]) {
        let [(client, _), (server, _)] = self.flows[flow].ends;
        let Some(sightings) = &mut self.messages else {
            return;
        };
        let tap = &mut self.flows[flow].taps[sender];
        tap.receive(data);
        let at_login_server = matches!(self.nodes[server].role, Role::LoginServer(_));
        let peer = self.nodes[server].address;
        while let Some((name, bytes)) = match (sender, at_login_server) {
            (0, true) => next_name::<ToLoginServer>(tap),
            (0, false) => next_name::<ToSuperNode>(tap),
            (_, true) => next_name::<FromLoginServer>(tap),
            (_, false) => next_name::<FromSuperNode>(tap),
        } {
            let arrow = if sender == 0 { "->" } else { "<-" };
            sightings.push(Sighting { node: client, text: format!("tcp {arrow} {peer} {name}"), bytes });
        }
    }

    fn note_datagram(&mut self, node: NodeId, arrow: &str, peer: SocketAddrV4, data: &[u8]) {
        if let (Some(sightings), Role::Client(_)) = (&mut self.messages, &self.nodes[node].role) {
            let name = Datagram::from_payload(data).expect("only good datagrams are sent").name();
            sightings.push(Sighting { node, text: format!("udp {arrow} {peer} {name}"), bytes: data.len() });
        }
    }

    pub(super) fn datagram_arrives(&mut self, to: SocketAddrV4, from: SocketAddrV4, data: &[u8]) {
        let behind = self.nodes.iter().position(|node| {
            node.gateway.as_ref().is_some_and(|gateway| *gateway.tcp_source(0).ip() == *to.ip())
        });
        let Some(node) = behind.or_else(|| self.by_address.get(&to).copied()) else {
            return;
        };
        if self.nodes[node].dead {
            return;
        }
        if let Some(gateway) = &mut self.nodes[node].gateway
            && !gateway.udp_in(from, to)
        {
            return;
        }
        let alternate = self.nodes[node].alternate == Some(to);
        self.nodes[node].meter.udp_in += data.len();
        self.note_datagram(node, "<-", from, data);
        let socket = if alternate { UdpSocket::Alternate } else { UdpSocket::Main };
        self.input(node, &Fed::Datagram(socket, from, data.to_vec()));
    }

    pub(super) fn syn_arrives(&mut self, flow: usize, to: SocketAddrV4, from: SocketAddrV4) {
        let (dialler, connection) = self.flows[flow].ends[0];
        let Some(node) =
            self.nodes.iter().position(|node| node.gateway.is_none() && node.address.ip() == to.ip())
        else {
            return;
        };
        if self.nodes[node].dead {
            return;
        }
        let ports = match &self.nodes[node].role {
            Role::Client(client) => client.listening_ports(),
            Role::SuperNode(server) => server.listening_ports(),
            Role::LoginServer(server) => server.listening_ports(),
        };
        let back = self.delay(dialler, node);
        if !ports.contains(&to.port()) || self.nodes[node].closed_ports.contains(&to.port()) {
            let error = StreamError::Refused;
            self.later(back, Happening::Failed { node: dialler, connection, error });
            return;
        }
        let accepted = ConnectionId(self.nodes[node].next_accepted);
        self.nodes[node].next_accepted += 2;
        self.flows[flow].ends[1] = (node, accepted);
        self.flow_of.insert((node, accepted), flow);
        let local = SocketAddrV4::new(*self.nodes[dialler].address.ip(), from.port());
        self.later(back, Happening::Established { flow, local });
        self.input(node, &Fed::Accepted(accepted, to.port(), from));
    }
}

fn next_name<M: Message>(tap: &mut Stream) -> Option<(&'static str, usize)> {
    let message = tap.next_message::<M>().ok()??;
    Some((message.name(), message.to_frame().len()))
}
