//! Fields to bytes and back. Numbers are big-endian; every list and byte string has a bound.

use std::net::{Ipv4Addr, SocketAddrV4};

use thiserror::Error;

use crate::event::NatVerdict;
use crate::user::UserName;

/// Why bytes are not a message. Whoever sent them loses the connection, or the datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end before the message does.
    #[error("the message ends too early")]
    TooShort,
    /// Bytes are left over behind the last field.
    #[error("{0} bytes are left over behind the last field")]
    LeftOver(usize),
    /// A list, byte string or message is longer than it may be.
    #[error("{found} where at most {limit} are allowed")]
    TooLong {
        /// The length that the peer claims.
        found: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// The format version is not ours.
    #[error("the format version is {0}, not {version}", version = super::VERSION)]
    Version(u8),
    /// No message of this type is expected here.
    #[error("no message of type {0:#04x} is expected here")]
    Type(u8),
    /// A field has a value that it cannot have.
    #[error("a field has a value that it cannot have: {0}")]
    Value(&'static str),
}

/// Takes fields off the front of some bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    ///
    /// If fewer are left.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::TooShort)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    ///
    /// If something is.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::LeftOver(self.rest.len())) }
    }
}

/// A field, or a group of fields, with a form on the wire.
pub trait Wire: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes it off the front.
    ///
    /// # Errors
    ///
    /// If the bytes are not one. Nothing is allocated for a length before the bytes are there.
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

macro_rules! numbers {
    ($($number:ty),+) => { $(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let bytes = from.bytes(size_of::<$number>())?;
                Ok(Self::from_be_bytes(bytes.try_into().expect("as many bytes as were asked for")))
            }
        }
    )+ };
}
numbers!(u8, u16, u32, u64);

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(from.bytes(N)?.try_into().expect("as many bytes as were asked for"))
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Value("a flag that is neither 0 nor 1")),
        }
    }
}

impl Wire for Ipv4Addr {
    fn put(&self, out: &mut Vec<u8>) {
        self.octets().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from(<[u8; 4]>::take(from)?))
    }
}

impl Wire for SocketAddrV4 {
    fn put(&self, out: &mut Vec<u8>) {
        self.ip().put(out);
        self.port().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(Ipv4Addr::take(from)?, u16::take(from)?))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

/// One length byte, then the name.
impl Wire for UserName {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.as_str().len()).expect("a user name has at most 32 bytes"));
        out.extend_from_slice(self.as_str().as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(u8::take(from)?);
        if length > Self::LONGEST {
            return Err(DecodeError::TooLong { found: length, limit: Self::LONGEST });
        }
        let bytes = from.bytes(length)?;
        std::str::from_utf8(bytes)
            .ok()
            .and_then(|name| Self::new(name).ok())
            .ok_or(DecodeError::Value("a user name that cannot be one"))
    }
}

/// One byte, in the order in which the verdicts are declared.
impl Wire for NatVerdict {
    fn put(&self, out: &mut Vec<u8>) {
        let place = VERDICTS.iter().position(|verdict| verdict == self).expect("all verdicts are listed");
        out.push(u8::try_from(place).expect("there are seven"));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let place = usize::from(u8::take(from)?);
        VERDICTS.get(place).copied().ok_or(DecodeError::Value("a NAT type that does not exist"))
    }
}

const VERDICTS: [NatVerdict; 7] = [
    NatVerdict::Open,
    NatVerdict::SymmetricUdpFirewall,
    NatVerdict::FullCone,
    NatVerdict::RestrictedCone,
    NatVerdict::PortRestricted,
    NatVerdict::Symmetric,
    NatVerdict::UdpBlocked,
];

/// A list of at most `MOST` (up to 255) things: one count byte, then the things.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct List<T, const MOST: usize>(Vec<T>);

impl<T, const MOST: usize> List<T, MOST> {
    /// The first `MOST` of them.
    pub fn new(things: impl IntoIterator<Item = T>) -> Self {
        const { assert!(MOST <= 255, "the count is one byte") }
        Self(things.into_iter().take(MOST).collect())
    }

    /// The things.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// As a plain vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T: Wire, const MOST: usize> Wire for List<T, MOST> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).expect("`new` and `take` keep it within 255"));
        for thing in &self.0 {
            thing.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = usize::from(u8::take(from)?);
        if count > MOST {
            return Err(DecodeError::TooLong { found: count, limit: MOST });
        }
        (0..count).map(|_| T::take(from)).collect::<Result<_, _>>().map(Self)
    }
}

/// A byte string of at most `MOST` bytes: two length bytes, then the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes<const MOST: usize>(Vec<u8>);

impl<const MOST: usize> Bytes<MOST> {
    /// Takes the bytes over.
    ///
    /// # Errors
    ///
    /// If there are more than `MOST`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        if bytes.len() > MOST {
            return Err(DecodeError::TooLong { found: bytes.len(), limit: MOST });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const MOST: usize> Wire for Bytes<MOST> {
    fn put(&self, out: &mut Vec<u8>) {
        u16::try_from(self.0.len()).expect("no byte string is longer than 65,535").put(out);
        out.extend_from_slice(&self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(u16::take(from)?);
        if length > MOST {
            return Err(DecodeError::TooLong { found: length, limit: MOST });
        }
        Ok(Self(from.bytes(length)?.to_vec()))
    }
}
