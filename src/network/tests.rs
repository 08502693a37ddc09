//! Connections over loopback, with a handler that does what the request's first byte says.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{BufMut, BytesMut};
use smallvec::smallvec;

use super::*;
use crate::{
    api::{BadRequest, ConnectionInfo, Reply},
    protocol::chunk::{Chunk, FileRegion},
};

#[derive(Clone)]
struct Script {
    file: Arc<File>,
    /// Requests that wait and have been neither answered nor abandoned.
    waiting: Arc<AtomicUsize>,
    completed: Arc<AtomicUsize>,
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn reply(body: &[u8]) -> Reply {
    let mut frame = BytesMut::new();
    frame.put_i32(body.len() as i32);
    frame.put_slice(body);
    Reply::Frame(smallvec![Chunk::Bytes(frame.freeze())])
}

impl RequestHandler for Script {
    async fn handle(&self, _: &Arc<ConnectionInfo>, frame: BytesMut) -> Result<Reply, BadRequest> {
        match frame.first() {
            Some(b'n') => Ok(Reply::Nothing),
            Some(b'c') => Ok(Reply::Close),
            Some(b'p') => panic!("scripted"),
            Some(b's' | 0) => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _waiting = Waiting(Arc::clone(&self.waiting));
                let delay = if frame[0] == 0 { 60_000 } else { 150 };
                tokio::time::sleep(Duration::from_millis(delay)).await;
                self.completed.fetch_add(1, Ordering::SeqCst);
                Ok(reply(&frame))
            }
            Some(b'f') => {
                let length = self.file.metadata().unwrap().len() as usize;
                let mut head = BytesMut::new();
                head.put_i32(length as i32 + 2);
                head.put_u8(b'<');
                let region = FileRegion { file: Arc::clone(&self.file), position: 0, length };
                Ok(Reply::Frame(smallvec![Chunk::Bytes(head.freeze()), Chunk::File(region), Chunk::Bytes(">".into())]))
            }
            Some(_) => Ok(reply(&frame)),
            None => Err(BadRequest("empty".into())),
        }
    }
}

struct World {
    server: Server,
    script: Script,
    content: Vec<u8>,
}

fn listener(name: &str) -> ListenerConfig {
    ListenerConfig { name: name.into(), host: "127.0.0.1".into(), ..ListenerConfig::default() }
}

fn world(config: NetworkConfig) -> World {
    let content: Vec<u8> = (0..1_500_000).map(|at| ((at * 7) >> 2) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let script = Script { file: Arc::new(file), waiting: Arc::default(), completed: Arc::default() };
    let config = NetworkConfig { listeners: vec![listener("PLAINTEXT")], reactors: 2, ..config };
    World { server: Server::start(config, script.clone()).unwrap(), script, content }
}

impl World {
    fn address(&self) -> SocketAddr {
        self.server.local_addr("PLAINTEXT").unwrap()
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address()).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend(body);
    out
}

fn receive(client: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut body).unwrap();
    body
}

/// The server has hung up, in order or by a reset, without a byte more.
fn assert_closed(client: &mut TcpStream) {
    let mut rest = vec![];
    match client.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
        Err(fault) => assert_eq!(fault.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    let bodies: Vec<_> = (0..1000).map(|at| format!("e{at}{}", "x".repeat(at % 300)).into_bytes()).collect();
    let all: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    client.write_all(&all).unwrap();
    for body in &bodies {
        assert_eq!(&receive(&mut client), body);
    }
}

/// One that waits holds back those behind it, as a muted channel does, and those before it go out first.
#[test]
fn a_request_that_waits_keeps_the_order() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    client
        .write_all(&[framed(b"e1"), framed(b"s2"), framed(b"n"), framed(b"e3"), framed(&vec![b'e'; 90_000])].concat())
        .unwrap();
    assert_eq!(receive(&mut client), b"e1");
    assert_eq!(world.script.completed.load(Ordering::SeqCst), 0);
    assert_eq!(receive(&mut client), b"s2");
    assert_eq!(receive(&mut client), b"e3");
    assert_eq!(receive(&mut client).len(), 90_000);
}

/// Whatever is under way: waiting requests, half a frame, several pipelined, large ones in both directions.
#[test]
fn connections_move_between_reactors_and_clients_notice_nothing() {
    let world = world(NetworkConfig::default());
    let mut clients: Vec<_> = (0..8).map(|_| world.connect()).collect();
    for round in 0..60 {
        world.server.move_all(round % 2);
        let large = vec![b'e'; 40_000];
        for client in &mut clients {
            let half = framed(b"ehalf");
            client.write_all(&[framed(b"e1"), framed(&large), half[..6].to_vec()].concat()).unwrap();
        }
        // Half a frame does not hold it up.
        if round % 3 == 0 {
            eventually("all have moved", || {
                // Again, should they have been gathered in between.
                world.server.move_all(round % 2);
                world.server.spread()[round % 2] == 8
            });
        }
        world.server.move_all((round / 2) % 2);
        for client in &mut clients {
            client.write_all(&[&framed(b"ehalf")[6..], &framed(b"f"), &framed(b"e2")].concat()).unwrap();
            assert_eq!(receive(client), b"e1");
            assert_eq!(receive(client), large);
            assert_eq!(receive(client), b"ehalf");
            let file = receive(client);
            assert_eq!(file[1..file.len() - 1], world.content);
            assert_eq!(receive(client), b"e2");
        }
    }
    clients[0].write_all(&framed(b"s")).unwrap();
    world.server.move_all(1);
    world.server.move_all(0);
    assert_eq!(receive(&mut clients[0]), b"s");
    clients[0].shutdown(Shutdown::Write).unwrap();
    assert_closed(&mut clients[0]);
    eventually("seven are left, together", || world.server.spread() == [7, 0] && world.server.connections() == 7);
}

#[test]
fn connections_with_little_to_do_are_gathered() {
    let world = world(NetworkConfig::default());
    let _clients: Vec<_> = (0..6).map(|_| world.connect()).collect();
    eventually("all are together", || world.server.spread() == [6, 0]);
    world.server.move_all(1);
    eventually("all are together again", || world.server.spread() == [6, 0]);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    for byte in [framed(b"eone"), framed(b"etwo")].concat() {
        client.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(receive(&mut client), b"eone");
    assert_eq!(receive(&mut client), b"etwo");
}

#[test]
fn large_requests_come_back_whole() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    for size in [2_047, 2_048, 2_049, 16_380, 65_536, 1_000_000, 5_000_000, 3, 1_000_000] {
        let body: Vec<u8> = std::iter::once(b'e').chain((1..size).map(|at| ((at * 13) >> 4) as u8)).collect();
        let sent = framed(&body);
        let mut writer = client.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        assert!(receive(&mut client) == body, "{size}");
        writing.join().unwrap();
    }
}

#[test]
fn what_is_no_request_closes_the_connection_only() {
    let world = world(NetworkConfig { request_max_bytes: 1000, ..Default::default() });
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff][..],
        &[0x80, 0, 0, 0],
        &1001u32.to_be_bytes(),
        &framed(b""),
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc],
        &framed(b"c"),
        &framed(b"p"),
    ] {
        let mut client = world.connect();
        client.write_all(bytes).unwrap();
        assert_closed(&mut client);
    }
    let mut client = world.connect();
    client.write_all(&[framed(&[b'e'; 1000]), framed(b"c")].concat()).unwrap();
    assert_eq!(receive(&mut client).len(), 1000);
    assert_closed(&mut client);
    eventually("connections are forgotten", || world.server.connections() == 0);
}

#[test]
fn file_regions_are_sent_whole() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    client.write_all(&[framed(b"f"), framed(b"e"), framed(b"f")].concat()).unwrap();
    for expected_file in [true, false, true] {
        let body = receive(&mut client);
        if expected_file {
            assert_eq!((body[0], *body.last().unwrap()), (b'<', b'>'));
            assert!(body[1..body.len() - 1] == world.content);
        } else {
            assert_eq!(body, b"e");
        }
    }
}

#[test]
fn a_waiting_fetch_ends_with_its_client_and_anything_else_runs_to_its_end() {
    let world = world(NetworkConfig::default());
    let waiting = || world.script.waiting.load(Ordering::SeqCst);
    let mut fetch = world.connect();
    fetch.write_all(&framed(&[0, 1, 0, 17])).unwrap();
    eventually("the fetch waits", || waiting() == 1);
    fetch.shutdown(Shutdown::Both).unwrap();
    eventually("the fetch is abandoned", || waiting() == 0 && world.server.connections() == 0);
    let mut other = world.connect();
    other.write_all(&framed(b"s")).unwrap();
    eventually("the other waits", || waiting() == 1);
    drop(other);
    eventually("the other is done", || waiting() == 0);
    assert_eq!(world.script.completed.load(Ordering::SeqCst), 1);
}

#[test]
fn what_was_sent_before_a_sudden_close_is_still_done() {
    let world = world(NetworkConfig::default());
    for _ in 0..20 {
        let mut client = world.connect();
        client.write_all(&framed(b"s")).unwrap();
    }
    eventually("all are done", || world.script.completed.load(Ordering::SeqCst) == 20);
}

#[test]
fn idle_connections_are_reaped_and_busy_ones_are_not() {
    let world = world(NetworkConfig { connections_max_idle: Some(Duration::from_millis(600)), ..Default::default() });
    let mut idle = world.connect();
    let mut busy = world.connect();
    let mut stuck = world.connect();
    // Takes nothing of what it asks for.
    for _ in 0..20 {
        stuck.write_all(&framed(b"f")).unwrap();
    }
    busy.write_all(&framed(b"s")).unwrap();
    assert_closed(&mut idle);
    assert_eq!(receive(&mut busy), b"s");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(80));
        busy.write_all(&framed(b"e")).unwrap();
        assert_eq!(receive(&mut busy), b"e");
    }
    eventually("the stuck one is given up", || world.server.connections() <= 1);
}

#[test]
fn an_address_with_too_many_connections_is_turned_away() {
    let world = world(NetworkConfig { connections_per_ip_max: 2, ..Default::default() });
    let mut kept = [world.connect(), world.connect()];
    for client in &mut kept {
        client.write_all(&framed(b"e")).unwrap();
        receive(client);
    }
    assert_closed(&mut world.connect());
    let [first, _second] = kept;
    drop(first);
    eventually("one has gone", || world.server.connections() == 1);
    let mut client = world.connect();
    client.write_all(&framed(b"e")).unwrap();
    assert_eq!(receive(&mut client), b"e");
}

#[test]
fn requests_share_the_memory_they_may_take() {
    let world = world(NetworkConfig { queued_request_max_bytes: Some(10), ..Default::default() });
    let started = Instant::now();
    let mut clients: Vec<_> = (0..3).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.write_all(&framed(b"s-more-than-ten-bytes")).unwrap();
    }
    for client in &mut clients {
        receive(client);
    }
    assert!(started.elapsed() >= Duration::from_millis(450), "one at a time");
}

#[test]
fn shutdown_lets_requests_end_and_abandons_fetches() {
    let world = world(NetworkConfig::default());
    let mut client = world.connect();
    let mut fetch = world.connect();
    let mut idle = world.connect();
    client.write_all(&[framed(b"s"), framed(b"e")].concat()).unwrap();
    fetch.write_all(&framed(&[0, 1])).unwrap();
    eventually("both wait", || world.script.waiting.load(Ordering::SeqCst) == 2);
    let started = Instant::now();
    world.server.shutdown(Duration::from_secs(10));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(receive(&mut client), b"s");
    for client in [&mut client, &mut fetch, &mut idle] {
        assert_closed(client);
    }
    assert!(TcpStream::connect(world.address()).is_err());
}

#[test]
fn shutdown_does_not_outlast_its_grace() {
    struct Forever;
    impl RequestHandler for Forever {
        async fn handle(&self, _: &Arc<ConnectionInfo>, _: BytesMut) -> Result<Reply, BadRequest> {
            std::future::pending().await
        }
    }
    let config = NetworkConfig { listeners: vec![listener("A"), listener("B")], ..Default::default() };
    let server = Server::start(config, Forever).unwrap();
    let mut client = TcpStream::connect(server.local_addr("B").unwrap()).unwrap();
    client.write_all(&framed(b"any")).unwrap();
    eventually("it is in flight", || server.connections() == 1);
    let started = Instant::now();
    server.shutdown(Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_closed(&mut client);
}
