//! Being told to stop.

use futures_util::future::select_all;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves with the name of the first signal that asks this process to end. From the call on, such a
/// signal no longer ends the process by itself.
pub fn interrupted() -> std::io::Result<impl Future<Output = &'static str>> {
    let kinds = [
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::hangup(), "SIGHUP"),
    ];
    let mut waiting = Vec::new();
    for (kind, name) in kinds {
        let mut stream = signal(kind)?;
        waiting.push(Box::pin(async move {
            stream.recv().await;
            name
        }));
    }
    Ok(async move { select_all(waiting).await.0 })
}
