//! The program for what arrives at a gateway: a packet of a flow that was learned is translated and sent on; any
//! other goes the ordinary way, and what it looked like is kept until it leaves ([`learn`](super::learn)).

use std::os::fd::OwnedFd;

use super::Maps;
use super::assembler::{
    Assembler, Helper, If, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register, STACK, Size,
};
use super::layout::{ON, flow, frame, gateway, last, packet, way};

/// Where the stack has the packet's flow, and a number of 32 bits that is a key.
const FLOW: i16 = -flow::SIZE;
const NUMBER: i16 = FLOW - 8;

/// IPv4's number in a frame.
const IPV4: u16 = 0x0800;

/// `TC_ACT_UNSPEC`: whatever comes next; `TC_ACT_SHOT`.
pub(super) const GO_ON: i32 = -1;
const DROP: i32 = 2;

pub(super) const UDP: i32 = 17;
pub(super) const TCP: i32 = 6;
/// FIN, SYN, RST: what opens and closes a connection.
const NOT_IN_BETWEEN: i32 = 0b111;
/// ACK: every segment of a connection that is open has it (RFC 9293, 3.10.7.4).
const ACK: i32 = 0b1_0000;
/// The shortest TCP header, as its byte says it: 5 words.
const SHORTEST: i32 = 0x50;
/// Longer ones are not packets but what the kernel will make several of, or must refuse.
const LONGEST: i32 = 1514;
/// What every link carries (RFC 791), with its header.
const SMALLEST: i32 = 68 + frame::HEADER;
/// `BPF_F_PSEUDO_HDR`, and `BPF_F_MARK_MANGLED_0`: a checksum that is not there stays so.
const PSEUDO_HEADER: i32 = 0x10;
const MAY_LACK: i32 = 0x20;

/// Loads a packet's beginning into R7 and goes on only with a whole IPv4 packet of UDP or TCP without options and
/// not a fragment; R9 has the protocol.
pub(super) fn parse(program: &mut Assembler, otherwise: Label) {
    program.load(Size::Word, R1, R6, packet::PROTOCOL);
    program.jump_if(R1, If::Differs, i32::from(IPV4.to_be()), otherwise);
    program.load(Size::Word, R7, R6, packet::BEGIN);
    program.load(Size::Word, R8, R6, packet::END);
    within(program, frame::UDP_END, otherwise);
    program.load(Size::Byte, R1, R7, frame::VERSION);
    program.jump_if(R1, If::Differs, 0x45, otherwise);
    program.load(Size::Half, R1, R7, frame::FRAGMENT);
    program.jump_if(R1, If::AnyBit, i32::from(0x3fff_u16.to_be()), otherwise);
    program.load(Size::Byte, R9, R7, frame::PROTOCOL);
    let parsed = program.label();
    program.jump_if(R9, If::Equal, UDP, parsed);
    program.jump_if(R9, If::Differs, TCP, otherwise);
    within(program, frame::TCP_END, otherwise);
    program.place(parsed);
}

/// Goes on only with a packet for this host that the rest of the kernel would take, too: its length is the frame's, and
/// its TCP header is no shorter than one can be.
fn sound(program: &mut Assembler, otherwise: Label) {
    program.load(Size::Word, R1, R6, packet::KIND);
    program.jump_if(R1, If::Differs, 0, otherwise);
    program.load(Size::Half, R1, R7, frame::TOTAL);
    program.of_packet(R1);
    program.add_number(R1, frame::HEADER);
    program.load(Size::Word, R2, R6, packet::LENGTH);
    program.jump_if_register(R1, If::Differs, R2, otherwise);
    let sound = program.label();
    program.jump_if(R9, If::Equal, UDP, sound);
    program.load(Size::Byte, R1, R7, frame::TCP_WORDS);
    program.jump_if(R1, If::AtLeast, SHORTEST, sound);
    program.jump(otherwise);
    program.place(sound);
}

/// Goes on only if the packet at R7, which ends at R8, has so many bytes.
fn within(program: &mut Assembler, bytes: i32, otherwise: Label) {
    program.set(R2, R7);
    program.add_number(R2, bytes);
    program.jump_if_register(R2, If::Above, R8, otherwise);
}

/// Looks up the number that the stack has at `number`; R0 is the value.
pub(super) fn look_up(program: &mut Assembler, map: &OwnedFd, key: i16, otherwise: Label) {
    program.load_map(R1, map);
    program.set(R2, STACK);
    program.add_number(R2, i32::from(key));
    program.call(Helper::LookUp);
    program.jump_if(R0, If::Equal, 0, otherwise);
}

/// The program.
pub(super) fn program(maps: &Maps) -> Vec<u64> {
    let mut program = Assembler::default();
    let p = &mut program;
    let (go_on, end, between) = (p.label(), p.label(), p.label());
    let (known, miss) = (p.label(), p.label());

    p.set(R6, R1);
    p.load(Size::Word, R1, R6, packet::LENGTH);
    p.jump_if(R1, If::Above, LONGEST, go_on);
    parse(p, go_on);
    sound(p, go_on);

    p.copy((STACK, FLOW + flow::ENDS), (R7, frame::ENDS), 12, R1);
    p.load(Size::Word, R1, R6, packet::GATEWAY);
    p.store(Size::Word, STACK, FLOW + flow::GATEWAY, R1);
    p.store(Size::Word, STACK, NUMBER, R1);
    p.load(Size::Word, R1, R6, packet::INTERFACE);
    p.store(Size::Word, STACK, FLOW + flow::INTERFACE, R1);
    p.store(Size::Word, STACK, FLOW + flow::PROTOCOL, R9);

    // What opens or closes a connection is for connection tracking to see; and an old connection between the same
    // ends has told nothing about a new one.
    p.jump_if(R9, If::Equal, UDP, between);
    p.load(Size::Byte, R1, R7, frame::TCP_FLAGS);
    p.jump_if(R1, If::AnyBit, NOT_IN_BETWEEN, end);
    // What no open connection says is for connection tracking to judge.
    p.jump_if(R1, If::AnyBit, ACK, between);
    p.jump(go_on);
    p.place(end);
    p.load_map(R1, maps.flows());
    p.set(R2, STACK);
    p.add_number(R2, i32::from(FLOW));
    p.call(Helper::Delete);
    p.jump(go_on);
    p.place(between);

    look_up(p, maps.gateways(), NUMBER, go_on);
    p.set(R9, R0);
    if_on(p, R9, go_on);
    look_up(p, maps.flows(), FLOW, miss);
    p.set(R8, R0);
    p.load(Size::Word, R1, R9, gateway::ERA);
    p.load(Size::Word, R2, R8, way::ERA);
    p.jump_if_register(R1, If::Differs, R2, miss);
    p.call(Helper::Nanoseconds);
    p.load(Size::Double, R1, R8, way::UNTIL);
    p.jump_if_register(R0, If::AtLeast, R1, miss);
    // Its sender must hear of it.
    p.load(Size::Byte, R1, R7, frame::TTL);
    p.jump_if(R1, If::AtMost, 1, go_on);
    // So it must of one that the next link is too small for.
    p.load(Size::Word, R1, R6, packet::LENGTH);
    p.jump_if(R1, If::AtMost, SMALLEST, known);
    p.store_number(Size::Word, STACK, NUMBER, 0);
    p.set(R1, R6);
    p.load(Size::Word, R2, R8, way::INTERFACE);
    p.set(R3, STACK);
    p.add_number(R3, i32::from(NUMBER));
    p.set_number(R4, 0);
    p.set_number(R5, 0);
    p.call(Helper::FitsLink);
    p.jump_if(R0, If::Equal, 0, known);
    p.jump(go_on);

    p.place(miss);
    keep(p, maps, go_on);

    p.place(go_on);
    p.set_number(R0, GO_ON);
    p.exit();

    p.place(known);
    translate(p);
    program.finish()
}

/// Goes on only if the gateway's packets may take the fast path.
pub(super) fn if_on(p: &mut Assembler, gateway: Register, otherwise: Label) {
    let on = p.label();
    p.load(Size::Word, R1, gateway, gateway::STATE);
    p.jump_if(R1, If::AnyBit, ON.cast_signed(), on);
    p.jump(otherwise);
    p.place(on);
}

/// Keeps what a packet for the gateway at R9, which goes the ordinary way, looks like, and when it came.
fn keep(p: &mut Assembler, maps: &Maps, go_on: Label) {
    // Before the rules see it: what they write down holds no shorter than what is learned of it.
    p.call(Helper::Nanoseconds);
    p.set(R8, R0);
    p.store_number(Size::Word, STACK, NUMBER, 0);
    look_up(p, maps.last(), NUMBER, go_on);
    p.store(Size::Double, R0, last::SINCE, R8);
    p.load(Size::Word, R1, R9, gateway::ERA);
    p.store(Size::Word, R0, last::ERA, R1);
    p.load(Size::Word, R1, R0, last::TURN);
    p.add_number(R1, 1);
    // 16 bits, of which one says that there is something.
    p.and_number(R1, 0x7fff);
    p.or_number(R1, 0x8000);
    p.store(Size::Word, R0, last::TURN, R1);
    p.store(Size::Word, R6, packet::TURN, R1);
    p.copy((R0, last::FLOW), (STACK, FLOW), flow::SIZE, R1);
    for (to, from) in [(last::TOTAL, frame::TOTAL), (last::IDENTIFICATION, frame::IDENTIFICATION)] {
        p.load(Size::Half, R1, R7, from);
        p.store(Size::Half, R0, to, R1);
    }
    p.load(Size::Byte, R1, R7, frame::TTL);
    p.store(Size::Word, R0, last::TTL, R1);
}

/// Makes of the packet what the flow's value at R8 says, counts it for the gateway at R9 and sends it on.
fn translate(p: &mut Assembler) {
    p.set(R1, R6);
    p.set_number(R2, frame::CHECKSUM);
    p.set_number(R3, 0);
    p.load(Size::Word, R4, R8, way::IP_DIFFERENCE);
    p.set_number(R5, 0);
    p.call(Helper::MendIpChecksum);

    let (udp, mended, moved) = (p.label(), p.label(), p.label());
    p.load(Size::Word, R7, STACK, FLOW + flow::PROTOCOL);
    p.jump_if(R7, If::Equal, UDP, udp);
    mend_transport(p, frame::TCP_CHECKSUM, 0, mended);
    p.jump(mended);
    p.place(udp);
    mend_transport(p, frame::UDP_CHECKSUM, MAY_LACK, mended);
    p.place(mended);

    p.load(Size::Word, R7, R6, packet::BEGIN);
    p.load(Size::Word, R2, R6, packet::END);
    p.set(R1, R7);
    p.add_number(R1, frame::UDP_END);
    p.jump_if_register(R1, If::AtMost, R2, moved);
    // It had so many bytes before.
    p.set_number(R0, DROP);
    p.exit();
    p.place(moved);
    p.copy((R7, frame::ENDS), (R8, way::ENDS), 12, R1);
    p.copy((R7, frame::HARDWARE), (R8, way::HARDWARE), 12, R1);
    p.load(Size::Byte, R1, R7, frame::TTL);
    p.add_number(R1, -1);
    p.store(Size::Byte, R7, frame::TTL, R1);

    let (inwards, counted) = (p.label(), p.label());
    p.load(Size::Word, R2, R6, packet::LENGTH);
    p.add_number(R2, -frame::HEADER);
    p.set_number(R1, 1);
    p.load(Size::Word, R3, R8, way::INWARDS);
    p.jump_if(R3, If::Differs, 0, inwards);
    p.count(R9, gateway::SENT, R1);
    p.count(R9, gateway::SENT + 8, R2);
    p.jump(counted);
    p.place(inwards);
    p.count(R9, gateway::RECEIVED, R1);
    p.count(R9, gateway::RECEIVED + 8, R2);
    p.place(counted);

    p.load(Size::Word, R1, R8, way::INTERFACE);
    p.set_number(R2, 0);
    p.call(Helper::Redirect);
    p.exit();
}

/// The addresses are in the transport's checksum as a part of its pseudo header, the ports are not.
fn mend_transport(p: &mut Assembler, at: i32, flags: i32, mended: Label) {
    p.load(Size::Word, R4, R8, way::ADDRESS_DIFFERENCE);
    mend(p, at, flags | PSEUDO_HEADER);
    p.load(Size::Word, R4, R8, way::PORT_DIFFERENCE);
    p.jump_if(R4, If::Equal, 0, mended);
    mend(p, at, flags);
}

/// Changes the checksum at a place by the difference in R4.
fn mend(p: &mut Assembler, at: i32, flags: i32) {
    p.set(R1, R6);
    p.set_number(R2, at);
    p.set_number(R3, 0);
    p.set_number(R5, flags);
    p.call(Helper::MendTransportChecksum);
}
