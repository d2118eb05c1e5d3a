//! Writes programs for the kernel's own small machine, instruction by instruction (RFC 9669).

use std::os::fd::{AsRawFd, OwnedFd};

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register(u8);

/// What a call returns, and what the program does.
pub(super) const R0: Register = Register(0);
/// First argument of a call.
pub(super) const R1: Register = Register(1);
/// Second argument of a call.
pub(super) const R2: Register = Register(2);
/// Third argument of a call.
pub(super) const R3: Register = Register(3);
/// Fourth argument of a call.
pub(super) const R4: Register = Register(4);
/// Fifth argument of a call.
pub(super) const R5: Register = Register(5);
/// Kept over calls.
pub(super) const R6: Register = Register(6);
/// Kept over calls.
pub(super) const R7: Register = Register(7);
/// Kept over calls.
pub(super) const R8: Register = Register(8);
/// Kept over calls.
pub(super) const R9: Register = Register(9);
/// End of the stack, which grows downwards.
pub(super) const STACK: Register = Register(10);

/// Bytes that are read or written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
    Double = 0x18,
}

/// When a jump is taken; numbers without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum If {
    Equal = 0x10,
    Above = 0x20,
    AtLeast = 0x30,
    AnyBit = 0x40,
    Differs = 0x50,
    AtMost = 0xb0,
}

/// A function of the kernel that every such program may call (`BPF_FUNC_...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    LookUp = 1,
    Update = 2,
    Delete = 3,
    Nanoseconds = 5,
    MendIpChecksum = 10,
    MendTransportChecksum = 11,
    Redirect = 23,
    ChecksumDifference = 28,
    FitsLink = 163,
}

/// A place that jumps lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<u64>,
    /// Where each label is.
    labels: Vec<Option<usize>>,
    /// Jumps and the labels that they lead to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, number: i32) {
        let [low, high] = offset.to_ne_bytes();
        let number = number.to_ne_bytes();
        let registers = if cfg!(target_endian = "little") { from.0 << 4 | to.0 } else { to.0 << 4 | from.0 };
        let bytes = [code, registers, low, high, number[0], number[1], number[2], number[3]];
        self.instructions.push(u64::from_ne_bytes(bytes));
    }

    /// A label that is yet to be placed.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    pub(super) fn set(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub(super) fn set_number(&mut self, to: Register, number: i32) {
        self.push(0xb7, to, R0, 0, number);
    }

    pub(super) fn add(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    pub(super) fn add_number(&mut self, to: Register, number: i32) {
        self.push(0x07, to, R0, 0, number);
    }

    pub(super) fn and_number(&mut self, to: Register, number: i32) {
        self.push(0x57, to, R0, 0, number);
    }

    pub(super) fn or_number(&mut self, to: Register, number: i32) {
        self.push(0x47, to, R0, 0, number);
    }

    pub(super) fn shift_right(&mut self, to: Register, bits: i32) {
        self.push(0x77, to, R0, 0, bits);
    }

    /// Keeps the lower 32 bits.
    pub(super) fn cut(&mut self, register: Register) {
        self.push(0xbc, register, register, 0, 0);
    }

    /// Makes a number of 16 bits in a packet's order one of this machine.
    pub(super) fn of_packet(&mut self, register: Register) {
        // `BPF_END`, to big endian: nothing where the machine is that already.
        self.push(0xdc, register, R0, 0, 16);
    }

    /// `to = *(from + offset)`
    pub(super) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        self.push(0x61 | size as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = from`
    pub(super) fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) {
        self.push(0x63 | size as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = number`
    pub(super) fn store_number(&mut self, size: Size, to: Register, offset: i16, number: i32) {
        self.push(0x62 | size as u8, to, R0, offset, number);
    }

    /// `*(to + offset) += from`, 64 bits, whatever other processors do.
    pub(super) fn count(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0xdb, to, from, offset, 0);
    }

    /// A copy of so many bytes, a multiple of 4, by way of `through`.
    pub(super) fn copy(
        &mut self,
        (to, to_offset): (Register, i16),
        (from, from_offset): (Register, i16),
        bytes: i16,
        through: Register,
    ) {
        for at in (0..bytes).step_by(4) {
            self.load(Size::Word, through, from, from_offset + at);
            self.store(Size::Word, to, to_offset + at, through);
        }
    }

    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x05, R0, R0, 0, 0);
    }

    /// Jumps if a register compares so with a number.
    pub(super) fn jump_if(&mut self, register: Register, condition: If, number: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x05 | condition as u8, register, R0, 0, number);
    }

    /// Jumps if a register compares so with another.
    pub(super) fn jump_if_register(
        &mut self,
        register: Register,
        condition: If,
        other: Register,
        label: Label,
    ) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x0d | condition as u8, register, other, 0, 0);
    }

    /// A map for the first argument of a call.
    pub(super) fn load_map(&mut self, to: Register, map: &OwnedFd) {
        // `BPF_PSEUDO_MAP_FD`; the second half of the number is an instruction of its own.
        self.push(0x18, to, Register(1), 0, map.as_raw_fd());
        self.push(0, R0, R0, 0, 0);
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.push(0x85, R0, R0, 0, helper as i32);
    }

    /// Calls a function of the kernel by its number in the kernel's type information.
    pub(super) fn call_kernel(&mut self, function: i32) {
        // `BPF_PSEUDO_KFUNC_CALL`
        self.push(0x85, R0, Register(2), 0, function);
    }

    pub(super) fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    /// The program.
    ///
    /// # Panics
    ///
    /// If a jump leads to a label that was not placed, or too far: a mistake in the program.
    pub(super) fn finish(mut self) -> Vec<u64> {
        for (at, label) in self.jumps {
            let place = self.labels[label.0].expect("every label is placed");
            let distance = i64::try_from(place).unwrap_or(i64::MAX) - i64::try_from(at).unwrap_or(0) - 1;
            let distance = i16::try_from(distance).expect("programs are short").to_ne_bytes();
            let mut bytes = self.instructions[at].to_ne_bytes();
            bytes[2..4].copy_from_slice(&distance);
            self.instructions[at] = u64::from_ne_bytes(bytes);
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_those_that_the_standard_says() {
        let mut program = Assembler::default();
        let end = program.label();
        program.set_number(R0, -1);
        program.jump_if(R1, If::Differs, 0x0800, end);
        program.load(Size::Half, R2, R1, 12);
        program.store(Size::Double, STACK, -8, R2);
        program.place(end);
        program.exit();
        let bytes: Vec<_> = program.finish().into_iter().map(u64::to_ne_bytes).collect();
        assert_eq!(
            bytes,
            [
                [0xb7, 0x00, 0, 0, 0xff, 0xff, 0xff, 0xff],
                [0x55, 0x01, 2, 0, 0x00, 0x08, 0, 0],
                [0x69, 0x12, 12, 0, 0, 0, 0, 0],
                [0x7b, 0x2a, 0xf8, 0xff, 0, 0, 0, 0],
                [0x95, 0, 0, 0, 0, 0, 0, 0],
            ]
        );
    }
}
