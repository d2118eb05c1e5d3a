//! What happened to the WAN, kept for whoever asks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::sync::Notify;

use crate::meter::Timestamp;
use crate::net::wan::{Actor, Happening, WanEvent};

/// Events kept at most: those of days, if a link is changed every second.
const KEPT: usize = 1 << 18;

/// The events, the newest of them.
#[derive(Debug, Default)]
pub struct Events {
    kept: RefCell<VecDeque<WanEvent>>,
    last: Cell<u64>,
    added: Notify,
}

impl Events {
    /// Writes down what has just happened.
    pub fn add(&self, by: Actor, what: impl Into<Happening>) {
        let number = self.last.get() + 1;
        self.last.set(number);
        let mut kept = self.kept.borrow_mut();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(WanEvent { number, time: Timestamp::now(), by, what: what.into() });
        self.added.notify_waiters();
    }

    /// Those after a number; with `wait`, at least one.
    pub async fn after(&self, number: u64, wait: bool) -> Vec<WanEvent> {
        loop {
            let added = self.added.notified();
            let events: Vec<_> =
                self.kept.borrow().iter().filter(|event| event.number > number).cloned().collect();
            if !events.is_empty() || !wait {
                return events;
            }
            added.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::wan::events::Other;

    #[tokio::test]
    async fn events_are_numbered_and_waited_for() {
        let events = Events::default();
        assert_eq!(events.after(0, false).await, []);
        let add = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            events.add(Actor::Command, Other::Stop);
            events.add(Actor::Command, Other::Repair);
        };
        let (seen, ()) = tokio::join!(events.after(0, true), add);
        assert_eq!(seen.iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(events.after(1, true).await[0].what, Other::Repair.into());
    }
}
