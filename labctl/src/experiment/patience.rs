//! How long a login can take at the most, by the protocol's own time limits.

use std::time::Duration;

use overlay_protocol::Parameters;

/// Requests that wait for an answer one after another, at the very most: connection, greeting, host list,
/// relay candidates, registration, authentication, dissemination of the certificate, and the end of each.
const REQUESTS: u32 = 16;
/// STUN-like tests, one after another (RFC 3489, section 10.1, has four at most), with some to spare.
const STUN_TESTS: u32 = 8;
/// What work can add on a busy machine: keys to generate, containers that wait for a CPU.
const WORK: Duration = Duration::from_secs(30);

/// From the login command to the last event of a login that uses up every time limit, every try and every
/// round. Whoever has not ended by then never will.
pub(super) fn longest_login(parameters: &Parameters) -> Duration {
    let answer = parameters.answer_timeout.duration();
    let udp = parameters.udp_probe_interval.duration() * parameters.udp_probe_limit.0;
    // Three ports for each entry, each of which can time out.
    let tcp = (parameters.tcp_attempt_interval.duration() + 3 * answer) * parameters.tcp_entry_limit.0;
    // Each port of a login server can take the connection, and leave the greeting or either request unanswered.
    let login_server = 3 * 4 * answer;
    let round = udp + answer + tcp + login_server + parameters.round_pause.duration();
    let stun = parameters.stun_retransmit_interval.duration() * parameters.stun_tries.0 * STUN_TESTS;
    let advertise = parameters.advertisement_interval.duration() * parameters.advertisement_nodes.0
        + parameters.advertisement_retransmit_interval.duration() * parameters.advertisement_tries.0;
    let backup = (parameters.tcp_attempt_interval.duration() + 3 * answer) * parameters.tcp_backup_nodes.0;
    round * parameters.rounds.0 + answer * REQUESTS + stun + advertise + backup + WORK
}

#[cfg(test)]
pub(super) mod tests {
    use overlay_protocol::parameters::{Count, Milliseconds};

    use super::*;
    use crate::profile::Catalogue;
    use crate::topology::{self, Overrides};

    /// The shipped parameters.
    pub(in crate::experiment) fn parameters() -> Parameters {
        let (name, text) = topology::shipped().find(|(name, _)| *name == "expC").unwrap();
        let topology = topology::parse(text, name, &Catalogue::shipped(), &Overrides::default()).unwrap();
        topology.overlay.unwrap().parameters
    }

    #[test]
    fn every_round_with_every_probe_and_every_attempt_fits_in() {
        let parameters = Parameters {
            rounds: Count(5),
            udp_probe_limit: Count(30),
            udp_probe_interval: Milliseconds(1000),
            answer_timeout: Milliseconds(5000),
            tcp_entry_limit: Count(10),
            tcp_attempt_interval: Milliseconds(500),
            round_pause: Milliseconds(6000),
            ..parameters()
        };
        let rounds = Duration::from_secs(5 * (30 + 5 + 10 * 15 + 5 + 6));
        assert!(longest_login(&parameters) > rounds);
    }
}
