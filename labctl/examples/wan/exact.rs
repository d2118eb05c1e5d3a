//! How exact the WAN is: delay, jitter, loss and rate.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use labctl::link::{AccessLink, Distribution, GilbertElliott, Loss, Setting, Ways};

use crate::Outcome;
use crate::ground::{Ground, PORT, address};
use crate::statistics::{kolmogorov, quantile};

/// An access link of which this is set on the way up.
fn up(settings: &[Setting]) -> AccessLink {
    let mut access = AccessLink::UNLIMITED;
    for setting in settings {
        access.set(Ways::Up, *setting);
    }
    access
}

/// Pairs of hosts, the first of each with one of these access links.
fn pairs(senders: impl IntoIterator<Item = AccessLink>) -> Vec<AccessLink> {
    senders.into_iter().flat_map(|access| [access, AccessLink::UNLIMITED]).collect()
}

/// Delays in milliseconds of what arrived.
fn delays(times: &[(u64, Option<u64>)]) -> Vec<f64> {
    let pairs = times.iter().filter_map(|(left, came)| Some((*left, (*came)?)));
    pairs.map(|(left, came)| came.saturating_sub(left) as f64 / 1e6).collect()
}

pub async fn delay() -> Outcome {
    println!("| asked | median error | p99 error | largest | arrived |\n| --- | --- | --- | --- | --- |");
    for asked in [1_u64, 20, 100, 300] {
        let ground = Ground::make(Duration::from_millis(asked), &pairs([AccessLink::UNLIMITED])).await?;
        let seen = delays(&ground.numbered(0, 10_000, Duration::from_millis(1)).await?);
        let mut errors: Vec<f64> = seen.iter().map(|delay| (delay - asked as f64).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let [median, high, most] = [0.5, 0.99, 0.99999].map(|share| quantile(&errors, share));
        println!("| {asked} ms | {median:.3} ms | {high:.3} ms | {most:.3} ms | {} of 10000 |", seen.len());
    }
    Ok(())
}

pub async fn jitter() -> Outcome {
    const BASE: f64 = 60.0;
    const JITTER: f64 = 10.0;
    let access = |(_, distribution): (&str, Distribution)| {
        let milliseconds = |time: f64| Duration::from_secs_f64(time / 1e3);
        up(&[
            Setting::Delay(milliseconds(BASE)),
            Setting::Jitter(milliseconds(JITTER)),
            Setting::Distribution(distribution),
        ])
    };
    // All distributions at a time, each between hosts of its own.
    let ground = &Ground::make(Duration::ZERO, &pairs(Distribution::ALL.map(access))).await?;
    // So far apart that hardly any waits for the one before it, which would change the distribution.
    let gap = Duration::from_millis(100);
    let runs = (0..Distribution::ALL.len()).map(|pair| ground.numbered(2 * pair, 600, gap));
    let seen = try_join_all(runs).await?;
    println!("| distribution | packets | Kolmogorov-Smirnov p |\n| --- | --- | --- |");
    for ((name, distribution), times) in Distribution::ALL.into_iter().zip(seen) {
        let seen = delays(&times);
        let count = seen.len();
        let p = kolmogorov(seen.iter().map(|delay| (delay - BASE) / JITTER).collect(), distribution);
        println!("| {name} | {count} | {p:.3} |");
    }
    Ok(())
}

pub async fn loss() -> Outcome {
    const COUNT: u64 = 40_000;
    const SHARE: f64 = 0.05;
    let bursts = GilbertElliott::with_mean(SHARE, 4.0).ok_or("no such wire")?;
    println!("| loss | asked | lost | mean burst |\n| --- | --- | --- | --- |");
    for (name, loss) in [("independent", Loss::Independent(SHARE)), ("bursts of 4", Loss::Bursts(bursts))] {
        let ground = Ground::make(Duration::from_millis(1), &pairs([up(&[Setting::Loss(loss)])])).await?;
        let times = ground.numbered(0, COUNT, Duration::from_micros(250)).await?;
        let lost: Vec<bool> = times.iter().map(|(_, came)| came.is_none()).collect();
        let all = lost.iter().filter(|lost| **lost).count() as f64;
        let runs = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as f64;
        println!("| {name} | 5 % | {:.2} % | {:.2} |", all / COUNT as f64 * 100.0, all / runs);
    }
    // 99 % of all outcomes are within 2.576 standard deviations.
    let bound = 2.576 * (SHARE * (1.0 - SHARE) / COUNT as f64).sqrt() * 100.0;
    println!("\nThe 99 % interval of independent loss is 5 % plus or minus {bound:.2} %.");
    Ok(())
}

pub async fn rate() -> Outcome {
    const RATES: [u64; 5] = [56_000, 512_000, 1_000_000, 10_000_000, 100_000_000];
    // A slow link is seen for longer: few packets are sent in a second.
    let seconds = |rate: u64| if rate < 100_000 { 60 } else { 20 };
    let senders = RATES.map(|rate| up(&[Setting::Rate(Some(rate))]));
    let ground = &Ground::make(Duration::from_millis(10), &pairs(senders)).await?;
    // All rates at a time, each between hosts of its own.
    let runs = (0..).zip(RATES).map(|(pair, rate)| goodput(ground, 2 * pair, rate, seconds(rate)));
    let seen = try_join_all(runs).await?;
    println!("| asked | goodput | of what the rate leaves to payload |\n| --- | --- | --- |");
    for (rate, goodput) in RATES.into_iter().zip(seen) {
        // 1,448 bytes of payload in each packet of 1,500: 20 of IP, 20 of TCP, 12 of its time stamps.
        let share = goodput / (rate as f64 * 1448.0 / 1500.0);
        println!("| {} kbit/s | {:.1} kbit/s | {:.3} |", rate / 1000, goodput / 1e3, share);
    }
    Ok(())
}

/// Payload in bit/s of a TCP transfer from a host to the next one that takes about so many seconds: of what follows
/// the first bytes, from when they come until the last has come.
async fn goodput(ground: &Ground, host: usize, rate: u64, seconds: u64) -> Outcome<f64> {
    let listener = ground.spaces[host + 1].run(|| TcpListener::bind((address(host + 1), PORT)))??;
    let mut out = ground.spaces[host].run(|| TcpStream::connect((address(host + 1), PORT)))??;
    let (mut into, _) = listener.accept()?;
    let writer = move || {
        let bytes = vec![7; 65_536];
        for _ in 0..(rate * seconds / 8).div_ceil(65_536) {
            out.write_all(&bytes)?;
        }
        Ok::<_, io::Error>(())
    };
    let reader = move || -> io::Result<f64> {
        let mut buffer = vec![0; 65_536];
        if into.read(&mut buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (begin, mut bytes) = (Instant::now(), 0);
        loop {
            match into.read(&mut buffer)? {
                0 => return Ok(bytes as f64 * 8.0 / begin.elapsed().as_secs_f64()),
                more => bytes += more,
            }
        }
    };
    let writer = tokio::task::spawn_blocking(writer);
    let goodput = tokio::task::spawn_blocking(reader).await??;
    writer.await??;
    Ok(goodput)
}
