//! A lab reaches nothing but itself. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use lab_common::{On, TestLab, text, wait_until};
use labctl::net::NetNs;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, recv, setsockopt, socket,
    sockopt::RcvBufForce,
};

on_both_runtimes!(
    no_address_of_the_host_and_nothing_beyond_the_wan_is_reachable_from_a_node,
    no_packet_of_a_lab_is_on_an_interface_of_the_host,
);

/// How long a connection that cannot be made is tried.
const TRY: Duration = Duration::from_millis(500);
/// Where the addresses of labs are (RFC 2544).
const LABS: (Ipv4Addr, u32) = (Ipv4Addr::new(198, 18, 0, 0), 15);

/// All IPv4 addresses of the host but those of its loopback interface, which every namespace has itself.
fn host_addresses() -> Vec<Ipv4Addr> {
    let all = getifaddrs().unwrap().filter_map(|interface| {
        let address = interface.address?;
        (address.family() == Some(AddressFamily::Inet)).then(|| address.as_sockaddr_in().unwrap().ip())
    });
    all.filter(|address| !address.is_loopback()).collect()
}

fn no_address_of_the_host_and_nothing_beyond_the_wan_is_reachable_from_a_node(on: On) {
    let lab = TestLab::on(on);
    lab.up();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut targets = host_addresses();
    assert!(!targets.is_empty(), "the host has no address to try");
    // The listener does answer, so that a failure below is the lab's doing.
    TcpStream::connect(SocketAddr::new(IpAddr::V4(targets[0]), port)).unwrap();
    // Beyond the WAN: the host's gateways would have these.
    targets.extend([Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(10, 255, 255, 1)]);

    for member in ["user-1", "sn-1", "home-1", "wan"] {
        let namespace = NetNs::open(&format!("lab-{}-{member}", lab.name)).unwrap();
        for target in &targets {
            let address = SocketAddr::new(IpAddr::V4(*target), port);
            let tried = namespace.run(|| TcpStream::connect_timeout(&address, TRY)).unwrap();
            assert!(tried.is_err(), "{member} reaches {address}");
        }
    }
}

fn no_packet_of_a_lab_is_on_an_interface_of_the_host(on: On) {
    let lab = TestLab::on(on);
    lab.up();
    // Bound to no interface: it sees those of all.
    let capture =
        socket(AddressFamily::Packet, SockType::Datagram, SockFlag::empty(), SockProtocol::EthAll).unwrap();
    // The host is free to be busy meanwhile.
    setsockopt(&capture, RcvBufForce, &(64 << 20)).unwrap();
    let mark = format!("the end of {}", lab.name);

    std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&capture, mark.as_bytes()));
        let listed = lab.listed();
        let members = listed["members"].as_array().unwrap();
        let server = members.iter().find(|member| member["name"] == "login").unwrap()["addresses"][0].clone();
        let ping = ["user-1", "--", "ping", "-c", "5", "-i", "0.2", "-W", "10", server.as_str().unwrap()];
        let ping = lab.labctl("exec", &ping);
        // Also towards what no lab has: this must not go out by the host either.
        lab.labctl("exec", &["user-1", "--", "ping", "-c", "1", "-W", "1", "198.19.255.254"]);
        // A packet of the host's own proves that the capture works, and that it is read to its end.
        let (sender, receiver) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let end = || sender.send_to(mark.as_bytes(), receiver.local_addr().unwrap()).unwrap();
        wait_until(
            || {
                end();
                watch.is_finished()
            },
            || "the capture does not see the host's own packet".to_owned(),
        );
        assert_eq!(
            watch.join().unwrap(),
            Vec::<(Ipv4Addr, Ipv4Addr)>::new(),
            "the host sees packets of a lab"
        );
        assert!(ping.status.success(), "{}", text(&ping.stdout));
    });
}

/// Source and destination of every packet of a lab, until a packet comes that ends with `mark`.
fn watch(capture: &OwnedFd, mark: &[u8]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut found = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        let length = recv(capture.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        let packet = &buffer[..length];
        found.extend(addresses(packet).filter(|ends| is_of_a_lab(ends.0) || is_of_a_lab(ends.1)));
        if packet.ends_with(mark) {
            return found;
        }
    }
}

/// Source and destination of an IPv4 packet.
fn addresses(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let header = packet.get(..20).filter(|header| header[0] >> 4 == 4)?;
    let at = |from: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&header[from..from + 4]).unwrap());
    Some((at(12), at(16)))
}

fn is_of_a_lab(address: Ipv4Addr) -> bool {
    let (network, prefix) = LABS;
    (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0
}
