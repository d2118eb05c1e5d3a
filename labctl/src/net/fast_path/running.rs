//! The fast path of a gateway that runs, whichever process has made it: found at the gateway's `wan`.

use std::io;
use std::os::fd::OwnedFd;

use super::super::link::InterfaceIndex;
use super::super::sys::bpf;
use super::super::wan::counters::Tally;
use super::super::{NetError, NetNs, Netlink, Requests};
use super::layout::{self, GATEWAY_SIZE, Gateway};
use super::{GATEWAYS_NAME, Number, Place, attachment};
use crate::profile::FastPath;

/// The names of a gateway's two interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Interfaces {
    /// Towards the WAN.
    pub outside: &'static str,
    /// Towards the site.
    pub inside: &'static str,
}

/// What has taken the fast path through a gateway since its last restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// What left to the outside.
    pub sent: Tally,
    /// What came in from outside.
    pub received: Tally,
}

/// The gateway's element in the map of gateways.
struct Found {
    gateways: OwnedFd,
    number: Number,
}

impl Found {
    /// That of the calling thread's namespace.
    fn here(outside: InterfaceIndex) -> io::Result<Option<Self>> {
        let Some((program, number)) = attachment::find_here(outside)? else { return Ok(None) };
        for map in bpf::maps_of(program)? {
            if bpf::map_information(&map)?.name.starts_with(GATEWAYS_NAME.as_bytes()) {
                return Ok(Some(Self { gateways: map, number }));
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the program there knows no gateways"))
    }

    fn key(&self) -> [u8; 4] {
        u32::from(self.number.0).to_ne_bytes()
    }

    fn read(&self) -> io::Result<Gateway> {
        bpf::look_up::<4, GATEWAY_SIZE>(&self.gateways, &self.key()).map(|bytes| Gateway::of_bytes(&bytes))
    }

    fn write(&self, gateway: Gateway) -> io::Result<()> {
        bpf::update(&self.gateways, &self.key(), &gateway.to_bytes())
    }
}

fn failed<'a>(namespace: &'a NetNs, action: &'static str) -> impl FnOnce(io::Error) -> NetError + 'a {
    move |source| NetError::Namespace { name: namespace.name().to_owned(), action, source }
}

/// The number of an interface, if there is one of that name.
fn index(netlink: &Netlink, interface: &str) -> Result<Option<InterfaceIndex>, NetError> {
    match netlink.link_index(interface) {
        Err(NetError::NoInterface { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Gives the gateway in a namespace, which has its links, the fast path, or takes it away (`None`). What was
/// learned and counted before is forgotten. Whether the gateway has it now: a machine may have none.
pub async fn set(
    namespace: &NetNs,
    interfaces: Interfaces,
    settings: Option<FastPath>,
) -> Result<bool, NetError> {
    namespace.visit(move |namespace| set_here(namespace, interfaces, settings)).await
}

fn set_here(namespace: &NetNs, interfaces: Interfaces, settings: Option<FastPath>) -> Result<bool, NetError> {
    let netlink = Netlink::open_here(namespace)?;
    let Some(outside) = index(&netlink, interfaces.outside)? else { return Ok(false) };
    let found = Found::here(outside).map_err(failed(namespace, "look for the fast path in it"))?;
    if let Some(found) = found {
        let known = found.read().map_err(failed(namespace, "read the fast path of it"))?;
        let mut new = match settings {
            Some(settings) => super::gateway(settings, outside, known.state & layout::TCP != 0),
            None => Gateway { state: known.state & !layout::ON, ..Gateway::default() },
        };
        new.era = known.era.wrapping_add(1);
        // No segment is judged that follows on one which was not seen.
        let tcp = new.tcp != 0;
        if tcp {
            super::set_liberal(true)?;
        }
        found.write(new).map_err(failed(namespace, "change the fast path of it"))?;
        if !tcp {
            super::set_liberal(false)?;
        }
        return Ok(settings.is_some());
    }
    super::set_liberal(false)?;
    // Without a link to the site there is nothing to send on.
    let Some(inside) = index(&netlink, interfaces.inside)? else { return Ok(false) };
    let half = attachment::find_here(inside).map_err(failed(namespace, "look for the fast path in it"))?;
    if half.is_some() {
        // Somebody was stopped between the two.
        take_rooms(&netlink, &[inside])?;
    }
    let Some(place) = settings.and_then(|settings| Place::take(settings, outside)) else { return Ok(false) };
    place.prepare()?;
    let attached = attach(&netlink, place, [inside, outside])?;
    if !attached {
        super::set_liberal(false)?;
    }
    Ok(attached)
}

/// Puts the programs at both interfaces, or at none: what somebody else has put there stays as it is. Whether they
/// are there now.
fn attach(netlink: &Netlink, place: Place, interfaces: [InterfaceIndex; 2]) -> Result<bool, NetError> {
    let mut made = Vec::new();
    let rooms = interfaces.iter().try_for_each(|interface| {
        let mut requests = Requests::default();
        requests.make_room(*interface);
        netlink.send(&requests)?;
        made.push(*interface);
        Ok(())
    });
    let attached = rooms.and_then(|()| {
        let mut requests = Requests::default();
        for interface in interfaces {
            requests.fill_room(interface, place.programs, place.number);
        }
        netlink.send(&requests)
    });
    if let Err(error) = &attached {
        tracing::debug!(%error, "a gateway has no fast path");
        take_rooms(netlink, &made)?;
    }
    Ok(attached.is_ok())
}

fn take_rooms(netlink: &Netlink, interfaces: &[InterfaceIndex]) -> Result<(), NetError> {
    let mut requests = Requests::default();
    for interface in interfaces {
        requests.take_room(*interface);
    }
    netlink.send(&requests)
}

/// What has taken the fast path through the gateway in a namespace; `None` if it has none.
pub async fn passed(namespace: &NetNs, interfaces: Interfaces) -> Result<Option<Passed>, NetError> {
    let look = move |namespace: &NetNs| {
        let Some(outside) = index(&Netlink::open_here(namespace)?, interfaces.outside)? else {
            return Ok(None);
        };
        let read = || Found::here(outside)?.map(|found| found.read()).transpose();
        let known: Option<Gateway> = read().map_err(failed(namespace, "read the fast path of it"))?;
        Ok(known.filter(|known| known.state & layout::ON != 0).map(|known| Passed {
            sent: Tally { packets: known.sent[0], bytes: known.sent[1] },
            received: Tally { packets: known.received[0], bytes: known.received[1] },
        }))
    };
    namespace.visit(look).await
}
