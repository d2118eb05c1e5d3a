//! What is inside sealed texts and RSA blocks: what decodes encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::login_server::{Credentials, Outcome, Registration, from_bytes, to_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(outcome) = from_bytes::<Outcome>(bytes) {
        assert_eq!(to_bytes(&outcome).as_slice(), bytes);
    }
    if let Ok(credentials) = from_bytes::<Credentials>(bytes) {
        assert_eq!(to_bytes(&credentials).as_slice(), bytes);
    }
    if let Ok(registration) = from_bytes::<Registration>(bytes) {
        assert_eq!(to_bytes(&registration).as_slice(), bytes);
    }
});
