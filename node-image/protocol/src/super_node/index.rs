//! The super node's end of the directory: what it sends, what it answers, and who is there.

use std::net::SocketAddrV4;

use super::SuperNode;
use crate::directory::{DirectoryStatus, Effect};
use crate::machine::{Output, UdpSocket};
use crate::user::UserName;
use crate::wire::directory::Life;

impl SuperNode {
    /// Its own public address.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.config.address
    }

    /// What its part of the directory holds and has done.
    #[must_use]
    pub fn directory_status(&self) -> DirectoryStatus {
        self.directory.status()
    }

    /// True if it holds a user's record: as a home, or because the user is its client.
    #[must_use]
    pub fn holds(&self, user: &UserName) -> bool {
        self.directory.holds(user)
    }

    /// The other super nodes that live, by its view.
    pub fn members(&self) -> impl Iterator<Item = SocketAddrV4> + '_ {
        self.directory.members()
    }

    /// Sends what the directory wants sent, and follows who comes and goes.
    pub(super) fn do_directory_work(&mut self) {
        while let Some(effect) = self.directory.poll_effect() {
            match effect {
                Effect::Datagram(to, message) => {
                    let data = self.directory.payload(&message);
                    self.outputs.push_back(Output::Datagram { socket: UdpSocket::Main, to, data });
                }
                Effect::Answer(connection, message) => {
                    // One that asks more than is answered is told nothing; it asks again, or elsewhere.
                    let _ = self.answer(connection, &message);
                }
            }
        }
        for (node, life) in self.directory.take_changes() {
            self.peers.retain(|peer| *peer != node);
            if life == Life::Alive {
                self.known_peers.insert(node);
                self.peers.push(node);
            }
        }
    }
}
