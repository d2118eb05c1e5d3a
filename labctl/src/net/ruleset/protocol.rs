//! The transport protocol of an iptables rule. The kernel wants it beside the rule when a match or a target
//! of iptables is in it (`multiport` looks at ports: of what?), but does not list it: it stands in the rule's
//! first comparison.

use super::super::wire::{Attributes, Fields};

/// `NFTA_EXPR_NAME`, `NFTA_EXPR_DATA`
const NAME: u16 = 1;
const DATA: u16 = 2;
/// `NFTA_META_KEY`, and `NFT_META_L4PROTO`
const META_KEY: u16 = 2;
const META_PROTOCOL: u32 = 16;
/// `NFTA_PAYLOAD_BASE`, `NFTA_PAYLOAD_OFFSET`, and where IPv4 has its protocol
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const NETWORK_HEADER: u32 = 1;
const PROTOCOL_OFFSET: u32 = 9;
/// `NFTA_CMP_OP`, `NFTA_CMP_DATA`, `NFTA_DATA_VALUE`, `NFT_CMP_EQ`, `NFT_CMP_NEQ`
const CMP_OPERATION: u16 = 2;
const CMP_DATA: u16 = 3;
const DATA_VALUE: u16 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
/// `NFT_RULE_COMPAT_F_INV`
const INVERTED: u32 = 1 << 1;

/// The protocol of a rule, or all but that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    number: u8,
    inverted: bool,
}

impl Protocol {
    /// Writes `NFTA_RULE_COMPAT_PROTO` and `NFTA_RULE_COMPAT_FLAGS`.
    pub(super) fn write(self, attributes: &mut Attributes) {
        let flags = if self.inverted { INVERTED } else { 0 };
        attributes.put(1, &u32::from(self.number).to_be_bytes()).put(2, &flags.to_be_bytes());
    }
}

/// The protocol in a rule's expressions; `None` if the kernel need not be told of one.
pub(super) fn needed(expressions: &[u8]) -> Option<Protocol> {
    let mut needed = false;
    let mut loaded = false;
    let mut protocol = None;
    for (_, expression) in Fields(expressions) {
        let name = Fields(expression).find(NAME)?;
        let data = Fields(expression).find(DATA).unwrap_or_default();
        match name {
            b"match\0" | b"target\0" => needed = true,
            b"cmp\0" if loaded && protocol.is_none() => protocol = compared(data),
            _ => {}
        }
        loaded = loads_protocol(name, data);
    }
    protocol.filter(|_| needed)
}

fn loads_protocol(name: &[u8], data: &[u8]) -> bool {
    let number = |kind| Fields(data).find(kind).and_then(big_endian);
    match name {
        b"meta\0" => number(META_KEY) == Some(META_PROTOCOL),
        b"payload\0" => {
            number(PAYLOAD_BASE) == Some(NETWORK_HEADER) && number(PAYLOAD_OFFSET) == Some(PROTOCOL_OFFSET)
        }
        _ => false,
    }
}

fn compared(data: &[u8]) -> Option<Protocol> {
    let inverted = match Fields(data).find(CMP_OPERATION).and_then(big_endian)? {
        EQUAL => false,
        NOT_EQUAL => true,
        _ => return None,
    };
    let number = *Fields(Fields(data).find(CMP_DATA)?).find(DATA_VALUE)?.first()?;
    Some(Protocol { number, inverted })
}

fn big_endian(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(name: &str, data: impl FnOnce(&mut Attributes)) -> impl FnOnce(&mut Attributes) {
        move |list| {
            let name = format!("{name}\0");
            _ = list.nest(1, |inside| _ = inside.put(NAME, name.as_bytes()).nest(DATA, data));
        }
    }

    fn rule(operation: u32, target: &str) -> Vec<u8> {
        let mut list = Attributes::default();
        expression("meta", |data| _ = data.put(META_KEY, &META_PROTOCOL.to_be_bytes()))(&mut list);
        expression("cmp", |data| {
            data.put(CMP_OPERATION, &operation.to_be_bytes())
                .nest(CMP_DATA, |value| _ = value.put(DATA_VALUE, &[17]));
        })(&mut list);
        expression(target, |_| {})(&mut list);
        list.bytes().to_vec()
    }

    #[test]
    fn the_protocol_is_found_where_iptables_needs_it_and_only_there() {
        assert_eq!(needed(&rule(EQUAL, "match")), Some(Protocol { number: 17, inverted: false }));
        assert_eq!(needed(&rule(NOT_EQUAL, "target")), Some(Protocol { number: 17, inverted: true }));
        assert_eq!(needed(&rule(EQUAL, "immediate")), None);
        assert_eq!(needed(&[]), None);
    }
}
