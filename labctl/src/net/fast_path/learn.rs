//! The program for what leaves a gateway: a packet of which the rules have just written down that its mapping is in
//! use teaches what becomes of its flow. It is told from others by a mark, and its arrival by a number that
//! [`forward`](super::forward) gave it.
//!
//! Connection tracking sees few segments of a fast connection, and so it cannot judge the sequence number of a
//! reset: it would keep the connection as it is. It is told to keep it no longer than any that was reset.

use super::Maps;
use super::assembler::{Assembler, Helper, If, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, STACK, Size};
use super::forward::{GO_ON, TCP, UDP, if_on, look_up, parse};
use super::layout::{flow, frame, gateway, last, packet, way};
use super::types::Functions;
use crate::profile::WRITTEN_DOWN;

/// Where the stack has what becomes of a flow, and a number of 32 bits that is a key.
const WAY: i16 = -way::SIZE;
const NUMBER: i16 = WAY - 8;
/// Where it has the ends of a connection, and what is said about them.
const ENDS: i16 = -16;
const OPTIONS: i16 = -32;

/// RST
const RESET: i32 = 0b100;
/// Bytes of `struct bpf_sock_tuple` for IPv4, and of `struct bpf_ct_opts` as every kernel takes it.
const ENDS_SIZE: i32 = 12;
const OPTIONS_SIZE: i32 = 12;
/// `BPF_F_CURRENT_NETNS`
const HERE: i32 = -1;

/// The program; without `functions`, nothing is learned of TCP.
pub(super) fn program(maps: &Maps, functions: Option<Functions>) -> Vec<u64> {
    let mut program = Assembler::default();
    let p = &mut program;
    let (go_on, unmarked) = (p.label(), p.label());

    p.set(R6, R1);
    p.load(Size::Word, R1, R6, packet::MARK);
    p.jump_if(R1, If::Differs, WRITTEN_DOWN.cast_signed(), unmarked);
    parse(p, go_on);
    if let Some(functions) = functions {
        reset(p, maps, functions, go_on);
    }
    same_packet(p, maps, go_on);
    describe(p, go_on);
    note(p, maps, go_on);

    p.place(unmarked);
    if let Some(functions) = functions {
        parse(p, go_on);
        reset(p, maps, functions, go_on);
    }
    p.place(go_on);
    p.set_number(R0, GO_ON);
    p.exit();
    program.finish()
}

/// Goes on only if the packet is the one that this processor has kept; R9 is what was kept, R8 the gateway.
fn same_packet(p: &mut Assembler, maps: &Maps, go_on: Label) {
    // R9 is the protocol; it is compared with what was kept further down.
    p.store(Size::Word, STACK, NUMBER + 4, R9);
    p.store_number(Size::Word, STACK, NUMBER, 0);
    look_up(p, maps.last(), NUMBER, go_on);
    p.set(R9, R0);
    p.load(Size::Word, R1, R9, last::TURN);
    p.jump_if(R1, If::Equal, 0, go_on);
    for (kept, of_packet) in [(last::TURN, packet::TURN), (flow::GATEWAY, packet::GATEWAY)] {
        p.load(Size::Word, R1, R9, kept);
        p.load(Size::Word, R2, R6, of_packet);
        p.jump_if_register(R1, If::Differs, R2, go_on);
    }
    // What turns back is translated at both ends, one after the other.
    p.load(Size::Word, R1, R9, flow::INTERFACE);
    p.load(Size::Word, R2, R6, packet::INTERFACE);
    p.jump_if_register(R1, If::Equal, R2, go_on);
    p.load(Size::Word, R1, R9, flow::PROTOCOL);
    p.load(Size::Word, R2, STACK, NUMBER + 4);
    p.jump_if_register(R1, If::Differs, R2, go_on);
    for (kept, of_packet) in [(last::TOTAL, frame::TOTAL), (last::IDENTIFICATION, frame::IDENTIFICATION)] {
        p.load(Size::Half, R1, R9, kept);
        p.load(Size::Half, R2, R7, of_packet);
        p.jump_if_register(R1, If::Differs, R2, go_on);
    }
    p.load(Size::Word, R1, R9, last::TTL);
    p.add_number(R1, -1);
    p.load(Size::Byte, R2, R7, frame::TTL);
    p.jump_if_register(R1, If::Differs, R2, go_on);
    // It teaches once.
    p.store_number(Size::Word, R9, last::TURN, 0);

    p.load(Size::Word, R1, R6, packet::GATEWAY);
    p.store(Size::Word, STACK, NUMBER, R1);
    look_up(p, maps.gateways(), NUMBER, go_on);
    p.set(R8, R0);
    if_on(p, R8, go_on);
}

/// Writes what becomes of the flow on the stack.
fn describe(p: &mut Assembler, go_on: Label) {
    let (tcp, timed, outwards, same_ports) = (p.label(), p.label(), p.label(), p.label());
    // Of when it came: neither a restart meanwhile nor time in a queue is learned over.
    p.load(Size::Word, R1, R9, last::ERA);
    p.store(Size::Word, STACK, WAY + way::ERA, R1);
    p.load(Size::Word, R1, R6, packet::INTERFACE);
    p.store(Size::Word, STACK, WAY + way::INTERFACE, R1);
    p.store_number(Size::Word, STACK, WAY + way::INWARDS, 0);
    p.load(Size::Word, R2, R8, gateway::OUTSIDE);
    p.jump_if_register(R1, If::Equal, R2, outwards);
    p.store_number(Size::Word, STACK, WAY + way::INWARDS, 1);
    p.place(outwards);
    p.copy((STACK, WAY + way::ENDS), (R7, frame::ENDS), 12, R1);
    p.copy((STACK, WAY + way::HARDWARE), (R7, frame::HARDWARE), 12, R1);

    p.load(Size::Word, R1, R9, flow::PROTOCOL);
    p.jump_if(R1, If::Equal, TCP, tcp);
    p.load(Size::Double, R7, R8, gateway::UDP);
    p.jump(timed);
    p.place(tcp);
    p.load(Size::Double, R7, R8, gateway::TCP);
    p.place(timed);
    p.jump_if(R7, If::Equal, 0, go_on);
    p.load(Size::Double, R0, R9, last::SINCE);
    p.add(R0, R7);
    p.store(Size::Double, STACK, WAY + way::UNTIL, R0);

    difference(p, flow::ENDS, way::ENDS, 8);
    p.store(Size::Word, STACK, WAY + way::ADDRESS_DIFFERENCE, R0);
    // The TTL, the lower byte of its word of the header, is one less: add the complement of one to the sum.
    let less = i32::from(u16::from_ne_bytes([0xfe, 0xff]));
    p.cut(R0);
    p.add_number(R0, less);
    p.set(R1, R0);
    p.shift_right(R1, 32);
    p.cut(R0);
    p.add(R0, R1);
    p.store(Size::Word, STACK, WAY + way::IP_DIFFERENCE, R0);
    p.store_number(Size::Word, STACK, WAY + way::PORT_DIFFERENCE, 0);
    p.load(Size::Word, R1, R9, flow::PORTS);
    p.load(Size::Word, R2, STACK, WAY + way::PORTS);
    p.jump_if_register(R1, If::Equal, R2, same_ports);
    difference(p, flow::PORTS, way::PORTS, 4);
    p.store(Size::Word, STACK, WAY + way::PORT_DIFFERENCE, R0);
    p.place(same_ports);
}

/// What a checksum changes by when bytes of the flow at R9 become those of the way on the stack: R0.
fn difference(p: &mut Assembler, from: i16, to: i16, bytes: i32) {
    p.set(R1, R9);
    p.add_number(R1, i32::from(from));
    p.set_number(R2, bytes);
    p.set(R3, STACK);
    p.add_number(R3, i32::from(WAY + to));
    p.set_number(R4, bytes);
    p.set_number(R5, 0);
    p.call(Helper::ChecksumDifference);
}

/// Notes it. What is there already is written over in place: a new element would take that of another flow, which a
/// packet may be about to follow.
fn note(p: &mut Assembler, maps: &Maps, go_on: Label) {
    let new = p.label();
    p.load_map(R1, maps.flows());
    p.set(R2, R9);
    p.add_number(R2, i32::from(last::FLOW));
    p.call(Helper::LookUp);
    p.jump_if(R0, If::Equal, 0, new);
    // Out of use while it is being written.
    p.store_number(Size::Double, R0, way::UNTIL, 0);
    p.copy((R0, way::ERA), (STACK, WAY + way::ERA), way::SIZE - way::ERA, R1);
    p.load(Size::Double, R1, STACK, WAY + way::UNTIL);
    p.store(Size::Double, R0, way::UNTIL, R1);
    p.jump(go_on);
    p.place(new);
    p.load_map(R1, maps.flows());
    p.set(R2, R9);
    p.add_number(R2, i32::from(last::FLOW));
    p.set(R3, STACK);
    p.add_number(R3, i32::from(WAY));
    p.set_number(R4, 0);
    p.call(Helper::Update);
    p.jump(go_on);
}

/// Lets a connection that is being reset, of which the packet at R7 with the protocol in R9 says so, live on for as
/// long as the gateway's NAT says, and goes on with what follows for any other packet.
fn reset(p: &mut Assembler, maps: &Maps, functions: Functions, go_on: Label) {
    let other = p.label();
    p.jump_if(R9, If::Equal, UDP, other);
    p.load(Size::Byte, R1, R7, frame::TCP_FLAGS);
    p.and_number(R1, RESET);
    p.jump_if(R1, If::Equal, 0, other);

    p.load(Size::Word, R1, R6, packet::GATEWAY);
    p.store(Size::Word, STACK, NUMBER, R1);
    look_up(p, maps.gateways(), NUMBER, go_on);
    p.set(R8, R0);
    p.load(Size::Double, R1, R8, gateway::TCP);
    p.jump_if(R1, If::Equal, 0, go_on);
    // As an answer to it would have them: the addresses swapped, the ports swapped.
    for (to, from, size) in [(0, 4, Size::Word), (4, 0, Size::Word), (8, 10, Size::Half), (10, 8, Size::Half)]
    {
        p.load(size, R1, R7, frame::ENDS + from);
        p.store(size, STACK, ENDS + to, R1);
    }
    p.store_number(Size::Word, STACK, OPTIONS, HERE);
    p.store_number(Size::Word, STACK, OPTIONS + 4, 0);
    p.store_number(Size::Word, STACK, OPTIONS + 8, i32::from_ne_bytes([TCP.to_le_bytes()[0], 0, 0, 0]));
    p.set(R1, R6);
    p.set(R2, STACK);
    p.add_number(R2, i32::from(ENDS));
    p.set_number(R3, ENDS_SIZE);
    p.set(R4, STACK);
    p.add_number(R4, i32::from(OPTIONS));
    p.set_number(R5, OPTIONS_SIZE);
    p.call_kernel(functions.look_up);
    p.jump_if(R0, If::Equal, 0, go_on);
    p.set(R7, R0);
    p.set(R1, R0);
    p.load(Size::Word, R2, R8, gateway::TRANSITORY);
    p.call_kernel(functions.change_timeout);
    p.set(R1, R7);
    p.call_kernel(functions.release);
    p.jump(go_on);
    p.place(other);
}
