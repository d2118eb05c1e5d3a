//! Prints what the parameter file gives for Exp A, B and C, next to the published figures, over many seeds in
//! virtual time: `cargo run -p overlay-protocol --release --example calibrate -- 200`.

#![allow(dead_code, reason = "the tests use more of the world")]
#![expect(clippy::print_stdout, reason = "that is what it is for")]

#[path = "../tests/virtual_time/world/mod.rs"]
mod world;

use std::time::Duration;

use world::gateway::Policy;
use world::setup::{Setup, log_in};

fn main() {
    let seeds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100);
    println!(
        "| set-up | login s: min | median | max | published | bytes: min | median | max | UDP | TCP | published |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let rows: [(&str, Option<Policy>, &str, &str); 3] = [
        ("A", None, "3-7", "9000"),
        ("B", Some(Policy::port_restricted()), "3-7", "10000"),
        ("C", Some(Policy::udp_restricted()), "34", "8500"),
    ];
    for (label, policy, published_time, published_bytes) in rows {
        let mut times = Vec::new();
        let mut bytes = Vec::new();
        for seed in 0..seeds {
            let setup = Setup::subsequent(seed);
            let mut world = setup.world();
            let client = setup.add(&mut world, setup.client("alice"), policy.clone(), 1);
            let login = log_in(&mut world, client);
            times.push(login.logged_in.unwrap_or(Duration::MAX));
            let setup = Setup::first_time(seed);
            let mut world = setup.world();
            let client = setup.add(&mut world, setup.client("alice"), policy.clone(), 1);
            let login = log_in(&mut world, client);
            assert!(login.result.is_ok(), "seed {seed}: {login:?}");
            bytes.push(world.nodes[client].meter);
        }
        times.sort();
        bytes.sort_by_key(world::Meter::total);
        let middle = bytes[bytes.len() / 2];
        println!(
            "| {label} | {:.2} | {:.2} | {:.2} | {published_time} | {} | {} | {} | {} | {} | {published_bytes} |",
            times[0].as_secs_f64(),
            times[times.len() / 2].as_secs_f64(),
            times[times.len() - 1].as_secs_f64(),
            bytes[0].total(),
            middle.total(),
            bytes[bytes.len() - 1].total(),
            middle.udp_in + middle.udp_out,
            middle.tcp_in + middle.tcp_out,
        );
    }
}
