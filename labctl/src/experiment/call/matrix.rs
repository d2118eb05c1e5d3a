//! A call between every pair of the NAT and firewall profiles, and which way its media took.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;
use overlay_protocol::NatVerdict;
use overlay_protocol::call::path::{straight, udp_leg};
use serde::Serialize;

use super::analysis::{End, node};
use super::meters::Watch;
use super::{CallError, CallOptions, Talk, online};
use crate::experiment::login::Ground;
use crate::meter::Transport;
use crate::names::NodeName;
use crate::profile::{
    Action, Catalogue, Chain, ConnectionState, FirewallProfile, Policy, Protocol, Rule, Side,
};

/// Long enough for a hundred packets each way.
const TALK: Duration = Duration::from_millis(2_500);
/// Twice what a login takes where UDP is blocked, and some for so many at once. Behind a profile that lets nobody
/// out, nobody logs in.
const LOGIN: Duration = Duration::from_secs(90);

/// What one end is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// NAT profile.
    pub nat: String,
    /// Firewall profile.
    pub firewall: String,
    /// Whether a host inside can open a TCP connection to somewhere outside, by the profile's rules. Where it cannot, there
    /// is no login, and so no call.
    pub tcp_out: bool,
}

/// Whether a firewall lets some new TCP connection out.
fn lets_tcp_out(firewall: &FirewallProfile) -> bool {
    let accepts = |rule: &Rule| {
        let packets = &rule.packets;
        rule.chain == Chain::Forward
            && rule.action == Action::Accept
            && packets.input.is_none_or(|side| side == Side::Lan)
            && packets.output.is_none_or(|side| side == Side::Wan)
            && packets.protocol.is_none_or(|protocol| protocol == Protocol::Tcp)
            && (packets.states.is_empty() || packets.states.contains(&ConnectionState::New))
    };
    firewall.forward == Policy::Accept || firewall.rules.iter().any(accepts)
}

/// All that the matrix has: each NAT profile with an open firewall, and each other firewall profile with the NAT
/// of the published set-ups.
fn all(catalogue: &Catalogue) -> Vec<Behind> {
    let behind = |nat: &str, firewall: &str| Behind {
        nat: nat.to_owned(),
        firewall: firewall.to_owned(),
        tcp_out: catalogue.firewall(firewall).is_some_and(lets_tcp_out),
    };
    let nats = catalogue.nat_names().map(|nat| behind(nat, "open"));
    let firewalls = catalogue.firewall_names().filter(|name| *name != "open");
    nats.chain(firewalls.map(|firewall| behind("port-restricted", firewall))).collect()
}

/// The topology that the matrix is measured in: two clients for each pair of NAT and firewall, each behind a
/// gateway of its own.
///
/// # Panics
///
/// Never: a text takes all that is written to it.
#[must_use]
pub fn matrix_topology(name: &str, catalogue: &Catalogue) -> (String, Vec<Behind>) {
    let all = all(catalogue);
    let mut text = format!(
        "name: {name}\ntitle: A call between every pair of NAT and firewall profiles\nseed: 2006\nwan:\n  \
         regions: [here]\n  rtt: {{ here/here: 30ms, jitter: 0% }}\noverlay:\n  profile: skype-2006\n  \
         host_cache: {{ entries: 40, stale: 0% }}\nnodes:\n  login: {{ role: login-server, region: here }}\n  \
         sn: {{ role: super-node, region: here, count: 8, addresses: 6 }}\nsites:\n"
    );
    for (number, Behind { nat, firewall, .. }) in (1..).zip(&all) {
        for side in ['a', 'b'] {
            writeln!(
                text,
                "  g{side}{number}:\n    region: here\n    gateway: {{ nat: {nat}, firewall: {firewall} }}\n    \
                 nodes: {{ {side}{number}: {{ role: client }} }}",
            )
            .expect("a text takes all that is written to it");
        }
    }
    (text, all)
}

/// Which way media took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaWay {
    /// UDP, and nobody between.
    Straight,
    /// Through a relay, UDP on both sides.
    RelayUdp,
    /// Through a relay, UDP on one side and TCP on the other.
    RelayMixed,
    /// Through a relay, TCP on both sides.
    RelayTcp,
}

impl MediaWay {
    /// What the rules say for two NAT types.
    #[must_use]
    pub fn by_the_rules(one: NatVerdict, other: NatVerdict) -> Self {
        match (straight(one, other), udp_leg(one), udp_leg(other)) {
            (true, ..) => Self::Straight,
            (_, true, true) => Self::RelayUdp,
            (_, false, false) => Self::RelayTcp,
            _ => Self::RelayMixed,
        }
    }

    /// One character.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Straight => '=',
            Self::RelayUdp => 'U',
            Self::RelayMixed => 'M',
            Self::RelayTcp => 'T',
        }
    }
}

/// One call of the matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What the caller is behind, by its number from 0.
    pub from: usize,
    /// What the callee is behind.
    pub to: usize,
    /// The NAT types that the ends found: caller, callee; none if an end could not log in.
    pub nat: Option<[NatVerdict; 2]>,
    /// Which way media took, by the packets at both ends; none if there was no call.
    pub way: Option<MediaWay>,
    /// Which way the rules say; none where an end could not log in: then there can be no call.
    pub expected: Option<MediaWay>,
    /// Media packets that came: at the caller, at the callee.
    pub heard: [usize; 2],
    /// From the command to the answer, in seconds.
    pub setup_s: Option<f64>,
    /// Why there was no call.
    pub failure: Option<String>,
    /// The firewalls let both ends log in ([`Behind::tcp_out`]).
    pub possible: bool,
}

impl Cell {
    /// The call came about, both heard each other, and media took the way that the rules say; or there was none, and a
    /// firewall that lets nobody out is the reason.
    #[must_use]
    pub fn is_right(&self) -> bool {
        match self.expected {
            None => self.way.is_none() && !self.possible,
            Some(_) => {
                self.failure.is_none()
                    && self.way == self.expected
                    && self.heard.iter().all(|&heard| heard > 50)
            }
        }
    }

    fn without_login(from: usize, to: usize, possible: bool, why: &str) -> Self {
        Self {
            from,
            to,
            nat: None,
            way: None,
            expected: None,
            heard: [0, 0],
            setup_s: None,
            failure: Some(format!("an end could not log in: {why}")),
            possible,
        }
    }
}

/// Calls at a time: each is in real time, on one machine's processors.
const AT_ONCE: usize = 6;

/// Calls between all pairs, some of them side by side. `progress` is told how many of how many are done.
///
/// # Panics
///
/// Never: the names are letters and digits.
pub async fn run_matrix(
    ground: &impl Ground,
    behind: &[Behind],
    seed: u64,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Cell>, CallError> {
    let name = |side: char, place: usize| -> NodeName {
        format!("{side}{}", place + 1).parse().expect("letters and digits are a name")
    };
    let clients: Vec<_> = (0..behind.len()).flat_map(|place| [name('a', place), name('b', place)]).collect();
    let verdicts = online::log_in(ground, &clients, seed, Some(LOGIN)).await?;
    let mut cells = Vec::new();
    let all: Vec<_> = (0..behind.len())
        .flat_map(|shift| (0..behind.len()).map(move |from| (from, (from + shift) % behind.len())))
        .collect();
    for some in all.chunks(AT_ONCE) {
        progress(cells.len(), all.len());
        let calls = some.iter().map(|&(from, to)| {
            let options =
                CallOptions { from: name('a', from), to: name('b', to), talk: TALK, said: None, seed };
            let nat = [verdicts[2 * from].clone(), verdicts[2 * to + 1].clone()];
            let possible = behind[from].tcp_out && behind[to].tcp_out;
            async move {
                match nat {
                    [Ok(one), Ok(other)] => cell(ground, from, to, [one, other], options).await,
                    [Err(why), _] | [_, Err(why)] => Ok(Cell::without_login(from, to, possible, &why)),
                }
            }
        });
        for cell in join_all(calls).await {
            cells.push(cell?);
        }
    }
    cells.sort_by_key(|cell| (cell.from, cell.to));
    Ok(cells)
}

async fn cell(
    ground: &impl Ground,
    from: usize,
    to: usize,
    nat: [NatVerdict; 2],
    options: CallOptions,
) -> Result<Cell, CallError> {
    let plan = ground.plan();
    let no_client = |name: &NodeName| CallError::NoClient {
        lab: plan.lab.to_string(),
        name: name.clone(),
        clients: "those of the matrix".to_owned(),
    };
    let caller = node(plan, &options.from).ok_or_else(|| no_client(&options.from))?;
    let callee = node(plan, &options.to).ok_or_else(|| no_client(&options.to))?;
    let watches = [Watch::start(&caller.namespace)?, Watch::start(&callee.namespace)?];
    let talk = Talk::run(ground, &options, None, &|_, _| {}).await;
    let mut sinks = Vec::new();
    for watch in watches {
        sinks.push(watch.stop().await?);
    }
    let talk = talk?;
    let record = talk.record(&options);
    let ends = [End::new(caller, &sinks[0]), End::new(callee, &sinks[1])];
    let started = talk.started;
    let legs = [ends[0].legs(plan, callee, started), ends[1].legs(plan, caller, started)];
    // The path in use is the last one; earlier ones were left.
    let last = legs.each_ref().map(|legs| legs.last().map(|leg| (leg.transport, leg.relayed)));
    let way = match last {
        [Some((_, false)), Some((_, false))] => Some(MediaWay::Straight),
        [Some((one, true)), Some((other, true))] => Some(match (one, other) {
            (Transport::Udp, Transport::Udp) => MediaWay::RelayUdp,
            (Transport::Tcp, Transport::Tcp) => MediaWay::RelayTcp,
            _ => MediaWay::RelayMixed,
        }),
        _ => None,
    };
    let heard = legs.each_ref().map(|legs| {
        let heard: u64 = legs.iter().map(|leg| leg.packets[1]).sum();
        usize::try_from(heard).unwrap_or(usize::MAX)
    });
    Ok(Cell {
        from,
        to,
        nat: Some(nat),
        way,
        expected: Some(MediaWay::by_the_rules(nat[0], nat[1])),
        heard,
        setup_s: record.setup_s,
        failure: record.failure,
        possible: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn only_behind_a_firewall_that_lets_no_connection_out_is_no_call_to_be_had() {
        let catalogue = Catalogue::shipped();
        let closed: Vec<_> = all(&catalogue).into_iter().filter(|behind| !behind.tcp_out).collect();
        assert_eq!(closed.iter().map(|behind| behind.firewall.as_str()).collect::<Vec<_>>(), ["dmz"]);
        assert!(Cell::without_login(0, 1, false, "").is_right());
        assert!(!Cell::without_login(0, 1, true, "").is_right(), "a login that should have succeeded");
    }

    #[test]
    fn the_topology_of_the_matrix_is_one_and_has_every_profile() {
        let catalogue = Catalogue::shipped();
        let (text, behind) = matrix_topology("matrix", &catalogue);
        topology::parse(&text, "matrix.yaml", &catalogue, &Overrides::default()).unwrap();
        let names: Vec<_> = catalogue.nat_names().collect();
        assert!(names.iter().all(|name| behind.iter().any(|behind| behind.nat == *name)));
        assert!(catalogue.firewall_names().all(|name| behind.iter().any(|behind| behind.firewall == name)));
    }
}
