//! What a link of the WAN is like, as plain data: rates, delays, loss, queues, and where on Earth its ends are.
//!
//! A topology says it, the plan carries it, the WAN's engines act on it, and [`Setting`]s change it while a lab
//! runs. Nothing here has state: what a link did to the packets before is the engine's business.

mod change;
mod loss;
mod place;
mod setting;
mod spec;

pub use change::{Change, Scheduled};
pub use loss::{GilbertElliott, Loss};
pub use place::{Coordinates, CoordinatesError, EARTH_RADIUS_KM};
pub use setting::{Setting, Ways};
pub use spec::{AccessLink, Distribution, LinkSpec, Queue, REORDERED_BY};
