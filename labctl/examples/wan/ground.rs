//! A WAN with hosts on it.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use labctl::link::AccessLink;
use labctl::meter::{Capture, Direction, Packet, Sink};
use labctl::net::node::{self, NodeNetwork};
use labctl::net::wan::engine::{self, EngineHandle};
use labctl::net::wan::{Core, Report, WanAnswer, WanRequest};
use labctl::net::{NetNs, Uplink};
use labctl::plan::{Attachment, EngineKind, WanPlan};

use crate::Outcome;

const CORE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The port that everybody uses.
pub const PORT: u16 = 7000;
/// Name of the engine's thread. The process' own is that of the program, `wan`.
pub const ENGINE: &str = "bench-engine";
/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

/// The address of a host.
pub fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(CORE.to_bits() + u32::try_from(host).unwrap_or(0) + 1)
}

/// The WAN.
pub struct Ground {
    /// The hosts' namespaces.
    pub spaces: Vec<NetNs>,
    /// How long it took to make the hosts and the links, and to start the engine.
    pub setup: Duration,
    engine: Option<(EngineHandle, thread::JoinHandle<()>)>,
    names: Vec<String>,
}

impl Ground {
    /// A WAN with a host for each access link.
    pub async fn make(delay: Duration, access: &[AccessLink]) -> Outcome<Self> {
        let begin = Instant::now();
        let name = |host: usize| format!("lab-wanbench-h{host}");
        let attachment = |(host, access): (usize, &AccessLink)| -> Outcome<Attachment> {
            Ok(Attachment {
                name: format!("h{host}").parse()?,
                namespace: name(host),
                interface: node::INTERFACE.to_owned(),
                region: 0,
                place: None,
                addresses: vec![address(host)],
                access: *access,
            })
        };
        let plan = WanPlan {
            namespace: "lab-wanbench-wan".to_owned(),
            address: CORE,
            network: Ipv4Addr::new(198, 18, 0, 0),
            prefix: 15,
            seed: 1,
            regions: vec!["here".to_owned()],
            places: vec![],
            delay: vec![vec![delay]],
            jitter: 0.0,
            engine: EngineKind::User,
            attachments: access.iter().enumerate().map(attachment).collect::<Outcome<_>>()?,
        };
        let names: Vec<String> = (0..access.len()).map(name).chain([plan.namespace.clone()]).collect();
        NetNs::delete_all(&names)?;
        let mut ground = Self { spaces: Vec::new(), engine: None, names, setup: Duration::ZERO };
        let core = Core::build(&plan).await?;
        for at in &plan.attachments {
            let network = NodeNetwork {
                name: at.name.as_str(),
                namespace: &at.namespace,
                addresses: &at.addresses,
                prefix: 32,
                next_hop: CORE,
            };
            ground.spaces.push(node::build(network, Uplink::Wan { core: &core, plan: &plan }).await?);
        }
        let (handle, orders) = engine::orders()?;
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let work = move || {
            let say_ready = || ready.send(()).map_err(|()| io::Error::other("nobody waits"));
            if let Err(error) = engine::run(&plan, &orders, say_ready) {
                println!("the engine ended: {error}");
            }
        };
        let thread = thread::Builder::new().name(ENGINE.to_owned()).spawn(work)?;
        is_ready.await?;
        ground.engine = Some((handle, thread));
        ground.setup = begin.elapsed();
        Ok(ground)
    }

    /// What the engine knows.
    pub async fn report(&self) -> Outcome<Report> {
        let (handle, _) = self.engine.as_ref().ok_or("no engine")?;
        match handle.ask(WanRequest::Report).await? {
            WanAnswer::Report(report) => Ok(*report),
            WanAnswer::Done => Err("no report".into()),
        }
    }

    /// A socket of a host.
    pub fn socket(&self, host: usize) -> Outcome<UdpSocket> {
        Ok(self.spaces[host].run(|| UdpSocket::bind((address(host), PORT)))??)
    }

    /// Numbered packets at an even pace from a host to the next one; when each left and came, in nanoseconds. `None`:
    /// it did not come.
    pub async fn numbered(&self, host: usize, count: u64, gap: Duration) -> Outcome<Vec<(u64, Option<u64>)>> {
        let (socket, _sink) = (self.socket(host)?, self.socket(host + 1)?);
        socket.connect((address(host + 1), PORT))?;
        let capture = |host: usize| Capture::start(&self.names[host], node::INTERFACE, Times(Vec::new()));
        let (left, came) = (capture(host)?, capture(host + 1)?);
        let work = move || -> io::Result<()> {
            let begin = Instant::now();
            for (step, number) in (0_u32..).zip(0..count) {
                thread::sleep((gap * step).saturating_sub(begin.elapsed()));
                socket.send(&number.to_be_bytes())?;
            }
            thread::sleep(Duration::from_secs(1));
            Ok(())
        };
        tokio::task::spawn_blocking(work).await??;
        let (left, came) = (left.stop().await?.0, came.stop().await?.0);
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut times = vec![(0, None); index(count)];
        for (number, time, _) in left.0.iter().filter(|(.., out)| *out) {
            times[index(*number)].0 = *time;
        }
        for (number, time, _) in came.0.iter().filter(|(.., out)| !out) {
            times[index(*number)].1.get_or_insert(*time);
        }
        Ok(times)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.engine.take() {
            handle.end();
            let _ = thread.join();
        }
        if let Err(error) = NetNs::delete_all(&self.names) {
            println!("{error}");
        }
    }
}

/// Number and time of each packet, and whether it was sent.
struct Times(Vec<(u64, u64, bool)>);

impl Sink for Times {
    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        if let Some(number) = packet.bytes.get(HEADERS..).and_then(<[u8]>::first_chunk) {
            let sent = packet.direction == Direction::Sent;
            self.0.push((u64::from_be_bytes(*number), packet.time.as_nanos(), sent));
        }
        Ok(())
    }
}
