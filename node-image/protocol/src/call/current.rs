//! The call that a client is in.

use super::Callee;
use super::channel::{Channel, Dialling, ForLink};
use super::event::CallEvent;
use super::keys::{CallKeys, Half, Side};
use super::media::{Media, Plan};
use crate::login::Core;
use crate::machine::{ConnectionId, Time};
use crate::user::UserName;
use crate::wire::call::{Control, Signal};
use crate::wire::{Bytes, Message};

/// How far a call is.
#[derive(Debug)]
pub(super) enum Stage {
    Dialling(Box<Dialling>),
    /// The caller waits for the callee's first word.
    Reached,
    /// The caller waits for the answer to the invitation.
    Invited {
        frame: Vec<u8>,
        half: Half,
    },
    /// The caller's invitation met the callee's own: the callee's is awaited.
    Yielded,
    Ringing,
    Active,
}

/// The call that the client is in.
#[derive(Debug)]
pub(super) struct Call {
    pub peer: UserName,
    /// At the caller: whom it is to reach.
    pub callee: Option<Box<Callee>>,
    pub side: Side,
    pub stage: Stage,
    pub started: Time,
    pub answered: Option<Time>,
    /// When the stage ends by itself.
    pub deadline: Option<Time>,
    pub channel: Option<Channel>,
    pub keep_alive_at: Time,
    pub agreed: Option<Agreed>,
    /// At the callee: the user has taken the call, which waits until then at the longest for the media path.
    pub answer_by: Option<Time>,
    pub sealed_sent: u32,
    pub sealed_received: u32,
}

/// What there is once both have the key.
#[derive(Debug)]
pub(super) struct Agreed {
    pub keys: CallKeys,
    pub media: Media,
}

impl Call {
    pub fn outgoing(core: &Core, peer: UserName, callee: Callee, dialling: Dialling) -> Self {
        Self {
            callee: Some(Box::new(callee)),
            side: Side::Caller,
            stage: Stage::Dialling(Box::new(dialling)),
            deadline: Some(core.now + core.parameters.call_setup_timeout.duration()),
            ..Self::new(core, peer)
        }
    }

    pub fn incoming(core: &Core, peer: UserName, channel: Channel) -> Self {
        Self { channel: Some(channel), ..Self::new(core, peer) }
    }

    fn new(core: &Core, peer: UserName) -> Self {
        Self {
            peer,
            callee: None,
            side: Side::Callee,
            stage: Stage::Ringing,
            started: core.now,
            answered: None,
            deadline: None,
            channel: None,
            keep_alive_at: core.now + core.parameters.keep_alive_interval.duration(),
            agreed: None,
            answer_by: None,
            sealed_sent: 0,
            sealed_received: 0,
        }
    }

    /// Both have the key: it rings, and this end takes its place at the first media path, if there is one.
    pub fn agree(&mut self, core: &mut Core, keys: CallKeys, plan: Plan) -> bool {
        self.stage = Stage::Ringing;
        self.deadline = Some(core.now + core.parameters.ring_timeout.duration());
        let media = Media::new(core, &keys, self.side, plan);
        self.agreed = media.map(|media| Agreed { keys, media });
        self.agreed.is_some()
    }

    pub fn activate(&mut self, core: &mut Core) {
        self.stage = Stage::Active;
        self.deadline = None;
        self.answered = Some(core.now);
        if let Some(agreed) = &mut self.agreed {
            agreed.media.start(core);
        }
        core.event(CallEvent::Answered {});
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.channel.as_ref().is_some_and(|channel| channel.owns(connection))
            || self.agreed.as_ref().is_some_and(|agreed| agreed.media.owns(connection))
            || matches!(&self.stage, Stage::Dialling(dialling) if dialling.owns(connection))
    }

    /// Sends a sealed signal, if there are keys and a channel.
    pub fn control(&mut self, core: &mut Core, control: &Control) -> Option<ForLink> {
        let (Some(channel), Some(Agreed { keys, .. })) = (&mut self.channel, &self.agreed) else {
            return None;
        };
        let number = self.sealed_sent;
        self.sealed_sent += 1;
        let sealed = Bytes::new(keys.seal_control(self.side, number, &control.to_frame())).ok()?;
        channel.send(core, &Signal::Sealed { number, sealed })
    }

    pub fn close(mut self, core: &mut Core) -> Option<ForLink> {
        if let Stage::Dialling(dialling) = &self.stage {
            dialling.close(core);
        }
        if let Some(agreed) = &mut self.agreed {
            agreed.media.close(core);
        }
        self.channel.as_ref().and_then(|channel| channel.close(core))
    }
}
