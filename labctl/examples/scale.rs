//! Makes the network of a lab of many homes, without its containers, takes it away again and prints what each
//! step took: `scale HOMES [NAT] [FIREWALL] [rules-only]`. The last word leaves the fast path of the NATs out.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use labctl::names::NodeName;
use labctl::net::wan::Core;
use labctl::net::{Gateway, NetError, NetNs, Uplink, node};
use labctl::plan::Plan;
use labctl::profile::Catalogue;
use labctl::topology::{self, Overrides};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Gateways and nodes that are worked on at a time.
const AT_ONCE: usize = 8;

fn plan(homes: u32, nat: &str, firewall: &str) -> Result<Plan, Box<dyn Error>> {
    let text = format!(
        "name: scb{homes}\nwan: {{ regions: [here], rtt: {{ here/here: 20ms }} }}\n\
         nodes:\n  login: {{ role: login-server }}\n  sn: {{ role: super-node, addresses: 7 }}\n\
         sites:\n  home:\n    count: {homes}\n    gateway: {{ nat: {nat}, firewall: {firewall} }}\n    \
         nodes: {{ user: {{ role: client }} }}\n"
    );
    let topology = topology::parse(&text, "scale", &Catalogue::shipped(), &Overrides::default())?;
    Ok(Plan::new(&topology))
}

/// Kilobytes that the kernel has in use for itself and cannot give back, caches left out.
fn kernel_memory() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let of = |what: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(what))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let parts = ["SUnreclaim:", "Percpu:", "VmallocUsed:", "KernelStack:"].map(of);
    Ok(parts.into_iter().collect::<Option<Vec<u64>>>().ok_or("/proc/meminfo lacks a line")?.iter().sum())
}

/// Whether the kernel is taking namespaces away.
fn is_cleaning() -> Result<bool, Box<dyn Error>> {
    for process in fs::read_dir("/proc")? {
        let path = process?.path();
        let reads = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        if reads("comm").starts_with("kworker") && reads("stack").contains("cleanup_net") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Processor time of this process and of the programs that it has run.
fn processor() -> Duration {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| getrusage(who).ok())
        .flat_map(|usage| [usage.user_time(), usage.system_time()])
        .map(|time| Duration::from_micros(time.num_microseconds().unsigned_abs()))
        .sum()
}

/// A step: what, time on the clock, time of processors.
type Step = (&'static str, Duration, Duration);

struct Steps {
    begin: (Instant, Duration),
    done: Vec<Step>,
}

impl Steps {
    fn begin(&mut self) {
        self.begin = (Instant::now(), processor());
    }

    fn end(&mut self, what: &'static str) {
        let (clock, used) = self.begin;
        self.done.push((what, clock.elapsed(), processor().saturating_sub(used)));
        self.begin();
    }
}

async fn make(plan: &Plan, steps: &mut Steps) -> Result<(), NetError> {
    let core = Core::build(&plan.wan).await?;
    steps.end("core");
    let gateways: Vec<Gateway> =
        stream::iter(&plan.gateways).map(Gateway::build).buffered(AT_ONCE).try_collect().await?;
    steps.end("gateways");
    let uplink = || Uplink::Wan { core: &core, plan: &plan.wan };
    stream::iter(plan.gateways.iter().zip(&gateways))
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |(plan, gateway)| gateway.connect(plan, uplink()))
        .await?;
    steps.end("WAN links");
    let by_name: HashMap<&NodeName, &Gateway> =
        plan.gateways.iter().map(|gateway| &gateway.name).zip(&gateways).collect();
    stream::iter(&plan.nodes)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, async |node| {
            let gateway = node.gateway.as_ref().and_then(|name| by_name.get(name));
            node::build(node, gateway.map_or_else(uplink, |gateway| Uplink::Lan(gateway))).await.map(drop)
        })
        .await?;
    steps.end("nodes");
    Ok(())
}

fn remove(plan: &Plan) -> Result<(), NetError> {
    let names = plan.nodes.iter().map(|node| &node.namespace);
    let names =
        names.chain(plan.gateways.iter().map(|gateway| &gateway.namespace)).chain([&plan.wan.namespace]);
    NetNs::delete_all(&names.cloned().collect::<Vec<_>>())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, default: &str| arguments.get(index).map_or(default, String::as_str).to_owned();
    let homes: u32 = word(0, "10").parse()?;
    let mut steps = Steps { begin: (Instant::now(), processor()), done: Vec::new() };
    let mut plan = plan(homes, &word(1, "port-restricted"), &word(2, "open"))?;
    if word(3, "") == "rules-only" {
        plan.gateways.iter_mut().for_each(|gateway| gateway.fast_path = None);
    }
    steps.end("plan");
    let before = kernel_memory()?;
    steps.begin();
    let made = make(&plan, &mut steps).await;
    if let Err(error) = made {
        remove(&plan)?;
        return Err(error.into());
    }
    let used = kernel_memory()?.saturating_sub(before);
    steps.begin();
    remove(&plan)?;
    steps.end("names removed");
    let begin = Instant::now();
    while is_cleaning()? && begin.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    steps.end("kernel done");
    let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(homes);
    for (what, clock, used) in &steps.done {
        println!("{what:18} {:8.3} ms each, processors {:8.3} ms", each(*clock), each(*used));
    }
    let made = steps.done[1..5]
        .iter()
        .fold((Duration::ZERO, Duration::ZERO), |sum, step| (sum.0 + step.1, sum.1 + step.2));
    println!("{:18} {:8.3} ms each, processors {:8.3} ms", "all made", each(made.0), each(made.1));
    println!("memory {} KB each", used / u64::from(homes));
    Ok(())
}
