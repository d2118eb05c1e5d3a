//! Follows the logs of nodes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;

use super::Ground;
use crate::runtime::Output;
use crate::watch::event::Event;
use crate::watch::state::Update;

/// Lines of a log that are of interest when one begins to look.
const BEFORE: usize = 200;

/// Follows those that are wanted, from where it left off.
pub async fn follow(ground: Arc<Ground>) {
    let mut wants = ground.wants.clone();
    let mut followed: HashMap<String, tokio::task::AbortHandle> = HashMap::new();
    let mut read: HashMap<String, Arc<std::sync::atomic::AtomicUsize>> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = wants.borrow_and_update().logs.clone();
        followed.retain(|node, task| {
            let stays = wanted.contains(node) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for node in wanted {
            if let Entry::Vacant(entry) = followed.entry(node.clone()) {
                let lines = Arc::clone(read.entry(node.clone()).or_default());
                entry.insert(tasks.spawn(follow_one(Arc::clone(&ground), node, lines)));
            }
        }
        // Tasks that have ended are of no interest; a node that starts again is followed with the next change.
        while tasks.try_join_next().is_some() {}
        if wants.changed().await.is_err() {
            return;
        }
    }
}

/// Tells every line of a node's log behind the first `lines`, which were told already.
async fn follow_one(ground: Arc<Ground>, node: String, lines: Arc<std::sync::atomic::AtomicUsize>) {
    use std::sync::atomic::Ordering::Relaxed;

    let Ok(plan) = ground.lab.node(&node) else { return };
    let container = plan.container.clone();
    let told = lines.load(Relaxed);
    let mut pieces = ground.runtime.logs(&container, true).ready_chunks(256);
    let (mut number, mut unfinished) = (0, HashMap::new());
    while let Some(chunk) = pieces.next().await {
        let mut events = Vec::new();
        for piece in chunk {
            let Ok(piece) = piece else { return };
            let (stream, bytes) = match piece {
                Output::Out(bytes) => (0, bytes),
                Output::Err(bytes) => (1, bytes),
            };
            let begun: &mut Vec<u8> = unfinished.entry(stream).or_default();
            begun.extend_from_slice(&bytes);
            while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = begun.drain(..=end).collect();
                number += 1;
                if number > told {
                    events.extend(Event::of_line(&node, &String::from_utf8_lossy(&line)));
                }
            }
        }
        lines.store(number.max(told), Relaxed);
        // Of a long past only the end.
        let skipped = events.len().saturating_sub(BEFORE);
        events.drain(..skipped);
        if !events.is_empty() && !ground.tell(Update::Events(events)).await {
            return;
        }
    }
}
