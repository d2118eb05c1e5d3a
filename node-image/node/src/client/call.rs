//! Calls of a client that is logged in: who follows them, and the way from the machine to the talk.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use overlay_control::{CallEvent, CallLine, SoundFiles};
use overlay_protocol::{ClientCommand, Time, UserName};
use overlay_voice::{speech, wav};
use tokio::sync::mpsc::{self, UnboundedReceiver, unbounded_channel};
use tracing::{debug, info};

use super::talk::{Happening, Plan, Talk};
use super::voice::{Conversation, VoiceError};
use super::{ClientNode, Phase, Session, json_line};
use crate::driver::Stopped;

/// Events and voice packets that may wait for the talk: three seconds of voice.
const WAITING: usize = 256;
/// Of these, kept for events.
const FOR_EVENTS: usize = 32;

/// Why a call was not begun, or is not waited for.
#[derive(Debug, thiserror::Error)]
pub enum CallRefused {
    /// There is nobody to ask.
    #[error("the client is not logged in; log in first, with POST /v1/login")]
    NotLoggedIn,
    /// One at a time.
    #[error("a call is under way or waited for already; end it with POST /v1/hang-up")]
    UnderWay,
    /// A file of another directory.
    #[error("{0:?} is not the name of a file: give a plain name, the file is in the node's directory")]
    FileName(String),
    /// A sound file, or the codec.
    #[error("the call cannot begin: {0}")]
    Sound(#[from] VoiceError),
    /// The machine has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The talk that gets what the machine tells of calls.
#[derive(Debug, Default)]
pub(super) struct Talks(Mutex<Option<mpsc::Sender<Happening>>>);

impl Talks {
    fn current(&self) -> MutexGuard<'_, Option<mpsc::Sender<Happening>>> {
        // Nothing that holds it can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what the machine tells.
    pub fn tell(&self, at: Time, event: CallEvent) {
        info!(?event, "call");
        if let Some(talk) = &*self.current() {
            // A talk that does not take its events any more has ended.
            let _ = talk.try_send(Happening::Event(at, event));
        }
    }

    /// Passes on a packet of voice.
    pub fn voice(&self, at: Time, sequence: u32, voice: Vec<u8>) {
        if let Some(talk) = &*self.current() {
            if talk.capacity() > FOR_EVENTS {
                let _ = talk.try_send(Happening::Voice(at, sequence, voice));
            } else {
                debug!(sequence, "voice dropped: the talk is behind");
            }
        }
    }

    /// The machine tells nothing more.
    pub fn close(&self) {
        *self.current() = None;
    }

    fn enter(&self) -> Option<mpsc::Receiver<Happening>> {
        let mut current = self.current();
        if current.as_ref().is_some_and(|talk| !talk.is_closed()) {
            return None;
        }
        let (talk, happenings) = mpsc::channel(WAITING);
        *current = Some(talk);
        Some(happenings)
    }
}

impl ClientNode {
    /// Calls a user, talks for `talk_ms` once that user has answered, and hangs up.
    pub async fn call(
        &self,
        user: UserName,
        talk_ms: Option<u64>,
        sound: SoundFiles,
    ) -> Result<CallLines, CallRefused> {
        let plan = Plan { talk: talk_ms.map(Duration::from_millis), ..Plan::default() };
        self.follow(plan, sound, Some(ClientCommand::Call { user })).await
    }

    /// Waits for a call and takes it.
    pub async fn await_call(
        &self,
        answer_after_ms: Option<u64>,
        sound: SoundFiles,
    ) -> Result<CallLines, CallRefused> {
        let answer_after = answer_after_ms.map(Duration::from_millis);
        self.follow(Plan { answer_after, ..Plan::default() }, sound, None).await
    }

    /// Takes the call that rings.
    pub async fn answer(&self) -> Result<(), CallRefused> {
        self.command(ClientCommand::Answer).await
    }

    /// Refuses, cancels, or hangs up.
    pub async fn hang_up(&self) -> Result<(), CallRefused> {
        self.command(ClientCommand::HangUp).await
    }

    async fn command(&self, command: ClientCommand) -> Result<(), CallRefused> {
        let session = self.session.lock().await;
        Ok(logged_in(session.as_ref())?.handle.command(command).await?)
    }

    async fn follow(
        &self,
        plan: Plan,
        sound: SoundFiles,
        command: Option<ClientCommand>,
    ) -> Result<CallLines, CallRefused> {
        let session = self.session.lock().await;
        let session = logged_in(session.as_ref())?;
        let conversation = self.conversation(sound)?;
        let begun = Time::from_epoch(session.epoch.elapsed());
        let happenings = session.shared.talks.enter().ok_or(CallRefused::UnderWay)?;
        let (sender, lines) = unbounded_channel();
        let talk = Talk {
            happenings,
            lines: sender,
            handle: session.handle.clone(),
            begun,
            plan,
            epoch: session.epoch,
        };
        tokio::spawn(talk.run(conversation));
        if let Some(command) = command {
            session.handle.command(command).await?;
        }
        Ok(CallLines(lines))
    }

    fn conversation(&self, sound: SoundFiles) -> Result<Conversation, CallRefused> {
        let said = match sound.said {
            None => speech::sample(),
            Some(name) => wav::read(&self.file(name)?).map_err(VoiceError::from)?,
        };
        let heard = sound.heard.map(|name| self.file(name)).transpose()?;
        Ok(Conversation::new(said, heard.as_deref())?)
    }

    fn file(&self, name: String) -> Result<PathBuf, CallRefused> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(CallRefused::FileName(name));
        }
        Ok(self.setup.directory.join(name))
    }
}

fn logged_in(session: Option<&Session>) -> Result<&Session, CallRefused> {
    session
        .filter(|session| matches!(*session.shared.phase(), Phase::LoggedIn))
        .ok_or(CallRefused::NotLoggedIn)
}

/// The answer to a call: NDJSON, a line for each event, as it happens. If it is dropped before the last line,
/// the call is ended.
#[derive(Debug)]
pub struct CallLines(UnboundedReceiver<CallLine>);

impl Stream for CallLines {
    type Item = serde_json::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = ready!(self.0.poll_recv(context));
        Poll::Ready(line.map(|line| json_line(&line)))
    }
}
