//! Restarts and health of one node's program, as a value without clock or process.
//!
//! Who owns the program tells what happens and what time it is ([`Supervision::handle`]), does what comes back,
//! and calls again at the latest at [`Supervision::next_timeout`]. Times are counted from any fixed moment.

use std::time::Duration;

use overlay_control::restart::{RestartPolicy, Restarts};

use crate::plan::HealthPlan;
use crate::runtime::Health;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program was started.
    Started,
    /// The program has ended, or could not be started again.
    Ended {
        /// By a signal, or with another code than 0.
        failed: bool,
    },
    /// The check has ended.
    Checked {
        /// With 0.
        succeeded: bool,
    },
    /// Nothing but that time has passed.
    Time,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the program again.
    StartProgram,
    /// Start the check's command in the program's container.
    StartCheck,
    /// End the check's command. What it ends with does not matter any more.
    EndCheck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// Asked for, not yet there.
    Starting,
    Runs {
        since: Duration,
    },
    /// Has ended and is started again then.
    Pauses {
        until: Duration,
    },
    Ended,
}

/// A program's health check.
#[derive(Clone, Debug)]
struct Checks {
    plan: HealthPlan,
    health: Health,
    failures: u32,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The program does not run.
    Nothing,
    /// A check starts then.
    Start(Duration),
    /// A check runs and is ended then.
    Deadline(Duration),
}

/// The restarts and the health of one program.
#[derive(Clone, Debug)]
pub struct Supervision {
    restarts: Restarts,
    program: Program,
    checks: Option<Checks>,
}

impl Supervision {
    /// Of a program that is about to be started for the first time.
    #[must_use]
    pub fn new(policy: RestartPolicy, health: Option<&HealthPlan>) -> Self {
        let checks = |plan: &HealthPlan| Checks {
            plan: plan.clone(),
            health: Health::Starting,
            failures: 0,
            next: Next::Nothing,
        };
        Self { restarts: Restarts::new(policy), program: Program::Starting, checks: health.map(checks) }
    }

    /// Takes what happened at `now`. Answers with what is to be done, in this order.
    #[must_use]
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Started => self.started(now),
            Event::Ended { failed } => self.ended(now, failed, &mut actions),
            Event::Checked { succeeded } => self.checked(now, succeeded),
            Event::Time => {}
        }
        self.pass(now, &mut actions);
        actions
    }

    /// When [`handle`](Self::handle) is to be called at the latest; `None`: when something happens.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let restart = match self.program {
            Program::Pauses { until } => Some(until),
            _ => None,
        };
        let check = match self.checks.as_ref().map(|checks| checks.next) {
            Some(Next::Start(at) | Next::Deadline(at)) => Some(at),
            Some(Next::Nothing) | None => None,
        };
        restart.into_iter().chain(check).min()
    }

    /// What the checks say; `None` if there are none.
    #[must_use]
    pub fn health(&self) -> Option<Health> {
        self.checks.as_ref().map(|checks| checks.health)
    }

    /// How often the program was started again.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        self.restarts.count()
    }

    /// True if the program has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.program == Program::Ended
    }

    fn started(&mut self, now: Duration) {
        self.program = Program::Runs { since: now };
        if let Some(checks) = &mut self.checks {
            checks.health = Health::Starting;
            checks.failures = 0;
            checks.next = Next::Start(now + checks.plan.interval);
        }
    }

    fn ended(&mut self, now: Duration, failed: bool, actions: &mut Vec<Action>) {
        let ran = match self.program {
            Program::Runs { since } => now.saturating_sub(since),
            Program::Starting => Duration::ZERO,
            // Told twice.
            Program::Pauses { .. } | Program::Ended => return,
        };
        self.program = match self.restarts.ended(ran, failed) {
            Some(pause) => Program::Pauses { until: now + pause },
            None => Program::Ended,
        };
        if let Some(checks) = &mut self.checks {
            if matches!(checks.next, Next::Deadline(_)) {
                actions.push(Action::EndCheck);
            }
            checks.next = Next::Nothing;
            checks.health = Health::Starting;
        }
    }

    fn checked(&mut self, now: Duration, succeeded: bool) {
        let Program::Runs { since } = self.program else { return };
        let Some(checks) = &mut self.checks else { return };
        // Of a check that was given up.
        if !matches!(checks.next, Next::Deadline(_)) {
            return;
        }
        checks.take(now.saturating_sub(since), succeeded);
        checks.next = Next::Start(now + checks.plan.interval);
    }

    /// Does what is due.
    fn pass(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.program {
            Program::Pauses { until } if until <= now => {
                self.program = Program::Starting;
                actions.push(Action::StartProgram);
            }
            Program::Runs { since } => {
                if let Some(checks) = &mut self.checks {
                    checks.pass(now, since, actions);
                }
            }
            Program::Starting | Program::Pauses { .. } | Program::Ended => {}
        }
    }
}

impl Checks {
    fn take(&mut self, running_for: Duration, succeeded: bool) {
        if succeeded {
            self.failures = 0;
            self.health = Health::Healthy;
        } else if self.health != Health::Starting || running_for >= self.plan.start_period {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.plan.retries {
                self.health = Health::Unhealthy;
            }
        }
    }

    fn pass(&mut self, now: Duration, since: Duration, actions: &mut Vec<Action>) {
        match self.next {
            Next::Start(at) if at <= now => {
                self.next = Next::Deadline(now + self.plan.timeout);
                actions.push(Action::StartCheck);
            }
            Next::Deadline(at) if at <= now => {
                actions.push(Action::EndCheck);
                self.take(now.saturating_sub(since), false);
                self.next = Next::Start(now + self.plan.interval);
            }
            Next::Start(_) | Next::Deadline(_) | Next::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Health::{Healthy, Starting, Unhealthy};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plan() -> HealthPlan {
        HealthPlan {
            command: vec!["true".to_owned()],
            interval: s(2),
            timeout: s(5),
            retries: 2,
            start_period: Duration::ZERO,
        }
    }

    /// A program that was started at 0.
    fn started(policy: RestartPolicy, health: Option<&HealthPlan>) -> Supervision {
        let mut supervision = Supervision::new(policy, health);
        assert_eq!(supervision.handle(s(0), Event::Started), []);
        supervision
    }

    #[test]
    fn a_program_that_is_not_restarted_is_over_when_it_ends() {
        let mut supervision = started(RestartPolicy::OnFailure, None);
        assert_eq!(supervision.next_timeout(), None);
        assert_eq!(supervision.handle(s(1), Event::Ended { failed: false }), []);
        assert!(supervision.is_over());
        assert_eq!((supervision.next_timeout(), supervision.restarts()), (None, 0));
    }

    #[test]
    fn a_program_that_fails_is_started_again_after_pauses_that_grow() {
        let mut supervision = started(RestartPolicy::OnFailure, None);
        let mut now = s(1);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            assert_eq!(supervision.handle(now, Event::Ended { failed: true }), []);
            let at = supervision.next_timeout().unwrap();
            pauses.push(at.abs_diff(now).as_millis());
            let before = at.saturating_sub(Duration::from_nanos(1));
            assert_eq!(supervision.handle(before, Event::Time), []);
            assert_eq!(supervision.handle(at, Event::Time), [Action::StartProgram]);
            assert_eq!(supervision.handle(at, Event::Time), [], "once only");
            assert_eq!(supervision.handle(at, Event::Started), []);
            now = at;
        }
        assert_eq!((pauses, supervision.restarts()), (vec![100, 200, 400, 800], 4));
    }

    #[test]
    fn a_restart_that_fails_is_tried_again() {
        let mut supervision = started(RestartPolicy::Always, None);
        let _ = supervision.handle(s(20), Event::Ended { failed: false });
        let at = supervision.next_timeout().unwrap();
        assert_eq!(supervision.handle(at, Event::Time), [Action::StartProgram]);
        assert_eq!(supervision.handle(at, Event::Ended { failed: true }), []);
        assert!(supervision.next_timeout().unwrap() > at);
    }

    #[test]
    fn checks_follow_one_another_and_tell_the_health() {
        let mut supervision = started(RestartPolicy::No, Some(&plan()));
        assert_eq!((supervision.health(), supervision.next_timeout()), (Some(Starting), Some(s(2))));
        assert_eq!(supervision.handle(s(2), Event::Time), [Action::StartCheck]);
        assert_eq!(supervision.handle(s(3), Event::Checked { succeeded: true }), []);
        assert_eq!((supervision.health(), supervision.next_timeout()), (Some(Healthy), Some(s(5))));
        for (at, health) in [(5, Healthy), (8, Unhealthy)] {
            assert_eq!(supervision.handle(s(at), Event::Time), [Action::StartCheck]);
            assert_eq!(supervision.handle(s(at + 1), Event::Checked { succeeded: false }), []);
            assert_eq!(supervision.health(), Some(health));
        }
        assert_eq!(supervision.handle(s(11), Event::Time), [Action::StartCheck]);
        let _ = supervision.handle(s(11), Event::Checked { succeeded: true });
        assert_eq!(supervision.health(), Some(Healthy), "one success makes it healthy");
    }

    #[test]
    fn a_check_that_takes_too_long_is_ended_and_has_failed() {
        let mut supervision = started(RestartPolicy::No, Some(&HealthPlan { retries: 1, ..plan() }));
        assert_eq!(supervision.handle(s(2), Event::Time), [Action::StartCheck]);
        assert_eq!(supervision.next_timeout(), Some(s(7)));
        assert_eq!(supervision.handle(s(7), Event::Time), [Action::EndCheck]);
        assert_eq!(supervision.health(), Some(Unhealthy));
        // Its end is told afterwards, and is nobody's verdict.
        assert_eq!(supervision.handle(s(7), Event::Checked { succeeded: true }), []);
        assert_eq!(supervision.health(), Some(Unhealthy));
        assert_eq!(supervision.next_timeout(), Some(s(9)));
    }

    #[test]
    fn failures_do_not_count_while_the_program_starts() {
        let slow = HealthPlan { start_period: s(10), retries: 1, ..plan() };
        let mut supervision = started(RestartPolicy::No, Some(&slow));
        for (at, health) in [(2, Starting), (4, Starting), (10, Unhealthy)] {
            assert_eq!(supervision.handle(s(at), Event::Time), [Action::StartCheck]);
            let _ = supervision.handle(s(at), Event::Checked { succeeded: false });
            assert_eq!(supervision.health(), Some(health), "at {at} s");
        }
        let mut early = started(RestartPolicy::No, Some(&slow));
        let _ = early.handle(s(2), Event::Time);
        let _ = early.handle(s(2), Event::Checked { succeeded: true });
        let _ = early.handle(s(4), Event::Time);
        let _ = early.handle(s(4), Event::Checked { succeeded: false });
        assert_eq!(early.health(), Some(Unhealthy), "once it has worked, it has started");
    }

    #[test]
    fn when_the_program_ends_its_check_is_ended_and_begins_anew_with_it() {
        let mut supervision = started(RestartPolicy::Always, Some(&plan()));
        assert_eq!(supervision.handle(s(2), Event::Time), [Action::StartCheck]);
        assert_eq!(supervision.handle(s(3), Event::Ended { failed: true }), [Action::EndCheck]);
        assert_eq!(supervision.health(), Some(Starting));
        let at = supervision.next_timeout().unwrap();
        assert_eq!(supervision.handle(at, Event::Time), [Action::StartProgram]);
        assert_eq!(supervision.next_timeout(), None, "no check while nothing runs");
        let _ = supervision.handle(at, Event::Started);
        assert_eq!(supervision.next_timeout(), Some(at + s(2)));
    }
}
