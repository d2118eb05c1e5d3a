//! Signalling of calls that goes through a super node: it connects a caller with a user who is connected to it,
//! and passes on what it cannot read.

use std::collections::BTreeMap;

use rand_core::RngCore;

use super::SuperNode;
use super::clients::UserRecord;
use crate::machine::ConnectionId;
use crate::user::UserName;
use crate::wire::super_node::{FromSuperNode, ToSuperNode};
use crate::wire::{DecodeError, Message};

/// Signals that one end may send on a channel: a call has a dozen.
const MOST_SIGNALS: u32 = 256;

/// Two connections that talk through this node.
#[derive(Debug)]
struct Channel {
    caller: ConnectionId,
    callee: ConnectionId,
    /// Signals that caller and callee may still send.
    left: [u32; 2],
}

/// All channels.
#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<u32, Channel>);

impl SuperNode {
    /// A message that concerns signalling, of a session that was welcomed.
    pub(super) fn signalling(&mut self, from: ConnectionId, message: ToSuperNode) -> Result<(), DecodeError> {
        match message {
            ToSuperNode::ReachUser { user } => self.reach_user(from, &user),
            ToSuperNode::PassSignal { channel, signal } => {
                let Some(to) = self.other_end(from, channel, true)? else {
                    // The other end has left at the same moment, and this one hears of it.
                    return Ok(());
                };
                self.push(to, &FromSuperNode::PassedSignal { channel, signal });
                Ok(())
            }
            ToSuperNode::CloseChannel { channel } => {
                if let Some(to) = self.other_end(from, channel, false)? {
                    self.channels.0.remove(&channel);
                    self.push(to, &FromSuperNode::ChannelClosed { channel });
                }
                Ok(())
            }
            other => Err(DecodeError::Type(other.kind())),
        }
    }

    fn reach_user(&mut self, from: ConnectionId, user: &UserName) -> Result<(), DecodeError> {
        let online = self.records.get(user).filter(|record| record.is_online());
        let Some(callee) = online.map(UserRecord::connection) else {
            return self.answer(from, &FromSuperNode::UserNotReached {});
        };
        if self.channels.0.len() >= self.config.parameters.signalling_calls.get() {
            return self.answer(from, &FromSuperNode::UserNotReached {});
        }
        let mut channel = self.random.next_u32();
        while self.channels.0.contains_key(&channel) {
            channel = self.random.next_u32();
        }
        self.channels.0.insert(channel, Channel { caller: from, callee, left: [MOST_SIGNALS; 2] });
        self.answer(from, &FromSuperNode::UserReached { channel })?;
        self.push(callee, &FromSuperNode::Reached { channel });
        Ok(())
    }

    /// The other end of a channel that `from` is an end of.
    fn other_end(
        &mut self,
        from: ConnectionId,
        channel: u32,
        counts: bool,
    ) -> Result<Option<ConnectionId>, DecodeError> {
        let Some(channel) = self.channels.0.get_mut(&channel) else {
            return Ok(None);
        };
        let (place, other) = match from {
            from if from == channel.caller => (0, channel.callee),
            from if from == channel.callee => (1, channel.caller),
            _ => return Err(DecodeError::Value("a channel of others")),
        };
        if counts {
            channel.left[place] = channel.left[place]
                .checked_sub(1)
                .ok_or(DecodeError::Value("more signals than a call has"))?;
        }
        Ok(Some(other))
    }

    /// A connection is gone: whoever talked through it is told.
    pub(super) fn forget_channels(&mut self, gone: ConnectionId) {
        let mut told = Vec::new();
        self.channels.0.retain(|&number, channel| {
            let other = match gone {
                gone if gone == channel.caller => channel.callee,
                gone if gone == channel.callee => channel.caller,
                _ => return true,
            };
            told.push((other, number));
            false
        });
        for (to, channel) in told {
            self.push(to, &FromSuperNode::ChannelClosed { channel });
        }
    }
}
