//! The driver with a machine that does what a test says and tells what happens to it.

#![expect(clippy::unwrap_used, reason = "a test whose case cannot be set up has failed")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket as StdUdp};
use std::time::Duration;

use overlay_node::driver::{Bindings, Driver, Handle, QUEUE_LIMIT, Sockets};
use overlay_protocol::{ConnectionId, Input, Machine, Output, StreamError, Time, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// What happened to the machine.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Datagram { socket: UdpSocket, from: SocketAddrV4, data: Vec<u8> },
    Connected(ConnectionId),
    Failed(ConnectionId, StreamError),
    Accepted { connection: ConnectionId, local_port: u16 },
    Data(ConnectionId, Vec<u8>),
    Closed(ConnectionId, Option<StreamError>),
    Timeout,
}

/// A command: outputs to yield, or a timeout to set.
enum Order {
    Do(Vec<Output<Told>>),
    WakeAt(Time),
}

#[derive(Default)]
struct Puppet {
    outputs: VecDeque<Output<Told>>,
    timeout: Option<Time>,
}

impl Machine for Puppet {
    type Command = Order;
    type Event = Told;

    fn handle(&mut self, now: Time, input: Input<'_, Order>) {
        let told = match input {
            Input::Datagram { socket, from, data } => Told::Datagram { socket, from, data: data.to_vec() },
            Input::Connected { connection, .. } => Told::Connected(connection),
            Input::ConnectFailed { connection, error } => Told::Failed(connection, error),
            Input::Accepted { connection, local_port, .. } => Told::Accepted { connection, local_port },
            Input::Data { connection, data } => Told::Data(connection, data.to_vec()),
            Input::Closed { connection, error } => Told::Closed(connection, error),
            Input::Timeout => {
                assert!(self.timeout.take().is_some_and(|due| due <= now), "early or unasked timeout");
                Told::Timeout
            }
            Input::Command(Order::Do(outputs)) => return self.outputs.extend(outputs),
            Input::Command(Order::WakeAt(moment)) => return self.timeout = Some(moment),
        };
        self.outputs.push_back(Output::Event(told));
    }

    fn poll_output(&mut self) -> Option<Output<Told>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timeout
    }
}

struct Rig {
    handle: Handle<Puppet>,
    told: UnboundedReceiver<Told>,
    main: SocketAddrV4,
    alternate: SocketAddrV4,
}

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 41, 1);
const FIRST: ConnectionId = ConnectionId(1);
const OPENED: ConnectionId = ConnectionId(2);

/// Two ports that were free a moment ago, of TCP and UDP alike.
fn free_ports() -> (u16, u16) {
    loop {
        let first = TcpListener::bind((ADDRESS, 0)).unwrap();
        let second = TcpListener::bind((ADDRESS, 0)).unwrap();
        let ports = (first.local_addr().unwrap().port(), second.local_addr().unwrap().port());
        let udp = [ports.0, ports.1].map(|port| StdUdp::bind((ADDRESS, port)));
        if udp.iter().all(Result::is_ok) {
            return ports;
        }
    }
}

fn bind() -> (Sockets, u16, u16) {
    loop {
        let (port, alternate) = free_ports();
        let bindings = Bindings { address: ADDRESS, port, alternate: Some(alternate), also: vec![] };
        // Another test may have been given the same port in between.
        if let Ok(sockets) = Sockets::bind(&bindings) {
            return (sockets, port, alternate);
        }
    }
}

fn start() -> Rig {
    let (sockets, port, alternate) = bind();
    let (events, told) = unbounded_channel();
    let (driver, handle) = Driver::new(Puppet::default(), sockets, Instant::now(), move |_, event| {
        let _ = events.send(event);
    });
    tokio::spawn(driver.run());
    Rig {
        handle,
        told,
        main: SocketAddrV4::new(ADDRESS, port),
        alternate: SocketAddrV4::new(ADDRESS, alternate),
    }
}

impl Rig {
    async fn order(&self, outputs: impl IntoIterator<Item = Output<Told>>) {
        self.handle.command(Order::Do(outputs.into_iter().collect())).await.unwrap();
    }

    async fn next(&mut self) -> Told {
        self.told.recv().await.expect("the driver runs")
    }

    /// A connection to the machine, once the machine knows of it.
    async fn peer(&mut self) -> TcpStream {
        let stream = TcpStream::connect(self.main).unwrap();
        let accepted = self.next().await;
        assert!(matches!(accepted, Told::Accepted { local_port, .. } if local_port == self.main.port()));
        stream
    }

    /// The bytes that come on a connection until `length` are there.
    async fn read(&mut self, id: ConnectionId, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let told = self.next().await;
            let Told::Data(connection, data) = told else { panic!("{told:?}") };
            assert_eq!(connection, id);
            all.extend_from_slice(&data);
        }
        all
    }
}

/// Runs a blocking read beside the driver.
async fn read_to_end(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let read = move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).map(|_| all)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn send(connection: ConnectionId, data: &[u8]) -> Output<Told> {
    Output::Send { connection, data: data.to_vec() }
}

#[tokio::test]
async fn datagrams_pass_both_ways_through_both_sockets() {
    let mut rig = start();
    let peer = StdUdp::bind((ADDRESS, 0)).unwrap();
    let std::net::SocketAddr::V4(from) = peer.local_addr().unwrap() else { panic!() };
    for (socket, address) in [(UdpSocket::Main, rig.main), (UdpSocket::Alternate, rig.alternate)] {
        peer.send_to(b"to the node", address).unwrap();
        assert_eq!(rig.next().await, Told::Datagram { socket, from, data: b"to the node".to_vec() });
        rig.order([Output::Datagram { socket, to: from, data: b"from the node".to_vec() }]).await;
        let receive = peer.try_clone().unwrap();
        let (data, sender) = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 64];
            let (length, sender) = receive.recv_from(&mut buffer).unwrap();
            (buffer[..length].to_vec(), sender)
        })
        .await
        .unwrap();
        assert_eq!((data.as_slice(), sender), (&b"from the node"[..], address.into()));
    }
}

#[tokio::test]
async fn the_first_datagram_is_not_lost() {
    let rig = start();
    let peer = StdUdp::bind((ADDRESS, 0)).unwrap();
    // Only a lost datagram ever waits so long.
    peer.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let std::net::SocketAddr::V4(to) = peer.local_addr().unwrap() else { panic!() };
    rig.order([Output::Datagram { socket: UdpSocket::Main, to, data: vec![7] }]).await;
    let mut buffer = [0; 8];
    let length = tokio::task::spawn_blocking(move || peer.recv(&mut buffer).unwrap()).await.unwrap();
    assert_eq!(length, 1);
}

#[tokio::test]
async fn an_icmp_error_does_not_stop_udp() {
    let mut rig = start();
    let gone = StdUdp::bind((ADDRESS, 0)).unwrap().local_addr().unwrap();
    let std::net::SocketAddr::V4(gone) = gone else { panic!() };
    rig.order([Output::Datagram { socket: UdpSocket::Main, to: gone, data: vec![0] }]).await;
    let peer = StdUdp::bind((ADDRESS, 0)).unwrap();
    peer.send_to(b"still there?", rig.main).unwrap();
    assert!(matches!(rig.next().await, Told::Datagram { data, .. } if data == b"still there?"));
}

#[tokio::test]
async fn a_datagram_that_does_not_fit_is_dropped_whole() {
    let mut rig = start();
    let peer = StdUdp::bind((ADDRESS, 0)).unwrap();
    peer.send_to(&[1; 4000], rig.main).unwrap();
    peer.send_to(&[2; 1200], rig.main).unwrap();
    assert!(matches!(rig.next().await, Told::Datagram { data, .. } if data == [2; 1200]));
}

#[tokio::test]
async fn bytes_pass_both_ways_on_a_connection_that_a_peer_opens() {
    let mut rig = start();
    let mut peer = rig.peer().await;
    peer.write_all(b"hello").unwrap();
    assert_eq!(rig.read(FIRST, 5).await, b"hello");
    assert_eq!(rig.handle.inspect(|_, connections| connections).await, Ok(1));
    rig.order([send(FIRST, b"and "), send(FIRST, b"goodbye"), Output::Close { connection: FIRST }]).await;
    assert_eq!(read_to_end(peer).await.unwrap(), b"and goodbye");
    assert_eq!(rig.handle.inspect(|_, connections| connections).await, Ok(0));
}

#[tokio::test]
async fn all_that_was_sent_arrives_before_a_close_even_if_unread_bytes_are_left() {
    let mut rig = start();
    let mut peer = rig.peer().await;
    let message = vec![0x5a; QUEUE_LIMIT - 1];
    rig.order([send(FIRST, &message), Output::Close { connection: FIRST }]).await;
    // Nobody at the node reads this; closing its socket at once would reset the connection.
    peer.write_all(b"one more question").unwrap();
    assert_eq!(read_to_end(peer).await.unwrap(), message);
}

#[tokio::test]
async fn what_is_sent_while_connecting_is_delivered_first() {
    let mut rig = start();
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let std::net::SocketAddr::V4(to) = listener.local_addr().unwrap() else { panic!() };
    rig.order([Output::Connect { connection: OPENED, to }, send(OPENED, b"first ")]).await;
    assert_eq!(rig.next().await, Told::Connected(OPENED));
    rig.order([send(OPENED, b"second"), Output::Close { connection: OPENED }]).await;
    let (peer, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), *rig.main.ip());
    assert_ne!(from.port(), rig.main.port());
    assert_eq!(read_to_end(peer).await.unwrap(), b"first second");
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let mut rig = start();
    let closed = TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap();
    let std::net::SocketAddr::V4(to) = closed else { panic!() };
    rig.order([Output::Connect { connection: OPENED, to }]).await;
    assert_eq!(rig.next().await, Told::Failed(OPENED, StreamError::Refused));
}

#[tokio::test]
async fn an_attempt_that_the_machine_ends_is_told_no_more() {
    let mut rig = start();
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let std::net::SocketAddr::V4(to) = listener.local_addr().unwrap() else { panic!() };
    rig.order([Output::Connect { connection: OPENED, to }, Output::Close { connection: OPENED }]).await;
    let mut peer = rig.peer().await;
    peer.write_all(b"x").unwrap();
    assert_eq!(rig.next().await, Told::Data(FIRST, b"x".to_vec()));
}

#[tokio::test]
async fn a_close_and_a_reset_by_the_peer_are_told_apart() {
    let mut rig = start();
    let orderly = rig.peer().await;
    drop(orderly);
    assert_eq!(rig.next().await, Told::Closed(FIRST, None));
    let abrupt = rig.peer().await;
    socket2::SockRef::from(&abrupt).set_linger(Some(Duration::ZERO)).unwrap();
    drop(abrupt);
    assert_eq!(rig.next().await, Told::Closed(ConnectionId(3), Some(StreamError::Reset)));
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection_and_nobody_elses() {
    let mut rig = start();
    let deaf = rig.peer().await;
    let mut other = rig.peer().await;
    let piece = vec![0; QUEUE_LIMIT / 4];
    // The kernel's own buffers take some megabytes before the queue fills.
    let told = loop {
        rig.order([send(FIRST, &piece)]).await;
        tokio::task::yield_now().await;
        if let Ok(told) = rig.told.try_recv() {
            break told;
        }
    };
    assert_eq!(told, Told::Closed(FIRST, Some(StreamError::Reset)));
    other.write_all(b"me?").unwrap();
    assert_eq!(rig.read(ConnectionId(3), 3).await, b"me?");
    drop(deaf);
}

#[tokio::test]
async fn a_sender_that_is_too_fast_loses_nothing() {
    let mut rig = start();
    let mut peer = rig.peer().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
    let copy = sent.clone();
    let writer = tokio::task::spawn_blocking(move || peer.write_all(&copy).map(|()| peer).unwrap());
    assert!(rig.read(FIRST, sent.len()).await == sent, "other bytes than were sent");
    drop(writer.await.unwrap());
    assert_eq!(rig.next().await, Told::Closed(FIRST, None));
}

#[tokio::test]
async fn the_machine_is_woken_at_its_time() {
    let mut rig = start();
    rig.handle.command(Order::WakeAt(Time::from_epoch(Duration::from_millis(30)))).await.unwrap();
    assert_eq!(rig.next().await, Told::Timeout);
}

#[tokio::test]
async fn dropping_the_handle_frees_the_ports() {
    let Rig { handle, mut told, main, alternate } = start();
    drop(handle);
    assert_eq!(told.recv().await, None, "the driver has ended");
    let bindings =
        Bindings { address: ADDRESS, port: main.port(), alternate: Some(alternate.port()), also: vec![] };
    Sockets::bind(&bindings).unwrap();
}
