//! Every decoder: what is encoded decodes to the same, and no bytes make it panic or allocate without bound.

#[allow(dead_code, reason = "each test binary uses its own part of it")]
mod strategies;

use std::net::{Ipv4Addr, SocketAddrV4};

use overlay_protocol::certificate::Signature;
use overlay_protocol::wire::datagram::Datagram;
use overlay_protocol::wire::directory::{Attachment, DirectoryRecord, Life, Member};
use overlay_protocol::wire::login_server::{
    Block, Credentials, FromLoginServer, Outcome, Registration, ToLoginServer, from_bytes, to_bytes,
};
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::{
    FromSuperNode, Presence, RegistrationRefusal, ToSuperNode, UserEntry,
};
use overlay_protocol::wire::{Bytes, DecodeError, List, Message};
use overlay_protocol::{
    Input, Machine, Output, ParameterFile, RecordSource, SuperNode, SuperNodeConfig, Time, UdpSocket,
};
use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{addresses, certificates, presences, random, server_keys, users};

fn datagrams() -> impl Strategy<Value = Datagram> {
    let transaction = any::<u32>;
    prop_oneof![
        transaction().prop_map(|transaction| Datagram::Probe { transaction }),
        (transaction(), addresses(), any::<u16>())
            .prop_map(|(transaction, mapped, load)| Datagram::ProbeAnswer { transaction, mapped, load }),
        (transaction(), vec(any::<u32>().prop_map(Ipv4Addr::from), 0..64)).prop_map(
            |(transaction, contacted)| {
                Datagram::ChangeAddress { transaction, contacted: List::new(contacted) }
            }
        ),
        transaction().prop_map(|transaction| Datagram::ChangePort { transaction }),
        (transaction(), addresses())
            .prop_map(|(transaction, client)| Datagram::AnswerFor { transaction, client }),
        transaction().prop_map(|transaction| Datagram::TestAnswer { transaction }),
        transaction().prop_map(|transaction| Datagram::NobodyElse { transaction }),
        (transaction(), users(), presences(), addresses()).prop_map(
            |(transaction, user, presence, super_node)| {
                let Presence { private, public, nat } = presence;
                Datagram::Advertisement { transaction, user, nat, private, public, super_node }
            }
        ),
        (transaction(), addresses(), vec(addresses(), 0..50)).prop_map(|(transaction, mapped, hosts)| {
            Datagram::AdvertisementAnswer { transaction, mapped, hosts: List::new(hosts) }
        }),
        (transaction(), addresses())
            .prop_map(|(transaction, mapped)| Datagram::AdvertisementConfirmation { transaction, mapped }),
        directory_datagrams(),
    ]
}

fn members() -> impl Strategy<Value = Member> {
    (addresses(), any::<u32>(), any::<bool>()).prop_map(|(address, incarnation, dead)| Member {
        address,
        incarnation,
        life: if dead { Life::Dead } else { Life::Alive },
    })
}

fn attachments() -> impl Strategy<Value = Attachment> {
    (addresses(), any::<[u32; 4]>(), presences(), any::<bool>()).prop_map(
        |(super_node, [life, serial, logged_in, seen], presence, online)| Attachment {
            super_node,
            life,
            serial,
            presence,
            online,
            logged_in,
            seen,
        },
    )
}

fn records() -> impl Strategy<Value = DirectoryRecord> {
    (certificates(), presences(), any::<bool>(), any::<[u32; 2]>(), vec(addresses(), 0..=4)).prop_map(
        |(certificate, presence, online, [logged_in, seen], super_nodes)| DirectoryRecord {
            certificate,
            presence,
            online,
            logged_in,
            seen,
            super_nodes: List::new(super_nodes),
        },
    )
}

fn sources() -> impl Strategy<Value = RecordSource> {
    prop_oneof![Just(RecordSource::Index), Just(RecordSource::Cache), Just(RecordSource::Search)]
}

fn directory_datagrams() -> impl Strategy<Value = Datagram> {
    let transaction = any::<u32>;
    let gossip = || (transaction(), any::<u32>(), vec(members(), 0..=64).prop_map(List::new));
    prop_oneof![
        gossip().prop_map(|(transaction, incarnation, members)| Datagram::Gossip {
            transaction,
            incarnation,
            members
        }),
        gossip().prop_map(|(transaction, incarnation, members)| Datagram::GossipAnswer {
            transaction,
            incarnation,
            members
        }),
        (transaction(), certificates(), vec(attachments(), 0..=12)).prop_map(
            |(transaction, certificate, attachments)| Datagram::Replicate {
                transaction,
                certificate,
                attachments: List::new(attachments),
            }
        ),
        transaction().prop_map(|transaction| Datagram::ReplicateAnswer { transaction }),
        (transaction(), users()).prop_map(|(transaction, user)| Datagram::Lookup { transaction, user }),
        (transaction(), proptest::option::of(records()), sources())
            .prop_map(|(transaction, found, source)| Datagram::LookupAnswer { transaction, found, source }),
    ]
}

fn to_super_node() -> impl Strategy<Value = ToSuperNode> {
    prop_oneof![
        Just(ToSuperNode::Hello {}),
        (certificates(), presences(), vec(any::<u8>(), 0..=256)).prop_map(
            |(certificate, presence, signature)| {
                let signature = Signature::new(signature).expect("not too long");
                ToSuperNode::Register { certificate, presence, signature }
            }
        ),
        any::<u8>().prop_map(|most| ToSuperNode::HostsWanted { most }),
        vec(users(), 0..=50).prop_map(|users| ToSuperNode::BuddiesWanted { users: List::new(users) }),
        any::<u8>().prop_map(|most| ToSuperNode::RelaysWanted { most }),
        Just(ToSuperNode::KeepAlive {}),
        (any::<u32>(), users(), any::<bool>()).prop_map(|(search, user, on_behalf)| ToSuperNode::Search {
            search,
            user,
            on_behalf
        }),
        (any::<u32>(), proptest::option::of(addresses()))
            .prop_map(|(search, found_at)| ToSuperNode::SearchReport { search, found_at }),
    ]
}

fn from_super_node() -> impl Strategy<Value = FromSuperNode> {
    let entries = || vec(addresses(), 0..=200).prop_map(List::new);
    let entry = (certificates(), presences(), any::<bool>())
        .prop_map(|(certificate, presence, online)| UserEntry { certificate, presence, online });
    let reasons = prop_oneof![
        Just(RegistrationRefusal::ForgedCertificate),
        Just(RegistrationRefusal::ForeignKey),
        Just(RegistrationRefusal::Outdated)
    ];
    prop_oneof![
        (any::<[u8; 8]>(), addresses())
            .prop_map(|(nonce, observed)| FromSuperNode::Welcome { nonce, observed }),
        Just(FromSuperNode::Busy {}),
        Just(FromSuperNode::Registered {}),
        reasons.prop_map(|reason| FromSuperNode::RegistrationRefused { reason }),
        entries().prop_map(|entries| FromSuperNode::Hosts { entries }),
        (users(), proptest::option::of(entry)).prop_map(|(user, found)| FromSuperNode::Buddy { user, found }),
        entries().prop_map(|entries| FromSuperNode::Relays { entries }),
        Just(FromSuperNode::StillHere {}),
        (any::<u32>(), vec(addresses(), 0..=64))
            .prop_map(|(search, nodes)| FromSuperNode::SearchBatch { search, nodes: List::new(nodes) }),
        (any::<u32>(), proptest::option::of(records()), sources(), any::<u8>()).prop_map(
            |(search, found, source, asked)| FromSuperNode::SearchResult { search, found, source, asked }
        ),
    ]
}

fn to_login_server() -> impl Strategy<Value = ToLoginServer> {
    let block = || vec(any::<u8>(), 0..=256).prop_map(|bytes| Block::new(bytes).expect("not too long"));
    prop_oneof![
        block().prop_map(|block| ToLoginServer::Register { block }),
        (block(), vec(any::<u8>(), 0..=512)).prop_map(|(key, sealed)| {
            ToLoginServer::Login { key, sealed: Bytes::new(sealed).expect("not too long") }
        }),
    ]
}

fn from_login_server() -> impl Strategy<Value = FromLoginServer> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|nonce| FromLoginServer::Greeting { nonce }),
        vec(any::<u8>(), 0..=1_024)
            .prop_map(|sealed| FromLoginServer::Answer { sealed: Bytes::new(sealed).expect("not too long") }),
    ]
}

/// Reads messages until the stream has no more, from pieces of this length.
fn read_all<M: Message>(bytes: &[u8], piece: usize) -> Result<Vec<M>, DecodeError> {
    let mut stream = Stream::default();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        stream.receive(piece);
        while let Some(message) = stream.next_message()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn passes<M: Message + PartialEq + std::fmt::Debug>(
    messages: &[M],
    piece: usize,
) -> Result<(), TestCaseError> {
    let mut stream = Stream::default();
    let bytes: Vec<u8> = messages.iter().flat_map(|message| stream.send(&mut random(), message)).collect();
    let read = read_all::<M>(&bytes, piece);
    prop_assert_eq!(read.as_deref(), Ok(messages));
    // Cut short, the last message is waited for; nothing else changes.
    let cut = read_all::<M>(&bytes[..bytes.len() - 1], piece).expect("what came was right");
    prop_assert_eq!(cut.as_slice(), &messages[..messages.len() - 1]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn datagrams_come_back_as_they_were(message in datagrams()) {
        let payload = message.to_payload(&mut random());
        prop_assert!(payload.len() <= 1_200);
        prop_assert_eq!(Datagram::from_payload(&payload), Ok(message));
    }

    #[test]
    fn messages_to_super_nodes_come_back_as_they_were(messages in vec(to_super_node(), 1..4), piece in 1usize..600) {
        passes(&messages, piece)?;
    }

    #[test]
    fn messages_from_super_nodes_come_back_as_they_were(messages in vec(from_super_node(), 1..4), piece in 1usize..600) {
        passes(&messages, piece)?;
    }

    #[test]
    fn messages_to_login_servers_come_back_as_they_were(messages in vec(to_login_server(), 1..4), piece in 1usize..600) {
        passes(&messages, piece)?;
    }

    #[test]
    fn messages_from_login_servers_come_back_as_they_were(messages in vec(from_login_server(), 1..4), piece in 1usize..600) {
        passes(&messages, piece)?;
    }

    #[test]
    fn certified_outcomes_come_back_as_they_were(certificate in certificates()) {
        let outcome = Outcome::Certified(certificate);
        prop_assert_eq!(from_bytes::<Outcome>(&to_bytes(&outcome)), Ok(outcome));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_frames_never_panic(kind in any::<u8>(), body in vec(any::<u8>(), 0..600), surplus in 0u16..3) {
        let length = u16::try_from(body.len()).expect("short").saturating_sub(surplus);
        let frame = [&[1, kind], length.to_be_bytes().as_slice(), &body].concat();
        let _ = Datagram::from_frame(&frame);
        let _ = ToSuperNode::from_frame(&frame);
        let _ = FromSuperNode::from_frame(&frame);
        let _ = ToLoginServer::from_frame(&frame);
        let _ = FromLoginServer::from_frame(&frame);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..1_500), piece in 1usize..200) {
        let _ = Datagram::from_payload(&bytes);
        let _ = read_all::<ToSuperNode>(&bytes, piece);
        let _ = read_all::<FromSuperNode>(&bytes, piece);
        let _ = read_all::<ToLoginServer>(&bytes, piece);
        let _ = read_all::<FromLoginServer>(&bytes, piece);
        let _ = from_bytes::<Outcome>(&bytes);
        let _ = from_bytes::<Credentials>(&bytes);
        let _ = from_bytes::<Registration>(&bytes);
    }
}

#[test]
fn a_count_or_length_beyond_its_bound_is_refused_before_anything_is_read() {
    let hosts = [1, 0x44, 0, 1, 201];
    assert_eq!(FromSuperNode::from_frame(&hosts), Err(DecodeError::TooLong { found: 201, limit: 200 }));
    let block = [1, 0x60, 0, 2, 0xff, 0xff];
    assert_eq!(ToLoginServer::from_frame(&block), Err(DecodeError::TooLong { found: 65_535, limit: 256 }));
    let gossip = [1, 0x10, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 65];
    assert_eq!(Datagram::from_frame(&gossip), Err(DecodeError::TooLong { found: 65, limit: 64 }));
    let batch = [1, 0x50, 0, 5, 0, 0, 0, 1, 65];
    assert_eq!(FromSuperNode::from_frame(&batch), Err(DecodeError::TooLong { found: 65, limit: 64 }));
    let frame = [1, 0x20, 0xff, 0xff];
    assert_eq!(ToSuperNode::from_frame(&frame), Err(DecodeError::TooLong { found: 65_535, limit: 2_048 }));
    let payload = vec![0; 1_201];
    assert_eq!(Datagram::from_payload(&payload), Err(DecodeError::TooLong { found: 1_201, limit: 1_200 }));
}

#[test]
fn an_rsa_modulus_that_is_none_is_refused() {
    for modulus in [vec![0; 128], vec![0xff; 127], vec![0xfe; 128]] {
        let mut bytes = vec![0; 16];
        bytes.extend(u16::try_from(modulus.len()).expect("short").to_be_bytes());
        bytes.extend(modulus);
        bytes.extend([1, b'a']);
        bytes.extend([0; 32]);
        assert!(from_bytes::<Credentials>(&bytes).is_err());
    }
}

fn super_node(peers: &[SocketAddrV4]) -> SuperNode {
    let file: ParameterFile =
        serde_yaml::from_str(include_str!("../../parameters/skype-2006.yaml")).expect("the file is one");
    SuperNode::new(SuperNodeConfig {
        address: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 1), 33_033),
        peers: peers.to_vec(),
        login_server_keys: vec![server_keys().public()],
        seed: 5,
        parameters: file.parameters().expect("its values are within their ranges"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_members_say_a_super_node_sends_a_bounded_number_of_datagrams_that_all_decode(
        messages in vec((directory_datagrams(), 0usize..3, 0u64..20_000), 1..40)
    ) {
        let peers: Vec<_> =
            (2..5).map(|last| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 33_033)).collect();
        let mut node = super_node(&peers);
        let mut now = 0;
        let mut sent = 0;
        for (message, from, later) in &messages {
            now += later;
            let data = message.to_payload(&mut random());
            let at = Time::from_epoch(std::time::Duration::from_millis(now));
            node.handle(at, Input::Datagram { socket: UdpSocket::Main, from: peers[*from], data: &data });
            while let Some(output) = node.poll_output() {
                if let Output::Datagram { data, .. } = output {
                    sent += 1;
                    prop_assert!(Datagram::from_payload(&data).is_ok());
                }
            }
        }
        // At most: all open questions repeated, a window of records, and the answer.
        prop_assert!(sent <= 250 * messages.len(), "{} for {}", sent, messages.len());
        prop_assert!(node.directory_status().records <= messages.len());
    }
}
