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
    let round = udp + answer + tcp + parameters.round_pause.duration();
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

    /// Parameters for tests in which their values matter little.
    pub(in crate::experiment) fn parameters() -> Parameters {
        let (ms, count) = (Milliseconds, Count);
        Parameters {
            udp_probe_interval: ms(1000),
            answer_timeout: ms(5000),
            udp_probe_limit: count(30),
            super_nodes_wanted: count(2),
            tcp_attempt_interval: ms(500),
            tcp_entry_limit: count(10),
            first_fallback_port: count(80),
            second_fallback_port: count(443),
            round_pause: ms(6000),
            rounds: count(5),
            host_cache_limit: count(200),
            bootstrap_entries: count(7),
            host_list_entries: count(20),
            host_lists: count(2),
            stun_retransmit_interval: ms(500),
            stun_tries: count(3),
            advertisement_nodes: count(20),
            advertisement_interval: ms(50),
            advertisement_retransmit_interval: ms(500),
            advertisement_tries: count(3),
            advertisement_answer_entries: count(0),
            tcp_backup_nodes: count(4),
            relay_candidates: count(4),
            keep_alive_interval: ms(60_000),
            client_key_bits: count(1024),
            server_key_bits: count(1536),
            server_connections: count(100),
            server_records: count(1000),
        }
    }

    #[test]
    fn every_round_with_every_probe_and_every_attempt_fits_in() {
        let longest = longest_login(&parameters());
        let rounds = Duration::from_secs(5 * (30 + 5 + 10 * 15 + 6));
        assert!(longest > rounds && longest < 2 * rounds, "{longest:?}");
    }
}
