//! bpf(2): maps and programs of the kernel's own small machine (`linux/bpf.h`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

/// `BPF_MAP_CREATE`, `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`, `BPF_PROG_LOAD`
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP: libc::c_int = 1;
const MAP_UPDATE: libc::c_int = 2;
const PROGRAM_LOAD: libc::c_int = 5;
/// `BPF_PROG_GET_FD_BY_ID`, `BPF_MAP_GET_FD_BY_ID`, `BPF_OBJ_GET_INFO_BY_FD`
const PROGRAM_BY_ID: libc::c_int = 13;
const MAP_BY_ID: libc::c_int = 14;
const INFORMATION: libc::c_int = 15;

/// `BPF_PROG_TYPE_SCHED_CLS`
const CLASSIFIER: u32 = 3;
/// How often a program is offered to a verifier that is interrupted (libbpf's `PROG_LOAD_ATTEMPTS`).
const ATTEMPTS: usize = 5;
/// Maps of a program that are looked at, at most.
const MAPS: usize = 16;

/// Kinds of maps: `BPF_MAP_TYPE_ARRAY` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Values numbered from 0.
    Array = 2,
    /// One set of such values for each processor.
    PerProcessorArray = 6,
    /// A hash table that forgets what was not used for longest.
    Forgetful = 9,
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
struct InformationOf {
    object: u32,
    length: u32,
    information: u64,
}

/// The beginning of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgramInformation {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    loaded: u64,
    user: u32,
    map_count: u32,
    maps: u64,
}

/// The beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MapInformation {
    kind: u32,
    id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    entries: u32,
    flags: u32,
    /// Its name, filled up with zeroes.
    pub name: [u8; 16],
}

fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is a plain C structure that begins as the part of `union bpf_attr` which the command
    // reads; the kernel takes a shorter one for one that ends in zeroes. What its pointers lead to outlives the call,
    // for each caller here has it borrowed.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    libc::c_int::try_from(Errno::result(result)?).map_err(io::Error::other)
}

fn descriptor<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us (closed on exec), and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn address<T>(of: *const T) -> u64 {
    of.expose_provenance() as u64
}

fn padded(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

/// Makes a map.
pub fn create_map(
    kind: MapKind,
    name: &str,
    key_size: usize,
    value_size: usize,
    entries: u32,
) -> io::Result<OwnedFd> {
    let size = |size: usize| u32::try_from(size).map_err(io::Error::other);
    let attributes = MapCreate {
        kind: kind as u32,
        key_size: size(key_size)?,
        value_size: size(value_size)?,
        entries,
        name: padded(name),
        ..MapCreate::default()
    };
    descriptor(MAP_CREATE, &attributes)
}

/// Loads a program for a link's packets. What the kernel's verifier says against it is in the error.
pub fn load_classifier(name: &str, instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut log: Vec<u8> = Vec::new();
    loop {
        let attributes = ProgramLoad {
            kind: CLASSIFIER,
            count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
            instructions: address(instructions.as_ptr()),
            license: address(c"Dual MIT/GPL".as_ptr()),
            log_level: u32::from(!log.is_empty()),
            log_size: u32::try_from(log.len()).map_err(io::Error::other)?,
            log: if log.is_empty() { 0 } else { address(log.as_mut_ptr().cast_const()) },
            kernel_version: 0,
            flags: 0,
            name: padded(name),
        };
        match persistently(|| descriptor(PROGRAM_LOAD, &attributes)) {
            Err(error) if log.is_empty() && error.raw_os_error() != Some(libc::EPERM) => {
                log = vec![0_u8; 1 << 20];
            }
            Err(error) => {
                let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                let last: Vec<_> = text.lines().rev().filter(|line| !line.starts_with("processed")).collect();
                let said = last.first().copied().unwrap_or_default();
                tracing::debug!(%text, "the verifier refuses a program");
                return Err(if said.is_empty() {
                    error
                } else {
                    io::Error::new(error.kind(), format!("{error}: {said}"))
                });
            }
            loaded => return loaded,
        }
    }
}

/// The verifier gives up, with `EAGAIN`, when a signal comes meanwhile. That says nothing about the program.
fn persistently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let again = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR));
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if again(&error) => {}
            done => return done,
        }
    }
    attempt()
}

/// Reads a value.
pub fn look_up<const KEY: usize, const VALUE: usize>(
    map: &impl AsFd,
    key: &[u8; KEY],
) -> io::Result<[u8; VALUE]> {
    let mut value = [0; VALUE];
    let element = Element {
        map: number(map),
        padding: 0,
        key: address(key.as_ptr()),
        value: address(value.as_mut_ptr().cast_const()),
        flags: 0,
    };
    check_sizes::<KEY, VALUE>(map)?;
    call(MAP_LOOKUP, &element)?;
    Ok(value)
}

/// Writes a value.
pub fn update<const KEY: usize, const VALUE: usize>(
    map: &impl AsFd,
    key: &[u8; KEY],
    value: &[u8; VALUE],
) -> io::Result<()> {
    let element = Element {
        map: number(map),
        padding: 0,
        key: address(key.as_ptr()),
        value: address(value.as_ptr()),
        flags: 0,
    };
    check_sizes::<KEY, VALUE>(map)?;
    call(MAP_UPDATE, &element).map(drop)
}

/// The kernel reads and writes as many bytes as the map has it.
fn check_sizes<const KEY: usize, const VALUE: usize>(map: &impl AsFd) -> io::Result<()> {
    let information = map_information(map)?;
    if (information.key_size as usize, information.value_size as usize) == (KEY, VALUE) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a map with elements of another size"))
}

/// What a map is.
pub fn map_information(map: &impl AsFd) -> io::Result<MapInformation> {
    let mut information = MapInformation::default();
    inform(map, &mut information)?;
    Ok(information)
}

fn inform<T>(object: &impl AsFd, information: &mut T) -> io::Result<()> {
    let attributes = InformationOf {
        object: number(object),
        length: u32::try_from(size_of::<T>()).map_err(io::Error::other)?,
        information: address(std::ptr::from_mut(information).cast_const()),
    };
    call(INFORMATION, &attributes).map(drop)
}

/// The maps that a program uses, by the program's number.
pub fn maps_of(program: u32) -> io::Result<Vec<OwnedFd>> {
    let program = descriptor(PROGRAM_BY_ID, &ById { id: program, ..ById::default() })?;
    let mut ids = [0_u32; MAPS];
    let mut information = ProgramInformation {
        map_count: u32::try_from(MAPS).map_err(io::Error::other)?,
        maps: address(ids.as_mut_ptr().cast_const()),
        ..ProgramInformation::default()
    };
    inform(&program, &mut information)?;
    let count = (information.map_count as usize).min(MAPS);
    ids.iter().take(count).map(|id| descriptor(MAP_BY_ID, &ById { id: *id, ..ById::default() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_verifier_is_asked_again_and_one_that_refuses_is_not() {
        let asked = |errors: &[i32]| {
            let mut times = 0;
            let answer = persistently(|| {
                times += 1;
                errors.get(times - 1).map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(*error)))
            });
            (times, answer.map_err(|error| error.raw_os_error()))
        };
        assert_eq!(asked(&[]), (1, Ok(())));
        assert_eq!(asked(&[libc::EAGAIN, libc::EINTR]), (3, Ok(())));
        assert_eq!(asked(&[libc::EAGAIN; 9]), (5, Err(Some(libc::EAGAIN))));
        assert_eq!(asked(&[libc::EAGAIN, libc::EPERM]), (2, Err(Some(libc::EPERM))));
    }
}
