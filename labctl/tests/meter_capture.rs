//! Captures in real network namespaces. Needs root, `ip`, `tcpdump` and `tshark`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use labctl::meter::pcapng::{Section, Writer};
use labctl::meter::{Capture, Count, Direction, FlowTable, Packet, Sink, Timestamp};
use labctl::net::NetNs;

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Two namespaces with a link between them: 192.0.2.1 on `a`, 192.0.2.2 on `b`. Removed when dropped.
struct Pair {
    left: String,
    right: String,
}

impl Pair {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("tmeter-{}-{number}-{side}", std::process::id());
        let pair = Self { left: name("a"), right: name("b") };
        for namespace in [&pair.left, &pair.right] {
            run("ip", &["netns", "add", namespace]);
            run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        }
        let (left, right) = (&pair.left, &pair.right);
        run("ip", &["-n", left, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", right]);
        for (namespace, address) in [(left, "192.0.2.1/24"), (right, "192.0.2.2/24")] {
            run("ip", &["-n", namespace, "address", "add", address, "dev", "eth0"]);
            run("ip", &["-n", namespace, "link", "set", "eth0", "up"]);
        }
        for namespace in [left, right] {
            wait_until_it_can_send(namespace);
        }
        pair
    }

    /// A socket in one of the namespaces.
    fn socket(namespace: &str, address: &str) -> UdpSocket {
        let namespace = NetNs::open(namespace).unwrap();
        namespace.run(|| UdpSocket::bind(address).unwrap()).unwrap()
    }

    fn sockets(&self) -> (UdpSocket, UdpSocket) {
        let left = Self::socket(&self.left, "192.0.2.1:1000");
        let right = Self::socket(&self.right, "192.0.2.2:2000");
        left.connect("192.0.2.2:2000").unwrap();
        right.connect("192.0.2.1:1000").unwrap();
        (left, right)
    }
}

/// Waits until `eth0` can send: until the kernel has noted that the other end is up, which a busy machine puts off
/// for a second, it throws away what is to be sent, and no capture sees that.
fn wait_until_it_can_send(namespace: &str) {
    let begin = Instant::now();
    loop {
        let shown = run("ip", &["-n", namespace, "-oneline", "link", "show", "dev", "eth0"]);
        if String::from_utf8_lossy(&shown.stdout).contains("state UP") {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "eth0 in {namespace} does not come up");
        thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for namespace in [&self.left, &self.right] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

#[derive(Default)]
struct Keep {
    packets: Vec<Packet>,
}

impl Sink for Keep {
    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        self.packets.push(packet.clone());
        Ok(())
    }
}

fn table(packets: &[Packet]) -> FlowTable {
    let mut table = FlowTable::new();
    for packet in packets {
        table.add(packet);
    }
    table
}

#[tokio::test]
async fn every_packet_before_the_stop_is_counted_with_its_direction_and_time() {
    let pair = Pair::new();
    let (left, right) = pair.sockets();
    let before = Timestamp::now();
    let capture = Capture::start(&pair.left, "eth0", Keep::default()).unwrap();
    let mut buffer = [0; 2000];
    for size in [0, 1, 100, 1400] {
        left.send(&vec![1; size]).unwrap();
        right.recv(&mut buffer).unwrap();
        right.send(&vec![2; size / 2]).unwrap();
        left.recv(&mut buffer).unwrap();
    }
    let (keep, statistics) = capture.stop().await.unwrap();
    let after = Timestamp::now();

    assert_eq!(statistics.dropped, 0);
    assert_eq!(statistics.packets, keep.packets.len() as u64);
    let udp = table(&keep.packets).traffic(|flow| flow.begun).udp;
    assert_eq!(udp.sent, Count { packets: 4, payload_bytes: 1501, ip_bytes: 1501 + 4 * 28 });
    assert_eq!(udp.received, Count { packets: 4, payload_bytes: 750, ip_bytes: 750 + 4 * 28 });
    assert!(keep.packets.iter().all(|packet| before <= packet.time && packet.time <= after));
    assert!(keep.packets.windows(2).all(|pair| pair[0].time <= pair[1].time));
}

#[tokio::test]
async fn nothing_of_another_interface_is_captured() {
    let pair = Pair::new();
    let inside = Pair::socket(&pair.left, "127.0.0.1:3000");
    let capture = Capture::start(&pair.left, "eth0", Keep::default()).unwrap();
    let (left, right) = pair.sockets();
    for _ in 0..100 {
        inside.send_to(b"loopback", "127.0.0.1:3000").unwrap();
    }
    left.send(b"link").unwrap();
    right.recv(&mut [0; 10]).unwrap();
    let (keep, _) = capture.stop().await.unwrap();
    let udp = table(&keep.packets).traffic(|_| true).udp;
    assert_eq!(udp.both().payload_bytes, 4);
}

/// Takes nothing before it is told to.
struct Stuck {
    go: mpsc::Receiver<()>,
}

impl Sink for Stuck {
    fn take(&mut self, _: &Packet) -> io::Result<()> {
        let _ = self.go.recv();
        Ok(())
    }
}

#[tokio::test]
async fn a_burst_larger_than_the_buffer_is_an_error_and_no_figure() {
    let pair = Pair::new();
    let (left, right) = pair.sockets();
    drop(right);
    let (release, go) = mpsc::channel();
    let capture = Capture::start(&pair.left, "eth0", Stuck { go }).unwrap();
    for _ in 0..64 * 1024 {
        // Refused by the other end now and then (ICMP); what matters is that the link saw a packet.
        let _ = left.send(&[0; 8]);
        let _ = left.send(&[0; 1400]);
    }
    drop(release);
    let error = capture.stop().await.err().expect("packets were lost");
    assert!(error.to_string().contains("lost"), "{error}");
}

#[tokio::test]
async fn a_sink_that_cannot_keep_a_packet_fails_the_capture() {
    struct Full;
    impl Sink for Full {
        fn take(&mut self, _: &Packet) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }
    let pair = Pair::new();
    let (left, _right) = pair.sockets();
    let capture = Capture::start(&pair.left, "eth0", Full).unwrap();
    left.send(b"hello").unwrap();
    let error = capture.stop().await.err().expect("nothing was kept").to_string();
    assert!(error.contains("keeping the packets"), "{error}");
}

#[tokio::test]
async fn a_namespace_or_an_interface_that_is_not_there_is_named() {
    let pair = Pair::new();
    let error = Capture::start(&pair.left, "eth7", Keep::default()).err().unwrap().to_string();
    assert!(error.contains("eth7") && error.contains("No such device"), "{error}");
    let error = Capture::start("tmeter-nowhere", "eth0", Keep::default()).err().unwrap().to_string();
    assert!(error.contains("tmeter-nowhere") && error.contains("no network namespace"), "{error}");
}

#[tokio::test]
async fn wireshark_and_tcpdump_read_the_same_packets_from_the_file() {
    let pair = Pair::new();
    let (left, right) = pair.sockets();
    let capture = Capture::start(&pair.left, "eth0", Keep::default()).unwrap();
    left.send(b"hello").unwrap();
    right.recv(&mut [0; 10]).unwrap();
    right.send(b"and back").unwrap();
    left.recv(&mut [0; 10]).unwrap();
    let (keep, statistics) = capture.stop().await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("alice.pcapng");
    let names = [("192.0.2.1".parse().unwrap(), "alice"), ("192.0.2.2".parse().unwrap(), "sn-1")];
    let section = Section { application: "labctl test", os: "Linux", comment: "a comment", node: "a" };
    let mut writer = Writer::new(File::create(&path).unwrap(), &section, "eth0", names).unwrap();
    for packet in &keep.packets {
        writer.packet(packet).unwrap();
    }
    writer.finish(statistics).unwrap();

    let path = path.to_str().unwrap();
    let fields = [
        "frame.time_epoch",
        "ip.src",
        "udp.srcport",
        "udp.length",
        "frame.interface_name",
        "frame.packet_flags_direction",
    ];
    let mut arguments = vec!["-n", "-r", path, "-Y", "ip && udp", "-Tfields", "-Eseparator=,"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    let shown = String::from_utf8(run("tshark", &arguments).stdout).unwrap();
    // IPv4 and UDP by their numbers in the frame: the namespaces' own IPv6 packets are none of these.
    let udp = keep.packets.iter().filter(|packet| {
        packet.bytes.get(12..14) == Some(&[0x08, 0x00]) && packet.bytes.get(23) == Some(&17)
    });
    let expected: Vec<String> = udp
        .map(|packet| {
            let nanos = packet.time.as_nanos();
            let time = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            match packet.direction {
                Direction::Sent => format!("{time},192.0.2.1,1000,13,eth0,0x00000002"),
                Direction::Received => format!("{time},192.0.2.2,2000,16,eth0,0x00000001"),
            }
        })
        .collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);

    let shown = String::from_utf8(run("tshark", &["-r", path, "-N", "n", "-Y", "udp"]).stdout).unwrap();
    assert!(shown.contains("alice") && shown.contains("sn-1"), "names stand for addresses: {shown}");
    let dumped = String::from_utf8(run("tcpdump", &["-n", "-r", path, "ip and udp"]).stdout).unwrap();
    assert!(dumped.contains("192.0.2.1.1000 > 192.0.2.2.2000: UDP, length 5"), "{dumped}");
    assert_eq!(dumped.lines().count(), 2, "{dumped}");
}
