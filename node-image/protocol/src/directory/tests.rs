//! The directory's parts, each by its rules.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::OnceLock;

use super::membership::Membership;
use super::*;
use crate::crypto::keys::{ClientKeyPair, ClientPublicKey, ServerKeyPair};
use crate::event::NatVerdict;
use crate::parameters::ParameterFile;
use crate::wire::List;
use crate::wire::directory::{Attachment, Member};

fn parameters() -> Parameters {
    let file: ParameterFile =
        serde_yaml::from_str(include_str!("../../../parameters/skype-2006.yaml")).expect("the file is one");
    file.parameters().expect("all values are within their ranges")
}

fn node(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 33_033)
}

fn at(seconds: u64) -> Time {
    Time::from_epoch(Duration::from_secs(seconds))
}

fn random() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn server_keys() -> &'static ServerKeyPair {
    static KEYS: OnceLock<ServerKeyPair> = OnceLock::new();
    KEYS.get_or_init(|| ServerKeyPair::generate(7, 1_536).expect("a size that is used"))
}

fn client_key() -> ClientPublicKey {
    static KEY: OnceLock<ClientPublicKey> = OnceLock::new();
    KEY.get_or_init(|| ClientKeyPair::generate(&mut random(), 1_024).expect("a size that is used").public())
        .clone()
}

fn certificate(user: &str, issued: u64) -> Certificate {
    let user = UserName::new(user).expect("a user name");
    Certificate::issue(server_keys(), &mut random(), user, client_key(), issued)
}

fn presence() -> Presence {
    Presence { private: node(200), public: node(201), nat: NatVerdict::PortRestricted }
}

fn attachment(super_node: u8, serial: u32, online: bool, seen: u32) -> Attachment {
    Attachment {
        super_node: node(super_node),
        life: 1,
        serial,
        presence: presence(),
        online,
        logged_in: seen + 100,
        seen,
    }
}

fn store() -> Store {
    Store::new(10, Duration::from_secs(72 * 3_600))
}

fn alice() -> UserName {
    UserName::new("alice").expect("a user name")
}

fn online_at(store: &mut Store, now: Time) -> Option<(bool, Vec<SocketAddrV4>)> {
    let record = store.record(now, &alice(), |_, _| true)?;
    Some((record.online, record.super_nodes.into_vec()))
}

#[test]
fn of_two_versions_the_newer_counts_whatever_comes_first() {
    let versions = [attachment(1, 1, true, 0), attachment(1, 2, false, 0), attachment(1, 3, true, 0)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2]] {
        let mut store = store();
        for place in order {
            for _repeated in 0..2 {
                store.merge(at(10), certificate("alice", 1), &versions[place..=place]);
            }
        }
        assert_eq!(online_at(&mut store, at(11)), Some((true, vec![node(1)])), "{order:?}");
    }
}

#[test]
fn a_super_node_that_started_again_counts_from_anew() {
    let mut store = store();
    store.merge(at(10), certificate("alice", 1), &[attachment(1, 900, true, 0)]);
    let again = Attachment { life: 2, ..attachment(1, 1, false, 0) };
    assert!(store.merge(at(20), certificate("alice", 1), &[again]));
    assert_eq!(online_at(&mut store, at(21)).map(|(online, _)| online), Some(false));
    // What somebody still had of the earlier life does not bring it back.
    assert!(!store.merge(at(30), certificate("alice", 1), &[attachment(1, 900, true, 20)]));
}

#[test]
fn whoever_is_online_somewhere_is_online_and_the_latest_login_comes_first() {
    let mut store = store();
    let words = [attachment(1, 1, false, 0), attachment(2, 1, true, 50), attachment(3, 1, true, 5)];
    store.merge(at(100), certificate("alice", 1), &words);
    assert_eq!(online_at(&mut store, at(100)), Some((true, vec![node(3), node(2)])));
    let dead = store.record(at(100), &alice(), |super_node, _| super_node == node(2)).expect("it is held");
    assert_eq!(dead.super_nodes.as_slice(), [node(2)]);
}

#[test]
fn a_record_is_kept_for_72_hours_to_the_second() {
    let mut store = store();
    store.merge(at(0), certificate("alice", 1), &[attachment(1, 1, false, 3_600)]);
    let limit = 72 * 3_600 - 3_600;
    assert!(online_at(&mut store, at(limit - 1)).is_some());
    assert!(online_at(&mut store, at(limit)).is_none());
    assert_eq!(store.len(), 0);
    assert!(!store.merge(at(0), certificate("alice", 1), &[attachment(1, 1, false, 72 * 3_600)]));
    assert_eq!(store.len(), 0, "what comes in expired is not entered");
}

#[test]
fn the_newer_certificate_stays() {
    let mut store = store();
    store.merge(at(0), certificate("alice", 5), &[attachment(1, 1, true, 0)]);
    store.merge(at(1), certificate("alice", 4), &[attachment(2, 1, true, 0)]);
    assert_eq!(store.get(&alice()).map(|held| held.certificate.issued), Some(5));
}

#[test]
fn a_user_has_a_bounded_number_of_super_nodes_and_the_offline_ones_go_first() {
    let mut store = store();
    store.merge(at(0), certificate("alice", 1), &[attachment(100, 1, true, 500)]);
    for last in 1..60 {
        store.merge(at(0), certificate("alice", 1), &[attachment(last, 1, false, 0)]);
    }
    let held = store.get(&alice()).expect("it is held");
    assert_eq!(held.versions.len(), 12);
    assert!(held.versions.contains_key(&node(100)));
}

#[test]
fn an_unanswered_record_is_sent_so_often_and_an_answered_one_once() {
    let mut outbox = Outbox::new(Duration::from_secs(1), 3);
    let mut random = random();
    outbox.push(node(1), alice());
    outbox.push(node(1), alice());
    outbox.push(node(2), alice());
    let sent = outbox.take_due(at(0), &mut random);
    assert_eq!(sent.len(), 2, "the same to the same is sent once: {sent:?}");
    let (_, _, transaction) = sent[0];
    assert_eq!(outbox.answered(node(2), transaction), None, "another's answer is none");
    assert_eq!(outbox.answered(node(1), transaction), Some(alice()));
    let again: Vec<_> = (1..10).flat_map(|second| outbox.take_due(at(second), &mut random)).collect();
    assert_eq!(again.iter().map(|(to, ..)| *to).collect::<Vec<_>>(), [node(2), node(2)]);
    assert_eq!(outbox.next_timeout(), None);
}

#[test]
fn records_leave_in_no_burst() {
    let mut outbox = Outbox::new(Duration::from_secs(1), 2);
    let mut random = random();
    for number in 0..300 {
        outbox.push(node(1), UserName::new(&format!("user-{number}")).expect("a user name"));
    }
    let first = outbox.take_due(at(0), &mut random);
    assert_eq!(first.len(), 64);
    outbox.answered(node(1), first[0].2);
    assert_eq!(outbox.take_due(at(0), &mut random).len(), 1);
    outbox.forget(node(1));
    assert!(outbox.take_due(at(5), &mut random).is_empty());
}

/// A view of `count` others, and the randomness that it takes.
fn view(count: u8) -> (Membership, ChaCha20Rng) {
    (Membership::new(node(0), (0..count).map(|last| node(last + 1)), &parameters()), random())
}

fn asked(view: &mut Membership) -> Vec<SocketAddrV4> {
    view.take_outputs()
        .into_iter()
        .filter(|(_, message)| matches!(message, Datagram::Gossip { .. }))
        .map(|(to, _)| to)
        .collect()
}

fn alive(last: u8, incarnation: u32) -> Member {
    Member { address: node(last), incarnation, life: Life::Alive }
}

fn dead(last: u8, incarnation: u32) -> Member {
    Member { life: Life::Dead, ..alive(last, incarnation) }
}

#[test]
fn who_does_not_answer_is_dead_and_who_is_told_dead_too() {
    let (mut view, mut random) = view(3);
    for second in 0..60 {
        view.advance(at(second), &mut random);
    }
    assert_eq!(view.count(), (0, 3), "nobody ever answered");

    let (mut view, mut random) = self::view(3);
    view.asked(at(0), node(1), 9, 0, &[dead(2, 0)], &mut random);
    assert_eq!(view.take_changes(), [(node(2), Life::Dead)]);
    view.asked(at(0), node(1), 9, 0, &[alive(2, 0)], &mut random);
    assert!(view.is_dead(node(2)), "the same incarnation does not bring it back");
    view.asked(at(0), node(1), 9, 0, &[alive(2, 1)], &mut random);
    assert!(view.is_alive(node(2)), "a higher one does");
}

/// Seconds of a time in which `view` asks somebody; all answer at once.
fn rounds(view: &mut Membership, random: &mut ChaCha20Rng, seconds: Range<u64>) -> Vec<u64> {
    let mut rounds = Vec::new();
    for second in seconds {
        view.advance(at(second), random);
        for (to, message) in view.take_outputs() {
            if let Datagram::Gossip { transaction, .. } = message {
                // A dead one is asked in the same round.
                if rounds.last() != Some(&second) {
                    rounds.push(second);
                }
                view.answered(at(second), to, transaction, 0, &[], random);
            }
        }
    }
    rounds
}

#[test]
fn gossip_gets_rarer_while_there_is_no_news_to_tell() {
    let (mut view, mut random) = view(3);
    let gaps: Vec<_> =
        rounds(&mut view, &mut random, 0..200).windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..4], [10; 4]);
    view.asked(at(200), node(1), 9, 0, &[dead(2, 0)], &mut random);
    view.take_outputs();
    let soon = rounds(&mut view, &mut random, 200..400);
    assert!(soon[0] <= 205, "{soon:?}");
    // It was told once in the answer; eleven times more.
    let gaps: Vec<_> = soon.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..10], [5; 10], "{soon:?}");
    assert_eq!(gaps[11..14], [10; 3], "{soon:?}");
}

#[test]
fn a_dead_super_node_is_asked_now_and_then_however_quiet_it_is() {
    let (mut view, mut random) = view(3);
    view.asked(at(0), node(1), 9, 0, &[dead(2, 0)], &mut random);
    view.take_outputs();
    let mut asked = Vec::new();
    for second in 0..400 {
        view.advance(at(second), &mut random);
        for (to, message) in view.take_outputs() {
            let Datagram::Gossip { transaction, .. } = message else { continue };
            if to == node(2) {
                asked.push(second);
            } else {
                view.answered(at(second), to, transaction, 0, &[], &mut random);
            }
        }
    }
    // A question that is not answered is sent four times.
    let questions = asked.chunk_by(|one, next| next - one <= 1).count();
    assert!((8..=10).contains(&questions), "once in 40 s: {asked:?}");
}

#[test]
fn who_hears_of_its_own_death_says_at_once_that_it_lives() {
    let (mut view, mut random) = view(3);
    view.asked(at(0), node(1), 9, 0, &[dead(0, 4)], &mut random);
    let incarnations: Vec<_> = view
        .take_outputs()
        .into_iter()
        .map(|(to, message)| match message {
            Datagram::Gossip { incarnation, .. } | Datagram::GossipAnswer { incarnation, .. } => {
                (to, incarnation)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(incarnations, [(node(1), 5), (node(1), 5)]);
}

#[test]
fn a_new_address_is_asked_before_it_is_believed() {
    let (mut view, mut random) = view(2);
    view.asked(at(0), node(1), 9, 0, &[alive(50, 0)], &mut random);
    assert!(!view.is_known(node(50)));
    let outputs = view.take_outputs();
    let question = outputs.iter().find_map(|(to, message)| match message {
        Datagram::Gossip { transaction, .. } if *to == node(50) => Some(*transaction),
        _ => None,
    });
    let transaction = question.expect("it is asked");
    view.answered(at(1), node(50), transaction.wrapping_add(1), 0, &[], &mut random);
    assert!(!view.is_known(node(50)), "an answer to nothing counts for nothing");
    view.answered(at(1), node(50), transaction, 0, &[], &mut random);
    assert!(view.is_alive(node(50)));
}

#[test]
fn a_stranger_is_asked_back_and_its_tales_are_not_believed() {
    let (mut view, mut random) = view(2);
    view.asked(at(0), node(77), 9, 0, &[dead(1, 3), dead(0, 3)], &mut random);
    assert!(view.is_alive(node(1)));
    assert_eq!(asked(&mut view), [node(77)]);
}

#[test]
fn the_view_and_the_questions_are_bounded() {
    let mut small = parameters();
    small.directory_members.0 = 3;
    let mut random = random();
    let mut view = Membership::new(node(0), (0..5).map(|last| node(last + 1)), &small);
    assert_eq!(view.count(), (3, 0));
    let crowd: Vec<_> = (100..200).map(|last| alive(last, 0)).collect();
    view.asked(at(0), node(1), 9, 0, &crowd, &mut random);
    let outputs = view.take_outputs();
    assert!(outputs.len() <= 65, "{}", outputs.len());
    for (to, message) in outputs {
        if let Datagram::Gossip { transaction, .. } = message {
            view.answered(at(1), to, transaction, 0, &[], &mut random);
        }
    }
    assert_eq!(view.count(), (3, 0), "there is room for no more");
    view.asked(at(2), node(1), 9, 0, &[dead(2, 0), alive(100, 0)], &mut random);
    let question = view.take_outputs().into_iter().find_map(|(to, message)| match message {
        Datagram::Gossip { transaction, .. } if to == node(100) => Some(transaction),
        _ => None,
    });
    view.answered(at(3), node(100), question.expect("it is asked"), 0, &[], &mut random);
    assert!(view.is_alive(node(100)) && !view.is_known(node(2)), "a dead one makes room");
}

fn directory() -> Directory {
    let peers = (1..9).map(node);
    Directory::new(node(0), peers, vec![server_keys().public()], 7, parameters())
}

fn answers(directory: &mut Directory) -> Vec<(SocketAddrV4, Datagram)> {
    std::iter::from_fn(|| directory.poll_effect())
        .filter_map(|effect| match effect {
            Effect::Datagram(to, message) => Some((to, message)),
            Effect::Answer(..) => None,
        })
        .collect()
}

fn replicate(certificate: Certificate) -> Datagram {
    let attachments = List::new([attachment(5, 1, true, 0)]);
    Datagram::Replicate { transaction: 3, certificate, attachments }
}

#[test]
fn only_members_entrust_records_and_only_certified_ones() {
    let mut directory = directory();
    directory.datagram(at(0), node(150), &replicate(certificate("alice", 1)));
    assert!(!directory.holds(&alice()) && answers(&mut directory).is_empty());

    let other = ServerKeyPair::generate(8, 1_536).expect("a size that is used");
    let forged = Certificate::issue(&other, &mut random(), alice(), client_key(), 1);
    directory.datagram(at(0), node(5), &replicate(forged));
    assert!(!directory.holds(&alice()) && answers(&mut directory).is_empty());

    directory.datagram(at(0), node(5), &replicate(certificate("alice", 1)));
    assert!(directory.holds(&alice()));
    assert!(
        matches!(answers(&mut directory)[..], [(to, Datagram::ReplicateAnswer { transaction: 3 })] if to == node(5))
    );
}

#[test]
fn nobody_else_says_what_a_super_node_says_of_its_own_clients() {
    let mut directory = directory();
    directory.attached(at(0), &certificate("alice", 1), &presence());
    let lie = Attachment { super_node: node(0), life: 99, ..attachment(5, 9, false, 0) };
    let attachments = List::new([lie]);
    let message = Datagram::Replicate { transaction: 3, certificate: certificate("alice", 1), attachments };
    directory.datagram(at(1), node(5), &message);
    let (record, _) = directory.find(at(2), &alice()).expect("alice is attached");
    assert!(record.online);
}

#[test]
fn a_user_whose_super_node_is_silent_for_three_refreshes_is_offline() {
    let mut directory = directory();
    directory.datagram(at(0), node(5), &replicate(certificate("alice", 1)));
    let limit = u64::from(parameters().directory_refresh_interval.0) / 1_000 * 3;
    let online =
        |directory: &mut Directory, now| directory.find(now, &alice()).map(|(record, _)| record.online);
    assert_eq!(online(&mut directory, at(limit - 1)), Some(true));
    assert_eq!(online(&mut directory, at(limit)), Some(false));
}

#[test]
fn ageing_a_record_by_its_lifetime_makes_it_expire() {
    let mut directory = directory();
    directory.attached(at(0), &certificate("alice", 1), &presence());
    directory.age(&alice(), Duration::from_secs(71 * 3_600));
    let seen = directory.find(at(1), &alice()).map(|(record, _)| record.seen);
    assert_eq!(seen, Some(71 * 3_600 + 1));
    directory.age(&alice(), Duration::from_secs(3_600));
    assert!(directory.find(at(1), &alice()).is_none());
}

#[test]
fn a_cached_result_of_a_user_whose_super_nodes_are_all_dead_is_not_told() {
    let mut directory = directory();
    let record = DirectoryRecord {
        certificate: certificate("alice", 1),
        presence: presence(),
        online: true,
        logged_in: 10,
        seen: 5,
        super_nodes: List::new([node(5)]),
    };
    directory.cache.keep(at(0), record);
    assert_eq!(directory.find(at(60), &alice()).map(|(record, _)| record.seen), Some(65));
    let members = List::new([dead(5, 0)]);
    directory.datagram(at(61), node(1), &Datagram::Gossip { transaction: 1, incarnation: 0, members });
    assert!(directory.find(at(61), &alice()).is_none());
}

#[test]
fn an_answer_that_no_login_server_signed_does_not_count() {
    let mut random = random();
    let mut inquiry =
        crate::inquiry::Inquiry::new(at(0), &mut random, &parameters(), alice(), [node(1), node(2), node(3)]);
    let sent = inquiry.take_due(at(0));
    let other = ServerKeyPair::generate(8, 1_536).expect("a size that is used");
    let forged = Certificate::issue(&other, &mut random, alice(), client_key(), 1);
    let certificates = [forged, certificate("mallory", 1), certificate("alice", 1)];
    let keys = [server_keys().public()];
    for ((to, message), certificate) in sent.into_iter().zip(certificates) {
        let Datagram::Lookup { transaction, .. } = message else { panic!("{message:?}") };
        let honest = to == node(3);
        let record = DirectoryRecord {
            certificate,
            presence: presence(),
            online: true,
            logged_in: 0,
            seen: 0,
            super_nodes: List::new([]),
        };
        assert!(!inquiry.is_over());
        let counts = inquiry.answer(at(1), to, transaction, Some(record), RecordSource::Index, &keys);
        assert_eq!(counts, Some(honest));
    }
    assert!(inquiry.is_over());
    assert_eq!(inquiry.take_best().map(|best| best.from), Some(node(3)));
}

#[test]
fn a_super_node_that_lost_its_user_to_another_one_believes_a_search_rather_than_itself() {
    // Many super nodes, so that this one is no home of alice.
    let peers = (1..200).map(node);
    let mut directory = Directory::new(node(0), peers, vec![server_keys().public()], 7, parameters());
    assert!(!directory.homes_of(&alice()).contains(&node(0)));
    directory.attached(at(0), &certificate("alice", 1), &presence());
    directory.detached(at(10), &alice());
    assert_eq!(directory.find(at(11), &alice()).map(|(record, _)| record.online), Some(false));
    let elsewhere = DirectoryRecord {
        certificate: certificate("alice", 1),
        presence: presence(),
        online: true,
        logged_in: 10,
        seen: 5,
        super_nodes: List::new([node(5)]),
    };
    directory.keep(at(12), &elsewhere);
    let found = directory.find(at(13), &alice()).map(|(record, source)| (record.online, source));
    assert_eq!(found, Some((true, RecordSource::Cache)));
}
