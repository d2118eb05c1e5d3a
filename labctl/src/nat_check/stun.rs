//! The STUN messages that behaviour discovery needs: Binding requests and responses (RFC 8489) with the
//! attributes of RFC 5780.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};

use bytecodec::{DecodeExt as _, EncodeExt as _};
use stun_codec::rfc5389::attributes::XorMappedAddress;
use stun_codec::rfc5389::methods::BINDING;
use stun_codec::rfc5780::attributes::{OtherAddress, ResponseOrigin};
use stun_codec::{
    AttributeType, Message, MessageClass, MessageDecoder, MessageEncoder, RawAttribute, TransactionId,
};

use super::CheckError;

// The library's own CHANGE-REQUEST and RESPONSE-PORT are not used: version 0.4.0 reads the flags of the one a
// bit too low, and always writes 0 as the other's port.
stun_codec::define_attribute_enums!(
    Attribute,
    AttributeDecoder,
    AttributeEncoder,
    [XorMappedAddress, OtherAddress, ResponseOrigin]
);

/// CHANGE-REQUEST (RFC 5780 section 7.2).
const CHANGE_REQUEST: u16 = 0x0003;
const CHANGE_ADDRESS: u32 = 4;
const CHANGE_PORT: u32 = 2;
/// RESPONSE-PORT (section 7.5): the port, and two bytes of padding.
const RESPONSE_PORT: u16 = 0x0027;

/// Length of the part of a message that says how long the rest is.
pub const HEADER: usize = 20;

/// A Binding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the answer is known by.
    pub id: TransactionId,
    /// Whether the answer should come from the server's other address.
    pub change_address: bool,
    /// Whether it should come from its other port.
    pub change_port: bool,
    /// The port to which it should go; `None`: that of the request.
    pub response_port: Option<u16>,
}

impl Request {
    /// A plain one. Its transaction is known by a number, which no other of this process has: nobody here is
    /// to be kept from guessing it.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut id = [0; 12];
        id[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        Self { id: TransactionId::new(id), change_address: false, change_port: false, response_port: None }
    }

    /// The message.
    pub fn encode(&self) -> Result<Vec<u8>, CheckError> {
        let mut message = Message::<RawAttribute>::new(MessageClass::Request, BINDING, self.id);
        if self.change_address || self.change_port {
            let address = if self.change_address { CHANGE_ADDRESS } else { 0 };
            let port = if self.change_port { CHANGE_PORT } else { 0 };
            let flags = (address | port).to_be_bytes();
            message.add_attribute(RawAttribute::new(AttributeType::new(CHANGE_REQUEST), flags.to_vec()));
        }
        if let Some(port) = self.response_port {
            let [high, low] = port.to_be_bytes();
            let value = vec![high, low, 0, 0];
            message.add_attribute(RawAttribute::new(AttributeType::new(RESPONSE_PORT), value));
        }
        encode(message)
    }
}

/// A Binding response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's.
    pub id: TransactionId,
    /// Where the server saw the request come from.
    pub mapped: SocketAddrV4,
    /// The server's other address and port.
    pub other: SocketAddrV4,
    /// Where the response comes from.
    pub origin: SocketAddrV4,
}

impl Response {
    /// The message.
    pub fn encode(&self) -> Result<Vec<u8>, CheckError> {
        let mut message = Message::<Attribute>::new(MessageClass::SuccessResponse, BINDING, self.id);
        message.add_attribute(XorMappedAddress::new(self.mapped.into()));
        message.add_attribute(OtherAddress::new(self.other.into()));
        message.add_attribute(ResponseOrigin::new(self.origin.into()));
        encode(message)
    }
}

/// A message that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A Binding request.
    Request(Request),
    /// A Binding response.
    Response(Response),
}

impl Incoming {
    /// Reads a whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckError> {
        let wrong = |reason: String| CheckError::Message { reason };
        let message = MessageDecoder::<Attribute>::new()
            .decode_from_bytes(bytes)
            .map_err(|error| wrong(error.to_string()))?
            .map_err(|broken| wrong(broken.error().to_string()))?;
        let id = message.transaction_id();
        match message.class() {
            MessageClass::Request => {
                let change = raw(&message, CHANGE_REQUEST).map_or(0, u32::from_be_bytes);
                Ok(Self::Request(Request {
                    id,
                    change_address: change & CHANGE_ADDRESS != 0,
                    change_port: change & CHANGE_PORT != 0,
                    response_port: raw(&message, RESPONSE_PORT)
                        .map(|[high, low, _, _]| u16::from_be_bytes([high, low])),
                }))
            }
            MessageClass::SuccessResponse => {
                let missing = |what: &str| wrong(format!("a response without an IPv4 {what}"));
                let address = |found: Option<SocketAddr>, what| match found {
                    Some(SocketAddr::V4(address)) => Ok(address),
                    _ => Err(missing(what)),
                };
                let mapped = message.get_attribute::<XorMappedAddress>().map(XorMappedAddress::address);
                let other = message.get_attribute::<OtherAddress>().map(OtherAddress::address);
                let origin = message.get_attribute::<ResponseOrigin>().map(ResponseOrigin::address);
                Ok(Self::Response(Response {
                    id,
                    mapped: address(mapped, "XOR-MAPPED-ADDRESS")?,
                    other: address(other, "OTHER-ADDRESS")?,
                    origin: address(origin, "RESPONSE-ORIGIN")?,
                }))
            }
            class => Err(wrong(format!("neither a request nor a response: {class:?}"))),
        }
    }
}

/// The value of an attribute that has four bytes.
fn raw(message: &Message<Attribute>, wanted: u16) -> Option<[u8; 4]> {
    let kind = |raw: &&RawAttribute| stun_codec::Attribute::get_type(*raw).as_u16() == wanted;
    message.unknown_attributes().find(kind)?.value().try_into().ok()
}

fn encode<A: stun_codec::Attribute>(message: Message<A>) -> Result<Vec<u8>, CheckError> {
    MessageEncoder::new()
        .encode_into_bytes(message)
        .map_err(|error| CheckError::Message { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = Request { change_port: true, response_port: Some(40_000), ..Request::new() };
        let bytes = request.encode().unwrap();
        assert_eq!(Incoming::decode(&bytes).unwrap(), Incoming::Request(request));
        // CHANGE-REQUEST is attribute 3, and bit B of its value says "change port" (RFC 5780 section 7.2).
        assert_eq!(bytes[HEADER..HEADER + 8], [0, 3, 0, 4, 0, 0, 0, 2]);
    }

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let end = |text: &str| text.parse().unwrap();
        let response = Response {
            id: Request::new().id,
            mapped: end("198.18.0.2:40000"),
            other: end("198.18.0.3:3479"),
            origin: end("198.18.0.2:3478"),
        };
        let bytes = response.encode().unwrap();
        assert_eq!(Incoming::decode(&bytes).unwrap(), Incoming::Response(response));
    }

    #[test]
    fn what_is_no_message_is_an_error_and_no_panic() {
        let bytes = Request::new().encode().unwrap();
        for broken in [&bytes[..7], b"", b"hello, this is no STUN message at all"] {
            assert!(Incoming::decode(broken).is_err());
        }
    }
}
