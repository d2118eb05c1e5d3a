//! What the kernel can do, tried in a namespace that has no name and ends with the look.

use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::gettid;

use super::{Check, Verdict};
use crate::net::link::{Mac, VethEnd};
use crate::net::ruleset::{self, Program};
use crate::net::wan::nfqueue::QueueSocket;
use crate::net::{NetError, NetNs, Netlink};

/// What NAT profiles are made of: `nat` chains, masquerading, maps and sets that packets add to, and
/// `ct original`.
const NFT: &str = "\
table ip labctl_probe {
    map mappings {
        type ipv4_addr . inet_service : inet_service
        flags dynamic,timeout
        timeout 1m
    }
    set contacted {
        type ipv4_addr . inet_service
        flags dynamic,timeout
        timeout 1m
    }
    chain source {
        type nat hook postrouting priority srcnat
        ip protocol udp snat to 198.18.0.1 : ip saddr . udp sport map @mappings
        masquerade
    }
    chain learn {
        type filter hook postrouting priority srcnat + 10
        ip protocol udp update @mappings { ct original ip saddr . ct original proto-src : udp sport }
        update @contacted { ip daddr . th dport }
    }
}
";

/// What firewall profiles and the WAN are made of.
const IPTABLES: &str = "\
*mangle
:FORWARD ACCEPT
-A FORWARD -j NFQUEUE --queue-balance 0:3
COMMIT
*filter
:FORWARD DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -p udp -j DROP
-A FORWARD -p tcp -j REJECT --reject-with tcp-reset
COMMIT
";

/// All checks of the kernel. Without namespaces nothing else can be tried.
pub async fn checks() -> Vec<Check> {
    let (namespace, other) = match nameless().and_then(|one| Ok((one, nameless()?))) {
        Ok(both) => both,
        Err(error) => {
            let mend = "run as root; the kernel needs CONFIG_NET_NS and CONFIG_NAMESPACES";
            return vec![Check::new("network namespaces", Verdict::missing(error, mend))];
        }
    };
    let (links, nft, iptables, queue, packets) = tokio::join!(
        links(&namespace, &other),
        ruleset::apply(&namespace, Program::Nft, NFT),
        ruleset::apply(&namespace, Program::IptablesRestore, IPTABLES),
        namespace.run_async(bind_queue),
        namespace.run_async(open_packet_socket),
    );
    let queue = queue.map_err(|error| error.to_string()).and_then(|tried| tried);
    let packets = packets.map_err(|error| error.to_string()).and_then(|tried| tried);
    vec![
        Check::new("network namespaces", Verdict::good("")),
        check(
            "veth pairs and bridges",
            links,
            "load the modules veth and bridge (CONFIG_VETH, CONFIG_BRIDGE)",
        ),
        check(
            "nftables NAT with dynamic maps",
            nft,
            "load nf_tables, nft_nat, nft_masq and nft_ct (CONFIG_NF_TABLES_IPV4, CONFIG_NFT_NAT, CONFIG_NFT_MASQ)",
        ),
        check(
            "iptables with conntrack and NFQUEUE",
            iptables,
            "load nft_compat or ip_tables, xt_NFQUEUE and xt_conntrack (CONFIG_NETFILTER_XT_TARGET_NFQUEUE)",
        ),
        check("packet queues", queue, "load nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)"),
        check("packet sockets", packets, "load af_packet (CONFIG_PACKET)"),
    ]
}

fn check<E: ToString>(need: &str, tried: Result<(), E>, mend: &str) -> Check {
    Check::new(
        need,
        match tried {
            Ok(()) => Verdict::good(""),
            Err(error) => Verdict::missing(error.to_string(), mend),
        },
    )
}

/// A namespace that lives for as long as it is held. It has no name that a crash could leave.
fn nameless() -> Result<NetNs, String> {
    let made = thread::scope(|scope| {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
            NetNs::of_process(gettid().as_raw().unsigned_abs()).map_err(|error| error.to_string())
        };
        scope.spawn(make).join()
    });
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn links(namespace: &NetNs, other: &NetNs) -> Result<(), NetError> {
    let netlink = Netlink::open(namespace).await?;
    netlink.set_loopback_up().await?;
    let bridge = netlink.add_bridge("probe", Mac::of("probe", "bridge")).await?;
    let mut near = VethEnd::new(namespace, "probe", "near");
    near.bridge = Some(bridge);
    netlink.add_veth(&near, &VethEnd::new(other, "probe", "far")).await
}

fn bind_queue() -> Result<(), String> {
    QueueSocket::bind(1).map(drop).map_err(|error| error.to_string())
}

fn open_packet_socket() -> Result<(), String> {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .map(drop)
        .map_err(|error| error.to_string())
}
