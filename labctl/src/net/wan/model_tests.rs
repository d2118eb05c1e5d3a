//! The model in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::Attachment;

const A: AttachmentId = AttachmentId(0);
const B: AttachmentId = AttachmentId(1);
const C: AttachmentId = AttachmentId(2);
const FULL: Bytes = Bytes(1500);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A and C in the first region, B in the second; 10 ms within a region, 50 ms between them.
fn plan() -> WanPlan {
    let attachment = |name: &str, region| Attachment {
        name: name.parse().unwrap(),
        namespace: format!("lab-x-{name}"),
        interface: "eth0".to_owned(),
        region,
        addresses: vec![],
        down: None,
        up: None,
        access_delay: Duration::ZERO,
        access_jitter: Duration::ZERO,
        loss: 0.0,
    };
    WanPlan {
        namespace: "lab-x-wan".to_owned(),
        address: Ipv4Addr::new(198, 18, 0, 1),
        network: Ipv4Addr::new(198, 18, 0, 0),
        prefix: 15,
        seed: 7,
        regions: vec!["near".to_owned(), "far".to_owned()],
        delay: vec![vec![ms(10), ms(50)], vec![ms(50), ms(10)]],
        jitter: 0.0,
        attachments: vec![attachment("a", 0), attachment("b", 1), attachment("c", 0)],
    }
}

/// Lets time run to the end; what happened, and when.
fn run<T>(model: &mut Model<T>) -> Vec<(Moment, Fate<T>)> {
    let mut fates = Vec::new();
    while let Some(now) = model.next() {
        fates.extend(std::iter::from_fn(|| model.poll(now)).map(|fate| (now, fate)));
    }
    fates
}

#[test]
fn a_packet_takes_the_path_and_both_access_links() {
    let mut plan = plan();
    plan.attachments[0].access_delay = ms(3);
    plan.attachments[1].access_delay = ms(20);
    let mut model = Model::new(&plan);
    model.enter(ms(1000), A, B, FULL, "there").unwrap();
    model.enter(ms(1000), A, C, FULL, "next door").unwrap();
    let fates = run(&mut model);
    assert_eq!(fates, [(ms(1013), Fate::Deliver("next door")), (ms(1073), Fate::Deliver("there"))]);
    assert_eq!(model.next(), None);
}

#[test]
fn nothing_is_delivered_before_its_time() {
    let mut model = Model::new(&plan());
    model.enter(Moment::ZERO, A, B, FULL, ()).unwrap();
    assert_eq!(model.poll(Duration::from_nanos(49_999_999)), None);
    assert_eq!(model.poll(ms(50)), Some(Fate::Deliver(())));
    assert_eq!(model.poll(ms(1000)), None);
}

#[test]
fn the_receivers_link_serves_packets_in_the_order_in_which_they_arrive_there() {
    let mut plan = plan();
    // One packet of 1,500 bytes takes 1 ms.
    plan.attachments[2].down = Some(12_000_000);
    let mut model = Model::new(&plan);
    // Sent first, but from farther away.
    model.enter(Moment::ZERO, B, C, FULL, "far").unwrap();
    model.enter(ms(39), A, C, FULL, "near").unwrap();
    model.enter(ms(40), A, C, FULL, "same moment").unwrap();
    assert_eq!(
        run(&mut model),
        [
            // Arrives at 49.
            (ms(50), Fate::Deliver("near")),
            // Both arrive at 50 and find the link just free.
            (ms(51), Fate::Deliver("far")),
            (ms(52), Fate::Deliver("same moment")),
        ]
    );
}

#[test]
fn a_slow_look_at_the_clock_does_not_add_to_later_stages() {
    let mut plan = plan();
    plan.attachments[1].down = Some(12_000_000);
    let mut model = Model::new(&plan);
    model.enter(Moment::ZERO, A, B, FULL, ()).unwrap();
    // Nobody looked at 50 ms, when it came to the receiver's link; it still comes out at 51.
    assert_eq!(model.poll(ms(51)), Some(Fate::Deliver(())));
}

#[test]
fn a_queue_that_overflows_at_the_receiver_drops_there() {
    let mut plan = plan();
    plan.attachments[1].down = Some(12_000_000);
    let mut model = Model::new(&plan);
    for packet in 0..150 {
        model.enter(Moment::ZERO, A, B, FULL, packet).unwrap();
    }
    let fates = run(&mut model);
    let delivered = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Deliver(_))).count();
    assert_eq!(delivered, 100);
    let counters = model.counters();
    assert_eq!(counters[0].sent.packets, 150);
    assert_eq!(counters[1].received.packets, 100);
    assert_eq!(counters[1].received.bytes, 150_000);
    assert_eq!(counters[1].dropped.down_queue, 50);
}

#[test]
fn more_than_the_wan_can_hold_is_dropped() {
    let mut model = Model::with_capacity(&plan(), 3);
    let entered: Vec<_> = (0..5).map(|packet| model.enter(Moment::ZERO, A, B, FULL, packet)).collect();
    assert_eq!(entered[..3], [Ok(()); 3]);
    assert_eq!(entered[4], Err(Dropped { packet: 4, cause: Cause::Overflow }));
    assert_eq!(model.counters()[0].dropped.overflow, 2);
    assert_eq!(run(&mut model).len(), 3);
    assert!(model.enter(ms(100), A, B, FULL, 5).is_ok());
}

#[test]
fn the_same_seed_gives_the_same_fates_and_another_gives_others() {
    let fates = |seed| {
        let mut plan = plan();
        plan.seed = seed;
        plan.jitter = 0.2;
        plan.attachments[0].loss = 0.3;
        let mut model = Model::new(&plan);
        for packet in 0_u32..100 {
            // What is lost at once shows in what is missing below.
            let _ = model.enter(Duration::from_millis(packet.into()), A, B, FULL, packet);
        }
        run(&mut model)
    };
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}

proptest! {
    #[test]
    fn packets_of_a_pair_are_never_reordered(
        seed: u64,
        jitter in 0.0..1.0_f64,
        access_jitter in 0_u64..30,
        rate in proptest::option::of(100_000_u64..100_000_000),
        gaps in proptest::collection::vec(0_u64..20_000, 1..200),
    ) {
        let mut plan = plan();
        plan.seed = seed;
        plan.jitter = jitter;
        for attachment in &mut plan.attachments {
            attachment.access_jitter = ms(access_jitter);
            attachment.access_delay = ms(10);
            (attachment.up, attachment.down) = (rate, rate);
        }
        let mut model = Model::new(&plan);
        let mut fates = Vec::new();
        let mut now = Moment::ZERO;
        for (packet, gap) in gaps.iter().enumerate() {
            now += Duration::from_micros(*gap);
            while let Some(due) = model.next().filter(|due| *due <= now) {
                fates.extend(model.poll(due));
            }
            let (from, to) = if packet % 3 == 0 { (B, A) } else { (A, B) };
            fates.extend(model.enter(now, from, to, FULL, (from, packet)).err().map(Fate::Drop));
        }
        fates.extend(run(&mut model).into_iter().map(|(_, fate)| fate));
        prop_assert_eq!(fates.len(), gaps.len(), "every packet has one fate");
        for sender in [A, B] {
            let delivered: Vec<_> = fates.iter().filter_map(|fate| match fate {
                Fate::Deliver((from, packet)) if *from == sender => Some(*packet),
                _ => None,
            }).collect();
            prop_assert!(delivered.is_sorted(), "{:?}", delivered);
        }
        let counted: u64 = model.counters().iter().map(|at| {
            let drops = at.dropped;
            at.received.packets + drops.up_queue + drops.up_loss + drops.down_queue + drops.down_loss
        }).sum();
        prop_assert_eq!(counted, gaps.len() as u64);
    }
}
