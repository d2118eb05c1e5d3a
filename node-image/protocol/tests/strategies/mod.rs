//! What messages are made of, at random: for the tests of all decoders.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::OnceLock;

use overlay_protocol::certificate::Certificate;
use overlay_protocol::crypto::keys::{ClientKeyPair, ClientPublicKey};
use overlay_protocol::wire::super_node::Presence;
use overlay_protocol::{NatVerdict, ServerKeyPair, UserName};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub fn random() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(5)
}

pub fn client_key() -> ClientPublicKey {
    static KEY: OnceLock<ClientPublicKey> = OnceLock::new();
    KEY.get_or_init(|| ClientKeyPair::generate(&mut random(), 1_024).expect("a size that is used").public())
        .clone()
}

pub fn server_keys() -> &'static ServerKeyPair {
    static KEYS: OnceLock<ServerKeyPair> = OnceLock::new();
    KEYS.get_or_init(|| ServerKeyPair::generate(5, 1_536).expect("a size that is used"))
}

pub fn addresses() -> impl Strategy<Value = SocketAddrV4> {
    (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| SocketAddrV4::new(Ipv4Addr::from(ip), port))
}

pub fn users() -> impl Strategy<Value = UserName> {
    "[!-~]{1,32}".prop_map(|name| UserName::new(&name).expect("made to be one"))
}

pub fn verdicts() -> impl Strategy<Value = NatVerdict> {
    prop_oneof![
        Just(NatVerdict::Open),
        Just(NatVerdict::SymmetricUdpFirewall),
        Just(NatVerdict::FullCone),
        Just(NatVerdict::RestrictedCone),
        Just(NatVerdict::PortRestricted),
        Just(NatVerdict::Symmetric),
        Just(NatVerdict::UdpBlocked),
    ]
}

pub fn presences() -> impl Strategy<Value = Presence> {
    (addresses(), addresses(), verdicts()).prop_map(|(private, public, nat)| Presence {
        private,
        public,
        nat,
    })
}

pub fn certificates() -> impl Strategy<Value = Certificate> {
    (users(), any::<u64>()).prop_map(|(user, issued)| {
        Certificate::issue(server_keys(), &mut random(), user, client_key(), issued)
    })
}
