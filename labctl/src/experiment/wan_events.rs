//! What happens to the WAN while a run measures: written down as it happens, whoever does it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use super::run::{RunError, create, writing};
use crate::lab::{Lab, LabError, Wan};
use crate::net::wan::WanEvent;

/// Name of the file in a run's directory.
pub const FILE: &str = "wan-events.ndjson";

/// Why events could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum WanEventsError {
    /// The lab's keeper does not tell them.
    #[error("what happens to the WAN cannot be followed: {0}")]
    Lab(#[from] LabError),
    /// The file.
    #[error(transparent)]
    File(#[from] RunError),
}

/// Follows the events of a lab's WAN and writes each into the run's directory, so that those of a run that is broken
/// off are there too. Ends when it is dropped.
#[derive(Debug)]
pub struct WanWatch<'a> {
    lab: &'a Lab,
    /// Events that were before the run.
    before: u64,
    /// The file, and what writes it, once there is a directory.
    following: Option<(PathBuf, JoinHandle<Result<(), WanEventsError>>)>,
}

impl<'a> WanWatch<'a> {
    /// Begins to follow: what happens from now on is the run's.
    pub async fn begin(lab: &'a Lab) -> Result<Self, WanEventsError> {
        let before = last(&Wan::open(lab).await?.events_after(0, false).await?, 0);
        Ok(Self { lab, before, following: None })
    }

    /// Writes what happened, and what happens, into a run's directory.
    pub fn write_to(&mut self, directory: &Path) -> Result<(), RunError> {
        let path = directory.join(FILE);
        let file = create(&path)?;
        let task = tokio::spawn(follow(self.lab.clone(), path.clone(), file, self.before));
        self.following = Some((path, task));
        Ok(())
    }

    /// Ends following, and makes sure that all that happened is written down.
    ///
    /// # Errors
    ///
    /// If it cannot be, also because the lab's keeper has ended. What was written before stays.
    pub async fn end(mut self) -> Result<(), WanEventsError> {
        let Some((path, mut task)) = self.following.take() else { return Ok(()) };
        task.abort();
        // Only then does it write no more.
        let _ = (&mut task).await;
        let events = Wan::open(self.lab).await?.events_after(self.before, false).await?;
        let failed = writing(&path);
        Ok(File::create(&path).and_then(|mut file| write(&mut file, &events)).map_err(failed)?)
    }
}

impl Drop for WanWatch<'_> {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.following {
            task.abort();
        }
    }
}

async fn follow(lab: Lab, path: PathBuf, mut file: File, mut seen: u64) -> Result<(), WanEventsError> {
    let wan = Wan::open(&lab).await?;
    loop {
        let events = wan.events_after(seen, true).await?;
        seen = last(&events, seen);
        write(&mut file, &events).map_err(writing(&path))?;
    }
}

fn last(events: &[WanEvent], before: u64) -> u64 {
    events.last().map_or(before, |event| event.number)
}

fn write(file: &mut File, events: &[WanEvent]) -> io::Result<()> {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event)?;
        text.push(b'\n');
    }
    file.write_all(&text)
}
