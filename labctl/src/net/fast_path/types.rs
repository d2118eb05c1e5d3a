//! The kernel's type information (BTF, `Documentation/bpf/btf.rst`): numbers of functions that programs may call.

use std::fs;

/// Where the kernel has it.
const FILE: &str = "/sys/kernel/btf/vmlinux";

/// Functions of connection tracking, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Functions {
    /// `bpf_skb_ct_lookup`
    pub(super) look_up: i32,
    /// `bpf_ct_change_timeout`
    pub(super) change_timeout: i32,
    /// `bpf_ct_release`
    pub(super) release: i32,
}

impl Functions {
    /// Those of this kernel; `None` if it has none, or connection tracking is a module of it.
    pub(super) fn find() -> Option<Self> {
        Self::of(&fs::read(FILE).ok()?)
    }

    fn of(types: &[u8]) -> Option<Self> {
        let names = ["bpf_skb_ct_lookup", "bpf_ct_change_timeout", "bpf_ct_release"];
        let [look_up, change_timeout, release] = numbers(types, names)?;
        Some(Self { look_up: look_up?, change_timeout: change_timeout?, release: release? })
    }
}

/// Numbers of functions by name; `None` if the bytes are not type information.
fn numbers<const N: usize>(types: &[u8], names: [&str; N]) -> Option<[Option<i32>; N]> {
    /// `BTF_MAGIC`, and the kind of functions, `BTF_KIND_FUNC`
    const MAGIC: u16 = 0xeb9f;
    const FUNCTION: u32 = 12;
    let word = |at: usize| Some(u32::from_ne_bytes(*types.get(at..)?.first_chunk()?));
    if u16::from_ne_bytes(*types.first_chunk()?) != MAGIC {
        return None;
    }
    let header = word(4)? as usize;
    let section = |offset: usize, length: usize| {
        let begin = header.checked_add(word(offset)? as usize)?;
        Some(begin..begin.checked_add(word(length)? as usize)?)
    };
    let (kinds, texts) = (section(8, 12)?, types.get(section(16, 20)?)?);
    let mut found = [None; N];
    let (mut at, mut number) = (kinds.start, 1_i32);
    while at < kinds.end {
        let (name, information) = (word(at)? as usize, word(at + 4)?);
        let kind = information >> 24 & 0x1f;
        if kind == FUNCTION {
            let text = texts.get(name..)?;
            let hit = names.iter().position(|name| {
                text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
            });
            if let Some(hit) = hit {
                found[hit] = Some(number);
            }
        }
        at += 12 + trailing(kind, (information & 0xffff) as usize)?;
        number += 1;
    }
    Some(found)
}

/// Bytes after the header of a type of a kind with so many members.
fn trailing(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, other names, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures and unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * members,
        // Enumerations, parameters.
        6 | 13 => 8 * members,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type information with these types: name, kind and members, what follows.
    fn types(list: &[(&str, u32, &[u32])]) -> Vec<u8> {
        let (mut kinds, mut texts) = (Vec::new(), vec![0]);
        for (name, information, rest) in list {
            let place = u32::try_from(texts.len()).unwrap();
            texts.extend(name.bytes().chain([0]));
            for word in [place, *information, 0].iter().chain(*rest) {
                kinds.extend(word.to_ne_bytes());
            }
        }
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        for word in [24, 0, length(&kinds), length(&kinds), length(&texts)] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(kinds);
        bytes.extend(texts);
        bytes
    }

    #[test]
    fn functions_are_found_behind_types_of_every_length() {
        let bytes = types(&[
            ("int", 1 << 24, &[0]),
            ("pair", 4 << 24 | 2, &[0; 6]),
            ("bpf_ct_release_not", 12 << 24, &[]),
            ("bpf_ct_release", 12 << 24, &[]),
            ("choice", 6 << 24 | 1, &[0, 0]),
            ("bpf_skb_ct_lookup", 12 << 24, &[]),
            ("bpf_ct_change_timeout", 12 << 24, &[]),
        ]);
        assert_eq!(Functions::of(&bytes), Some(Functions { look_up: 6, change_timeout: 7, release: 4 }));
        assert_eq!(Functions::of(&bytes[..bytes.len() / 2]), None, "cut off");
        assert_eq!(Functions::of(&types(&[("int", 1 << 24, &[0])])), None, "none of them");
    }
}
