//! The model in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::link::{Coordinates, Loss};
use crate::plan::{Attachment, EngineKind};

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
        place: None,
        addresses: vec![],
        access: AccessLink::UNLIMITED,
    };
    WanPlan {
        namespace: "lab-x-wan".to_owned(),
        address: Ipv4Addr::new(198, 18, 0, 1),
        network: Ipv4Addr::new(198, 18, 0, 0),
        prefix: 15,
        seed: 7,
        regions: vec!["near".to_owned(), "far".to_owned()],
        places: vec![],
        delay: vec![vec![ms(10), ms(50)], vec![ms(50), ms(10)]],
        jitter: 0.0,
        engine: EngineKind::User,
        attachments: vec![attachment("a", 0), attachment("b", 1), attachment("c", 0)],
    }
}

fn deliver<T>(to: AttachmentId, packet: T) -> Fate<T> {
    Fate::Deliver { to, packet }
}

/// Lets time run to the end; what happened, and when.
fn run<T: Clone>(model: &mut Model<T>) -> Vec<(Moment, Fate<T>)> {
    let mut fates = Vec::new();
    while let Some(now) = model.next() {
        fates.extend(std::iter::from_fn(|| model.poll(now)).map(|fate| (now, fate)));
    }
    fates
}

#[test]
fn a_packet_takes_the_path_and_both_access_links() {
    let mut plan = plan();
    plan.attachments[0].access.set(Ways::Both, Setting::Delay(ms(3)));
    plan.attachments[1].access.set(Ways::Both, Setting::Delay(ms(20)));
    let mut model = Model::new(&plan);
    model.enter(ms(1000), A, B, FULL, "there").unwrap();
    model.enter(ms(1000), A, C, FULL, "next door").unwrap();
    let fates = run(&mut model);
    assert_eq!(fates, [(ms(1013), deliver(C, "next door")), (ms(1073), deliver(B, "there"))]);
    assert_eq!(model.next(), None);
}

#[test]
fn nothing_is_delivered_before_its_time() {
    let mut model = Model::new(&plan());
    model.enter(Moment::ZERO, A, B, FULL, ()).unwrap();
    assert_eq!(model.poll(Duration::from_nanos(49_999_999)), None);
    assert_eq!(model.poll(ms(50)), Some(deliver(B, ())));
    assert_eq!(model.poll(ms(1000)), None);
}

#[test]
fn the_receivers_link_serves_packets_in_the_order_in_which_they_arrive_there() {
    let mut plan = plan();
    // One packet of 1,500 bytes takes 1 ms.
    plan.attachments[2].access.down.rate = Some(12_000_000);
    let mut model = Model::new(&plan);
    // Sent first, but from farther away.
    model.enter(Moment::ZERO, B, C, FULL, "far").unwrap();
    model.enter(ms(39), A, C, FULL, "near").unwrap();
    model.enter(ms(40), A, C, FULL, "same moment").unwrap();
    assert_eq!(
        run(&mut model),
        [
            // Arrives at 49.
            (ms(50), deliver(C, "near")),
            // Both arrive at 50 and find the link just free.
            (ms(51), deliver(C, "far")),
            (ms(52), deliver(C, "same moment")),
        ]
    );
}

#[test]
fn a_slow_look_at_the_clock_does_not_add_to_later_stages() {
    let mut plan = plan();
    plan.attachments[1].access.down.rate = Some(12_000_000);
    let mut model = Model::new(&plan);
    model.enter(Moment::ZERO, A, B, FULL, ()).unwrap();
    // Nobody looked at 50 ms, when it came to the receiver's link; it still comes out at 51.
    assert_eq!(model.poll(ms(51)), Some(deliver(B, ())));
}

#[test]
fn a_queue_that_overflows_at_the_receiver_drops_there() {
    let mut plan = plan();
    plan.attachments[1].access.down.rate = Some(12_000_000);
    let mut model = Model::new(&plan);
    for packet in 0..150 {
        model.enter(Moment::ZERO, A, B, FULL, packet).unwrap();
    }
    let fates = run(&mut model);
    let delivered = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Deliver { .. })).count();
    assert_eq!(delivered, 100);
    assert_eq!(model.counters(A).sent.packets, 150);
    let counters = model.counters(B);
    assert_eq!((counters.received.packets, counters.received.bytes), (100, 150_000));
    assert_eq!(counters.dropped.down_queue, 50);
    assert_eq!((counters.down_waiting.packets, counters.down_waiting.longest()), (99, ms(99)));
}

#[test]
fn more_than_the_wan_can_hold_is_dropped() {
    let mut model = Model::with_capacity(&plan(), 3);
    let entered: Vec<_> = (0..5).map(|packet| model.enter(Moment::ZERO, A, B, FULL, packet)).collect();
    assert_eq!(entered[..3], [Ok(()); 3]);
    assert_eq!(entered[4], Err(Dropped { packet: 4, cause: Cause::Overflow }));
    assert_eq!(model.counters(A).dropped.overflow, 2);
    assert_eq!(run(&mut model).len(), 3);
    assert!(model.enter(ms(100), A, B, FULL, 5).is_ok());
}

#[test]
fn the_same_seed_gives_the_same_fates_and_another_gives_others() {
    let fates = |seed| {
        let mut plan = plan();
        plan.seed = seed;
        plan.jitter = 0.2;
        plan.attachments[0].access.up.loss = Loss::Independent(0.3);
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

#[test]
fn what_one_link_loses_does_not_depend_on_other_links() {
    let lost = |others: bool| {
        let mut plan = plan();
        plan.jitter = 0.2;
        for attachment in &mut plan.attachments {
            attachment.access.set(Ways::Both, Setting::Loss(Loss::Independent(0.3)));
        }
        let mut model = Model::new(&plan);
        let mut lost = Vec::new();
        for packet in 0_u32..200 {
            let now = ms(packet.into());
            if others {
                let _ = model.enter(now, C, B, FULL, 1000);
            }
            lost.extend(model.enter(now, A, C, FULL, packet).err().map(|dropped| dropped.packet));
        }
        let fates = run(&mut model).into_iter();
        lost.extend(fates.filter_map(|(_, fate)| match fate {
            Fate::Drop(Dropped { packet, .. }) if packet < 1000 => Some(packet),
            _ => None,
        }));
        lost
    };
    assert_eq!(lost(false), lost(true));
    assert!(lost(true).len() > 50);
}

#[test]
fn an_overtaken_packet_holds_up_nobody() {
    let mut plan = plan();
    plan.jitter = 0.01;
    plan.attachments[0].access.up.reorder = 1.0;
    plan.attachments[0].access.up.reorder_by = ms(500);
    let mut model = Model::new(&plan);
    model.enter(Moment::ZERO, A, B, FULL, "first").unwrap();
    model.set(Moment::ZERO, A, Ways::Up, Setting::Reorder(0.0));
    model.enter(ms(1), A, B, FULL, "second").unwrap();
    let order: Vec<_> = run(&mut model).into_iter().map(|(_, fate)| fate).collect();
    assert_eq!(order, [deliver(B, "second"), deliver(B, "first")]);
    assert_eq!(model.counters(A).reordered, 1);
}

#[test]
fn a_doubled_packet_arrives_twice() {
    let mut plan = plan();
    plan.attachments[0].access.up.duplicate = 1.0;
    plan.attachments[1].access.down.duplicate = 1.0;
    let mut model = Model::new(&plan);
    model.enter(Moment::ZERO, A, B, FULL, "x").unwrap();
    assert_eq!(run(&mut model), vec![(ms(50), deliver(B, "x")); 4]);
    assert_eq!((model.counters(A).duplicated, model.counters(B).duplicated), (1, 2));
}

#[test]
fn a_link_that_is_down_carries_nothing_and_comes_back() {
    let mut model = Model::new(&plan());
    model.enter(Moment::ZERO, A, B, FULL, 1).unwrap();
    model.set_works(B, false);
    let fates = run(&mut model);
    assert_eq!(fates, [(ms(50), Fate::Drop(Dropped { packet: 1, cause: Cause::LinkDown }))]);
    assert_eq!(model.enter(ms(60), B, A, FULL, 2).unwrap_err().cause, Cause::LinkDown);
    model.set_works(B, true);
    model.enter(ms(70), B, A, FULL, 3).unwrap();
    assert_eq!(run(&mut model), [(ms(120), deliver(A, 3))]);
    assert_eq!(model.counters(B).dropped.link_down, 2);
}

#[test]
fn a_partition_stops_packets_between_its_sides_until_it_is_healed() {
    let mut model = Model::new(&plan());
    model.part(&[vec![A, C], vec![B]]);
    assert_eq!(model.enter(ms(1), A, B, FULL, 1).unwrap_err().cause, Cause::Partition);
    model.enter(ms(1), A, C, FULL, 2).unwrap();
    model.heal();
    model.enter(ms(2), A, B, FULL, 3).unwrap();
    assert_eq!(run(&mut model).len(), 2);
    assert_eq!(model.counters(A).dropped.partition, 1);
}

#[test]
fn where_somebody_has_a_place_delays_follow_from_distances() {
    let mut plan = plan();
    let place = |latitude, longitude| Some(Coordinates { latitude, longitude });
    plan.places = vec![place(40.71, -74.01), place(51.51, -0.13)];
    plan.attachments[0].place = place(40.71, -74.01);
    let mut model = Model::new(&plan);
    model.enter(Moment::ZERO, A, B, FULL, "across the sea").unwrap();
    model.enter(Moment::ZERO, B, C, FULL, "by regions").unwrap();
    let fates = run(&mut model);
    let across = plan.places[0].unwrap().delay_to(plan.places[1].unwrap());
    assert_eq!(fates, [(across, deliver(B, "across the sea")), (ms(50), deliver(C, "by regions"))]);
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
            attachment.access.set(Ways::Both, Setting::Jitter(ms(access_jitter)));
            attachment.access.set(Ways::Both, Setting::Delay(ms(10)));
            attachment.access.set(Ways::Both, Setting::Rate(rate));
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
                Fate::Deliver { packet: (from, packet), .. } if *from == sender => Some(*packet),
                _ => None,
            }).collect();
            prop_assert!(delivered.is_sorted(), "{:?}", delivered);
        }
        let counted: u64 = [A, B, C].map(|id| model.counters(id)).iter()
            .map(|at| at.received.packets + at.dropped.total()).sum();
        prop_assert_eq!(counted, gaps.len() as u64);
    }
}
