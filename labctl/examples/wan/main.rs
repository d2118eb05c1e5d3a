//! Measures the WAN's own engine in a small network without containers: `wan delay|jitter|loss|rate|load|size`. For
//! `bench/wan`. Times are those that the kernel gives packets at both ends.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

mod exact;
mod ground;
mod load;
mod statistics;

use std::error::Error;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    match std::env::args().nth(1).as_deref() {
        Some("delay") => exact::delay().await,
        Some("jitter") => exact::jitter().await,
        Some("loss") => exact::loss().await,
        Some("rate") => exact::rate().await,
        Some("load") => load::load().await,
        Some("size") => load::size().await,
        _ => Err("say what to measure: delay, jitter, loss, rate, load or size".into()),
    }
}
