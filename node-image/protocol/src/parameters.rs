//! The overlay's parameters: numbers that shape the protocol, each from a file with its source.
//!
//! A parameter file says for every value in which unit it is, where it comes from and why it was chosen.
//! [`ParameterFile::parameters`] checks it and yields the bare values that a node runs with.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A time limit, interval or pause of the protocol, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milliseconds(pub u32);

impl Milliseconds {
    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

/// A number of things: entries, nodes, tries, rounds, connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Count(pub u32);

impl Count {
    /// The same as an index or length.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// What a parameter is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Entries of a host cache or host list.
    Entries,
    /// Overlay nodes.
    Nodes,
    /// Times that something is sent.
    Tries,
    /// Rounds of a login, or batches of a search for a user.
    Rounds,
    /// TCP connections.
    Connections,
    /// Users' records.
    Records,
    /// Bits of a key's modulus.
    Bits,
    /// A TCP port number.
    Port,
    /// Calls.
    Calls,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ms => "ms",
            Self::Entries => "entries",
            Self::Nodes => "nodes",
            Self::Tries => "tries",
            Self::Rounds => "rounds",
            Self::Connections => "connections",
            Self::Calls => "calls",
            Self::Records => "records",
            Self::Bits => "bits",
            Self::Port => "port",
        })
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The course material.
    Course,
    /// What Baset and Schulzrinne (Infocom 2006, and their report of 2004) are cited for.
    Paper,
    /// Chosen so that the whole comes out as published; `why` says against which figure.
    Calibrated,
    /// Nobody published it; `why` gives the grounds.
    Open,
}

/// One value of a parameter file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter<T> {
    /// The value, in `unit`.
    pub value: T,
    /// What it is counted in.
    pub unit: Unit,
    /// Where it comes from.
    pub source: Source,
    /// Why this value: for a calibrated one, against which published figure.
    pub why: String,
}

/// What is wrong with a parameter file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// The unit is not the one that the protocol counts this parameter in.
    #[error(
        "parameter `{name}` is given in {found}; it is counted in {expected}: convert the value and write `unit: {expected}`"
    )]
    Unit {
        /// The parameter.
        name: &'static str,
        /// The unit in the file.
        found: Unit,
        /// The unit that it must have.
        expected: Unit,
    },
    /// The value makes no sense, or would let a peer use up memory.
    #[error("parameter `{name}` is {found}; it must be between {least} and {most}")]
    Range {
        /// The parameter.
        name: &'static str,
        /// The value in the file.
        found: u32,
        /// The least that is allowed.
        least: u32,
        /// The most that is allowed.
        most: u32,
    },
}

macro_rules! parameters {
    ($( $(#[$doc:meta])* $name:ident: $type:ident in $unit:ident, $least:literal ..= $most:literal; )+) => {
        /// A parameter file as it stands (`node-image/parameters/*.yaml`): every value with its unit, source
        /// and reason. Independent of the file format.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct ParameterFile {
            /// Name of the set, the same as the file's.
            pub name: String,
            /// What the set describes, in one line.
            pub title: String,
            $( $(#[$doc])* pub $name: Parameter<$type>, )+
        }

        /// The values alone: what a node runs with.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Parameters {
            $( $(#[$doc])* pub $name: $type, )+
        }

        impl ParameterFile {
            /// The bare values.
            ///
            /// # Errors
            ///
            /// If a value has the wrong unit or is out of its range.
            pub fn parameters(&self) -> Result<Parameters, ParameterError> {
                $(
                    if self.$name.unit != Unit::$unit {
                        return Err(ParameterError::Unit {
                            name: stringify!($name),
                            found: self.$name.unit,
                            expected: Unit::$unit,
                        });
                    }
                    if !($least..=$most).contains(&self.$name.value.0) {
                        return Err(ParameterError::Range {
                            name: stringify!($name),
                            found: self.$name.value.0,
                            least: $least,
                            most: $most,
                        });
                    }
                )+
                Ok(Parameters { $( $name: self.$name.value, )+ })
            }
        }
    };
}

parameters! {
    /// Time between two UDP probes of host-cache entries.
    udp_probe_interval: Milliseconds in Ms, 1..=600_000;
    /// How long an answer is waited for: to a UDP probe, a TCP connection attempt, a request.
    answer_timeout: Milliseconds in Ms, 1..=600_000;
    /// The most host-cache entries that are sent a UDP probe in one round.
    udp_probe_limit: Count in Entries, 1..=200;
    /// Super nodes that a client selects: probing ends when so many have answered.
    super_nodes_wanted: Count in Nodes, 1..=16;
    /// Time between the starts of TCP attempts to two host-cache entries, where UDP is blocked.
    tcp_attempt_interval: Milliseconds in Ms, 1..=600_000;
    /// The most host-cache entries that are tried by TCP in one round.
    tcp_entry_limit: Count in Entries, 1..=200;
    /// The first port to try where a node's own port is not reached.
    first_fallback_port: Count in Port, 1..=65_535;
    /// The port to try after that.
    second_fallback_port: Count in Port, 1..=65_535;
    /// Pause between two rounds.
    round_pause: Milliseconds in Ms, 1..=600_000;
    /// Rounds until the login is given up.
    rounds: Count in Rounds, 1..=100;
    /// The most entries that a host cache holds.
    host_cache_limit: Count in Entries, 1..=1_000;
    /// Entries of the host cache after installation.
    bootstrap_entries: Count in Entries, 1..=200;
    /// The most entries of one host list that a client asks a super node for.
    host_list_entries: Count in Entries, 1..=200;
    /// Super nodes that a client asks for a host list.
    host_lists: Count in Nodes, 1..=16;
    /// Time after which an unanswered STUN-like test is sent again.
    stun_retransmit_interval: Milliseconds in Ms, 1..=60_000;
    /// How often one STUN-like test is sent before it counts as unanswered.
    stun_tries: Count in Tries, 1..=20;
    /// Nodes that a client advertises its presence to by UDP.
    advertisement_nodes: Count in Nodes, 0..=200;
    /// Time between advertisements to two nodes.
    advertisement_interval: Milliseconds in Ms, 1..=60_000;
    /// Time after which an unanswered advertisement is sent again.
    advertisement_retransmit_interval: Milliseconds in Ms, 1..=60_000;
    /// How often one advertisement is sent before it counts as unanswered.
    advertisement_tries: Count in Tries, 1..=20;
    /// Entries that a node adds to its answer to an advertisement.
    advertisement_answer_entries: Count in Entries, 0..=50;
    /// Super nodes, beside the selected ones, that a client whose UDP is blocked connects to by TCP in place
    /// of the advertisements.
    tcp_backup_nodes: Count in Nodes, 0..=64;
    /// Relay candidates that a client behind a NAT asks its super node for.
    relay_candidates: Count in Nodes, 0..=200;
    /// Time between two keep-alives on a connection to a super node.
    keep_alive_interval: Milliseconds in Ms, 1..=3_600_000;
    /// Modulus of a client's key pair (KA+, KA-).
    client_key_bits: Count in Bits, 1_024..=2_048;
    /// Modulus of a login server's key pair (Ks+, Ks-).
    server_key_bits: Count in Bits, 1_536..=2_048;
    /// Connections that a super node or login server serves at a time.
    server_connections: Count in Connections, 1..=65_535;
    /// Time that a super node or login server gives a new connection to say what it wants.
    server_greeting_timeout: Milliseconds in Ms, 1..=3_600_000;
    /// Time after which a super node closes a connection on which nothing came in.
    server_idle_timeout: Milliseconds in Ms, 1..=3_600_000;
    /// Users that a super node or login server holds records of.
    server_records: Count in Records, 1..=1_000_000;
    /// Time between two gossip messages of a super node that has just seen another one come or go.
    gossip_interval: Milliseconds in Ms, 1..=3_600_000;
    /// The same after a time in which nobody came or went.
    gossip_longest_interval: Milliseconds in Ms, 1..=3_600_000;
    /// Super nodes that one gossip message tells of.
    gossip_members: Count in Nodes, 1..=64;
    /// Super nodes that a super node knows at the most.
    directory_members: Count in Nodes, 1..=100_000;
    /// Super nodes that hold the record of one user: the user's homes.
    directory_replicas: Count in Nodes, 1..=16;
    /// Time after which a super node publishes again that its users are online.
    directory_refresh_interval: Milliseconds in Ms, 1..=86_400_000;
    /// Time after which a user who was not seen online any more is forgotten.
    directory_record_lifetime: Milliseconds in Ms, 1..=4_294_967_295;
    /// Time for which the result of a search is kept where it passed.
    directory_cache_lifetime: Milliseconds in Ms, 1..=86_400_000;
    /// Results of searches that one super node keeps.
    directory_cache_records: Count in Records, 1..=1_000_000;
    /// Time after which an unanswered message between super nodes is sent again.
    directory_retransmit_interval: Milliseconds in Ms, 1..=60_000;
    /// How often a message between super nodes is sent before it counts as unanswered.
    directory_tries: Count in Tries, 1..=20;
    /// Nodes in the first batch of a search; each further batch has twice as many.
    search_first_batch: Count in Nodes, 1..=16;
    /// Batches of a search.
    search_batches: Count in Rounds, 1..=8;
    /// Time after which an unanswered lookup is sent again.
    search_retransmit_interval: Milliseconds in Ms, 1..=60_000;
    /// How often a lookup is sent to one node before it counts as unanswered.
    search_tries: Count in Tries, 1..=20;
    /// Time after which a search is given up.
    search_time_limit: Milliseconds in Ms, 1..=3_600_000;
    /// How long it may take to reach the callee and agree on keys, until it rings.
    call_setup_timeout: Milliseconds in Ms, 1..=600_000;
    /// How long a call rings.
    ring_timeout: Milliseconds in Ms, 1..=3_600_000;
    /// Time that one port of a relay, or of the callee's super node, has to let a TCP connection in.
    call_dial_timeout: Milliseconds in Ms, 1..=600_000;
    /// Silence of the peer after which the media path counts as broken.
    media_silence: Milliseconds in Ms, 1..=60_000;
    /// The same where an end's media go by TCP.
    media_silence_by_tcp: Milliseconds in Ms, 1..=60_000;
    /// How long the peer may take to be heard on a media path that is new.
    media_patience: Milliseconds in Ms, 1..=600_000;
    /// Silence of the peer after which the call is over.
    call_silence: Milliseconds in Ms, 1..=3_600_000;
    /// Time between two refreshes of a place at a relay, while no media flows.
    relay_refresh_interval: Milliseconds in Ms, 1..=600_000;
    /// Time after which a relay gives up a place on which nothing came in.
    relay_idle_timeout: Milliseconds in Ms, 1..=3_600_000;
    /// Calls that one node relays media for at a time.
    relay_calls: Count in Calls, 0..=10_000;
    /// Calls that one super node passes signalling on for at a time.
    signalling_calls: Count in Calls, 0..=100_000;
}

impl Parameters {
    /// The TCP ports that a node listens on: its own, then the fall-back ports.
    #[must_use]
    pub fn listening_ports(&self, own: u16) -> Vec<u16> {
        let mut ports = vec![own];
        for port in [self.first_fallback_port, self.second_fallback_port] {
            // The range check of the parameter file keeps it within 16 bits; a port out of it is not usable.
            if let Ok(port) = u16::try_from(port.0)
                && !ports.contains(&port)
            {
                ports.push(port);
            }
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> ParameterFile {
        serde_yaml::from_str(include_str!("../../parameters/skype-2006.yaml")).expect("the file is one")
    }

    #[test]
    fn the_shipped_file_gives_values_and_survives_json() {
        let file = file();
        assert_eq!(file.name, "skype-2006");
        let parameters = file.parameters().expect("all values are within their ranges");
        assert_eq!(parameters.answer_timeout.duration(), Duration::from_secs(5));
        let json = serde_json::to_string(&parameters).expect("numbers");
        assert_eq!(serde_json::from_str::<Parameters>(&json).expect("the same"), parameters);
        assert_eq!(parameters.listening_ports(4_000), [4_000, 80, 443]);
        assert_eq!(parameters.listening_ports(443), [443, 80]);
    }

    #[test]
    fn another_unit_is_refused_with_the_mend() {
        let mut file = file();
        file.rounds.unit = Unit::Ms;
        let message = file.parameters().expect_err("rounds are no milliseconds").to_string();
        assert_eq!(
            message,
            "parameter `rounds` is given in ms; it is counted in rounds: convert the value and write `unit: rounds`"
        );
    }

    #[test]
    fn a_value_out_of_its_range_is_refused() {
        let mut file = file();
        file.udp_probe_interval.value.0 = 0;
        let message = file.parameters().expect_err("no pause at all").to_string();
        assert_eq!(message, "parameter `udp_probe_interval` is 0; it must be between 1 and 600000");
    }

    #[test]
    fn a_parameter_that_does_not_exist_is_refused() {
        let text = format!(
            "{}\nspeed: {{ value: 1, unit: ms, source: open, why: none }}\n",
            include_str!("../../parameters/skype-2006.yaml")
        );
        assert!(serde_yaml::from_str::<ParameterFile>(&text).is_err());
    }
}
