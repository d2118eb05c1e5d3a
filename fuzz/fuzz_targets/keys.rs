//! Keys as text in a node's configuration: what is read is written the same way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::{ServerKeyPair, ServerPublicKey};

fuzz_target!(|text: &str| {
    if let Ok(key) = ServerPublicKey::from_der_hex(text) {
        assert_eq!(key.to_der_hex(), text.to_ascii_lowercase());
    }
    let _ = ServerKeyPair::from_der_hex(text);
});
