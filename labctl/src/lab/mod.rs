//! Plan -> a running lab: up, down, find, and the lab's one background process. The only room that
//! changes the machine, through [`net`](crate::net) and [`runtime`](crate::runtime).
//!
//! What a lab leaves on a machine, and what it is found by when only that is left:
//!
//! | what | found by |
//! | --- | --- |
//! | containers | label `labctl.lab` |
//! | network namespaces, and with them all links, addresses and rulesets | name `lab-<lab>-<node>` |
//! | the background process | its command line |
//! | the directory with the plan, the control sockets and the gates | `/run/labctl/<lab>` |
//! | the lock | `/run/labctl/.locks/<lab>` |

mod control;
mod down;
mod engine;
mod error;
mod exec;
mod find;
mod gate;
mod images;
pub(crate) mod keys;
mod lock;
mod network;
mod open;
mod ready;
mod repair;
mod state;
mod step;
mod stop;
mod up;

pub mod doctor;
pub mod nat;
pub mod wan;

pub use control::{ControlError, get_status};
pub use down::{Removed, down, down_all};
pub use engine::{ENGINE_VARIABLE, EngineChoice};
pub use error::LabError;
pub use exec::enter;
pub use find::{Condition, FoundLab, find_all, find_lab, select};
pub use lock::LabLock;
pub use open::{Lab, namespace_of, node_of};
pub use repair::{Repaired, repair};
pub use state::{StateDirectory, with_directory};
pub use step::{Observer, Step};
pub use up::{Made, Programs, up};
pub use wan::Wan;
