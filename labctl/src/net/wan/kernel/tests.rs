use std::fmt::Write as _;
use std::time::Duration;

use super::fit::{Abilities, Fit, of_wan};
use super::gate::{self, Stops};
use super::request::Disciplines;
use super::tree::{self, Shape, Sides, Tree};
use super::*;
use crate::link::{Coordinates, Distribution, Loss, Queue};
use crate::net::link::InterfaceIndex;
use crate::net::wire::{Fields, HEADER, Messages};
use crate::plan::EngineKind;

const NETEM: Abilities = Abilities { rates: true, netem: true };

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// a and c in one region, b in the other.
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
        address: [198, 18, 0, 1].into(),
        network: [198, 18, 0, 0].into(),
        prefix: 15,
        seed: 1,
        regions: vec!["east".to_owned(), "west".to_owned(), "nobody".to_owned()],
        places: vec![],
        delay: vec![vec![ms(10), ms(50), ms(1)], vec![ms(50), ms(10), ms(1)], vec![ms(1); 3]],
        jitter: 0.0,
        engine: EngineKind::Kernel,
        attachments: vec![attachment("a", 0), attachment("b", 1), attachment("c", 0)],
    }
}

/// Messages in short: what is made where, and the lengths of their attributes.
fn messages(tree: &Tree, change: bool) -> Vec<String> {
    let mut requests = Requests::default();
    let mut disciplines = Disciplines::of(&mut requests, InterfaceIndex(1000));
    if change {
        disciplines.change(tree);
    } else {
        disciplines.make(tree);
    }
    let handle = |number: u32| format!("{:x}:{:x}", number >> 16, number & 0xffff);
    let said = Messages(requests.bytes()).map(|message| {
        let number = |place: usize| u32::from_ne_bytes(*message.body[place..].first_chunk().unwrap());
        if message.kind == 48 {
            return format!("action, {} bytes", message.body.len());
        }
        assert_eq!(number(4), 1000, "the interface");
        let attributes = Fields(&message.body[20..]);
        let kind = attributes.clone().find(1).unwrap();
        let options: Vec<String> =
            attributes.map(|(kind, value)| format!("{kind}:{}", value.len())).collect();
        format!(
            "{} {} {} at {} info {:x} flags {:x} ({})",
            message.kind,
            String::from_utf8_lossy(kind).trim_end_matches('\0'),
            handle(number(8)),
            handle(number(12)),
            number(16),
            message.flags,
            options.join(" ")
        )
    });
    let said = said.collect();
    assert!(requests.bytes().len() > HEADER || said == Vec::<String>::new());
    said
}

#[test]
fn the_plan_becomes_these_requests() {
    let mut plan = plan();
    plan.jitter = 0.05;
    plan.attachments[0].access.up = crate::link::LinkSpec {
        rate: Some(512_000),
        queue: Queue::Time(ms(200)),
        delay: ms(8),
        loss: Loss::Independent(0.01),
        ..crate::link::LinkSpec::UNLIMITED
    };
    plan.attachments[2].access.down.rate = Some(2_000_000);
    plan.attachments[2].access.down.jitter = ms(3);
    let at = &plan.attachments;
    let trees = [
        ("a, up", tree::up(&at[0].access.up, true)),
        ("a, down", tree::down(&plan, &at[0], &at[0].access.down, true)),
        ("b, down", tree::down(&plan, &at[1], &at[1].access.down, true)),
        ("c, down", tree::down(&plan, &at[2], &at[2].access.down, true)),
        ("b, up", tree::up(&at[1].access.up, true)),
    ];
    let mut text = String::new();
    for (name, tree) in &trees {
        let _ = writeln!(text, "{name}: {tree:?}");
        for change in [false, true] {
            let said = messages(tree, change);
            let _ = writeln!(text, "  {}", if change { "changed:" } else { "made:" });
            text.extend(said.iter().map(|message| format!("    {message}\n")));
        }
    }
    insta::assert_snapshot!("requests", text);
}

#[test]
fn without_netem_a_rate_is_a_token_bucket_and_nothing_else_is_possible() {
    let mut plan = plan();
    plan.delay = vec![vec![ms(0); 3]; 3];
    plan.attachments[0].access.up.rate = Some(80_000);
    let without = Abilities { rates: true, netem: false };
    let tree = tree::up(&plan.attachments[0].access.up, false);
    assert_eq!(tree, Tree::Tbf(Shape { rate: 80_000, queue: 15_000 }));
    assert!(matches!(of_wan(&plan, without), Fit::Near { .. }));
    assert_eq!(of_wan(&plan, NETEM), Fit::Exact);
    plan.attachments[0].access.up.delay = ms(5);
    let Fit::Cannot { why } = of_wan(&plan, without) else { panic!() };
    assert!(why.contains("'a', up: 'delay'") && why.contains("netem"), "{why}");
    let nothing = Abilities { rates: false, netem: false };
    assert!(matches!(of_wan(&plan, nothing), Fit::Cannot { .. }));
}

#[test]
fn ways_of_one_length_need_no_classes_and_regions_without_anybody_none_either() {
    let mut plan = plan();
    let sides = Sides::of(&plan);
    assert_eq!(sides.classes(&plan, &plan.attachments[0]), [(vec![1], ms(50)), (vec![0], ms(10))]);
    assert_eq!(sides.classes(&plan, &plan.attachments[1]), [(vec![0], ms(50))], "nobody sends to itself");
    plan.delay = vec![vec![ms(20); 3]; 3];
    assert_eq!(sides.classes(&plan, &plan.attachments[0]), [(vec![1, 0], ms(20))]);
    let place = |latitude| Some(Coordinates { latitude, longitude: 0.0 });
    for (at, latitude) in plan.attachments.iter_mut().zip([0.0, 10.0, 30.0]) {
        at.place = place(latitude);
    }
    let classes = Sides::of(&plan).classes(&plan, &plan.attachments[1]);
    let groups: Vec<_> = classes.iter().map(|(groups, _)| groups.clone()).collect();
    assert_eq!(groups, [[0], [2]], "each sender by itself, and nobody sends to itself");
}

#[test]
fn only_trees_of_the_same_form_are_changed_without_a_loss() {
    let of = |rate: Option<u64>, delay| {
        tree::up(&crate::link::LinkSpec { rate, delay: ms(delay), ..crate::link::LinkSpec::UNLIMITED }, true)
    };
    assert!(of(Some(1), 5).is_like(&of(Some(9), 7)) && of(None, 5).is_like(&of(None, 7)));
    assert!(!of(None, 5).is_like(&of(Some(9), 7)) && !of(None, 0).is_like(&of(None, 7)));
}

#[test]
fn rules_say_whose_packets_are_whose_and_what_is_stopped() {
    let ids: Vec<_> = (0..3).map(AttachmentId).collect();
    let stops = Stops { down: vec![ids[2]], partitions: vec![vec![vec![ids[1]], vec![ids[0], ids[2]]]] };
    insta::assert_snapshot!("rules", gate::rules(&plan(), &stops));
    let mut alike = plan();
    alike.delay = vec![vec![ms(20); 3]; 3];
    assert!(!gate::rules(&alike, &Stops::default()).contains("map"), "nobody asks for groups");
}

#[test]
fn what_draws_random_numbers_is_near_but_not_exact() {
    for access in [
        crate::link::LinkSpec { loss: Loss::Independent(0.1), ..crate::link::LinkSpec::UNLIMITED },
        crate::link::LinkSpec { jitter: ms(1), ..crate::link::LinkSpec::UNLIMITED },
        crate::link::LinkSpec {
            distribution: Distribution::Normal,
            jitter: ms(1),
            ..crate::link::LinkSpec::UNLIMITED
        },
        crate::link::LinkSpec { duplicate: 0.1, ..crate::link::LinkSpec::UNLIMITED },
    ] {
        let mut plan = plan();
        plan.attachments[0].access.up = access;
        assert!(matches!(of_wan(&plan, NETEM), Fit::Near { .. }), "{access:?}");
    }
    let mut plan = plan();
    assert_eq!(of_wan(&plan, NETEM), Fit::Exact);
    plan.attachments[0].access.down.rate = Some(1_000_000);
    assert!(matches!(of_wan(&plan, NETEM), Fit::Near { .. }), "several ways share a queue");
    plan.attachments[0].access.down.duplicate = 0.1;
    assert!(matches!(of_wan(&plan, NETEM), Fit::Cannot { .. }));
}

#[test]
fn jitter_with_a_long_tail_is_refused_where_netem_has_no_room_for_it() {
    let with = |jitter, distribution| {
        let mut plan = plan();
        plan.attachments[0].access.up.jitter = ms(jitter);
        plan.attachments[0].access.up.distribution = distribution;
        of_wan(&plan, NETEM)
    };
    assert!(matches!(with(220, Distribution::Pareto), Fit::Near { .. }));
    assert!(matches!(with(240, Distribution::Exponential), Fit::Near { .. }));
    let Fit::Cannot { why } = with(240, Distribution::Pareto) else { panic!() };
    assert!(why.contains("'a', up: 'jitter': 240ms") && why.contains("at most 224 ms"), "{why}");
    assert!(matches!(with(251, Distribution::Uniform), Fit::Cannot { .. }));
}

#[test]
fn only_what_would_let_packets_pass_bare_stops_a_link() {
    let of = |rate: Option<u64>, delay| {
        tree::up(&crate::link::LinkSpec { rate, delay: ms(delay), ..crate::link::LinkSpec::UNLIMITED }, true)
    };
    let side = |tree| Side { tree, before: Counted::default() };
    assert!(side(Some(of(None, 5))).passes_bare(&of(Some(9), 5)));
    assert!(!side(Some(of(None, 5))).passes_bare(&of(None, 7)), "it is changed in place");
    assert!(!side(Some(of(None, 0))).passes_bare(&of(Some(9), 5)), "nothing was asked for before");
    assert!(!side(Some(of(Some(9), 5))).passes_bare(&of(None, 0)), "nothing is asked for");
    assert!(side(None).passes_bare(&of(None, 5)), "half made");
}
