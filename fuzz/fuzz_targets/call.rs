//! What the two ends of a call send each other: what decodes encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::Message;
use overlay_protocol::wire::call::{Control, MediaPacket, Signal};

fn same<M: Message>(bytes: &[u8]) {
    if let Ok(Some((message, length))) = M::from_frame(bytes) {
        assert_eq!(message.to_frame(), &bytes[..length]);
    }
}

fuzz_target!(|bytes: &[u8]| {
    same::<Signal>(bytes);
    same::<Control>(bytes);
    if let Some(packet) = MediaPacket::parse(bytes) {
        let again = [&packet.token, &packet.sequence.to_be_bytes()[..], packet.sealed, &packet.tag].concat();
        assert_eq!(again, bytes);
    }
});
