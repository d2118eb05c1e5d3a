//! Messages on a connection: obfuscation, frames, and a bound on what is kept of an unfinished one.

use rand_core::RngCore;

use super::{DecodeError, Message};
use crate::crypto::obfuscation::{Keystream, SEED};

/// One end of a connection. Each direction begins with its own seed in clear, then frames.
#[derive(Debug, Default)]
pub struct Stream {
    outgoing: Option<Keystream>,
    incoming: Option<Keystream>,
    /// Part of the peer's seed, or of a frame.
    unread: Vec<u8>,
}

impl Stream {
    /// The bytes to send for `message`.
    pub fn send(&mut self, random: &mut impl RngCore, message: &impl Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        let keystream = self.outgoing.get_or_insert_with(|| {
            let mut seed = [0; SEED];
            random.fill_bytes(&mut seed);
            bytes.extend_from_slice(&seed);
            Keystream::new(seed)
        });
        let mut frame = message.to_frame();
        keystream.apply(&mut frame);
        bytes.extend_from_slice(&frame);
        bytes
    }

    /// Takes bytes that came in. Call [`Self::next_message`] until it yields nothing before taking more: what is kept
    /// then is less than one frame of the longest kind.
    pub fn receive(&mut self, mut data: &[u8]) {
        if self.incoming.is_none() {
            let missing = SEED - self.unread.len();
            let (seed, rest) = data.split_at(missing.min(data.len()));
            self.unread.extend_from_slice(seed);
            data = rest;
            if let Ok(seed) = <[u8; SEED]>::try_from(self.unread.as_slice()) {
                self.incoming = Some(Keystream::new(seed));
                self.unread.clear();
            }
        }
        if let Some(keystream) = &mut self.incoming {
            let start = self.unread.len();
            self.unread.extend_from_slice(data);
            keystream.apply(&mut self.unread[start..]);
        }
    }

    /// The next message that is complete.
    ///
    /// # Errors
    ///
    /// If the peer sent what is no message of this set: the connection must be closed.
    pub fn next_message<M: Message>(&mut self) -> Result<Option<M>, DecodeError> {
        if self.incoming.is_none() {
            return Ok(None);
        }
        let Some((message, length)) = M::from_frame(&self.unread)? else {
            return Ok(None);
        };
        self.unread.drain(..length);
        Ok(Some(message))
    }
}
