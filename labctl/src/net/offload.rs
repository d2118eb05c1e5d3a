//! Offloads of links. A veth hands over whole segments of up to 64 KB with unfinished checksums; with
//! the offloads off, what a capture shows and what the WAN counts is what would be on a wire.

use std::net::UdpSocket;

use super::{NetError, sys};

/// Commands of `linux/ethtool.h` that set a value, in the order in which they are given.
const OFF: &[(&str, u32)] = &[
    ("GRO", 0x2c),                // ETHTOOL_SGRO
    ("TSO", 0x1f),                // ETHTOOL_STSO
    ("GSO", 0x24),                // ETHTOOL_SGSO
    ("transmit checksums", 0x17), // ETHTOOL_STXCSUM
];

/// Turns the offloads of an interface of the calling thread's namespace off.
pub fn turn_off(interface: &str) -> Result<(), NetError> {
    let fail = |offload| move |source| NetError::Offload { interface: interface.to_owned(), offload, source };
    // Any socket of the namespace takes the request; this one is bound to nothing.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).map_err(fail("offloads"))?;
    OFF.iter().try_for_each(|&(offload, command)| {
        sys::ethtool_set(&socket, interface, command, 0).map_err(fail(offload))
    })
}
