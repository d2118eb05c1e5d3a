//! The decoders of calls: what is encoded decodes to the same, and no bytes make them panic.

#[allow(dead_code, reason = "each test binary uses its own part of it")]
mod strategies;

use overlay_protocol::call::keys::{CallKeys, Half, Side};
use overlay_protocol::certificate::Signature;
use overlay_protocol::wire::call::{
    Control, LONGEST_MEDIA, LONGEST_SIGNAL, MediaPacket, Rejection, RelayList, Share, Signal, whole,
};
use overlay_protocol::wire::datagram::Datagram;
use overlay_protocol::wire::super_node::{FromSuperNode, ToSuperNode};
use overlay_protocol::wire::{Bytes, DecodeError, Message};
use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{addresses, certificates, presences, random, users};

fn bytes<const MOST: usize>() -> impl Strategy<Value = Bytes<MOST>> {
    vec(any::<u8>(), 0..=MOST).prop_map(|bytes| Bytes::new(bytes).expect("not too long"))
}

fn relays() -> impl Strategy<Value = RelayList> {
    vec(addresses(), 0..=8).prop_map(RelayList::new)
}

fn shares() -> impl Strategy<Value = (Share, Signature)> {
    (bytes(), bytes())
}

fn rejections() -> impl Strategy<Value = Rejection> {
    prop_oneof![
        Just(Rejection::Busy),
        Just(Rejection::NotAuthentic),
        Just(Rejection::AnotherUser),
        Just(Rejection::Glare)
    ]
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|nonce| Signal::Greeting { nonce }),
        (users(), certificates(), presences(), relays(), shares()).prop_map(
            |(callee, certificate, presence, relays, (share, signature))| Signal::Invite {
                callee,
                certificate,
                presence,
                relays,
                share,
                signature
            }
        ),
        (certificates(), presences(), relays(), shares()).prop_map(
            |(certificate, presence, relays, (share, signature))| Signal::Ringing {
                certificate,
                presence,
                relays,
                share,
                signature
            }
        ),
        rejections().prop_map(|reason| Signal::Rejected { reason }),
        (any::<u32>(), bytes()).prop_map(|(number, sealed)| Signal::Sealed { number, sealed }),
    ]
}

fn controls() -> impl Strategy<Value = Control> {
    prop_oneof![
        Just(Control::Answer {}),
        Just(Control::Refuse {}),
        Just(Control::HangUp {}),
        (any::<u32>(), any::<bool>()).prop_map(|(generation, ready)| Control::Path { generation, ready }),
    ]
}

fn to_super_node() -> impl Strategy<Value = ToSuperNode> {
    prop_oneof![
        users().prop_map(|user| ToSuperNode::ReachUser { user }),
        (any::<u32>(), bytes()).prop_map(|(channel, signal)| ToSuperNode::PassSignal { channel, signal }),
        any::<u32>().prop_map(|channel| ToSuperNode::CloseChannel { channel }),
        any::<[u8; 16]>().prop_map(|ticket| ToSuperNode::JoinRelay { ticket }),
        bytes().prop_map(|packet| ToSuperNode::RelayedMedia { packet }),
    ]
}

fn from_super_node() -> impl Strategy<Value = FromSuperNode> {
    prop_oneof![
        any::<u32>().prop_map(|channel| FromSuperNode::UserReached { channel }),
        Just(FromSuperNode::UserNotReached {}),
        any::<u32>().prop_map(|channel| FromSuperNode::Reached { channel }),
        (any::<u32>(), bytes()).prop_map(|(channel, signal)| FromSuperNode::PassedSignal { channel, signal }),
        any::<u32>().prop_map(|channel| FromSuperNode::ChannelClosed { channel }),
        Just(FromSuperNode::RelayJoined {}),
        Just(FromSuperNode::RelayFull {}),
        bytes().prop_map(|packet| FromSuperNode::RelayedMedia { packet }),
    ]
}

fn datagrams() -> impl Strategy<Value = Datagram> {
    let transaction = any::<u32>;
    prop_oneof![
        (transaction(), any::<[u8; 16]>(), any::<[u8; 8]>())
            .prop_map(|(transaction, ticket, cookie)| Datagram::JoinRelay { transaction, ticket, cookie }),
        (transaction(), any::<[u8; 8]>())
            .prop_map(|(transaction, cookie)| Datagram::RelayCookie { transaction, cookie }),
        transaction().prop_map(|transaction| Datagram::RelayJoined { transaction }),
        transaction().prop_map(|transaction| Datagram::RelayFull { transaction }),
    ]
}

fn comes_back<M: Message + PartialEq + std::fmt::Debug>(message: M) -> Result<(), TestCaseError> {
    prop_assert_eq!(whole::<M>(&message.to_frame()), Ok(message));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn signals_come_back_as_they_were_and_fit_into_what_a_super_node_passes_on(signal in signals()) {
        let frame = signal.to_frame();
        prop_assert!(frame.len() <= LONGEST_SIGNAL, "{} bytes", frame.len());
        let passed = ToSuperNode::PassSignal { channel: 1, signal: Bytes::new(frame).expect("short enough") };
        comes_back(passed)?;
        comes_back(signal)?;
    }

    #[test]
    fn controls_come_back_as_they_were(control in controls()) {
        comes_back(control)?;
    }

    #[test]
    fn messages_to_super_nodes_come_back_as_they_were(message in to_super_node()) {
        comes_back(message)?;
    }

    #[test]
    fn messages_from_super_nodes_come_back_as_they_were(message in from_super_node()) {
        comes_back(message)?;
    }

    #[test]
    fn datagrams_come_back_as_they_were(message in datagrams()) {
        let payload = message.to_payload(&mut random());
        prop_assert_eq!(Datagram::from_payload(&payload), Ok(message));
    }

    #[test]
    fn media_come_back_as_they_were(sequence in any::<u32>(), voice in vec(any::<u8>(), 0..=LONGEST_MEDIA - 12)) {
        let (one, other) = (Half::generate(&mut random()), Half::generate(&mut random()));
        let keys = CallKeys::agree(&one, &other, b"invite", b"ringing");
        let packet = keys.seal_media(Side::Caller, &keys.ticket(1), sequence, &voice);
        prop_assert_eq!(MediaPacket::parse(&packet).map(|packet| packet.sequence), Some(sequence));
        prop_assert_eq!(keys.open_media(Side::Caller, &keys.ticket(1), &packet), Some((sequence, voice)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_frames_and_packets_never_panic(kind in any::<u8>(), body in vec(any::<u8>(), 0..600)) {
        let length = u16::try_from(body.len()).expect("short");
        let frame = [&[1, kind], length.to_be_bytes().as_slice(), &body].concat();
        let _ = whole::<Signal>(&frame);
        let _ = whole::<Control>(&frame);
        let _ = MediaPacket::parse(&body);
        let (one, other) = (Half::generate(&mut random()), Half::generate(&mut random()));
        let keys = CallKeys::agree(&one, &other, b"invite", b"ringing");
        prop_assert_eq!(keys.open_media(Side::Caller, &[0; 16], &body), None);
        prop_assert!(keys.open_control(Side::Callee, 0, &body).is_none());
    }
}

#[test]
fn a_count_or_length_beyond_its_bound_is_refused_before_anything_is_read() {
    let media = [1, 0x44, 0, 2, 0xff, 0xff];
    assert_eq!(
        ToSuperNode::from_frame(&media),
        Err(DecodeError::TooLong { found: 65_535, limit: LONGEST_MEDIA })
    );
    let signal = [1, 0xa3, 0, 6, 0, 0, 0, 1, 0xff, 0xff];
    let limit = LONGEST_SIGNAL;
    assert_eq!(FromSuperNode::from_frame(&signal), Err(DecodeError::TooLong { found: 65_535, limit }));
    let trailing = [Control::Answer {}.to_frame(), vec![0]].concat();
    assert_eq!(whole::<Control>(&trailing), Err(DecodeError::LeftOver(1)));
}
