//! What leaves the engine.

use std::io;

use super::super::AttachmentId;
use super::pool::{Packet, Pool};
use crate::net::link::{InterfaceIndex, Mac};
use crate::net::sys::LinkAddress;
use crate::net::sys::batch::{BATCH, Outgoing, PacketSender};
use crate::plan::WanPlan;

/// Packets that are about to be sent.
#[derive(Debug)]
pub struct Out {
    socket: PacketSender,
    /// The other end of each attachment's link.
    ends: Vec<LinkAddress>,
    waiting: Vec<(AttachmentId, Packet)>,
    /// Packets that the kernel did not take.
    unsent: u64,
}

impl Out {
    /// Opens the socket, in the calling thread's namespace.
    pub fn open(plan: &WanPlan) -> io::Result<Self> {
        let end = |(id, at): (usize, &crate::plan::Attachment)| {
            let interface = AttachmentId(id).interface().map_or(0, |InterfaceIndex(index)| index);
            LinkAddress::new(interface, Mac::of(&at.namespace, &at.interface).0)
        };
        Ok(Self {
            socket: PacketSender::open()?,
            ends: plan.attachments.iter().enumerate().map(end).collect::<io::Result<_>>()?,
            waiting: Vec::with_capacity(BATCH),
            unsent: 0,
        })
    }

    /// Packets that the kernel did not take.
    pub fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Sends a packet with the next [`Out::flush`] at the latest.
    pub fn push(&mut self, to: AttachmentId, packet: Packet, pool: &mut Pool) {
        self.waiting.push((to, packet));
        if self.waiting.len() == BATCH {
            self.flush(pool);
        }
    }

    /// Sends what is left to be sent.
    pub fn flush(&mut self, pool: &mut Pool) {
        let Self { socket, ends, waiting, unsent } = self;
        let mut done = 0;
        while done < waiting.len() {
            let rest = waiting[done..].iter();
            let packets = rest.map(|(to, packet)| Outgoing { to: &ends[to.0], bytes: packet.bytes() });
            match socket.send(packets) {
                Ok(sent) => done += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Its interface has gone, or is down: it is lost, as on a cable that was pulled.
                Err(_) => {
                    *unsent += 1;
                    done += 1;
                }
            }
        }
        for (_, packet) in waiting.drain(..) {
            pool.take_back(packet);
        }
    }
}
