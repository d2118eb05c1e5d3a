//! What a super node answers by UDP.

use std::net::SocketAddrV4;

use super::SuperNode;
use crate::event::NatVerdict;
use crate::login::below;
use crate::machine::{Output, Time, UdpSocket};
use crate::user::UserName;
use crate::wire::List;
use crate::wire::datagram::Datagram;

/// A user who advertised presence: this node is on the backup connectivity list of that user's client.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The user. Not proven: an advertisement carries no certificate.
    pub user: UserName,
    /// The client's NAT type, by its own account.
    pub nat: NatVerdict,
    /// Its address and port behind the NAT.
    pub private: SocketAddrV4,
    /// Its address and port as its super node sees it.
    pub public: SocketAddrV4,
    /// Its super node, which has its certificate.
    pub super_node: SocketAddrV4,
    transaction: u32,
    /// The client confirmed that this node's answers come through its NAT.
    pub confirmed: bool,
}

impl SuperNode {
    /// Bad datagrams are dropped: their source may be forged, so nobody is made to pay.
    pub(super) fn datagram(&mut self, now: Time, from: SocketAddrV4, data: &[u8]) {
        if self.relay_datagram(now, from, data) {
            return;
        }
        let Ok(message) = Datagram::from_payload(data) else {
            return;
        };
        if self.directory.datagram(now, from, &message) {
            return;
        }
        match message {
            Datagram::Probe { transaction } => {
                let load = u16::try_from(self.sessions.len()).unwrap_or(u16::MAX);
                self.send(UdpSocket::Main, from, &Datagram::ProbeAnswer { transaction, mapped: from, load });
            }
            Datagram::ChangeAddress { transaction, contacted } => {
                let contacted = contacted.into_vec();
                let mut others = self.peers.clone();
                others.retain(|peer| peer.ip() != self.config.address.ip() && !contacted.contains(peer.ip()));
                if others.is_empty() {
                    self.send(UdpSocket::Main, from, &Datagram::NobodyElse { transaction });
                } else {
                    let other = others[below(&mut self.random, others.len())];
                    self.send(UdpSocket::Main, other, &Datagram::AnswerFor { transaction, client: from });
                }
            }
            Datagram::ChangePort { transaction } => {
                self.send(UdpSocket::Alternate, from, &Datagram::TestAnswer { transaction });
            }
            // Only for other super nodes: nobody else may make this node send to a third party.
            Datagram::AnswerFor { transaction, client } if self.known_peers.contains(&from) => {
                self.send(UdpSocket::Main, client, &Datagram::TestAnswer { transaction });
            }
            Datagram::Advertisement { transaction, user, nat, private, public, super_node } => {
                let contact =
                    Contact { user, nat, private, public, super_node, transaction, confirmed: false };
                self.contacts.enter(from, contact);
                let entries = self.config.parameters.advertisement_answer_entries.get();
                let hosts = List::new(self.some_peers(entries));
                let answer = Datagram::AdvertisementAnswer { transaction, mapped: from, hosts };
                self.send(UdpSocket::Main, from, &answer);
            }
            Datagram::AdvertisementConfirmation { transaction, mapped } => {
                if let Some(contact) = self.contacts.get_mut(&from) {
                    contact.confirmed |= contact.transaction == transaction && mapped == from;
                }
            }
            Datagram::JoinRelay { transaction, ticket, cookie } => {
                self.join_relay_by_udp(now, from, transaction, ticket, cookie);
            }
            // What only clients serve, and what the directory has taken.
            _ => {}
        }
    }

    pub(super) fn send(&mut self, socket: UdpSocket, to: SocketAddrV4, message: &Datagram) {
        let data = message.to_payload(&mut self.random);
        self.outputs.push_back(Output::Datagram { socket, to, data });
    }
}
