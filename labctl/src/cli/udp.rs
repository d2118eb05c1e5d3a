//! `labctl udp`: datagrams by hand.

use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Bytes that are read of a datagram.
const LONGEST: usize = 2048;

/// Sends datagrams from a port and prints those that come in, to see by hand what NATs let through.
///
/// Run it in a node: `labctl exec ann -- labctl udp --port 4000 --to 198.18.0.2:3478`. The exit code is 0 if
/// anything came in.
#[derive(Debug, clap::Args)]
pub struct UdpArgs {
    /// Send from this port, and listen on it.
    #[arg(long, value_name = "PORT")]
    port: u16,
    /// Send to this address and port. Can be given several times.
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: Vec<SocketAddrV4>,
    /// What is sent.
    #[arg(long, value_name = "TEXT", default_value = "hello")]
    say: String,
    /// Send so many times to each, a second apart.
    #[arg(long, value_name = "N", default_value_t = 3)]
    times: u32,
    /// Listen for so many seconds in all.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Tell everybody who sends something where it came from, as a STUN server does.
    #[arg(long)]
    answer: bool,
}

/// Runs `labctl udp`.
pub fn run(args: &UdpArgs) -> anyhow::Result<ExitCode> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, args.port))
        .with_context(|| format!("cannot use UDP port {}", args.port))?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(args.seconds);
    let (mut sent, mut heard) = (0, 0_u32);
    let mut buffer = [0; LONGEST];
    while Instant::now() < end {
        let next = begin + Duration::from_secs(sent.into());
        if sent < args.times && Instant::now() >= next {
            for peer in &args.to {
                send(&socket, &args.say, *peer)?;
            }
            sent += 1;
            continue;
        }
        let until = if sent < args.times { next.min(end) } else { end };
        let wait = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                heard += 1;
                let text = String::from_utf8_lossy(&buffer[..length]);
                writeln!(io::stdout(), "from {from}: {}", text.trim_end())?;
                if args.answer {
                    socket.send_to(format!("you are {from}").as_bytes(), from)?;
                }
            }
            // The second is over, or a gateway said by ICMP that nobody is there: what is sent later may arrive.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
    if heard == 0 {
        writeln!(io::stdout(), "nothing came in")?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn send(socket: &UdpSocket, text: &str, peer: SocketAddrV4) -> anyhow::Result<()> {
    match socket.send_to(text.as_bytes(), peer) {
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => {
            Err(error).with_context(|| format!("cannot send to {peer}"))
        }
        _ => Ok(()),
    }
}
