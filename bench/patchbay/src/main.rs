//! Homes of one router with NAT and one device each, made with patchbay: prints the milliseconds that
//! building and dropping the lab took. `bench-patchbay COUNT`.

use std::time::Instant;

use anyhow::Context;
use patchbay::{IpSupport, Lab, RouterPreset};

fn main() -> anyhow::Result<()> {
    let count: usize = std::env::args().nth(1).context("usage: bench-patchbay COUNT")?.parse()?;
    // Before there is a second thread, as patchbay asks.
    patchbay::init_userns()?;
    tokio::runtime::Runtime::new()?.block_on(homes(count))
}

async fn homes(count: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let lab = Lab::new().await?;
    for number in 0..count {
        // One protocol, as labctl's homes have it.
        let router = lab
            .add_router(&format!("home-{number}"))
            .preset(RouterPreset::Home)
            .ip_support(IpSupport::V4Only)
            .build()
            .await?;
        lab.add_device(&format!("user-{number}")).iface("eth0", router.id()).build().await?;
    }
    let up = begin.elapsed();
    let begin = Instant::now();
    lab.cleanup();
    drop(lab);
    println!("{} {}", up.as_millis(), begin.elapsed().as_millis());
    Ok(())
}
