//! What goes over the wire. `docs/wire-format.md` has the layout of every message.
//!
//! A message is a frame: format version (1 byte), type (1 byte), length of the body (2 bytes), body. On a
//! connection frames follow each other; a datagram holds exactly one. Both are obfuscated
//! ([`crate::crypto::obfuscation`]).

pub mod call;
pub mod codec;
pub mod datagram;
pub mod directory;
pub mod login_server;
pub mod stream;
pub mod super_node;

pub use codec::{Bytes, DecodeError, List, Reader, Wire};

/// Version of the format: the first byte of every frame.
pub const VERSION: u8 = 1;
/// Bytes of a frame before its body.
pub const HEADER: usize = 4;
/// Longest body of a message on a connection.
pub const LONGEST_BODY: usize = 2_048;

/// A set of messages that one side sends to the other.
pub trait Message: Sized {
    /// The frame's type byte.
    fn kind(&self) -> u8;

    /// The message's name, for logs and tests.
    fn name(&self) -> &'static str;

    /// Appends the body.
    fn put_body(&self, out: &mut Vec<u8>);

    /// Reads the body of a message of type `kind`.
    ///
    /// # Errors
    ///
    /// If there is no such type, or the body is not one of that type.
    fn take_body(kind: u8, body: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The whole frame.
    fn to_frame(&self) -> Vec<u8> {
        let mut frame = vec![VERSION, self.kind(), 0, 0];
        self.put_body(&mut frame);
        let length = u16::try_from(frame.len() - HEADER).expect("all fields together stay below the limit");
        frame[2..HEADER].copy_from_slice(&length.to_be_bytes());
        frame
    }

    /// Reads the first frame of `bytes`, and says how many bytes it took; `None` if more must come first.
    ///
    /// # Errors
    ///
    /// If the bytes are no frame, or its body is not one of its type.
    fn from_frame(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        if let Some(&version) = bytes.first()
            && version != VERSION
        {
            return Err(DecodeError::Version(version));
        }
        let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length > LONGEST_BODY {
            return Err(DecodeError::TooLong { found: length, limit: LONGEST_BODY });
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let mut reader = Reader::new(body);
        let message = Self::take_body(header[1], &mut reader)?;
        reader.end()?;
        Ok(Some((message, HEADER + length)))
    }
}

/// Declares a set of messages: one enum, each variant with its type byte and its fields in wire order.
macro_rules! messages {
    (
        $(#[$set:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $code:literal $variant:ident { $( $(#[$fdoc:meta])* $field:ident: $type:ty ),* $(,)? } )+
        }
    ) => {
        $(#[$set])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$doc])* $variant { $( $(#[$fdoc])* $field: $type, )* }, )+
        }

        impl $crate::wire::Message for $name {
            fn kind(&self) -> u8 {
                match self { $( Self::$variant { .. } => $code, )+ }
            }

            fn name(&self) -> &'static str {
                match self { $( Self::$variant { .. } => stringify!($variant), )+ }
            }

            fn put_body(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant { $( $field, )* } => { $( $crate::wire::Wire::put($field, out); )* } )+
                }
                // A set whose messages all have no fields would not use it.
                let _ = out;
            }

            fn take_body(
                kind: u8,
                body: &mut $crate::wire::Reader<'_>,
            ) -> Result<Self, $crate::wire::DecodeError> {
                match kind {
                    $( $code => Ok(Self::$variant { $( $field: $crate::wire::Wire::take(body)?, )* }), )+
                    unknown => Err($crate::wire::DecodeError::Type(unknown)),
                }
            }
        }
    };
}
pub(crate) use messages;
