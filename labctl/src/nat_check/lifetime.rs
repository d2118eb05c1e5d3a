//! How long UDP mappings live (RFC 5780 section 4.5): another socket has the server send to the mapping.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::CheckError;
use super::server::End;
use super::stun::Request;
use super::testbed::Site;
use super::udp::{Client, ROUNDS};

/// Timeouts up to this are always looked at.
pub const SHORT: Duration = Duration::from_secs(5);

/// How often it is begun again, if the machine was too slow to ask in time.
const TRIES: usize = 5;

const ALIVE_PORT: u16 = 5003;
const GONE_PORT: u16 = 5004;
const ASKING_PORT: u16 = 5005;

/// How long mappings lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lived {
    /// What the profile says, milliseconds.
    pub declared_ms: u128,
    /// The idle time after which one still lived, milliseconds; `None` if it did not.
    pub alive_after_ms: Option<u128>,
    /// The idle time after which one was gone, milliseconds; `None` if it was not.
    pub gone_after_ms: Option<u128>,
}

impl Lived {
    /// Whether that is what the profile says.
    #[must_use]
    pub const fn as_declared(self) -> bool {
        self.alive_after_ms.is_some() && self.gone_after_ms.is_some()
    }
}

/// Looks at one mapping shortly before its time and at another one after it.
pub async fn measure(site: &Site, declared: Duration) -> Result<Lived, CheckError> {
    let host = &site.hosts[0];
    let mut alive = Client::new(host, ALIVE_PORT).await?;
    let mut gone = Client::new(host, GONE_PORT).await?;
    let mut asking = Client::new(host, ASKING_PORT).await?;

    // This one idles from here on.
    let start_of_gone = Instant::now();
    let gone_port = gone.ask(End::PRIMARY).await?.mapped.port();
    let mut alive_after = None;
    for _ in 0..TRIES {
        let start = Instant::now();
        let port = alive.ask(End::PRIMARY).await?.mapped.port();
        tokio::time::sleep(declared * 7 / 8).await;
        let reached = is_reached(&mut asking, &mut alive, port).await?;
        let idle = start.elapsed();
        if reached {
            alive_after = Some(idle);
        }
        // A mapping that was asked for too late may be gone by right.
        if reached || idle < declared {
            break;
        }
    }
    // Mappings may live a sixteenth longer than declared, and the kernel's timers are of seconds.
    let late = declared + declared / 8 + Duration::from_secs(3);
    tokio::time::sleep(late.saturating_sub(start_of_gone.elapsed())).await;
    let reached = is_reached(&mut asking, &mut gone, gone_port).await?;
    Ok(Lived {
        declared_ms: declared.as_millis(),
        alive_after_ms: alive_after.map(|idle| idle.as_millis()),
        gone_after_ms: (!reached).then(|| start_of_gone.elapsed().as_millis()),
    })
}

/// Whether the server reaches a client by the outside port that it had.
async fn is_reached(asking: &mut Client, client: &mut Client, port: u16) -> Result<bool, CheckError> {
    let request = Request { response_port: Some(port), ..Request::new() };
    for _ in 0..ROUNDS {
        asking.send(&request, End::PRIMARY.socket_address()).await?;
        // The answer to this one comes after that to the other.
        asking.ask(End::PRIMARY).await?;
        client.take_in();
        if client.answer_to(&request).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
