//! UDP payloads, obfuscation included: what decodes encodes to the same frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::crypto::obfuscation;
use overlay_protocol::wire::Message;
use overlay_protocol::wire::datagram::Datagram;

fuzz_target!(|bytes: &[u8]| {
    // Most random payloads would not even have the right version: so also take the bytes as a frame.
    let _ = Datagram::from_payload(bytes);
    if let Ok(Some((message, length))) = Datagram::from_frame(bytes) {
        assert_eq!(message.to_frame(), &bytes[..length]);
    }
    let _ = obfuscation::read_datagram(bytes);
});
