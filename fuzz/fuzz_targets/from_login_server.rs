//! What login servers send to clients: what decodes encodes to the same frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::Message;
use overlay_protocol::wire::login_server::FromLoginServer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, length))) = FromLoginServer::from_frame(bytes) {
        assert_eq!(message.to_frame(), &bytes[..length]);
    }
});
