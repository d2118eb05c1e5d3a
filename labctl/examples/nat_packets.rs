//! Packets a second of one flow of 64-byte UDP packets from one network namespace to another:
//! `nat_packets FROM TO ADDRESS COUNT [SOURCE_PORT]`. For `bench/nat_forwarding`.
//!
//! The receiver first answers, so that every gateway between the two knows the flow in both directions. What
//! arrives is then counted at the receiver's interfaces: nobody reads it, so that the figure is the path's and
//! not that of a program at its end. It must not be run beside other traffic to the receiver.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::env;
use std::error::Error;
use std::fs;
use std::io::IoSlice;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use labctl::net::NetNs;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

/// With the headers of IPv4 and UDP a packet has 64 bytes.
const PAYLOAD: [u8; 36] = [0; 36];
/// Packets to a system call.
const BATCH: usize = 64;
/// Packets sent before the clock starts.
const WARM_UP: u64 = 10_000;
/// The discard port.
const PORT: u16 = 9;

type Failure = Box<dyn Error + Send + Sync>;

/// The receiver's packets so far, loopback left out.
fn arrived(receiver: &NetNs) -> Result<u64, Failure> {
    let table = receiver.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    let mut sum = 0;
    for (name, figures) in table.lines().filter_map(|line| line.split_once(':')) {
        if name.trim() != "lo" {
            // Bytes, then packets.
            let packets = figures.split_whitespace().nth(1).ok_or("/proc/net/dev lacks a column")?;
            sum += packets.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// Sends until an answer comes.
fn make_known(from: &UdpSocket, to: &UdpSocket) -> Result<(), Failure> {
    let mut byte = [0];
    for _ in 0..50 {
        from.send(b"x")?;
        let Ok((_, peer)) = to.recv_from(&mut byte) else { continue };
        to.send_to(b"x", peer)?;
        if from.recv(&mut byte).is_ok() {
            return Ok(());
        }
    }
    Err("no answer came back; mend: check the addresses, the routes and the gateway's rules".into())
}

/// Sends at least so many packets.
fn send(from: &UdpSocket, count: u64) -> Result<(), Failure> {
    let slices = [[IoSlice::new(&PAYLOAD)]; BATCH];
    let addresses: [Option<SockaddrIn>; BATCH] = [None; BATCH];
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut sent = 0;
    while sent < count {
        let results =
            sendmmsg(from.as_raw_fd(), &mut headers, slices.iter(), addresses, [], MsgFlags::empty())?;
        sent += u64::try_from(results.count())?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (from, to, address, count, port) = match arguments.as_slice() {
        [from, to, address, count] => (from, to, address, count, 0),
        [from, to, address, count, port] => (from, to, address, count, port.parse()?),
        _ => return Err("usage: nat_packets FROM TO ADDRESS COUNT [SOURCE_PORT]".into()),
    };
    let (sender, receiver) = (NetNs::open(from)?, NetNs::open(to)?);
    let (address, count): (Ipv4Addr, u64) = (address.parse()?, count.parse()?);

    let to = receiver.run(|| UdpSocket::bind((address, PORT)))??;
    let from = sender.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))??;
    from.connect((address, PORT))?;
    for socket in [&from, &to] {
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    }
    make_known(&from, &to)?;
    send(&from, WARM_UP)?;

    let before = arrived(&receiver)?;
    let begin = Instant::now();
    send(&from, count)?;
    let took = begin.elapsed();
    let packets = arrived(&receiver)? - before;
    println!("{:.0}", packets as f64 / took.as_secs_f64());
    Ok(())
}
