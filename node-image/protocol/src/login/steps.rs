//! From one step of the login to the next.

use std::net::SocketAddrV4;

use super::Client;
use super::authentication::{Authentication, Progress};
use super::links::{Link, News, Stage};
use super::nat_detection::NatDetection;
use super::presence::LoggedIn;
use super::probing::{Outcome, Probing};
use crate::certificate::Certificate;
use crate::crypto::keys::ClientKeyPair;
use crate::crypto::password::PasswordHash;
use crate::event::{LoginEvent, LoginFailure, NatVerdict};
use crate::machine::Time;
use crate::wire::super_node::{Presence, RegistrationRefusal, ToSuperNode};

/// Which step the login is at.
#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    /// Step 1.
    Probing(Probing),
    /// Step 2, or 3 if `blocked`.
    Connecting {
        blocked: bool,
    },
    /// Step 4, until then.
    Pausing(Time),
    /// Step 7.
    Authenticating(Box<Authentication>),
    /// Step 8.
    Registering,
    /// Step 9 and after.
    LoggedIn,
    Failed,
    LoggedOut,
}

/// What the login server certified.
#[derive(Debug)]
pub(super) struct Identity {
    pub certificate: Certificate,
    pub keys: ClientKeyPair,
}

impl Client {
    pub(super) fn log_in(&mut self) {
        if matches!(self.phase, Phase::Idle) {
            self.start_round();
        }
    }

    pub(super) fn log_out(&mut self) {
        match self.phase {
            Phase::Idle | Phase::LoggedIn => {
                self.end_calls();
                self.end_searches();
                self.links.close_all(&mut self.core);
                self.phase = Phase::LoggedOut;
            }
            Phase::Failed | Phase::LoggedOut => {}
            _ => self.fail(LoginFailure::Cancelled, "logged out before the login was complete".to_owned()),
        }
    }

    /// Does all that the moment and the last input make possible.
    pub(super) fn advance(&mut self) {
        while self.step() {}
    }

    /// True if the login came to another step.
    fn step(&mut self) -> bool {
        if matches!(self.phase, Phase::Idle | Phase::Failed | Phase::LoggedOut) {
            return false;
        }
        self.links.advance(&mut self.core);
        self.nat.advance(&mut self.core, self.local);
        if let (Some(verdict), false) = (self.nat.verdict(), self.nat_told) {
            self.nat_told = true;
            self.core.event(LoginEvent::NatType { verdict });
        }
        match &mut self.phase {
            Phase::Probing(probing) => {
                probing.advance(&mut self.core);
                match probing.outcome(&self.core, &mut self.cache) {
                    Some(outcome) => self.probed(outcome),
                    None => return false,
                }
            }
            Phase::Connecting { blocked } => {
                let blocked = *blocked;
                return self.connecting(blocked);
            }
            Phase::Pausing(until) if self.core.now >= *until => self.start_round(),
            Phase::Authenticating(authentication) => {
                let progress = authentication.advance(&mut self.core);
                return self.authentication_progress(progress);
            }
            Phase::Registering => self.registering(),
            Phase::LoggedIn => {
                self.logged_in();
                self.advance_searches();
                self.advance_calls();
            }
            _ => {}
        }
        false
    }

    fn start_round(&mut self) {
        self.round += 1;
        self.core.event(LoginEvent::Round { round: self.round });
        self.nat = NatDetection::default();
        self.nat_told = false;
        self.hosts_asked = 0;
        self.identity = None;
        self.refusal = None;
        self.phase = Phase::Probing(Probing::new(&mut self.core, &self.cache));
        self.advance();
    }

    fn probed(&mut self, outcome: Outcome) {
        self.nat.no_more_observers();
        match outcome {
            Outcome::Answered(nodes) => {
                for node in nodes {
                    self.links.dial(&mut self.core, node);
                }
                self.phase = Phase::Connecting { blocked: false };
            }
            Outcome::Blocked { probes } => {
                self.core.event(LoginEvent::UdpBlocked { probes });
                let limit = self.core.parameters.tcp_entry_limit.get();
                let nodes = self.cache.entries().into_iter().take(limit).collect();
                let goal = self.core.parameters.super_nodes_wanted.get();
                self.links.start_sweep(&self.core, nodes, goal);
                self.phase = Phase::Connecting { blocked: true };
            }
        }
        self.advance();
    }

    fn connecting(&mut self, blocked: bool) -> bool {
        let welcomed = self.links.count(Stage::Welcomed);
        if welcomed > 0 && (!blocked || !self.links.is_connecting()) {
            return self.start_authentication();
        }
        if welcomed == 0 && !self.links.is_connecting() {
            self.no_super_node();
        }
        false
    }

    fn start_authentication(&mut self) -> bool {
        let user = self.config.user.clone();
        let password = PasswordHash::new(&user, &self.config.password);
        let servers = self.config.login_servers.clone();
        let first_time = self.config.first_time;
        let keys = self.keys.take();
        let started = Authentication::start(&mut self.core, servers, user, password, first_time, keys);
        if let Some(authentication) = started {
            self.phase = Phase::Authenticating(Box::new(authentication));
            true
        } else {
            self.fail(LoginFailure::NoLoginServer, "the list of login servers is empty".to_owned());
            false
        }
    }

    /// True if the login came to another step.
    pub(super) fn authentication_progress(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::Pending => false,
            Progress::NotReached { last, keys } => {
                self.keys = keys;
                let detail = |round| {
                    format!(
                        "no login server answers; the last one that was tried, in round {round}, is {last}"
                    )
                };
                self.round_failed(LoginFailure::NoLoginServer, detail);
                false
            }
            Progress::Failed(reason, detail) => {
                // Its connection is closed already.
                self.phase = Phase::Failed;
                self.fail(reason, detail);
                false
            }
            Progress::Certified { certificate, keys, server } => {
                self.core.event(LoginEvent::Authenticated { server });
                self.identity = Some(Identity { certificate: *certificate, keys: *keys });
                self.phase = Phase::Registering;
                true
            }
        }
    }

    fn registering(&mut self) {
        self.register();
        if self.links.count(Stage::Connecting) > 0 {
            return;
        }
        match self.refusal {
            None => self.no_super_node(),
            Some(reason) => self.fail(
                match reason {
                    RegistrationRefusal::ForgedCertificate => LoginFailure::ForgedCertificate,
                    RegistrationRefusal::ForeignKey | RegistrationRefusal::Outdated => LoginFailure::Protocol,
                },
                format!("every super node refused the registration: {reason:?}"),
            ),
        }
    }

    /// Registers with the super nodes that welcomed the client, once the NAT type is known.
    pub(super) fn register(&mut self) {
        let (Some(identity), Some(nat)) = (&self.identity, self.nat.verdict()) else {
            return;
        };
        let private = self.private();
        let mapped = self.nat.mapped();
        self.links.register(&mut self.core, &identity.certificate, &identity.keys, |link| {
            presence(nat, private, mapped, link)
        });
    }

    /// Where the client is reached on its own network.
    pub(super) fn private(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.local.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED), self.config.listen_port)
    }

    /// The presence as the super node in use has it.
    pub(super) fn presence(&self) -> Option<(Presence, SocketAddrV4)> {
        let (_, link) = self.links.in_use()?;
        let nat = self.nat.verdict()?;
        Some((presence(nat, self.private(), self.nat.mapped(), link), link.node()))
    }

    pub(super) fn news(&mut self, news: News) {
        match news {
            News::Welcomed(connection) => {
                if self.hosts_asked < self.core.parameters.host_lists.get() && self.after.is_none() {
                    self.hosts_asked += 1;
                    let most = u8::try_from(self.core.parameters.host_list_entries.get()).unwrap_or(u8::MAX);
                    self.links.ask(&mut self.core, connection, &ToSuperNode::HostsWanted { most });
                }
            }
            News::Registered(connection) => {
                if self.after.is_none() {
                    self.core.event(LoginEvent::LoggedIn);
                    self.phase = Phase::LoggedIn;
                    self.after = Some(self.start_presence(connection));
                }
            }
            News::Refused(reason) => self.refusal = Some(reason),
            News::Hosts(hosts) => hosts.into_iter().for_each(|host| self.cache.told(host)),
            News::Buddy(entry) => {
                let known = self.config.login_servers.iter().map(|(_, key)| key);
                if self.config.buddies.contains(&entry.certificate.user)
                    && entry.certificate.verify(known).is_ok()
                {
                    self.buddies.insert(entry.certificate.user.clone(), *entry);
                }
                self.buddy_answered();
            }
            News::NoBuddy => self.buddy_answered(),
            News::Relays(nodes) => {
                let udp = self.nat.verdict() != Some(NatVerdict::UdpBlocked);
                if let Some(after) = &mut self.after {
                    after.relays_told(&mut self.core, nodes, udp);
                }
            }
            News::Reached(from, channel) => self.call_reached(from, channel),
            News::Signal(from, channel, signal) => self.call_signal(from, channel, signal.as_slice()),
            News::ChannelClosed(from, channel) => {
                self.calls.channel_closed(&mut self.core, from, channel);
            }
            News::SearchBatch(from, search, nodes) => self.search_batch(from, search, nodes),
            News::SearchResult(from, search, found, source, asked) => {
                self.search_result(from, search, found, source, asked);
            }
        }
    }

    fn buddy_answered(&mut self) {
        if let Some(after) = &mut self.after {
            after.buddy_answered();
        }
    }

    fn start_presence(&mut self, connection: crate::machine::ConnectionId) -> LoggedIn {
        let nat = self.nat.verdict().unwrap_or(NatVerdict::UdpBlocked);
        let mut buddies = self.config.buddies.clone();
        buddies.truncate(crate::wire::super_node::MOST_BUDDIES);
        LoggedIn::start(&mut self.core, &mut self.links, connection, nat, buddies)
    }

    fn no_super_node(&mut self) {
        let entries = self.cache.len().min(self.core.parameters.tcp_entry_limit.get());
        self.round_failed(LoginFailure::NoSuperNode, |rounds| {
            format!("none of the {entries} host-cache entries that were tried serves this client; round {rounds} was the last")
        });
    }

    /// Pauses before the next round; fails if this was the last one.
    fn round_failed(&mut self, reason: LoginFailure, detail: impl FnOnce(u32) -> String) {
        self.links.close_all(&mut self.core);
        if self.round >= self.core.parameters.rounds.0 {
            // The connection to a login server is closed already.
            self.phase = Phase::Failed;
            self.fail(reason, detail(self.round));
        } else {
            self.phase = Phase::Pausing(self.core.now + self.core.parameters.round_pause.duration());
        }
    }

    fn fail(&mut self, reason: LoginFailure, detail: String) {
        if let Phase::Authenticating(authentication) = &self.phase {
            authentication.close(&mut self.core);
        }
        self.links.close_all(&mut self.core);
        self.identity = None;
        self.phase = Phase::Failed;
        self.core.event(LoginEvent::Failed { reason, detail });
    }
}

fn presence(nat: NatVerdict, private: SocketAddrV4, mapped: Option<SocketAddrV4>, link: &Link) -> Presence {
    Presence { private, public: mapped.or(link.observed).unwrap_or(private), nat }
}
