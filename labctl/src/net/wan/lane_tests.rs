//! One way of a link, in virtual time.

use super::*;
use crate::link::{Distribution, GilbertElliott};

const FULL: Bytes = Bytes(1500);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn lane(settings: &[Setting]) -> Lane {
    let mut spec = LinkSpec::UNLIMITED;
    for setting in settings {
        spec.set(*setting);
    }
    Lane::new(spec, 1, "up", "alice")
}

fn at(passed: Result<Out, Lost>) -> Moment {
    passed.unwrap().at
}

#[test]
fn a_burst_leaves_at_the_rate_of_the_link() {
    // 1,500 bytes at 12 Mbit/s take 1 ms.
    let mut link = lane(&[Setting::Rate(Some(12_000_000)), Setting::Delay(ms(5))]);
    for packet in 1..=20 {
        assert_eq!(at(link.pass(Moment::ZERO, FULL)), ms(5 + packet));
    }
    assert_eq!(link.waiting().packets, 19);
    assert_eq!(link.waiting().longest(), ms(19));
    // After a pause the link is free again, and the past is forgotten.
    let later = Duration::from_secs(9);
    assert_eq!(at(link.pass(later, FULL)), later + ms(6));
}

#[test]
fn what_comes_to_a_full_queue_is_dropped_and_takes_no_time() {
    // 100 ms at 12 Mbit/s are 150,000 bytes, that is 100 packets.
    let mut link = lane(&[Setting::Rate(Some(12_000_000))]);
    let passed = (0..150).filter(|_| link.pass(Moment::ZERO, FULL).is_ok()).count();
    assert_eq!(passed, 100);
    assert_eq!(link.backlog(Moment::ZERO), 150_000);
    // One packet's time later there is room for one more, at the end.
    assert_eq!(at(link.pass(ms(1), FULL)), ms(101));
    assert_eq!(link.pass(ms(1), FULL), Err(Lost::Queue));
}

#[test]
fn a_queue_is_as_long_as_was_asked_for() {
    let taken = |rate, queue: Option<Queue>| {
        let mut link = lane(&[Setting::Rate(Some(rate)), Setting::Queue(queue.unwrap_or_default())]);
        (0..1000).filter(|_| link.pass(Moment::ZERO, FULL).is_ok()).count()
    };
    assert_eq!(taken(56_000, None), 10, "a slow link takes ten packets");
    assert_eq!(taken(56_000, Some(Queue::Time(Duration::from_secs(6)))), 28, "bufferbloat: 42,000 bytes");
    assert_eq!(taken(1_000_000, Some(Queue::Bytes(4500))), 3);
    assert_eq!(taken(1_000_000, Some(Queue::Bytes(1))), 1, "what finds the link free is always taken");
}

#[test]
fn the_share_that_is_lost_is_the_one_asked_for() {
    let mut link = lane(&[Setting::Loss(Loss::Independent(0.1))]);
    let lost = (0..100_000).filter(|_| link.pass(Moment::ZERO, FULL).is_err()).count();
    // Five standard deviations of a binomial distribution around the mean: 10,000 +/- 475.
    assert!((9_525..=10_475).contains(&lost), "{lost} of 100,000");
}

#[test]
fn bursts_have_the_length_and_the_share_asked_for() {
    let wire = GilbertElliott::with_mean(0.05, 4.0).unwrap();
    let mut link = lane(&[Setting::Loss(Loss::Bursts(wire))]);
    let lost: Vec<bool> = (0..400_000).map(|_| link.pass(Moment::ZERO, FULL).is_err()).collect();
    let bursts = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as f64;
    let share = lost.iter().filter(|lost| **lost).count() as f64;
    assert!((share / bursts - 4.0).abs() < 0.4, "mean burst {}", share / bursts);
    assert!((share / 400_000.0 - 0.05).abs() < 0.005, "{share}");
}

#[test]
fn jitter_stays_within_its_bounds_and_uses_them() {
    let mut link = lane(&[Setting::Delay(ms(20)), Setting::Jitter(ms(5))]);
    // Far enough apart that none waits for the one before it.
    let delays: Vec<_> = (0..10_000)
        .map(|n| ms(n * 20))
        .map(|now| at(link.pass(now, FULL)).checked_sub(now).unwrap())
        .collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*least >= ms(15) && *most <= ms(25), "{least:?} to {most:?}");
    assert!(*least < Duration::from_micros(15_100) && *most > Duration::from_micros(24_900));
}

#[test]
fn a_wire_does_not_reorder_whatever_its_jitter() {
    for (name, distribution) in Distribution::ALL {
        let mut link =
            lane(&[Setting::Delay(ms(1)), Setting::Jitter(ms(50)), Setting::Distribution(distribution)]);
        let mut last = Moment::ZERO;
        for step in 0..1000 {
            let now = Duration::from_micros(step * 100);
            let out = at(link.pass(now, FULL));
            assert!(out >= now && out >= last, "{name}");
            last = out;
        }
    }
}

#[test]
fn packets_are_overtaken_and_doubled_only_if_that_is_asked_for() {
    let mut link = lane(&[Setting::Reorder(0.1), Setting::ReorderBy(ms(7)), Setting::Duplicate(0.2)]);
    let outs: Vec<Out> = (1..=10_000).map(|n| link.pass(ms(n), FULL).unwrap()).collect();
    let late: Vec<usize> = (0..outs.len()).filter(|n| outs[*n].late).collect();
    assert!((850..1150).contains(&late.len()), "{} of 10,000", late.len());
    assert!(late.iter().all(|n| outs[*n].at == ms(*n as u64 + 1 + 7)));
    let twice = outs.iter().filter(|out| out.twice).count();
    assert!((1800..2200).contains(&twice), "{twice} of 10,000");
    let in_order: Vec<_> = outs.iter().filter(|out| !out.late).map(|out| out.at).collect();
    assert!(in_order.is_sorted());
}

#[test]
fn a_change_of_rate_counts_what_waits_in_bytes() {
    let mut link = lane(&[Setting::Rate(Some(12_000_000)), Setting::Queue(Queue::Bytes(100_000))]);
    for _ in 0..10 {
        link.pass(Moment::ZERO, FULL).unwrap();
    }
    link.set(Moment::ZERO, Setting::Rate(Some(1_200_000)));
    assert_eq!(link.backlog(Moment::ZERO), 15_000);
    assert_eq!(at(link.pass(Moment::ZERO, FULL)), ms(110), "ten times slower behind ten packets");
    link.set(Moment::ZERO, Setting::Rate(None));
    assert_eq!(at(link.pass(ms(1), FULL)), ms(110), "but not before what was sent already");
}

#[test]
fn jitter_on_or_off_the_same_packets_are_lost() {
    let lost = |jitter| {
        let loss = Setting::Loss(Loss::Independent(0.3));
        let mut link = lane(&[Setting::Delay(ms(9)), Setting::Jitter(jitter), loss]);
        (0..500).filter(|n| link.pass(ms(*n), FULL).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(lost(ms(0)), lost(ms(5)));
}
