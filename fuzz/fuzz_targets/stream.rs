//! A connection in pieces: the first byte is the length of a piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_protocol::wire::stream::Stream;
use overlay_protocol::wire::super_node::ToSuperNode;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else {
        return;
    };
    let mut stream = Stream::default();
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        stream.receive(piece);
        loop {
            match stream.next_message::<ToSuperNode>() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
