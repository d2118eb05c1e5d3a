//! What the rules of a gateway have counted, by verdict.

use serde::Serialize;

use super::{failed, open};
use crate::lab::LabError;
use crate::net::nft::Table;
use crate::net::wan::counters::Tally;
use crate::net::{NetNs, fast_path, gateway, iptables};
use crate::plan::GatewayPlan;

/// What became of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They passed.
    Passed,
    /// They vanished, or their sender was refused.
    Dropped,
}

/// Whose counter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CounterTable {
    /// The NAT's, in nftables.
    Nat,
    /// The firewall's, in iptables.
    Firewall,
}

/// A counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// Whose it is.
    pub table: CounterTable,
    /// Name of a NAT's counter; chain and rule of a firewall's.
    pub name: String,
    /// What it counts, in words.
    pub meaning: String,
    /// What became of the packets.
    pub verdict: Verdict,
    /// How many, and their bytes at IP level.
    #[serde(flatten)]
    pub counted: Tally,
}

/// What the end of a chain counts.
const THE_REST: &str = "everything that no rule decides on";

/// The counters of a gateway's NAT and then of its firewall, rule by rule.
pub async fn counters(gateway: &GatewayPlan) -> Result<Vec<Counter>, LabError> {
    let namespace = open(gateway)?;
    let mut counters = read(&namespace).await.map_err(failed("reading", gateway))?;
    if gateway.iptables.trim().is_empty() {
        // The ends of chains without a rule decide on nothing, and not every packet comes by them.
        counters.retain(|counter| counter.table == CounterTable::Nat || counter.meaning != THE_REST);
    }
    Ok(counters)
}

async fn read(namespace: &NetNs) -> Result<Vec<Counter>, crate::net::NetError> {
    let (table, rules, fast) = tokio::try_join!(
        Table::read(namespace),
        iptables::read(namespace),
        fast_path::passed(namespace, gateway::INTERFACES)
    )?;
    let fast = fast.unwrap_or_default();
    let nat = table.counters.into_iter().map(|(name, counted)| {
        // Packets of flows under way do not pass the rules.
        let counted = match name.as_str() {
            "sent" => counted + fast.sent,
            "received" => counted + fast.received,
            _ => counted,
        };
        let (verdict, meaning) = of_nat(&name);
        Counter { table: CounterTable::Nat, meaning: meaning.to_owned(), name, verdict, counted }
    });
    let firewall = rules.into_iter().map(|rule| Counter {
        table: CounterTable::Firewall,
        meaning: if rule.packets.is_empty() { THE_REST.to_owned() } else { rule.packets },
        verdict: if rule.verdict == "ACCEPT" { Verdict::Passed } else { Verdict::Dropped },
        name: format!("{} {}", rule.chain, rule.verdict),
        counted: rule.counted,
    });
    Ok(nat.chain(firewall).collect())
}

/// What the counters of a NAT's rules mean.
fn of_nat(name: &str) -> (Verdict, &'static str) {
    match name {
        "sent" => (Verdict::Passed, "left to the outside"),
        "received" => (Verdict::Passed, "came in from outside"),
        "hairpinned" => (Verdict::Passed, "turned back to an inside host, unless filtered"),
        "unsolicited" => (Verdict::Dropped, "for an outside endpoint that no mapping has"),
        "filtered" => (Verdict::Dropped, "for a mapping, from somebody whom its filtering does not let in"),
        "invalid" => (Verdict::Dropped, "of no connection, and could not begin one"),
        "no_port" => (Verdict::Dropped, "found no free outside port, or no room for a mapping"),
        "fragments" => (Verdict::Dropped, "fragments, which this NAT drops"),
        "to_gateway" => (Verdict::Dropped, "for the gateway itself, from outside"),
        _ => (Verdict::Passed, ""),
    }
}
