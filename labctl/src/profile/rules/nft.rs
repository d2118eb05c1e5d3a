//! The table `ip labctl` of a gateway.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::transport::Transport;
use super::{GatewayContext, allocation, refresh};
use crate::profile::behaviour::{
    Forward, Forwarded, Fragments, Hairpin, IcmpErrors, Mapping, NatBehaviour, Refresh,
};

/// Mark of the packets whose checksum must be taken out again, see [`allocation`] and [`refresh`].
pub(super) const MARK: &str = "0x6c616273";

/// Elements of a set at most: one transport's ports at one address.
const PORTS: usize = 65_536;
/// Peers of all inside endpoints at most.
const PEERS: usize = 1_048_576;

/// The whole text.
pub(super) fn table(nat: Option<&NatBehaviour>, gateway: &GatewayContext) -> String {
    // Adding the table first makes deleting it right where it is not there yet.
    let mut text = String::from("table ip labctl\ndelete table ip labctl\ntable ip labctl {\n");
    if let Some(nat) = nat {
        translating(nat, gateway, &mut text);
    }
    gateway_itself(gateway, &mut text);
    text.push_str("}\n");
    text
}

/// What is for the gateway and from it, whatever it translates.
fn gateway_itself(gateway: &GatewayContext, text: &mut String) {
    let wan = &gateway.wan_interface;
    let _ = writeln!(text, "\tcounter to_gateway {{ }}\n");
    let _ = writeln!(text, "\tchain to_gateway {{\n\t\ttype filter hook input priority -10");
    let _ = writeln!(text, "\t\tiifname \"{wan}\" counter name to_gateway drop\n\t}}\n");
    let _ = writeln!(text, "\tchain from_gateway {{\n\t\ttype filter hook output priority -10");
    let _ = writeln!(text, "\t\ticmp type redirect drop\n\t}}");
}

fn translating(nat: &NatBehaviour, gateway: &GatewayContext, text: &mut String) {
    let transports = Transport::of(nat);
    let forwards = Forwards::of(nat, gateway);
    for name in
        ["unsolicited", "filtered", "invalid", "no_port", "sent", "received", "hairpinned", "fragments"]
    {
        let _ = writeln!(text, "\tcounter {name} {{ }}");
    }
    text.push('\n');
    for transport in &transports {
        sets(transport, &forwards, gateway, text);
    }
    if nat.fragments == Fragments::Drop {
        // Before they are put together.
        let _ = writeln!(text, "\tchain fragments {{\n\t\ttype filter hook prerouting priority -450");
        let _ = writeln!(text, "\t\tip frag-off & 0x3fff != 0 counter name fragments drop\n\t}}\n");
    }
    arriving(nat, &transports, &forwards, gateway, text);
    inwards(nat, &transports, &forwards, gateway, text);
    filtering(nat, &transports, &forwards, gateway, text);
    outwards(nat, gateway, text);
    for transport in &transports {
        *text += &allocation::chains(transport, nat, gateway);
    }
    after(nat, &transports, gateway, text);
    for transport in &transports {
        *text += &refresh::chains(transport);
    }
}

/// Port forwardings of a protocol, port by port, and the host that gets the rest.
struct Forwards {
    /// `udp` or `tcp`, outside port, inside endpoint.
    ports: Vec<(&'static str, u16, Ipv4Addr, u16)>,
    dmz: Option<Ipv4Addr>,
}

impl Forwards {
    /// A host that the subnet does not have gets nothing.
    fn of(nat: &NatBehaviour, gateway: &GatewayContext) -> Self {
        let mut ports = Vec::new();
        for Forward { protocol, outside, to, port } in &nat.forwards {
            let Some(host) = to.address(gateway.inside) else { continue };
            let words: &[&str] = match protocol {
                Forwarded::Udp => &["udp"],
                Forwarded::Tcp => &["tcp"],
                Forwarded::Both => &["udp", "tcp"],
            };
            for word in words {
                ports.extend(
                    (outside.first()..=outside.last()).zip(*port..).map(|(from, to)| (*word, from, host, to)),
                );
            }
        }
        Self { ports, dmz: nat.dmz.and_then(|host| host.address(gateway.inside)) }
    }

    fn of_transport(&self, word: &str) -> impl Iterator<Item = (u16, Ipv4Addr, u16)> {
        self.ports
            .iter()
            .filter(move |(found, ..)| *found == word)
            .map(|(_, from, host, to)| (*from, *host, *to))
    }
}

fn sets(transport: &Transport, forwards: &Forwards, gateway: &GatewayContext, text: &mut String) {
    let p = transport.word;
    let size = PORTS * gateway.outside.len();
    let inside_type = transport.inside_type();
    let flags = "flags dynamic, timeout";
    let end = "ipv4_addr . inet_service";

    // A forwarded port is a mapping that is always there, so that no other mapping gets the port.
    let forwarded: Vec<_> = forwards.of_transport(p).collect();
    let outside: Vec<_> = gateway
        .outside
        .iter()
        .flat_map(|address| {
            forwarded.iter().map(move |(from, host, to)| format!("{address} . {from} : {host} . {to}"))
        })
        .collect();
    // From there, an inside endpoint sends with its forwarded port, the first where it has several.
    let mut forwarded_ends = BTreeMap::new();
    if let (Mapping::EndpointIndependent, Some(address)) = (transport.mapping, gateway.outside.first()) {
        for (from, host, to) in &forwarded {
            forwarded_ends.entry((*host, *to)).or_insert((*address, *from));
        }
    }
    let inside: Vec<_> = forwarded_ends
        .iter()
        .map(|((host, to), (address, from))| format!("{host} . {to} : {address} . {from}"))
        .collect();
    let _ =
        writeln!(text, "\tmap {p}_inside {{\n\t\ttype {inside_type} : {end}\n\t\tsize {size}\n\t\t{flags}");
    elements(&inside, text);
    let _ = writeln!(text, "\tmap {p}_outside {{\n\t\ttype {end} : {end}\n\t\tsize {size}\n\t\t{flags}");
    elements(&outside, text);
    if let Some(peer_type) = transport.peer_type() {
        let _ =
            writeln!(text, "\tset {p}_peers {{\n\t\ttype {peer_type}\n\t\tsize {PEERS}\n\t\t{flags}\n\t}}\n");
        let open: Vec<_> = gateway
            .outside
            .iter()
            .flat_map(|address| forwarded.iter().map(move |(from, ..)| format!("{address} . {from}")))
            .collect();
        if !open.is_empty() {
            let _ = writeln!(text, "\tset {p}_forwarded {{\n\t\ttype {end}");
            elements(&open, text);
        }
    }
    if transport.rests() {
        let _ = writeln!(text, "\tset {p}_owned {{\n\t\ttype {end}\n\t\tsize {size}\n\t\t{flags}\n\t}}\n");
    }
    let _ = writeln!(
        text,
        "\tset {p}_claims {{\n\t\ttype {end}\n\t\tsize {size}\n\t\t{flags}\n\t\ttimeout 1s\n\t}}\n"
    );
    let flow = "ipv4_addr . inet_service . ipv4_addr . inet_service";
    for way in transport.refreshing_ways() {
        let _ = writeln!(
            text,
            "\tset {p}_{way}_fresh {{\n\t\ttype {flow}\n\t\tsize {PEERS}\n\t\t{flags}\n\t}}\n"
        );
    }
}

fn elements(list: &[String], text: &mut String) {
    if !list.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", list.join(", "));
    }
    text.push_str("\t}\n\n");
}

/// What no mapping is there for does not exist.
///
/// Where packets from outside keep a mapping alive, connection tracking knows no flow that has no mapping. So
/// the rules stand behind it and look up the first packets of flows only; a flow whose first packet is dropped
/// is never entered there. Where they do not, a packet from outside must not even be seen by connection
/// tracking once the mapping is gone, for it would keep the flow alive.
fn arriving(
    nat: &NatBehaviour,
    transports: &[Transport],
    forwards: &Forwards,
    gateway: &GatewayContext,
    text: &mut String,
) {
    let GatewayContext { wan_interface: wan, lan_interface: lan, .. } = gateway;
    let outside = outside(gateway);
    let tracked = transports.iter().all(|transport| !transport.rests());
    let priority = if tracked { -190 } else { -300 };
    let _ = writeln!(text, "\tchain arriving {{\n\t\ttype filter hook prerouting priority {priority}");
    if tracked {
        text.push_str("\t\tct state established accept\n");
    }
    let _ = writeln!(text, "\t\tiifname \"{wan}\" ip daddr != {outside} counter name unsolicited drop");
    let _ = writeln!(text, "\t\tiifname \"{wan}\" jump known");
    if nat.hairpin == Hairpin::Off {
        let _ = writeln!(
            text,
            "\t\tiifname \"{lan}\" ip daddr {outside} meta l4proto {{ tcp, udp }} counter name unsolicited drop"
        );
    } else {
        let _ = writeln!(text, "\t\tiifname \"{lan}\" ip daddr {outside} jump hairpin");
    }
    text.push_str("\t}\n\n");

    if nat.hairpin != Hairpin::Off {
        let _ = writeln!(text, "\tchain hairpin {{");
        text.push_str("\t\tmeta l4proto { tcp, udp } jump known\n\t}\n\n");
    }

    let _ = writeln!(text, "\tchain known {{");
    // Whether any other TCP segment is of a connection is for connection tracking to say.
    let _ = writeln!(text, "\t\ttcp flags & (syn | ack) != syn return");
    for transport in transports {
        let p = transport.word;
        let _ = writeln!(text, "\t\tmeta l4proto {p} ip daddr . {p} dport @{p}_outside return");
    }
    if forwards.dmz.is_some() {
        let _ = writeln!(text, "\t\tmeta l4proto {{ tcp, udp }} return");
    }
    let mut icmp = vec!["echo-reply", "timestamp-reply"];
    if nat.icmp_errors == IcmpErrors::Translate {
        icmp.extend(["destination-unreachable", "time-exceeded", "parameter-problem"]);
    }
    let _ = writeln!(text, "\t\ticmp type {{ {} }} return", icmp.join(", "));
    let _ = writeln!(text, "\t\tmeta l4proto {{ tcp, udp, icmp }} counter name unsolicited drop\n\t}}\n");
}

/// Outside endpoint -> inside endpoint.
fn inwards(
    nat: &NatBehaviour,
    transports: &[Transport],
    forwards: &Forwards,
    gateway: &GatewayContext,
    text: &mut String,
) {
    let outside = outside(gateway);
    let _ = writeln!(text, "\tchain inwards {{\n\t\ttype nat hook prerouting priority dstnat");
    let from = if nat.hairpin == Hairpin::Off {
        format!("iifname \"{}\" ", gateway.wan_interface)
    } else {
        String::new()
    };
    for transport in transports {
        let p = transport.word;
        let _ = writeln!(
            text,
            "\t\t{from}ip daddr {outside} meta l4proto {p} dnat ip to ip daddr . {p} dport map @{p}_outside"
        );
    }
    if let Some(host) = forwards.dmz {
        let _ = writeln!(text, "\t\t{from}ip daddr {outside} meta l4proto {{ tcp, udp }} dnat to {host}");
    }
    text.push_str("\t}\n\n");
}

/// Who may send to an inside endpoint, before the firewall is asked.
fn filtering(
    nat: &NatBehaviour,
    transports: &[Transport],
    forwards: &Forwards,
    gateway: &GatewayContext,
    text: &mut String,
) {
    let GatewayContext { wan_interface: wan, lan_interface: lan, .. } = gateway;
    let established = established(transports);
    let _ = writeln!(text, "\tchain filtering {{\n\t\ttype filter hook forward priority -10");
    if nat.hairpin != Hairpin::InternalSource {
        // What follows is about first packets.
        let _ = writeln!(text, "\t\t{established} accept");
    }
    // Such a packet is not translated: it would show inside addresses outside.
    let _ = writeln!(text, "\t\tct state invalid counter name invalid drop");
    if nat.icmp_errors == IcmpErrors::Drop {
        let _ = writeln!(text, "\t\tmeta l4proto icmp ct state related drop");
    }
    let _ = writeln!(text, "\t\tiifname \"{wan}\" oifname \"{lan}\" jump permitted");
    if nat.hairpin == Hairpin::InternalSource {
        // Such a packet's source is never translated, so that its permission is by inside endpoints.
        for transport in transports {
            let p = transport.word;
            let end = format!("ip saddr . {p} sport");
            if let Some(key) = transport.peer_key(&end, "ip daddr", &format!("{p} dport")) {
                let life = Transport::life(transport.first_timeout());
                let _ = writeln!(
                    text,
                    "\t\tiifname \"{lan}\" oifname \"{lan}\" meta l4proto {p} add @{p}_peers {{ {key} {life} }}"
                );
            }
        }
        let _ =
            writeln!(text, "\t\tiifname \"{lan}\" oifname \"{lan}\" counter name hairpinned jump permitted");
    }
    text.push_str("\t}\n\n");
    permitted(nat, transports, forwards, text);
}

/// The chain `permitted`: what the filtering does not let in is dropped.
fn permitted(nat: &NatBehaviour, transports: &[Transport], forwards: &Forwards, text: &mut String) {
    let established = established(transports);
    let _ = writeln!(text, "\tchain permitted {{");
    // Connection tracking knows the rest of a flow that was let in.
    let _ = writeln!(text, "\t\t{established} return");
    let _ = writeln!(text, "\t\tmeta l4proto tcp ct state != new return");
    if let Some(host) = forwards.dmz {
        let _ = writeln!(text, "\t\tip daddr {host} return");
    }
    for transport in transports {
        let p = transport.word;
        let port = format!("{p} sport");
        let peer_key = |end: &str| transport.peer_key(end, "ip saddr", &port);
        for (direction, end) in asked_about(transport) {
            let Some(key) = peer_key(end) else { continue };
            let _ = writeln!(text, "\t\tmeta l4proto {p} {direction}{key} @{p}_peers return");
            if forwards.of_transport(p).next().is_some() {
                let _ = writeln!(text, "\t\tmeta l4proto {p} {direction}{end} @{p}_forwarded return");
            }
        }
        if let Some(key) = peer_key(&format!("ip daddr . {p} dport")) {
            if nat.hairpin == Hairpin::InternalSource {
                let _ = writeln!(text, "\t\tmeta l4proto {p} {key} @{p}_peers return");
            }
            let _ = writeln!(text, "\t\tmeta l4proto {p} counter name filtered drop");
        }
    }
    text.push_str("\t}\n\n");
}

/// Where connection tracking has the outside endpoint that a packet was sent to, by the packet's direction. Only
/// where connection tracking can outlive a permission are packets asked about that answer.
fn asked_about(transport: &Transport) -> &'static [(&'static str, &'static str)] {
    if transport.rests() {
        &[
            ("ct direction original ", "ct original ip daddr . ct original proto-dst"),
            ("ct direction reply ", "ct reply ip daddr . ct reply proto-dst"),
        ]
    } else {
        &[("", "ct original ip daddr . ct original proto-dst")]
    }
}

/// Inside endpoint -> outside endpoint.
fn outwards(nat: &NatBehaviour, gateway: &GatewayContext, text: &mut String) {
    let GatewayContext { wan_interface: wan, lan_interface: lan, .. } = gateway;
    let _ = writeln!(text, "\tchain outwards {{\n\t\ttype nat hook postrouting priority srcnat");
    let _ = writeln!(text, "\t\toifname \"{wan}\" goto translate");
    if nat.hairpin == Hairpin::ExternalSource {
        let _ = writeln!(text, "\t\tiifname \"{lan}\" oifname \"{lan}\" ct status dnat goto translate");
    }
    text.push_str("\t}\n\n");

    let _ = writeln!(text, "\tchain translate {{");
    let _ = writeln!(text, "\t\tmeta l4proto vmap {{ udp : goto udp_translate, tcp : goto tcp_translate }}");
    // Identifiers of ICMP queries are kept, or replaced where another host's query has taken them.
    match gateway.outside.as_slice() {
        [only] => {
            let _ = writeln!(text, "\t\tsnat to {only}");
        }
        several => {
            let pool: Vec<_> =
                several.iter().enumerate().map(|(index, address)| format!("{index} : {address}")).collect();
            let count = several.len();
            let pool = pool.join(", ");
            let _ = writeln!(text, "\t\tsnat to jhash ip saddr mod {count} map {{ {pool} }}");
        }
    }
    text.push_str("\t}\n\n");
}

/// After translation: mappings are written down, and hairpinned packets meet the receiver's filtering.
fn after(nat: &NatBehaviour, transports: &[Transport], gateway: &GatewayContext, text: &mut String) {
    let GatewayContext { wan_interface: wan, lan_interface: lan, .. } = gateway;
    let sent = "meta l4proto vmap { udp : goto udp_sent, tcp : goto tcp_sent }";
    let received: Vec<_> = transports
        .iter()
        .filter(|transport| transport.refresh == Refresh::Both)
        .map(|transport| format!("{0} : goto {0}_received", transport.word))
        .collect();
    let received = format!("meta l4proto vmap {{ {} }}", received.join(", "));
    let _ = writeln!(text, "\tchain after {{\n\t\ttype filter hook postrouting priority srcnat + 10");
    let _ = writeln!(text, "\t\toifname \"{wan}\" counter name sent {sent}");
    let _ = writeln!(text, "\t\tiifname \"{wan}\" counter name received {received}");
    let within = format!("iifname \"{lan}\" oifname \"{lan}\"");
    if nat.hairpin == Hairpin::ExternalSource {
        // What the sender has sent to counts before the receiver's filtering is asked.
        let _ = writeln!(text, "\t\t{within} ct status snat jump sent");
        let _ = writeln!(text, "\t\t{within} ct status dnat counter name hairpinned jump permitted");
    }
    if nat.hairpin != Hairpin::Off {
        let _ = writeln!(text, "\t\t{within} ct status dnat goto received");
    }
    text.push_str("\t}\n\n");

    if nat.hairpin == Hairpin::ExternalSource {
        let _ = writeln!(text, "\tchain sent {{\n\t\t{sent}\n\t}}\n");
    }
    if nat.hairpin != Hairpin::Off {
        let _ = writeln!(text, "\tchain received {{\n\t\t{received}\n\t}}\n");
    }
}

/// Matches packets of flows that only live on in connection tracking while their mapping and the permission to
/// send to it do. Where packets from outside do not refresh those, they must be looked up for each packet.
fn established(transports: &[Transport]) -> &'static str {
    if transports.iter().any(Transport::rests) {
        "meta l4proto tcp ct state established"
    } else {
        "ct state established"
    }
}

/// The gateway's outside addresses, as a set where they are several: comparing with one is cheaper.
fn outside(gateway: &GatewayContext) -> String {
    if let [only] = gateway.outside.as_slice() {
        return only.to_string();
    }
    let addresses: Vec<_> = gateway.outside.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", addresses.join(", "))
}
