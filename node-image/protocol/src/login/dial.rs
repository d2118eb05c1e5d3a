//! One node by TCP: its own port, then the fall-back ports.

use std::net::SocketAddrV4;

use super::core::Core;
use crate::machine::{ConnectionId, Time};

/// An attempt to connect, and the ports that are left to try.
#[derive(Debug)]
pub(super) struct Dial {
    /// The node, with its own port.
    pub node: SocketAddrV4,
    /// The connection that is being made, or was.
    pub connection: ConnectionId,
    /// Address and port of this connection.
    pub to: SocketAddrV4,
    /// When this port counts as not reached.
    pub deadline: Time,
    ports: Vec<u16>,
}

impl Dial {
    /// Begins with the node's own port.
    pub fn start(core: &mut Core, node: SocketAddrV4) -> Self {
        let mut ports = core.parameters.listening_ports(node.port());
        ports.reverse();
        ports.pop();
        Self { node, connection: core.connect(node), to: node, deadline: core.answer_due(), ports }
    }

    /// Goes on to the next port; `false` if none is left.
    pub fn next_port(&mut self, core: &mut Core) -> bool {
        let Some(port) = self.ports.pop() else {
            return false;
        };
        self.to = SocketAddrV4::new(*self.node.ip(), port);
        self.connection = core.connect(self.to);
        self.deadline = core.answer_due();
        true
    }
}
