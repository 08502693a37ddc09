//! What connections cost (reliability S-4), in a process of its own: resident memory is counted per process, and tests
//! beside this one would be counted in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use monedula::server::{Broker, Launch};

const CONNECTIONS: usize = 1000;
/// What a thousand connections may cost together, each of which claims a request of 100 MB and sends ten bytes of it.
const GROWTH_MAX: usize = 50 << 20;

#[test]
fn claims_cost_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let properties = [
        ("broker.id".to_owned(), "0".to_owned()),
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs".to_owned(), dir.path().join("data").display().to_string()),
    ];
    let launch = Launch::from_properties(properties.into_iter().collect()).unwrap();
    let broker = runtime.block_on(Broker::start(launch)).unwrap();
    let address = broker.address("PLAINTEXT").unwrap();
    let before = resident_bytes();
    let clients: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(&100_000_000u32.to_be_bytes()).unwrap();
            client.write_all(&[0; 10]).unwrap();
            client
        })
        .collect();
    let grown = settled_growth(before);
    assert!(grown < GROWTH_MAX, "{} connections cost {grown} bytes", clients.len());
    drop(clients);
    runtime.block_on(broker.stop());
}

/// The growth once it has not changed for a while: by then all that was sent has been read.
fn settled_growth(before: usize) -> usize {
    let (began, mut last, mut since) = (Instant::now(), usize::MAX, Instant::now());
    while since.elapsed() < Duration::from_millis(500) && began.elapsed() < Duration::from_secs(20) {
        let now = resident_bytes().saturating_sub(before);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    last
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
