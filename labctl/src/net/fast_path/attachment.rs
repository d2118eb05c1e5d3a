//! Programs at the interfaces of a gateway: `clsact` of `tc`, with a filter for each way (`linux/rtnetlink.h`,
//! `linux/pkt_cls.h`). They carry the number of the gateway.

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::SockProtocol;

use super::super::link::InterfaceIndex;
use super::super::netlink::Requests;
use super::super::socket::Socket;
use super::super::wire::{Attributes, CREATE, EXCLUSIVE, Fields};
use super::{Number, Programs};

/// `RTM_NEWQDISC`, `RTM_DELQDISC`, `RTM_NEWTFILTER`, `RTM_GETTFILTER`
const NEW_QDISC: u16 = 36;
const DELETE_QDISC: u16 = 37;
const NEW_FILTER: u16 = 44;
const GET_FILTER: u16 = 46;
/// `TC_H_CLSACT`, the handle of the only one, and the two places in it.
const CLSACT: u32 = 0xffff_fff1;
const HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// `TCA_KIND`, `TCA_OPTIONS`
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// `TCA_BPF_CLASSID`, `TCA_BPF_FD`, `TCA_BPF_NAME`, `TCA_BPF_FLAGS`, `TCA_BPF_ID`
const CLASS: u16 = 3;
const DESCRIPTOR: u16 = 6;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
const ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: what the program returns is what happens.
const DIRECT: u32 = 1;
/// The name that `tc filter show` prints.
pub(super) const LABEL: &str = "labctl";

/// `struct tcmsg`
fn header(InterfaceIndex(index): InterfaceIndex, handle: u32, parent: u32, information: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), handle.to_ne_bytes(), parent.to_ne_bytes(), information.to_ne_bytes()]
        .concat()
}

/// Priority 1, IPv4.
fn information() -> u32 {
    1 << 16 | u32::from(0x0800_u16.to_be())
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

impl Requests {
    /// Has the packets that come and go by an interface of a gateway pass the programs.
    pub(super) fn add_programs(&mut self, interface: InterfaceIndex, programs: &Programs, gateway: Number) {
        self.make_room(interface);
        self.fill_room(interface, programs, gateway);
    }

    /// Makes the place for them.
    pub(super) fn make_room(&mut self, interface: InterfaceIndex) {
        let mut attributes = Attributes::default();
        attributes.put(KIND, &text("clsact"));
        self.push_bytes(
            NEW_QDISC,
            CREATE | EXCLUSIVE,
            &header(interface, HANDLE, CLSACT, 0),
            attributes.bytes(),
            action("make room for programs at", interface),
        );
    }

    /// Puts them there.
    pub(super) fn fill_room(&mut self, interface: InterfaceIndex, programs: &Programs, gateway: Number) {
        for (place, program) in [(INGRESS, &programs.forward), (EGRESS, &programs.learn)] {
            let mut attributes = Attributes::default();
            attributes.put(KIND, &text("bpf")).nest(OPTIONS, |options| {
                options
                    .put(CLASS, &u32::from(gateway.0).to_ne_bytes())
                    .put(DESCRIPTOR, &program.as_raw_fd().to_ne_bytes())
                    .put(NAME, &text(LABEL))
                    .put(FLAGS, &DIRECT.to_ne_bytes());
            });
            self.push_bytes(
                NEW_FILTER,
                CREATE | EXCLUSIVE,
                &header(interface, 0, place, information()),
                attributes.bytes(),
                action("put a program at", interface),
            );
        }
    }

    /// Takes the place for them away, with what is in it.
    pub(super) fn take_room(&mut self, interface: InterfaceIndex) {
        self.push_bytes(
            DELETE_QDISC,
            0,
            &header(interface, HANDLE, CLSACT, 0),
            &[],
            action("take the programs from", interface),
        );
    }
}

fn action(what: &str, interface: InterfaceIndex) -> String {
    format!("{what} interface {}, for the fast path of its NAT", interface.0)
}

/// The program at an interface of the calling thread's namespace, and the gateway's number there; `None` if
/// there is none of ours, or the kernel has no such programs at all.
pub(super) fn find_here(interface: InterfaceIndex) -> io::Result<Option<(u32, Number)>> {
    let mut socket = Socket::open(SockProtocol::NetlinkRoute)?;
    let filters = match socket.list(GET_FILTER, &header(interface, 0, INGRESS, 0), &[]) {
        // `CONFIG_NET_SCHED` is not set.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(None),
        listed => listed?,
    };
    Ok(filters.iter().find_map(|filter| {
        let options = Fields(filter.get(20..)?).find(OPTIONS)?;
        let number = |kind| Fields(options).find(kind)?.first_chunk().copied().map(u32::from_ne_bytes);
        (Fields(options).find(NAME)? == text(LABEL)).then_some(())?;
        Some((number(ID)?, Number(u16::try_from(number(CLASS)?).ok()?)))
    }))
}
