//! Connection tracking of a namespace: what it knows, and making it forget.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use super::{NetError, NetNs};

/// A UDP or TCP flow that connection tracking knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// `udp` or `tcp`.
    pub protocol: String,
    /// State of a TCP connection, in the kernel's words: `ESTABLISHED`.
    pub state: Option<String>,
    /// Ends of the first packet: from, to.
    pub original: (SocketAddrV4, SocketAddrV4),
    /// Ends of an answer: from, to.
    pub reply: (SocketAddrV4, SocketAddrV4),
    /// How long until it is forgotten.
    pub left: Duration,
    /// How long it has been there, if the kernel was told to note that.
    pub age: Option<Duration>,
}

/// The setting by which the kernel notes when a flow began.
pub const TIMESTAMPS: &str = "net/netfilter/nf_conntrack_timestamp";

/// Reads the flows of a namespace.
pub async fn read(namespace: &NetNs) -> Result<Vec<Flow>, NetError> {
    // Not /proc/net, which is that of the process' first thread.
    let read = || fs::read_to_string("/proc/thread-self/net/nf_conntrack");
    let text = namespace.run_async(read).await?.map_err(|source| NetError::Conntrack {
        namespace: namespace.name().to_owned(),
        action: "read it (the kernel needs CONFIG_NF_CONNTRACK_PROCFS)",
        source,
    })?;
    Ok(text.lines().filter_map(flow).collect())
}

/// `ipv4 2 udp 17 29 src=... dst=... sport=... dport=... src=... dst=... sport=... dport=... delta-time=3 ...`;
/// `None` for other protocols.
fn flow(line: &str) -> Option<Flow> {
    let mut words = line.split_whitespace();
    let mut word = || words.next();
    if word()? != "ipv4" {
        return None;
    }
    let (_, protocol, _) = (word()?, word()?, word()?);
    if !matches!(protocol, "udp" | "tcp") {
        return None;
    }
    let left = Duration::from_secs(word()?.parse().ok()?);
    let mut state = None;
    let mut age = None;
    // Every key of an end comes twice: first the original direction's, then the reply's.
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            Some(("src" | "dst", value)) => addresses.push(value.parse::<Ipv4Addr>().ok()?),
            Some(("sport" | "dport", value)) => ports.push(value.parse::<u16>().ok()?),
            Some(("delta-time", value)) => age = value.parse().ok().map(Duration::from_secs),
            None if !word.starts_with('[') && state.is_none() => state = Some(word.to_owned()),
            _ => {}
        }
    }
    let end = |at: usize| Some(SocketAddrV4::new(*addresses.get(at)?, *ports.get(at)?));
    Some(Flow {
        protocol: protocol.to_owned(),
        state,
        original: (end(0)?, end(1)?),
        reply: (end(2)?, end(3)?),
        left,
        age,
    })
}

/// Makes a namespace forget all its flows.
pub async fn flush(namespace: &NetNs) -> Result<(), NetError> {
    namespace.run_async(flush_here).await?.map_err(|source| NetError::Conntrack {
        namespace: namespace.name().to_owned(),
        action: "empty it",
        source,
    })
}

/// Asks the kernel over ctnetlink to delete the entries of the calling thread's namespace
/// (`linux/netfilter/nfnetlink_conntrack.h`).
fn flush_here() -> io::Result<()> {
    const DELETE: u16 = 1 << 8 | 2; // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
    const REQUEST_AND_ACK: u16 = 1 | 4; // NLM_F_REQUEST, NLM_F_ACK
    const ERROR: u16 = 2; // NLMSG_ERROR, which an acknowledgement is, too
    const HEADERS: u32 = 16 + 4; // struct nlmsghdr, struct nfgenmsg

    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    // Without a tuple and for no family in particular: all entries.
    let mut message = [0; HEADERS as usize];
    message[..4].copy_from_slice(&HEADERS.to_ne_bytes());
    message[4..6].copy_from_slice(&DELETE.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    send(fd.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 256];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(16..20).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    match (kind, code) {
        (Some(ERROR), Some(0)) if length >= 20 => Ok(()),
        (Some(ERROR), Some(code)) if length >= 20 => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that makes no sense")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translated_connection_is_read_with_both_of_its_directions() {
        let line = "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.1.2 dst=198.18.0.9 sport=5000 dport=80 \
                    src=198.18.0.9 dst=198.18.0.2 sport=80 dport=40000 [ASSURED] mark=0 delta-time=12 use=2";
        let flow = flow(line).unwrap();
        assert_eq!(flow.state.as_deref(), Some("ESTABLISHED"));
        assert_eq!(flow.original.0, "192.168.1.2:5000".parse().unwrap());
        assert_eq!(flow.reply.1, "198.18.0.2:40000".parse().unwrap());
        assert_eq!((flow.left.as_secs(), flow.age), (431_999, Some(Duration::from_secs(12))));
    }

    #[test]
    fn flows_without_an_answer_are_read_and_other_protocols_passed_over() {
        let udp = "ipv4 2 udp 17 29 src=10.0.0.2 dst=198.18.0.9 sport=1 dport=2 [UNREPLIED] \
                   src=198.18.0.9 dst=10.0.0.2 sport=2 dport=1 mark=0 use=2";
        assert_eq!(flow(udp).unwrap().state, None);
        assert_eq!(flow("ipv4 2 icmp 1 29 src=10.0.0.2 dst=198.18.0.9 type=8 code=0 id=7 ..."), None);
        assert_eq!(flow(""), None);
    }
}
