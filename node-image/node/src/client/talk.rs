//! A call from the user's side: follows what the machine tells, answers, talks in real time, and hangs up.
//!
//! Voice is sent by a timer whose moments are multiples of the packet time since the answer, so that it does not
//! drift; and played at the moments that the jitter buffer gives. A machine that has other things to do may come too
//! late for either. Sound that was there in time is played all the same: what came in meanwhile is read first.

use std::future::pending;
use std::time::Duration;

use overlay_control::{CallEvent, CallLine};
use overlay_protocol::{Client, ClientCommand, Time};
use overlay_voice::codec::PACKET_TIME;
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

use super::milliseconds;
use super::voice::{Conversation, VoiceError};
use crate::driver::Handle;

/// What the machine tells the talk.
#[derive(Debug)]
pub(super) enum Happening {
    Event(Time, CallEvent),
    Voice(Time, u32, Vec<u8>),
}

/// What the user means to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Take a call so long after it began to ring.
    pub answer_after: Option<Duration>,
    /// Hang up so long after the answer.
    pub talk: Option<Duration>,
}

/// How long sockets are read before sound is played that the program came too late for.
const READ_FIRST: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Talk {
    pub happenings: Receiver<Happening>,
    pub lines: UnboundedSender<CallLine>,
    pub handle: Handle<Client>,
    pub begun: Time,
    pub plan: Plan,
    /// The machine's moment zero.
    pub epoch: Instant,
}

/// What a talk waits for.
#[derive(Debug, Default)]
struct Timers {
    answer_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    say: Option<Interval>,
}

impl Talk {
    /// Follows one call to its end.
    pub async fn run(mut self, mut conversation: Conversation) {
        let mut timers = Timers::default();
        let mut gone = false;
        let mut reading_until = None;
        loop {
            let due = conversation.next_playout().map(|at| self.epoch + at);
            let play_at = due.max(due.and(reading_until));
            tokio::select! {
                // The order matters where all are due at once: what came in is played, not concealed.
                biased;
                happening = self.happenings.recv() => match happening {
                    Some(Happening::Voice(at, sequence, voice)) => {
                        conversation.heard(at.since_epoch(), sequence, voice);
                    }
                    Some(Happening::Event(at, event)) => {
                        self.follow(at, &event, &mut timers);
                        if matches!(event, CallEvent::Ended { .. }) {
                            self.end(at, event, conversation, timers.say.is_some());
                            return;
                        }
                        self.tell(at, event);
                    }
                    None => return,
                },
                () = until(play_at) => {
                    let late = due.map_or(Duration::ZERO, |due| due.elapsed());
                    if reading_until.is_none() && late >= PACKET_TIME {
                        conversation.came_late(late);
                        reading_until = Some(Instant::now() + READ_FIRST);
                    } else {
                        reading_until = None;
                        self.check(conversation.play(self.epoch.elapsed())).await;
                    }
                }
                due = tick(&mut timers.say) => {
                    conversation.came_late(due.elapsed());
                    self.say(&mut conversation).await;
                }
                () = until(timers.answer_at) => {
                    timers.answer_at = None;
                    self.command(ClientCommand::Answer).await;
                }
                () = until(timers.hang_up_at) => {
                    timers.hang_up_at = None;
                    self.command(ClientCommand::HangUp).await;
                }
                () = self.lines.closed(), if !gone => {
                    gone = true;
                    self.command(ClientCommand::HangUp).await;
                    if timers.say.is_none() {
                        // A call that is only waited for has nobody to wait any more.
                        return;
                    }
                }
            }
        }
    }

    /// Sets the timers that an event asks for.
    fn follow(&self, at: Time, event: &CallEvent, timers: &mut Timers) {
        let now = self.epoch + at.since_epoch();
        match event {
            CallEvent::Incoming { .. } => {
                timers.answer_at = self.plan.answer_after.map(|after| now + after);
            }
            CallEvent::Answered {} => {
                let mut say = interval_at(now + PACKET_TIME, PACKET_TIME);
                // Late ticks are made up for: the number of packets follows the clock.
                say.set_missed_tick_behavior(MissedTickBehavior::Burst);
                timers.say = Some(say);
                timers.answer_at = None;
                timers.hang_up_at = self.plan.talk.map(|talk| now + talk);
            }
            _ => {}
        }
    }

    fn tell(&self, at: Time, event: CallEvent) {
        // Nobody reads it any more: the call is being ended.
        let _ = self.lines.send(CallLine { at_ms: milliseconds(at - self.begun), event, voice: None });
    }

    /// Tells the last line, when the sound file is complete.
    fn end(&self, at: Time, event: CallEvent, conversation: Conversation, answered: bool) {
        let voice = match conversation.finish() {
            Ok(voice) => answered.then_some(voice),
            Err(error) => {
                warn!(%error, "the sound of the call is not complete");
                None
            }
        };
        let _ = self.lines.send(CallLine { at_ms: milliseconds(at - self.begun), event, voice });
    }

    async fn say(&self, conversation: &mut Conversation) {
        match conversation.say() {
            Ok(voice) => self.command(ClientCommand::Voice(voice)).await,
            Err(error) => self.check(Err(error)).await,
        }
    }

    /// Without sound there is no call.
    async fn check(&self, result: Result<(), VoiceError>) {
        if let Err(error) = result {
            warn!(%error, "the call is ended");
            self.command(ClientCommand::HangUp).await;
        }
    }

    async fn command(&self, command: ClientCommand) {
        // The driver has ended: the channel of happenings will say so.
        let _ = self.handle.command(command).await;
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// The next tick, and when it was due.
async fn tick(interval: &mut Option<Interval>) -> Instant {
    match interval {
        Some(interval) => interval.tick().await,
        None => pending().await,
    }
}
