//! The questions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::Ground;
use crate::lab::Wan;
use crate::lab::nat;
use crate::net::NetNs;
use crate::watch::member::{Liveness, words};
use crate::watch::state::{Update, Wants};

/// From one look at what runs to the next.
const LOOK: Duration = Duration::from_secs(2);
/// From one question for a status, or for mappings, to the next.
const ASK: Duration = Duration::from_secs(1);
/// A question that took long is asked again only after so many times as long, so that it takes a small share of the
/// machine at the most.
const REST: u32 = 20;

/// Waits for the next turn; at once if something else is wanted than before. False when nobody wants anything more.
async fn turn<T: PartialEq>(
    wants: &mut watch::Receiver<Wants>,
    pause: Duration,
    of_interest: impl Fn(&Wants) -> T,
) -> bool {
    let before = of_interest(&wants.borrow_and_update());
    let end = tokio::time::Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(end) => return true,
            changed = wants.changed() => {
                if changed.is_err() {
                    return false;
                }
                if of_interest(&wants.borrow_and_update()) != before {
                    return true;
                }
            }
        }
    }
}

/// How long to rest after something that took so long.
fn rest(least: Duration, begin: Instant) -> Duration {
    least.max(begin.elapsed() * REST)
}

/// Reports of the WAN.
pub async fn links(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    // Kept while it works.
    let mut connection: Option<Wan<'_>> = None;
    loop {
        let mut pause = ground.interval;
        if wants.borrow().links {
            let begin = Instant::now();
            let report = match &connection {
                Some(wan) => wan.report().await,
                None => match Wan::open(&ground.lab).await {
                    Ok(wan) => connection.insert(wan).report().await,
                    Err(error) => Err(error),
                },
            };
            if report.is_err() {
                connection = None;
            }
            if !ground.tell(Update::Wan(report.map(Box::new).map_err(|error| error.to_string()))).await {
                return;
            }
            pause = pause.saturating_sub(begin.elapsed()).max(begin.elapsed() * REST);
        }
        if !turn(&mut wants, pause, |wants| wants.links).await {
            return;
        }
    }
}

/// What happens to the WAN, as its keeper tells it.
pub async fn wan_events(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    let mut known = 0;
    loop {
        if wants.borrow().members
            && let Ok(wan) = Wan::open(&ground.lab).await
        {
            let mut wait = false;
            while let Ok(events) = wan.events_after(known, wait).await {
                known = events.last().map_or(known, |event| event.number);
                wait = true;
                if !ground.tell(Update::WanEvents(events)).await {
                    return;
                }
            }
        }
        if !turn(&mut wants, LOOK, |wants| wants.members).await {
            return;
        }
    }
}

/// Which containers run, and which gateways are there.
pub async fn members(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    loop {
        let begin = Instant::now();
        if wants.borrow().members
            && let Ok(containers) = ground.runtime.list(Some(ground.lab.name())).await
        {
            let mut found: HashMap<_, _> =
                containers.iter().map(|found| (found.node.clone(), Liveness::of(&found.state))).collect();
            let namespaces: std::collections::HashSet<_> =
                NetNs::list().unwrap_or_default().into_iter().collect();
            for gateway in &ground.lab.plan().gateways {
                if namespaces.contains(&gateway.namespace) {
                    found.insert(gateway.name.to_string(), Liveness::Up);
                }
            }
            if !ground.tell(Update::Members(found)).await {
                return;
            }
        }
        if !turn(&mut wants, rest(LOOK, begin), |wants| wants.members).await {
            return;
        }
    }
}

/// What the overlay nodes on the screen say of themselves.
pub async fn status(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    loop {
        let begin = Instant::now();
        let nodes = wants.borrow().status.clone();
        let asked = nodes.iter().map(|node| async {
            // One that does not answer is not up, which another question finds out.
            let answer = tokio::time::timeout(ASK, ground.lab.status(node)).await;
            (node.clone(), answer.ok().and_then(Result::ok).map(|status| words(&status)).unwrap_or_default())
        });
        for (node, says) in join_all(asked).await {
            if !ground.tell(Update::Says(node, says)).await {
                return;
            }
        }
        if !turn(&mut wants, rest(ASK, begin), |wants| wants.status.clone()).await {
            return;
        }
    }
}

/// The mappings of the selected gateway.
pub async fn mappings(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    loop {
        let begin = Instant::now();
        let wanted = wants.borrow().gateway.clone();
        let gateway = wanted.as_deref().map(|name| nat::gateway_of(ground.lab.plan(), name));
        if let Some(Ok(gateway)) = gateway {
            let rows = nat::mappings(gateway).await.map_err(|error| error.to_string());
            if !ground.tell(Update::Mappings(gateway.name.to_string(), rows)).await {
                return;
            }
        }
        if !turn(&mut wants, rest(ASK, begin), |wants| wants.gateway.clone()).await {
            return;
        }
    }
}
