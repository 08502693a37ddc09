//! The reading side: Fetch loops that look at headers only and let the kernel drop the records.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rustix::net::RecvFlags;

use super::produce::{self, Plan};
use super::{ConsumeArgs, FanoutArgs, connect, histogram, own_cpu_seconds, quantiles, wire};

/// Bytes of a batch's header up to and including lastOffsetDelta.
const BATCH_HEAD: usize = 27;

/// Reads exactly what it is asked for, in as few system calls as the sizes allow.
struct Input<'a> {
    stream: &'a TcpStream,
    scratch: Vec<u8>,
    /// Bytes of the current frame not yet read.
    left: usize,
}

impl Input<'_> {
    fn frame(&mut self) -> Result<()> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        self.left = u32::from_be_bytes(size) as usize;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        if self.left < N {
            bail!("an answer ends early");
        }
        let mut out = [0; N];
        self.stream.read_exact(&mut out)?;
        self.left -= N;
        Ok(out)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.bytes()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.bytes()?))
    }

    fn uvarint(&mut self) -> Result<usize> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.bytes()?;
            value |= ((byte & 0x7f) as usize) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift > 56 {
                bail!("a length is no varint");
            }
        }
    }

    fn tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.discard(size)?;
        }
        Ok(())
    }

    /// Drops bytes without copying them out of the kernel.
    fn discard(&mut self, mut count: usize) -> Result<()> {
        if self.left < count {
            bail!("an answer ends early");
        }
        self.left -= count;
        while count > 0 {
            let size = count.min(self.scratch.len());
            let (_, n) =
                rustix::net::recv(self.stream, &mut self.scratch[..size], RecvFlags::TRUNC | RecvFlags::WAITALL)?;
            if n == 0 {
                bail!("the broker closed the connection");
            }
            count -= n;
        }
        Ok(())
    }
}

/// One reader: its partitions' positions and what it has seen.
struct Reader {
    stream: TcpStream,
    topic: String,
    positions: Vec<(i32, i64)>,
    bytes: u64,
    fetches: u64,
    /// Looks into each batch for the producer's time stamp.
    latency: Option<Histogram<u64>>,
    limits: wire::FetchLimits,
}

impl Reader {
    /// One fetch; returns how many record bytes came.
    fn fetch(&mut self) -> Result<usize> {
        let frame = wire::fetch(&self.topic, &self.positions, &self.limits);
        (&self.stream).write_all(&frame)?;
        let stream = self.stream.try_clone()?;
        let mut input = Input { stream: &stream, scratch: vec![0; 1 << 20], left: 0 };
        input.frame()?;
        let _correlation = input.i32()?;
        input.tags()?;
        let _throttle = input.i32()?;
        let error = input.i16()?;
        if error != 0 {
            bail!("Fetch answers error {error}");
        }
        let _session = input.i32()?;
        let mut total = 0;
        for _ in 1..input.uvarint()? {
            let name = input.uvarint()?.saturating_sub(1);
            input.discard(name)?;
            for _ in 1..input.uvarint()? {
                total += self.partition(&mut input)?;
            }
            input.tags()?;
        }
        input.tags()?;
        self.bytes += total as u64;
        self.fetches += 1;
        Ok(total)
    }

    fn partition(&mut self, input: &mut Input<'_>) -> Result<usize> {
        let index = input.i32()?;
        let error = input.i16()?;
        if error != 0 {
            bail!("partition {index} answers error {error}");
        }
        let _watermarks: [u8; 24] = input.bytes()?;
        for _ in 1..input.uvarint()? {
            let _aborted: [u8; 16] = input.bytes()?;
            input.tags()?;
        }
        let _preferred = input.i32()?;
        let size = input.uvarint()?.saturating_sub(1);
        let mut left = size;
        while left >= BATCH_HEAD {
            let head: [u8; BATCH_HEAD] = input.bytes()?;
            left -= BATCH_HEAD;
            let base = i64::from_be_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
            let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let delta = i32::from_be_bytes([head[23], head[24], head[25], head[26]]);
            let rest = (length + 12).saturating_sub(BATCH_HEAD);
            if rest > left {
                break;
            }
            left -= rest;
            self.batch(input, rest)?;
            if let Some(position) = self.positions.iter_mut().find(|(p, _)| *p == index) {
                position.1 = base + i64::from(delta) + 1;
            }
        }
        input.discard(left)?;
        input.tags()?;
        Ok(size)
    }

    fn batch(&mut self, input: &mut Input<'_>, rest: usize) -> Result<()> {
        let Some(latency) = &mut self.latency else { return input.discard(rest) };
        input.discard(wire::FIRST_VALUE_AT - BATCH_HEAD)?;
        let sent = u64::from_be_bytes(input.bytes()?);
        latency.saturating_record(monotonic_us().saturating_sub(sent).max(1));
        input.discard(rest - (wire::FIRST_VALUE_AT - BATCH_HEAD) - 8)
    }
}

/// Microseconds of the clock all processes of the machine share.
fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

pub fn all(args: &ConsumeArgs) -> Result<serde_json::Value> {
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.seconds);
    let results = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..args.connections).map(|at| scope.spawn(move || read_share(args, at, end))).collect();
        readers.into_iter().map(|r| r.join().unwrap_or_else(|_| bail!("a reader panicked"))).collect::<Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes: u64 = results.iter().map(|r| r.0).sum();
    Ok(serde_json::json!({
        "mode": "consume",
        "bytes": bytes,
        "fetches": results.iter().map(|r| r.1).sum::<u64>(),
        "seconds": seconds,
        "mb_per_s": bytes as f64 / 1e6 / seconds,
        "client_cpu_s": own_cpu_seconds(),
    }))
}

/// Reads the partitions of one connection to their end, once or until the time is over.
fn read_share(args: &ConsumeArgs, at: usize, end: Instant) -> Result<(u64, u64)> {
    let mine =
        || (0..args.target.partitions).filter(|p| *p as usize % args.connections == at).map(|p| (p, 0)).collect();
    let mut reader = Reader {
        stream: connect(&args.target.bootstrap)?,
        topic: args.target.topic.clone(),
        positions: mine(),
        bytes: 0,
        fetches: 0,
        latency: None,
        limits: wire::FetchLimits { max_wait_ms: 0, partition_bytes: args.fetch_bytes, total_bytes: 50 << 20 },
    };
    while !reader.positions.is_empty() && Instant::now() < end {
        if reader.fetch()? == 0 {
            if !args.again {
                break;
            }
            reader.positions = mine();
        }
    }
    Ok((reader.bytes, reader.fetches))
}

/// Puts the time at which the frame was meant to leave into the first record and makes the batch whole again.
fn stamp(frame: &mut [u8], late: Duration) {
    // The batch ends three tag bytes before the frame; its length field finds its start.
    let Some(at) = batch_start(frame) else { return };
    let end = frame.len() - 3;
    let value = at + wire::FIRST_VALUE_AT;
    let intended = monotonic_us().saturating_sub(u64::try_from(late.as_micros()).unwrap_or(0));
    frame[value..value + 8].copy_from_slice(&intended.to_be_bytes());
    wire::seal(&mut frame[at..end]);
}

/// Where the batch begins in a frame of `wire::produce`: the one place whose length reaches to the frame's tags.
fn batch_start(frame: &[u8]) -> Option<usize> {
    (0..200.min(frame.len().saturating_sub(64))).find(|at| {
        let length = u32::from_be_bytes([frame[at + 8], frame[at + 9], frame[at + 10], frame[at + 11]]) as usize;
        frame[at + 16] == 2 && at + 12 + length + 3 == frame.len()
    })
}

pub fn fanout(args: &FanoutArgs) -> Result<serde_json::Value> {
    if !(64..8192).contains(&args.record_size) {
        bail!("--record-size must be 64 to 8191 here");
    }
    let batch = wire::batch(args.record_size, args.batch_bytes, produce::now_ms());
    let plan = Plan {
        frames: produce::frames(&args.target, 1, &batch),
        target: args.target.clone(),
        batch_bytes: batch.len(),
        connections: 1,
        in_flight: 5,
        interval: Duration::from_secs_f64(batch.len() as f64 / (args.rate_mb * 1e6)),
        duration: Duration::from_secs_f64(args.seconds),
        requests_max: u64::MAX,
        acks: 1,
        stamp: Some(stamp),
    };
    let running = AtomicBool::new(true);
    let (outcome, readers) = std::thread::scope(|scope| -> Result<_> {
        let readers: Vec<_> = (0..args.consumers).map(|_| scope.spawn(|| tail(args, &running))).collect();
        std::thread::sleep(Duration::from_millis(300));
        let outcome = produce::run(&plan);
        std::thread::sleep(Duration::from_millis(500));
        running.store(false, Ordering::Relaxed);
        let readers = readers
            .into_iter()
            .map(|r| r.join().unwrap_or_else(|_| bail!("a reader panicked")))
            .collect::<Result<Vec<_>>>()?;
        Ok((outcome?, readers))
    })?;
    let mut latency = histogram()?;
    let mut bytes = 0;
    for (histogram, read) in readers {
        latency.add(histogram)?;
        bytes += read;
    }
    Ok(serde_json::json!({
        "mode": "fanout",
        "acked": outcome.acked,
        "errors": outcome.errors,
        "bytes_in": outcome.acked * plan.batch_bytes as u64,
        "bytes_out": bytes,
        "seconds": outcome.elapsed.as_secs_f64(),
        "produce_latency": quantiles(&outcome.latency),
        "latency": quantiles(&latency),
        "client_cpu_s": own_cpu_seconds(),
    }))
}

/// One consumer at the end of all partitions, until told to stop.
fn tail(args: &FanoutArgs, running: &AtomicBool) -> Result<(Histogram<u64>, u64)> {
    let mut reader = Reader {
        stream: connect(&args.target.bootstrap)?,
        topic: args.target.topic.clone(),
        positions: (0..args.target.partitions).map(|p| (p, 0)).collect(),
        bytes: 0,
        fetches: 0,
        latency: Some(histogram()?),
        limits: wire::FetchLimits { max_wait_ms: 200, partition_bytes: 1 << 20, total_bytes: 50 << 20 },
    };
    while running.load(Ordering::Relaxed) {
        reader.fetch()?;
    }
    Ok((reader.latency.take().map_or_else(histogram, Ok)?, reader.bytes))
}
