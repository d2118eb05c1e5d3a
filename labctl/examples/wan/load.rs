//! How much the engine carries, and what a packet costs.
//!
//! The load is offered by one thread that gives the kernel up to 64 datagrams with one system call (`UDP_SEGMENT`); the
//! kernel cuts them up before they come to the interface, whose segmentation offload is off, so that the engine sees
//! packets one by one. Without that a packet costs the sender three times as much, and the sender is what is measured;
//! one line of each table is of such a load all the same. Packets are counted at the interfaces of both ends, by the
//! kernel.

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use labctl::link::AccessLink;
use labctl::net::{NetNs, node};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};

use crate::Outcome;
use crate::ground::{ENGINE, Ground, PORT, address};
use crate::statistics::median;

/// A load.
#[derive(Clone, Copy)]
struct Load {
    payload: u16,
    per_second: f64,
    seconds: f64,
    /// Datagrams of one system call, together below 64 KiB.
    at_once: usize,
}

/// What became of it.
struct Carried {
    sent: u64,
    came: u64,
    seconds: f64,
    /// Processor time of the engine's thread for each packet that came, in nanoseconds.
    engine: f64,
    /// Time for each packet in which a processor was not idle, whoever worked: sender, engine, receivers' side.
    machine: f64,
}

/// Processor time of the engine's thread.
fn engine_time() -> Outcome<Duration> {
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == ENGINE {
            let text = fs::read_to_string(path.join("schedstat"))?;
            return Ok(Duration::from_nanos(text.split_whitespace().next().ok_or("no time")?.parse()?));
        }
    }
    Err("no engine".into())
}

/// For how many seconds processors were idle, all of them together, and how many there are.
fn idle() -> Outcome<(f64, usize)> {
    let text = fs::read_to_string("/proc/stat")?;
    let mut fields = text.lines().next().ok_or("an empty /proc/stat")?.split_whitespace().skip(4);
    let mut hundredths = || -> Outcome<f64> { Ok(fields.next().ok_or("no column")?.parse()?) };
    let processors = text.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
    Ok(((hundredths()? + hundredths()?) / 100.0, processors))
}

/// Packets that a host's interface has received (`false`: sent).
fn counted(space: &NetNs, received: bool) -> Outcome<u64> {
    let read = move || -> Outcome<u64> {
        // A view of the namespace that is looked from.
        let table = fs::read_to_string("/proc/thread-self/net/dev")?;
        let line =
            table.lines().find(|line| line.trim_start().starts_with(node::INTERFACE)).ok_or("no line")?;
        Ok(line.split_whitespace().nth(if received { 2 } else { 10 }).ok_or("no column")?.parse()?)
    };
    space.run(|| read().map_err(|error| error.to_string()))?.map_err(Into::into)
}

/// Sends from the first host to all of these in turn.
async fn flood(ground: &Ground, receivers: std::ops::Range<usize>, load: Load) -> Outcome<Carried> {
    let all = |received: bool| -> Outcome<u64> {
        let ends = if received { receivers.clone() } else { 0..1 };
        ends.map(|host| counted(&ground.spaces[host], received)).sum()
    };
    let socket = ground.socket(0)?;
    setsockopt(&socket, sockopt::UdpGsoSegment, &i32::from(load.payload))?;
    let targets: Vec<SocketAddr> = receivers.clone().map(|host| (address(host), PORT).into()).collect();
    let (sent, came) = (all(false)?, all(true)?);
    let (engine, idle_before, begin) = (engine_time()?, idle()?.0, Instant::now());
    let seconds = tokio::task::spawn_blocking(move || send(&socket, &targets, load)).await??;
    // What is still on its way comes in this time.
    thread::sleep(Duration::from_millis(300));
    let (idle_after, processors) = idle()?;
    let busy = begin.elapsed().as_secs_f64() * processors as f64 - (idle_after - idle_before);
    let engine = engine_time()?.saturating_sub(engine);
    let (sent, came) = (all(false)? - sent, all(true)? - came);
    let each = |time: f64| time * 1e9 / came.max(1) as f64;
    Ok(Carried { sent, came, seconds, engine: each(engine.as_secs_f64()), machine: each(busy) })
}

fn send(socket: &UdpSocket, targets: &[SocketAddr], load: Load) -> io::Result<f64> {
    let bytes = vec![0_u8; usize::from(load.payload) * load.at_once];
    let each = load.at_once as f64;
    let (begin, mut sent) = (Instant::now(), 0.0);
    for target in targets.iter().cycle() {
        let passed = begin.elapsed().as_secs_f64();
        if passed >= load.seconds {
            break;
        }
        let ahead = sent / load.per_second - passed;
        // To sleep for less costs more than it spreads.
        if ahead > 50e-6 {
            thread::sleep(Duration::from_secs_f64(ahead));
        }
        socket.send_to(&bytes, target)?;
        sent += each;
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// The receiver's own work is not what is measured: packets end behind its interface.
fn drop_all(space: &NetNs) -> Outcome {
    let rule = ["-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "DROP"];
    let status = space.run(|| std::process::Command::new("iptables").args(rule).status())??;
    if status.success() { Ok(()) } else { Err("iptables refused".into()) }
}

pub async fn load() -> Outcome {
    const ROUNDS: usize = 3;
    println!(
        "| payload | offered | at once | sent | arrived | lost | bit rate | engine, each | machine, each |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let ground = Ground::make(Duration::from_millis(20), &[AccessLink::UNLIMITED; 2]).await?;
    drop_all(&ground.spaces[1])?;
    let loads = [
        (64, [(50e3, 64), (100e3, 64), (250e3, 1), (250e3, 64), (350e3, 64), (1e9, 64)]),
        (1472, [(50e3, 44), (100e3, 44), (170e3, 1), (170e3, 44), (250e3, 44), (1e9, 44)]),
    ];
    for (payload, loads) in loads {
        for (per_second, at_once) in loads {
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                let load = Load { payload, per_second, seconds: 1.5, at_once };
                rounds.push(flood(&ground, 1..2, load).await?);
            }
            let middle = |of: fn(&Carried) -> f64| median(rounds.iter().map(of).collect());
            let lost: u64 = rounds.iter().map(|round| round.sent.saturating_sub(round.came)).sum();
            let came = middle(|round| round.came as f64 / round.seconds);
            println!(
                "| {payload} | {} | {at_once} | {:.0} k/s | {:.0} k/s | {lost} | {:.2} Gbit/s | {:.2} us | {:.2} us |",
                if per_second < 1e8 { format!("{:.0} k/s", per_second / 1e3) } else { "all".to_owned() },
                middle(|round| round.sent as f64 / round.seconds) / 1e3,
                came / 1e3,
                came * f64::from(payload + 28) * 8.0 / 1e9,
                middle(|round| round.engine) / 1e3,
                middle(|round| round.machine) / 1e3,
            );
        }
    }
    println!("\nThe engine missed {} packets.", ground.report().await?.missed);
    Ok(())
}

/// A socket on each host that takes what comes until it is full: so no host answers that there is none.
fn listen(ground: &Ground) -> Outcome<Vec<UdpSocket>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard)?;
    let listen = |host: usize| {
        let socket = ground.socket(host)?;
        setsockopt(&socket, sockopt::RcvBuf, &1)?;
        Ok(socket)
    };
    (1..ground.spaces.len()).map(listen).collect()
}

/// Kilobytes of `/proc/meminfo`.
fn available() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:")).ok_or("no line")?;
    Ok(line.split_whitespace().nth(1).ok_or("no column")?.parse()?)
}

pub async fn size() -> Outcome {
    println!(
        "| attachments | set up | engine's process | machine, each attachment | one pair | to all in turn |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for hosts in [2, 100, 1000] {
        let free = available()?;
        let ground = Ground::make(Duration::from_millis(20), &vec![AccessLink::UNLIMITED; hosts]).await?;
        let used = (free - available()?) / hosts as f64;
        let status = fs::read_to_string("/proc/self/status")?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("").trim();
        let _sockets = listen(&ground)?;
        let load = Load { payload: 64, per_second: 100e3, seconds: 2.0, at_once: 1 };
        let one = flood(&ground, 1..2, load).await?;
        let all = flood(&ground, 1..hosts, load).await?;
        let lost = [&one, &all].map(|carried| carried.sent.saturating_sub(carried.came));
        println!(
            "| {hosts} | {:.2} s | {memory} | {used:.0} kB | {:.2} us, {} lost | {:.2} us, {} lost |",
            ground.setup.as_secs_f64(),
            one.engine / 1e3,
            lost[0],
            all.engine / 1e3,
            lost[1],
        );
    }
    Ok(())
}
