//! Both engines of the WAN on the same plans, in real namespaces: the same delays, rates, queues and losses. Where the
//! kernel has no netem, its engine is tried with rates alone. Needs root. `scripts/vm-test` runs it on a kernel with netem.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod net_common;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use labctl::keeper::{self, RunningKeeper};
use labctl::link::{Distribution, GilbertElliott, LinkSpec, Loss, Queue, Setting, Ways};
use labctl::names::LabName;
use labctl::net::node::{self, NodeNetwork};
use labctl::net::wan::kernel::abilities;
use labctl::net::wan::{Core, EngineKind, Report};
use labctl::net::{NetNs, Uplink};
use labctl::plan::{Plan, WanPlan};
use net_common::{CORE, Namespaces, attachment, run, wan};

const HOSTS: [(&str, Ipv4Addr); 3] = [
    ("a", Ipv4Addr::new(198, 18, 0, 2)),
    ("b", Ipv4Addr::new(198, 18, 0, 3)),
    ("c", Ipv4Addr::new(198, 18, 0, 4)),
];
/// Headers of IPv4 and UDP.
const HEADERS: usize = 28;

/// Three hosts, a and c in one region, b in another.
struct Lab {
    name: LabName,
    hosts: Vec<NetNs>,
    directory: tempfile::TempDir,
    plan: Plan,
    _namespaces: Namespaces,
}

impl Lab {
    async fn up(name: &str, engine: EngineKind, change: impl Fn(&mut WanPlan)) -> Self {
        let all: Vec<String> =
            HOSTS.iter().map(|host| host.0).chain(["wan"]).map(|at| format!("lab-{name}-{at}")).collect();
        for left in &all {
            NetNs::delete(left).unwrap();
        }
        let namespaces = Namespaces(all.clone());
        let at = HOSTS.iter().map(|(host, address)| attachment(name, host, "eth0", *address));
        let mut wan = wan(name, Duration::ZERO, at.collect());
        wan.regions = vec!["east".to_owned(), "west".to_owned()];
        wan.delay = vec![vec![Duration::ZERO; 2]; 2];
        wan.attachments[1].region = 1;
        wan.engine = engine;
        change(&mut wan);
        let plan = Plan {
            lab: name.parse().unwrap(),
            title: String::new(),
            published: None,
            seed: 1,
            wan,
            gateways: vec![],
            nodes: vec![],
            schedule: vec![],
            overlay: None,
        };
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("plan.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
        let core = Core::build(&plan.wan).await.unwrap();
        let mut lab =
            Self { name: plan.lab.clone(), hosts: vec![], directory, plan, _namespaces: namespaces };
        lab.start().await;
        for ((host, address), namespace) in HOSTS.iter().zip(&all) {
            let made = NetNs::create(namespace).unwrap();
            let network =
                NodeNetwork { name: host, namespace, addresses: &[*address], prefix: 32, next_hop: CORE };
            node::attach(network, &made, Uplink::Wan { core: &core, plan: &lab.plan.wan }).await.unwrap();
            lab.hosts.push(made);
        }
        lab
    }

    async fn start(&self) -> RunningKeeper {
        let program = Path::new(env!("CARGO_BIN_EXE_labctl"));
        let at = |name: &str| self.directory.path().join(name);
        keeper::spawn(program, &self.name, &at("plan.json"), &at("log")).await.unwrap()
    }

    /// Asks the keeper.
    fn ask(&self, request: &serde_json::Value) -> serde_json::Value {
        use std::io::{BufRead as _, Write as _};
        let socket = self.directory.path().join("keeper.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        writeln!(stream, "{}", serde_json::json!({ "id": 1, "do": "wan", "request": request })).unwrap();
        let mut answer = String::new();
        std::io::BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Asks, and expects that it is done.
    fn change(&self, request: &serde_json::Value) {
        let answer = self.ask(request);
        assert_eq!(answer["is"], "wan", "{answer}");
    }

    fn report(&self) -> Report {
        let answer = self.ask(&serde_json::json!({ "do": "report" }));
        serde_json::from_value(answer["answer"].clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let address = HOSTS[to].1.to_string();
        run(&self.hosts[from], "ping", &["-n", "-c", "1", "-W", "1", &address]).status.success()
    }

    /// Sends packets of so many bytes at IP level, each after a pause; one-way times in milliseconds, by number, in
    /// the order of arrival. Both ends read the same clock.
    fn send(&self, from: usize, to: usize, count: u32, bytes: usize, pause: Duration) -> Vec<Arrival> {
        let (receiver, sender) = (self.socket(to), self.socket(from));
        let begin = Instant::now();
        let address = (HOSTS[to].1, receiver.local_addr().unwrap().port());
        receiver.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        thread::scope(|scope| {
            let arrivals = scope.spawn(move || {
                let mut arrivals = Vec::new();
                let mut packet = [0; 2048];
                while let Ok(length) = receiver.recv(&mut packet) {
                    let at = begin.elapsed().as_secs_f64() * 1e3;
                    let number = u32::from_ne_bytes(*packet.first_chunk().unwrap());
                    if number == u32::MAX {
                        break;
                    }
                    let sent = f64::from_ne_bytes(*packet[4..].first_chunk().unwrap());
                    arrivals.push(Arrival { number, at, took: at - sent, bytes: length + HEADERS });
                }
                arrivals
            });
            let mut packet = vec![0; bytes - HEADERS];
            for number in 0..count {
                let due = pause * number;
                thread::sleep(due.saturating_sub(begin.elapsed()));
                packet[..4].copy_from_slice(&number.to_ne_bytes());
                packet[4..12].copy_from_slice(&(begin.elapsed().as_secs_f64() * 1e3).to_ne_bytes());
                sender.send_to(&packet, address).unwrap();
            }
            arrivals.join().unwrap()
        })
    }

    fn socket(&self, host: usize) -> UdpSocket {
        let socket = self.hosts[host].run(|| UdpSocket::bind((HOSTS[host].1, 0)).unwrap()).unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::SndBufForce, &(8 << 20)).unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(8 << 20)).unwrap();
        socket
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for keeper in keeper::find(&self.name) {
            let pid = nix::unistd::Pid::from_raw(keeper.pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    number: u32,
    /// ms
    at: f64,
    /// ms
    took: f64,
    /// At IP level.
    bytes: usize,
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn median(arrivals: &[Arrival]) -> f64 {
    let mut times: Vec<f64> = arrivals.iter().map(|arrival| arrival.took).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The rate at which packets came, kbit/s: the median of those between all that are ten and more apart, so that some
/// which a busy machine reads late count for little.
fn rate_of(arrivals: &[Arrival]) -> f64 {
    let mut rates = Vec::new();
    for (first, from) in arrivals.iter().enumerate() {
        for last in first + 10..arrivals.len() {
            let bits: usize = arrivals[first + 1..=last].iter().map(|arrival| arrival.bytes * 8).sum();
            rates.push(bits as f64 / (arrivals[last].at - from.at));
        }
    }
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Both engines if this kernel can delay packets, else our own alone.
fn engines() -> Vec<EngineKind> {
    let kernel = abilities().netem.then_some(EngineKind::Kernel);
    if kernel.is_none() {
        eprintln!("this kernel has no netem: only the engine in user space is tried");
    }
    [EngineKind::User].into_iter().chain(kernel).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_add_up_from_access_links_and_ways_between() {
    for engine in engines() {
        let lab = Lab::up("tengd", engine, |wan| {
            wan.delay = vec![vec![ms(15), ms(45)], vec![ms(45), ms(15)]];
            wan.attachments[0].access.up =
                LinkSpec { delay: ms(8), rate: Some(512_000), ..LinkSpec::UNLIMITED };
            wan.attachments[1].access.down =
                LinkSpec { delay: ms(10), rate: Some(2_000_000), ..LinkSpec::UNLIMITED };
        })
        .await;
        // A packet of 1,000 bytes is on the links for 15.625 and 4 ms.
        for (from, to, bytes, asked) in [
            (0, 1, 1000, 8.0 + 15.625 + 45.0 + 4.0 + 10.0),
            (2, 1, 100, 45.0 + 0.4 + 10.0),
            (1, 2, 100, 45.0),
            (2, 0, 100, 15.0),
        ] {
            let arrivals = lab.send(from, to, 100, bytes, ms(30));
            assert_eq!(arrivals.len(), 100, "{engine}: {from} to {to}");
            let least = arrivals.iter().map(|arrival| arrival.took).fold(f64::INFINITY, f64::min);
            println!(
                "{engine}: delay {from} to {to}: asked {asked:.3} ms, median {:.3}, least {least:.3}",
                median(&arrivals)
            );
            // netem's numbers are whole nanoseconds; a packet's time begins a little after the clock was read.
            assert!(least >= asked - 0.01, "{engine}: {from} to {to}: {least} of {asked} ms");
            assert!(least < asked + 15.0, "{engine}: {from} to {to}: {least} of {asked} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_holds_as_many_bytes_as_it_is_asked_to_and_goes_at_its_rate() {
    let mut tried = engines();
    if abilities().rates && !tried.contains(&EngineKind::Kernel) {
        tried.push(EngineKind::Kernel);
    }
    for engine in tried {
        let delay = if abilities().netem { ms(20) } else { Duration::ZERO };
        let lab = Lab::up("tengq", engine, |wan| {
            wan.delay = vec![vec![delay; 2]; 2];
            let slow = LinkSpec { rate: Some(400_000), queue: Queue::Bytes(20_000), ..LinkSpec::UNLIMITED };
            wan.attachments[0].access.up = slow;
            wan.attachments[1].access.down = slow;
        })
        .await;
        for (from, to) in [(0, 2), (2, 1)] {
            let before = lab.report();
            let arrivals = lab.send(from, to, 150, 500, Duration::ZERO);
            // 40 packets fill the queue; while they are sent in, some of them have left it already.
            println!("{engine}: {} of 150 packets of 500 bytes passed a queue of 20000", arrivals.len());
            assert!((40..=60).contains(&arrivals.len()), "{engine}: {}", arrivals.len());
            // A token bucket lets a first packet of 1,500 bytes go at once, or some of these.
            let rate = rate_of(&arrivals[4..]);
            println!("{engine}: rate {from} to {to}: asked 400.0 kbit/s, measured {rate:.1}");
            assert!((388.0..=412.0).contains(&rate), "{engine}: {rate} kbit/s");
            let after = lab.report();
            let (name, is_up) = if from == 0 { ("a", true) } else { ("b", false) };
            let full = |report: &Report| {
                let dropped = report.link(name).unwrap().counters.dropped;
                if is_up { dropped.up_queue } else { dropped.down_queue }
            };
            assert_eq!(full(&after) - full(&before), 150 - arrivals.len() as u64, "{engine}");
            assert_eq!(after.engine, engine);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_have_their_share_and_their_bursts() {
    const COUNT: u32 = 6000;
    for engine in engines() {
        let bursts = GilbertElliott::with_mean(0.05, 4.0).unwrap();
        let lab = Lab::up("tengl", engine, |wan| {
            wan.attachments[0].access.up.loss = Loss::Independent(0.05);
            wan.attachments[1].access.down.loss = Loss::Bursts(bursts);
        })
        .await;
        for (from, to, mean) in [(0, 2, 1.0 / 0.95), (2, 1, 4.0)] {
            let arrivals = lab.send(from, to, COUNT, 100, Duration::from_micros(300));
            let lost = COUNT - u32::try_from(arrivals.len()).unwrap();
            let numbers: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
            let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count().max(1);
            let burst = f64::from(lost) / gaps as f64;
            println!("{engine}: loss: asked 5 %, {lost} of {COUNT}; bursts of {burst:.2}, asked {mean:.2}");
            // Independent: 300 +- 4 standard deviations. In bursts of 4 the deviation is 2.6 times as large.
            let most = if mean > 2.0 { 180 } else { 70 };
            assert!(lost.abs_diff(300) <= most, "{engine}: {lost}");
            assert!((burst / mean - 1.0).abs() < 0.35, "{engine}: {burst} of {mean}");
            let report = lab.report();
            let counted = if from == 0 {
                report.link("a").unwrap().counters.dropped.up_loss
            } else {
                report.link("b").unwrap().counters.dropped.down_loss
            };
            assert_eq!(counted, u64::from(lost), "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jitter_varies_as_asked_and_lets_nobody_overtake() {
    for engine in engines() {
        let lab = Lab::up("tengj", engine, |wan| {
            wan.delay = vec![vec![ms(30); 2]; 2];
            wan.attachments[0].access.set(Ways::Up, Setting::Jitter(ms(8)));
            wan.attachments[0].access.set(Ways::Up, Setting::Delay(ms(10)));
            wan.attachments[1].access.set(Ways::Down, Setting::Jitter(ms(5)));
            wan.attachments[1].access.set(Ways::Down, Setting::Distribution(Distribution::Exponential));
        })
        .await;
        // So far apart that none waits for the one before it.
        let arrivals = lab.send(0, 2, 400, 100, ms(20));
        assert_eq!(arrivals.len(), 400);
        let mut times: Vec<f64> = arrivals.iter().map(|arrival| arrival.took).collect();
        times.sort_by(f64::total_cmp);
        // Between the quarters, which a few that a busy machine has held up do not change.
        let spread = times[300] - times[100];
        println!(
            "{engine}: uniform jitter of 8 ms about 40 ms: half of the packets within {spread:.2} ms (8)"
        );
        assert!((spread - 8.0).abs() < 2.0, "{engine}: {spread}");
        let arrivals = lab.send(2, 1, 400, 100, ms(2));
        let numbers: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert!(numbers.is_sorted() && numbers.len() == 400, "{engine}: {numbers:?}");
        assert!(arrivals.iter().all(|arrival| arrival.took >= 29.9), "{engine}: nothing is too early");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_change_fail_and_are_parted_while_the_wan_runs() {
    use serde_json::json;
    let mut tried = engines();
    if abilities().rates && !tried.contains(&EngineKind::Kernel) {
        tried.push(EngineKind::Kernel);
    }
    for engine in tried {
        let lab = Lab::up("tengr", engine, |_| {}).await;
        assert!(lab.reaches(0, 1) && lab.reaches(2, 1), "{engine}");
        lab.change(&json!({ "do": "set-works", "link": "b", "works": false }));
        assert!(!lab.reaches(0, 1) && lab.reaches(0, 2), "{engine}: b is down");
        assert!(lab.report().link("b").unwrap().counters.dropped.link_down >= 1, "{engine}");
        lab.change(&json!({ "do": "set-works", "link": "b", "works": true }));
        assert!(lab.reaches(0, 1), "{engine}: b is up again");
        lab.change(&json!({ "do": "partition", "sides": [["west"]] }));
        assert!(!lab.reaches(0, 1) && lab.reaches(0, 2), "{engine}: a partition");
        let report = lab.report();
        assert_eq!((report.partitions, report.link("b").unwrap().works), (1, true), "{engine}");
        assert!(report.link("a").unwrap().counters.dropped.partition >= 1, "{engine}");
        lab.change(&json!({ "do": "heal" }));
        assert!(lab.reaches(0, 1), "{engine}: healed");
        assert!(lab.report().link("b").unwrap().counters.dropped.link_down >= 1, "{engine}: still counted");
        lab.change(&json!({ "do": "set-link", "link": "a", "ways": "up", "settings": [{ "rate": 80_000 }] }));
        let arrivals = lab.send(0, 2, 10, 1000, Duration::ZERO);
        let took = arrivals[9].at - arrivals[1].at;
        println!("{engine}: eight packets of 1000 bytes at 80 kbit/s: {took:.1} ms of 800");
        // A token bucket may have sent half of the second one at once.
        assert!((740.0..860.0).contains(&took), "{engine}: {took}");
        lab.change(
            &json!({ "do": "set-link", "link": "a", "ways": "up", "settings": [{ "rate": 160_000 }] }),
        );
        let arrivals = lab.send(0, 2, 10, 1000, Duration::ZERO);
        let took = arrivals[9].at - arrivals[1].at;
        assert!((370.0..430.0).contains(&took), "{engine}: {took}");
        let reorder = json!({ "do": "set-link", "link": "a", "settings": [{ "reorder": 0.1 }] });
        let answer = lab.ask(&reorder);
        if engine == EngineKind::Kernel {
            let reason = answer["reason"].as_str().unwrap();
            assert!(reason.contains("'reorder'") && reason.contains("--wan-engine user"), "{reason}");
            assert!(lab.report().link("a").unwrap().access.up.reorder <= 0.0, "nothing has changed");
        } else {
            assert_eq!(answer["is"], "wan", "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_without_the_engine_however_it_ended() {
    let kinds = [Some(EngineKind::User), abilities().rates.then_some(EngineKind::Kernel)];
    for engine in kinds.into_iter().flatten() {
        let lab = Lab::up("tengx", engine, |_| {}).await;
        assert!(lab.reaches(0, 1), "{engine}");
        lab.change(&serde_json::json!({ "do": "stop" }));
        assert!(!lab.reaches(0, 1), "{engine}: it was told to end");
        let keeper = keeper::find(&lab.name)[0].pid;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        keeper::stop(&lab.name).await.unwrap();
        let again = lab.start().await;
        assert!(lab.reaches(0, 1), "{engine}: another one takes over, with the links that there are");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(again.pid), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        keeper::stop(&lab.name).await.unwrap();
        assert!(!lab.reaches(0, 1), "{engine}: it was killed");
        assert!(!lab.reaches(0, 2), "{engine}: it was killed");
    }
}
