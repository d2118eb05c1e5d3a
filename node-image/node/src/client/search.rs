//! Searches of a client that is logged in, and who reads what comes of them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use overlay_control::{SearchEvent, SearchLine};
use overlay_protocol::{ClientCommand, Time, UserName};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::info;

use super::{ClientNode, Phase, json_line, milliseconds};
use crate::driver::Stopped;

/// Why a search was not begun.
#[derive(Debug, thiserror::Error)]
pub enum SearchRefused {
    /// There is nobody to ask.
    #[error("the client is not logged in; log in first, with POST /v1/login")]
    NotLoggedIn,
    /// One at a time for each user.
    #[error("{0} is being searched for already; wait for the end of that search")]
    UnderWay(UserName),
    /// The machine has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

#[derive(Debug)]
struct Reader {
    begun: Time,
    lines: UnboundedSender<SearchLine>,
}

/// Who reads what comes of which search.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<BTreeMap<String, Reader>>);

impl Readers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Reader>> {
        // Nothing that holds it can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what the machine tells.
    pub fn tell(&self, at: Time, event: SearchEvent) {
        info!(?event, "search");
        let mut all = self.all();
        let (user, last) = (event.user().to_owned(), event.is_last());
        if let Some(reader) = all.get(&user) {
            // Nobody reads it any more: the search ends by itself.
            let _ = reader.lines.send(SearchLine { at_ms: milliseconds(at - reader.begun), event });
        }
        if last {
            all.remove(&user);
        }
    }

    /// The machine tells nothing more.
    pub fn close(&self) {
        self.all().clear();
    }

    fn enter(&self, user: &UserName, begun: Time) -> Option<UnboundedReceiver<SearchLine>> {
        let mut all = self.all();
        if all.contains_key(user.as_str()) {
            return None;
        }
        let (lines, receiver) = unbounded_channel();
        all.insert(user.to_string(), Reader { begun, lines });
        Some(receiver)
    }
}

impl ClientNode {
    /// Searches for a user.
    pub async fn search(&self, user: UserName) -> Result<SearchLines, SearchRefused> {
        let session = self.session.lock().await;
        let session = session
            .as_ref()
            .filter(|session| matches!(*session.shared.phase(), Phase::LoggedIn))
            .ok_or(SearchRefused::NotLoggedIn)?;
        let begun = Time::from_epoch(session.epoch.elapsed());
        let lines = session.shared.searches.enter(&user, begun);
        let lines = lines.ok_or_else(|| SearchRefused::UnderWay(user.clone()))?;
        session.handle.command(ClientCommand::Search { user }).await?;
        Ok(SearchLines(lines))
    }
}

/// The answer to a search: NDJSON, a line for each event, as it happens.
#[derive(Debug)]
pub struct SearchLines(UnboundedReceiver<SearchLine>);

impl Stream for SearchLines {
    type Item = serde_json::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = ready!(self.0.poll_recv(context));
        Poll::Ready(line.map(|line| json_line(&line)))
    }
}
