//! The network of a check, named as a lab's, so that `labctl down` finds what a crash left of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

use super::CheckError;
use super::server::{ADDRESSES, Server};
use crate::lab::LabLock;
use crate::names::{LabName, NodeName};
use crate::net::gateway::{INSIDE, OUTSIDE};
use crate::net::node::{self, NodeNetwork};
use crate::net::{Gateway, NetNs, Uplink};
use crate::plan::{GatewayPlan, Lan};
use crate::profile::{GatewayContext, NatProfile};
use crate::topology::Subnet;

/// The router in the middle, and the network that is the Internet.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const PREFIX: u8 = 16;
/// Every site's network, unless it is seen from outside.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 0);
/// The hosts' numbers in it: far from those that profiles forward ports to.
const HOSTS: [u32; 2] = [101, 102];
/// Gateways made at a time. Most of the time goes into `nft`.
const BUILT_AT_ONCE: usize = 4;

/// The network.
#[derive(Debug)]
pub struct Testbed {
    server: Server,
    isp: Gateway,
    building: Semaphore,
    // Dropped last: it removes the namespaces of the others.
    names: Names,
}

/// A NAT and two hosts behind it.
#[derive(Debug)]
pub struct Site {
    /// The NAT's outside address.
    pub outside: Ipv4Addr,
    /// The hosts.
    pub hosts: [Host; 2],
}

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its namespace.
    pub namespace: NetNs,
    /// Its address.
    pub address: Ipv4Addr,
}

/// The names that the network has on this machine. Dropping it removes everything that has them.
#[derive(Debug)]
struct Names {
    lab: LabName,
    lock: Option<LabLock>,
}

impl Drop for Names {
    fn drop(&mut self) {
        let ours = |name: &String| LabName::parse_namespace(name).is_some_and(|(lab, _)| lab == self.lab);
        for name in NetNs::list().unwrap_or_default().into_iter().filter(ours) {
            if let Err(error) = NetNs::delete(&name) {
                tracing::warn!(%error, "`labctl down --lab {}` removes what is left", self.lab);
            }
        }
        if let Some(Err(error)) = self.lock.take().map(LabLock::remove) {
            tracing::warn!(%error, "the lock stays");
        }
    }
}

impl Testbed {
    /// The Internet with the server in it, and no site yet.
    pub async fn new() -> Result<Self, CheckError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lab: LabName = format!("natcheck{}.{number}", std::process::id())
            .parse()
            .expect("a process number is short enough for a lab's name");
        // While it is held, the lab is one that is being changed, and nobody takes it down.
        let names = Names { lock: Some(LabLock::acquire(&lab)?), lab };
        let isp = Gateway::build(&GatewayPlan {
            name: name("isp"),
            namespace: names.lab.namespace("isp"),
            behind: None,
            outside: Vec::new(),
            outside_prefix: PREFIX,
            next_hop: ROUTER,
            inside: ROUTER,
            inside_prefix: PREFIX,
            lan: Lan::Bridge,
            nat: String::new(),
            firewall: String::new(),
            sysctls: BTreeMap::new(),
            nft: String::new(),
            iptables: String::new(),
            fast_path: None,
        })
        .await?;
        let namespace = names.lab.namespace("server");
        let network = NodeNetwork {
            name: "server",
            namespace: &namespace,
            addresses: &ADDRESSES,
            prefix: PREFIX,
            next_hop: ROUTER,
        };
        let place = NetNs::create(&namespace)?;
        node::attach(network, &place, Uplink::Lan(&isp)).await?;
        let server = Server::start(place).await?;
        Ok(Self { server, isp, building: Semaphore::new(BUILT_AT_ONCE), names })
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Makes the site of a profile.
    pub async fn site(&self, number: usize, profile: &NatProfile) -> Result<Site, CheckError> {
        let _turn = self.building.acquire().await.expect("the semaphore is never closed");
        let number = u32::try_from(number).expect("there are fewer profiles than a bridge has ports");
        // Above the server's addresses, and below the network's end for more profiles than a bridge has ports.
        let outside = Ipv4Addr::from(ROUTER.to_bits() + 0x100 + number);
        let translates = profile.behaviour.is_some();
        let network = if translates {
            PRIVATE
        } else {
            Ipv4Addr::from(Ipv4Addr::new(10, 0, 0, 0).to_bits() + (number << 8))
        };
        let inside = Subnet { network, prefix: 24 };
        let context = GatewayContext {
            wan_interface: OUTSIDE.to_owned(),
            lan_interface: INSIDE.to_owned(),
            outside: vec![outside],
            inside,
        };
        let (nft, sysctls) = profile.rules(&context);
        let router = Ipv4Addr::from(network.to_bits() + 1);
        let gateway_name = format!("g{number}");
        let plan = GatewayPlan {
            name: name(&gateway_name),
            namespace: self.names.lab.namespace(&gateway_name),
            behind: Some(name("isp")),
            outside: vec![outside],
            outside_prefix: PREFIX,
            next_hop: ROUTER,
            inside: router,
            inside_prefix: inside.prefix,
            lan: Lan::Bridge,
            nat: profile.name.clone(),
            firewall: String::new(),
            sysctls,
            nft,
            iptables: String::new(),
            fast_path: profile.fast_path(),
        };
        let gateway = Gateway::build(&plan).await?;
        gateway.connect(&plan, Uplink::Lan(&self.isp)).await?;
        if !translates {
            self.isp.route(network, inside.prefix, outside).await?;
        }
        let host = async |letter: char, host: u32| {
            let name = format!("{letter}{number}");
            let namespace = self.names.lab.namespace(&name);
            let address = Ipv4Addr::from(network.to_bits() + host);
            let network = NodeNetwork {
                name: &name,
                namespace: &namespace,
                addresses: &[address],
                prefix: inside.prefix,
                next_hop: router,
            };
            let place = NetNs::create(&namespace)?;
            node::attach(network, &place, Uplink::Lan(&gateway)).await?;
            Ok::<_, CheckError>(Host { namespace: place, address })
        };
        Ok(Site { outside, hosts: [host('a', HOSTS[0]).await?, host('b', HOSTS[1]).await?] })
    }
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a letter and a number are a name")
}
