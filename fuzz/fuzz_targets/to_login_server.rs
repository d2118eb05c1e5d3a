//! What clients send to login servers: what decodes encodes to the same frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::Message;
use overlay_protocol::wire::login_server::ToLoginServer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, length))) = ToLoginServer::from_frame(bytes) {
        assert_eq!(message.to_frame(), &bytes[..length]);
    }
});
