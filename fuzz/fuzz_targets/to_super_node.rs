//! What clients send to super nodes: what decodes encodes to the same frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::Message;
use overlay_protocol::wire::super_node::ToSuperNode;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, length))) = ToSuperNode::from_frame(bytes) {
        assert_eq!(message.to_frame(), &bytes[..length]);
    }
});
