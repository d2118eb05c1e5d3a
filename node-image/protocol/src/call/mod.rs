//! Calls: signalling, mutual authentication, keys, and media paths that are replaced when they break.
//!
//! # The call algorithm
//!
//! 1. The caller knows the callee's record ([`Callee`]): certificate, addresses, NAT type, super nodes. It
//!    **reaches** the callee as [`path`] says: straight, or through one of the callee's super nodes, which passes
//!    signals on over the connection that the callee's login made.
//! 2. The callee **greets** with a nonce. The caller **invites**: certificate, presence, relays, its half of the
//!    key encrypted with KB+, all signed with KA- over the nonce.
//! 3. The callee verifies that a login server signed the certificate, and that the certificate's key signed the
//!    invitation; else it turns the caller away. It answers **ringing** in the same form, signed over the
//!    invitation, and the caller verifies that. Now both have the [`keys`], and all further signals are sealed.
//! 4. While it rings both ends take their places at the first media path ([`media`]).
//! 5. The callee **answers** or **refuses**. The caller may **cancel**; after `ring_timeout` it does by itself. Who
//!    is in another call is **busy**. Reaching and agreeing on keys may take `call_setup_timeout`.
//! 6. **Glare**: two users call each other at once. The call of the user whose name sorts first counts: that user
//!    rejects the other's invitation as glare. The other gives up its own call and answers the first's at
//!    once, since both want to talk.
//! 7. Either end **hangs up**: sealed on the signalling channel or, if that is lost, thrice on the media path.
//!    Loss of the signalling channel alone does not end a call that was answered.

mod agent;
mod callee;
mod caller;
mod channel;
mod current;
pub mod event;
mod handshake;
pub mod keys;
mod media;
pub mod path;
mod plan;
mod survey;

pub(crate) use self::agent::{Calls, Own};
pub(crate) use self::channel::ForLink;

use std::net::SocketAddrV4;

use crate::certificate::Certificate;
use crate::wire::super_node::Presence;

/// What a caller must know of the callee: what a search finds.
#[derive(Clone, Debug)]
pub struct Callee {
    /// The callee's certificate. It is verified again when the callee answers.
    pub certificate: Certificate,
    /// Addresses and NAT type.
    pub presence: Presence,
    /// The callee's super nodes, the best first.
    pub super_nodes: Vec<SocketAddrV4>,
}
