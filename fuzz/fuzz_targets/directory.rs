//! What members say to a super node, one message after another: nothing makes it panic, or send what does not
//! decode. The first byte of each piece is its length, the second is how many seconds later it comes.
#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use overlay_protocol::crypto::obfuscation::Keystream;
use overlay_protocol::wire::datagram::Datagram;
use overlay_protocol::{
    Input, Machine, Output, ParameterFile, Parameters, ServerKeyPair, ServerPublicKey, SuperNode,
    SuperNodeConfig, Time, UdpSocket,
};

const SEED: [u8; 4] = [1, 2, 3, 4];

fn address(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 33_033)
}

fn shared() -> &'static (ServerPublicKey, Parameters) {
    static SHARED: OnceLock<(ServerPublicKey, Parameters)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let text = include_str!("../../node-image/parameters/skype-2006.yaml");
        let file: ParameterFile = serde_yaml::from_str(text).expect("the file is one");
        let key = ServerKeyPair::generate(5, 1_536).expect("a size that is used").public();
        (key, file.parameters().expect("its values are within their ranges"))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (key, parameters) = shared();
    let mut node = SuperNode::new(SuperNodeConfig {
        address: address(1),
        peers: vec![address(2), address(3)],
        login_server_keys: vec![key.clone()],
        seed: 5,
        parameters: parameters.clone(),
    });
    let mut now = Duration::ZERO;
    let mut rest = bytes;
    while let [length, later, more @ ..] = rest {
        now += Duration::from_secs((*later).into());
        let (frame, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        let mut payload = frame.to_vec();
        Keystream::new(SEED).apply(&mut payload);
        let data = [SEED.as_slice(), &payload].concat();
        let from = address(2 + later % 3);
        node.handle(Time::from_epoch(now), Input::Datagram { socket: UdpSocket::Main, from, data: &data });
        while let Some(output) = node.poll_output() {
            if let Output::Datagram { data, .. } = output {
                Datagram::from_payload(&data).expect("it sends what others can read");
            }
        }
    }
});
