//! A connection to a lab's keeper, with many requests under way at a time.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use super::message::{Answer, Numbered, Request};

/// Requests that wait for their answers; `None` once the connection is broken.
type Waiting = Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A connection that can be used by many at a time.
#[derive(Debug)]
pub struct Connection {
    to: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
    reader: tokio::task::JoinHandle<()>,
}

impl Connection {
    /// Connects to the keeper that listens here.
    pub async fn open(socket: &Path) -> io::Result<Self> {
        let (from, to) = UnixStream::connect(socket).await?.into_split();
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let reader = tokio::spawn(deliver(from, Arc::clone(&waiting)));
        Ok(Self { to: to.into(), waiting, next: AtomicU64::new(0), reader })
    }

    /// False once the keeper has gone.
    pub fn is_open(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// Asks, and waits for the answer. Fails if the keeper ends before.
    pub async fn ask(&self, request: Request) -> io::Result<Answer> {
        let gone = || io::Error::from(ErrorKind::ConnectionReset);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).as_mut().ok_or_else(gone)?.insert(id, sender);
        let mut line = serde_json::to_vec(&Numbered { id, message: request })?;
        line.push(b'\n');
        self.to.lock().await.write_all(&line).await?;
        answer.await.map_err(|_| gone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands every answer to whoever asked, until the keeper ends.
async fn deliver(from: OwnedReadHalf, waiting: Arc<Waiting>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Numbered<Answer>>(&line) {
            Ok(Numbered { id, message }) => {
                let asker = lock(&waiting).as_mut().and_then(|waiting| waiting.remove(&id));
                if let Some(asker) = asker {
                    // Who has given up does not want to know.
                    let _ = asker.send(message);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the keeper's answer is not understood");
                break;
            }
        }
    }
    // Everybody who still waits is told by this that nothing will come.
    *lock(&waiting) = None;
}
