//! UDP: probes, STUN-like tests, advertisements.

use std::net::{Ipv4Addr, SocketAddrV4};

use rand_core::RngCore;

use super::call::Ticket;
use super::directory::{Attachment, DirectoryRecord, MOST_ATTACHMENTS, MOST_MEMBERS, Member};
use super::{DecodeError, List, Message, messages};
use crate::certificate::Certificate;
use crate::crypto::obfuscation;
use crate::event::{NatVerdict, RecordSource};
use crate::user::UserName;

/// Longest datagram that is sent or read: it fits every path without fragments.
pub const LONGEST_DATAGRAM: usize = 1_200;

/// The most addresses that a client lists as contacted.
pub const MOST_CONTACTED: usize = 64;

messages! {
    /// What nodes send each other by UDP.
    Datagram {
        /// Client to host-cache entry: are you there, and where do you see me? (The STUN test I.)
        0x01 Probe {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
        }
        /// The answer to a probe.
        0x02 ProbeAnswer {
            /// The probe's.
            transaction: u32,
            /// Where the probe came from, as seen here: the client's mapped address.
            mapped: SocketAddrV4,
            /// Clients that this super node serves: of equally near ones the least loaded is the best.
            load: u16,
        }
        /// Client to super node: have another super node answer me (the STUN test II).
        0x03 ChangeAddress {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
            /// Addresses that the client has sent to, which must not answer: they would pass any filter.
            contacted: List<Ipv4Addr, MOST_CONTACTED>,
        }
        /// Client to super node: answer from your other port (the STUN test III).
        0x04 ChangePort {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
        }
        /// Super node to super node: answer this client's test II in my place.
        0x05 AnswerFor {
            /// The test's.
            transaction: u32,
            /// The client, as the asking super node sees it.
            client: SocketAddrV4,
        }
        /// The answer to test II or III. Where it comes from is what it tells.
        0x06 TestAnswer {
            /// The test's.
            transaction: u32,
        }
        /// The super node knows no other that could answer test II.
        0x07 NobodyElse {
            /// The test's.
            transaction: u32,
        }
        /// Client to a node of its backup connectivity list: I am here (step 4 of the login).
        0x08 Advertisement {
            /// Chosen by the sender; the answer repeats it.
            transaction: u32,
            /// The user.
            user: UserName,
            /// The client's NAT type.
            nat: NatVerdict,
            /// Its address and port behind the NAT.
            private: SocketAddrV4,
            /// Its address and port as super nodes see it.
            public: SocketAddrV4,
            /// Its super node.
            super_node: SocketAddrV4,
        }
        /// The answer to an advertisement.
        0x09 AdvertisementAnswer {
            /// The advertisement's.
            transaction: u32,
            /// Where it came from, as seen here.
            mapped: SocketAddrV4,
            /// Other nodes, for the client's host cache.
            hosts: List<SocketAddrV4, 50>,
        }
        /// Client behind a NAT to the node that answered its advertisement: your answer came in, so the NAT
        /// lets you in; and this is the mapping that you see.
        0x0a AdvertisementConfirmation {
            /// The advertisement's.
            transaction: u32,
            /// The address that the answer told.
            mapped: SocketAddrV4,
        }
        /// Super node to super node, at an interval: do you live, and this is what I know of others.
        0x10 Gossip {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
            /// The sender's own.
            incarnation: u32,
            /// Some super nodes, as the sender knows them.
            members: List<Member, MOST_MEMBERS>,
        }
        /// The answer to gossip, with what the answerer knows.
        0x11 GossipAnswer {
            /// The gossip's.
            transaction: u32,
            /// The sender's own.
            incarnation: u32,
            /// Some super nodes, as the sender knows them.
            members: List<Member, MOST_MEMBERS>,
        }
        /// Super node to super node: hold this of a user.
        0x12 Replicate {
            /// Chosen by the sender; the answer repeats it.
            transaction: u32,
            /// The user's certificate.
            certificate: Certificate,
            /// What super nodes say of the user.
            attachments: List<Attachment, MOST_ATTACHMENTS>,
        }
        /// What was to be held is held, or was known to be outdated.
        0x13 ReplicateAnswer {
            /// The question's.
            transaction: u32,
        }
        /// Client or super node to a super node: do you know this user?
        0x14 Lookup {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
            /// The user.
            user: UserName,
        }
        /// The answer to a lookup.
        0x15 LookupAnswer {
            /// The question's.
            transaction: u32,
            /// Nothing if the user is not known here.
            found: Option<DirectoryRecord>,
            /// Where the answerer has it from.
            source: RecordSource,
        }
        /// Client to relay: take this end of a call as one that you relay for. Sent again it keeps the place.
        0x20 JoinRelay {
            /// Chosen by the asker; the answer repeats it.
            transaction: u32,
            /// What both ends of the call know, and nobody else.
            ticket: Ticket,
            /// From the relay's [`Datagram::RelayCookie`]; zeros at first.
            cookie: [u8; 8],
        }
        /// The relay to whom it has not seen at this address before: repeat this, to show that you are there.
        0x21 RelayCookie {
            /// The question's.
            transaction: u32,
            /// To be repeated.
            cookie: [u8; 8],
        }
        /// This end of the call has its place.
        0x22 RelayJoined {
            /// The question's.
            transaction: u32,
        }
        /// The relay has as many calls as it takes.
        0x23 RelayFull {
            /// The question's.
            transaction: u32,
        }
    }
}

impl Datagram {
    /// The UDP payload: seed, then the obfuscated frame.
    pub fn to_payload(&self, random: &mut impl RngCore) -> Vec<u8> {
        obfuscation::datagram(random, &self.to_frame())
    }

    /// Reads a UDP payload.
    ///
    /// # Errors
    ///
    /// If it does not hold exactly one message.
    pub fn from_payload(payload: &[u8]) -> Result<Self, DecodeError> {
        if payload.len() > LONGEST_DATAGRAM {
            return Err(DecodeError::TooLong { found: payload.len(), limit: LONGEST_DATAGRAM });
        }
        let frame = obfuscation::read_datagram(payload).ok_or(DecodeError::TooShort)?;
        let (message, length) = Self::from_frame(&frame)?.ok_or(DecodeError::TooShort)?;
        if length < frame.len() {
            return Err(DecodeError::LeftOver(frame.len() - length));
        }
        Ok(message)
    }
}
