//! What the kernel can do, tried in a namespace that has no name and ends with the look.

use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::gettid;

use super::{Check, Verdict};
use crate::net::fast_path::{self, Availability};
use crate::net::link::{InterfaceIndex, LOOPBACK, Mac, VethEnd};
use crate::net::ruleset::{self, Program};
use crate::net::sys::ring::PacketRing;
use crate::net::wan::kernel::abilities;
use crate::net::wan::kernel::fit::Abilities;
use crate::net::{NetError, NetNs, Netlink, Requests};

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
    let (links, nft, iptables, ring, packets) = tokio::join!(
        links(&namespace, &other),
        ruleset::apply(&namespace, Program::Nft, NFT),
        ruleset::apply(&namespace, Program::IptablesRestore, IPTABLES),
        namespace.run_async(open_packet_ring),
        namespace.run_async(open_packet_socket),
    );
    let ring = ring.map_err(|error| error.to_string()).and_then(|tried| tried);
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
            "iptables with conntrack",
            iptables,
            "load nft_compat or ip_tables, and xt_conntrack (CONFIG_NETFILTER_XT_MATCH_CONNTRACK)",
        ),
        check(
            "packet rings",
            ring,
            "load af_packet (CONFIG_PACKET); a ring takes 32 MiB of the kernel's memory",
        ),
        fast_path(),
        check("packet sockets", packets, "load af_packet (CONFIG_PACKET)"),
        Check::new("WAN engines", Verdict::good(engines())),
    ]
}

/// Which engines of the WAN there are, and which one a new lab gets.
fn engines() -> String {
    let Abilities { rates, netem } = abilities();
    let (kernel, auto) = match (rates, netem) {
        (_, true) => ("kernel (netem)", "the kernel's where nothing is random, else user"),
        (true, false) => ("kernel (rates only: no netem)", "user"),
        (false, false) => ("no kernel engine (no tbf, or no owned nftables tables)", "user"),
    };
    format!("user; {kernel}; 'auto' takes {auto}")
}

/// Labs do without, and are the same but for their speed; and but for TCP segments outside their connection's window, which
/// only the rules judge.
fn fast_path() -> Check {
    let verdict = match fast_path::availability() {
        Availability::Whole => Verdict::good("UDP and TCP"),
        Availability::UdpOnly => Verdict::good(
            "UDP; for TCP the kernel needs CONFIG_NF_CONNTRACK=y and CONFIG_DEBUG_INFO_BTF, Linux 6.0 or later",
        ),
        Availability::None(reason) => Verdict::good(format!(
            "none, each packet passes all rules ({reason}); it needs root and CONFIG_NET_CLS_BPF"
        )),
    };
    Check::new("fast path of NATs", verdict)
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
    /// Of the bridge; any will do.
    const BRIDGE: InterfaceIndex = InterfaceIndex(1000);
    let mut near = VethEnd::new(namespace, "probe", "near");
    near.bridge = Some(BRIDGE);
    let mut requests = Requests::default();
    requests.set_up(LOOPBACK);
    requests.add_bridge("probe", BRIDGE, Mac::of("probe", "bridge"));
    requests.add_veth(&near, &VethEnd::new(other, "probe", "far"));
    Netlink::open(namespace).await?.send(&requests)
}

fn open_packet_ring() -> Result<(), String> {
    PacketRing::open().map(drop).map_err(|error| error.to_string())
}

fn open_packet_socket() -> Result<(), String> {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .map(drop)
        .map_err(|error| error.to_string())
}
