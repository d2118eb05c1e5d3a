//! What a firewall does, in the words of iptables: chains with policies and ordered rules.

use serde::Serialize;

use super::behaviour::PortRange;
use crate::topology::Subnet;

/// A gateway's firewall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirewallProfile {
    /// File name without `.yaml`, or `inline`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the type is met and what it does to hole punching; empty for an inline one.
    pub description: String,
    /// RFC sections and published pages.
    pub references: Vec<String>,
    /// What happens to packets for the gateway itself that no rule decides on.
    pub input: Policy,
    /// What happens to packets through the gateway that no rule decides on.
    pub forward: Policy,
    /// What happens to the gateway's own packets that no rule decides on.
    pub output: Policy,
    /// Rules in the order in which they are tried; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The chain that it is in.
    pub chain: Chain,
    /// The packets that it decides on.
    pub packets: PacketMatch,
    /// What happens to them.
    pub action: Action,
    /// Why, for people.
    pub comment: Option<String>,
}

/// Which packets a rule is for: those to which all of it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PacketMatch {
    /// The side that they come in on.
    pub input: Option<Side>,
    /// The side that they leave on.
    pub output: Option<Side>,
    /// Their protocol.
    pub protocol: Option<Protocol>,
    /// Where they come from.
    pub source: Option<Subnet>,
    /// Where they go to.
    pub destination: Option<Subnet>,
    /// Source ports; empty: any. UDP and TCP only.
    pub source_ports: Ports,
    /// Destination ports; empty: any. UDP and TCP only.
    pub destination_ports: Ports,
    /// ICMP type, by its name in iptables. ICMP only.
    pub icmp_type: Option<String>,
    /// What connection tracking thinks of them; empty: any.
    pub states: Vec<ConnectionState>,
}

/// Ports of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ports(pub(super) Vec<PortRange>);

impl Ports {
    /// iptables' `multiport` takes 15 ports, and a range counts as two.
    pub(super) const LIMIT: usize = 15;

    /// The ranges; empty: any port.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

/// A word of a profile and the iptables word for it, which are the same but for the case.
macro_rules! words {
    ($(#[$about:meta])* $name:ident: $what:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            pub(super) const WHAT: &str = $what;
            pub(crate) const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// The word in a profile and in iptables.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words! {
    /// A chain of iptables' `filter` table.
    Chain: "a chain" {
        /// Packets for the gateway itself.
        Input = "INPUT",
        /// Packets through the gateway.
        Forward = "FORWARD",
        /// The gateway's own packets.
        Output = "OUTPUT",
    }
}

words! {
    /// What happens at the end of a chain.
    Policy: "a policy" {
        /// They pass.
        Accept = "ACCEPT",
        /// They vanish.
        Drop = "DROP",
    }
}

words! {
    /// A side of the gateway, which is also the name of the interface in a profile.
    Side: "a side of the gateway" {
        /// The WAN, or the outer site's network.
        Wan = "wan",
        /// The site's network.
        Lan = "lan",
    }
}

words! {
    /// A transport protocol.
    Protocol: "a protocol" {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP.
        Icmp = "icmp",
    }
}

words! {
    /// What connection tracking thinks of a packet.
    ConnectionState: "a connection state" {
        /// The first of a connection.
        New = "NEW",
        /// Of a connection that has been seen.
        Established = "ESTABLISHED",
        /// Of none itself, but about one: an ICMP error.
        Related = "RELATED",
        /// Of none, and it cannot begin one.
        Invalid = "INVALID",
    }
}

words! {
    /// What a refused sender hears.
    Reject: "an answer of REJECT" {
        /// ICMP port unreachable.
        PortUnreachable = "icmp-port-unreachable",
        /// ICMP host unreachable.
        HostUnreachable = "icmp-host-unreachable",
        /// ICMP communication administratively prohibited.
        Prohibited = "icmp-admin-prohibited",
        /// A TCP reset.
        TcpReset = "tcp-reset",
    }
}

/// What happens to packets that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// They pass.
    Accept,
    /// They vanish.
    Drop,
    /// They are dropped and their sender hears of it.
    Reject(Reject),
}

/// ICMP types that a rule may name: those of iptables that a testbed's packets have.
pub(crate) const ICMP_TYPES: &[&str] = &[
    "echo-request",
    "echo-reply",
    "destination-unreachable",
    "port-unreachable",
    "host-unreachable",
    "fragmentation-needed",
    "time-exceeded",
    "ttl-zero-during-transit",
    "parameter-problem",
];
