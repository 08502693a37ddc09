//! The sending side: one epoll loop that keeps a schedule of intended send times over many connections.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::{ProduceArgs, SmallArgs, Target, connect, histogram, micros, own_cpu_seconds, quantiles, wire};

/// Requests due within this time of each other leave in one round.
const COALESCE: Duration = Duration::from_micros(100);
const TIMER: u64 = u64::MAX;

/// What a run sends and for how long.
pub struct Plan {
    pub target: Target,
    /// One frame per partition, sent round robin.
    pub frames: Vec<Vec<u8>>,
    /// Bytes of record batch in each frame.
    pub batch_bytes: usize,
    pub connections: usize,
    pub in_flight: usize,
    /// Time between two requests over all connections; zero for closed loop.
    pub interval: Duration,
    pub duration: Duration,
    pub requests_max: u64,
    pub acks: i16,
    /// Told how late a frame leaves, writes the intended time into it; for end-to-end latency.
    pub stamp: Option<fn(&mut [u8], Duration)>,
}

/// What came of it.
pub struct Outcome {
    pub acked: u64,
    pub errors: u64,
    pub elapsed: Duration,
    pub latency: Histogram<u64>,
}

struct Connection {
    stream: TcpStream,
    /// The frame being written and how much of it has left.
    out: Vec<u8>,
    written: usize,
    in_flight: VecDeque<Instant>,
    /// Intended times of requests that are due but found no room in flight.
    due: VecDeque<Instant>,
    input: Vec<u8>,
    wants_write: bool,
    next_frame: usize,
    correlation: i32,
}

pub fn large(args: &ProduceArgs) -> Result<serde_json::Value> {
    let batch = wire::batch(args.record_size, args.batch_bytes, now_ms());
    let interval = if args.rate_mb > 0.0 {
        Duration::from_secs_f64(batch.len() as f64 / (args.rate_mb * 1e6))
    } else {
        Duration::ZERO
    };
    let plan = Plan {
        frames: frames(&args.target, args.acks, &batch),
        target: args.target.clone(),
        batch_bytes: batch.len(),
        connections: args.connections,
        in_flight: args.in_flight,
        interval,
        duration: Duration::from_secs_f64(args.seconds),
        requests_max: if args.total_mb > 0.0 {
            (args.total_mb * 1e6 / batch.len() as f64).ceil() as u64
        } else {
            u64::MAX
        },
        acks: args.acks,
        stamp: None,
    };
    report("produce", &plan, &run(&plan)?)
}

pub fn small(args: &SmallArgs) -> Result<serde_json::Value> {
    let batch = wire::batch(args.record_size, 0, now_ms());
    let plan = Plan {
        frames: frames(&args.target, args.acks, &batch),
        target: args.target.clone(),
        batch_bytes: batch.len(),
        connections: args.connections,
        in_flight: args.in_flight,
        interval: if args.rate > 0.0 { Duration::from_secs_f64(1.0 / args.rate) } else { Duration::ZERO },
        duration: Duration::from_secs_f64(args.seconds),
        requests_max: u64::MAX,
        acks: args.acks,
        stamp: None,
    };
    report("small", &plan, &run(&plan)?)
}

pub fn frames(target: &Target, acks: i16, batch: &[u8]) -> Vec<Vec<u8>> {
    (0..target.partitions).map(|p| wire::produce(&target.topic, p, acks, batch).0.to_vec()).collect()
}

pub fn now_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

fn report(mode: &str, plan: &Plan, outcome: &Outcome) -> Result<serde_json::Value> {
    let seconds = outcome.elapsed.as_secs_f64();
    let bytes = outcome.acked * plan.batch_bytes as u64;
    Ok(serde_json::json!({
        "mode": mode,
        "acked": outcome.acked,
        "errors": outcome.errors,
        "bytes": bytes,
        "seconds": seconds,
        "mb_per_s": bytes as f64 / 1e6 / seconds,
        "requests_per_s": outcome.acked as f64 / seconds,
        "latency": quantiles(&outcome.latency),
        "client_cpu_s": own_cpu_seconds(),
    }))
}

/// Runs the plan; after its end waits up to five seconds for the last answers.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let mut sender = Sender::new(plan)?;
    let start = Instant::now();
    let end = start + plan.duration;
    let mut outcome = Outcome { acked: 0, errors: 0, elapsed: Duration::ZERO, latency: histogram()? };
    let mut events = Vec::with_capacity(256);
    loop {
        let now = Instant::now();
        let sending = now < end && sender.issued < plan.requests_max;
        if sending {
            sender.schedule(start, now);
        }
        for at in 0..sender.connections.len() {
            sender.pump(at, sending)?;
        }
        let idle = sender.connections.iter().all(|c| c.in_flight.is_empty() && c.written == c.out.len());
        if !sending && (idle || now > end + Duration::from_secs(5)) {
            outcome.elapsed = now.min(end.max(now)) - start;
            break;
        }
        sender.arm(start, sending)?;
        events.clear();
        epoll::wait(&sender.epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            sender.ready(event, &mut outcome)?;
        }
    }
    Ok(outcome)
}

struct Sender<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// Requests handed to a connection so far.
    issued: u64,
}

impl<'a> Sender<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let mut connections = Vec::new();
        for at in 0..plan.connections {
            let stream = connect(&plan.target.bootstrap)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(at as u64), EventFlags::IN)?;
            connections.push(Connection {
                stream,
                out: Vec::new(),
                written: 0,
                in_flight: VecDeque::new(),
                due: VecDeque::new(),
                input: Vec::new(),
                wants_write: false,
                next_frame: at,
                correlation: 0,
            });
        }
        Ok(Self { plan, epoll, timer, connections, buffer: vec![0; 1 << 16], issued: 0 })
    }

    /// Hands every request whose time has come to its connection.
    fn schedule(&mut self, start: Instant, now: Instant) {
        while !self.plan.interval.is_zero() && self.issued < self.plan.requests_max {
            let intended = start + self.plan.interval.mul_f64(self.issued as f64);
            if intended > now {
                break;
            }
            let at = self.issued as usize % self.connections.len();
            self.connections[at].due.push_back(intended);
            self.issued += 1;
        }
    }

    /// Writes as much as the connection takes.
    fn pump(&mut self, at: usize, sending: bool) -> Result<()> {
        let plan = self.plan;
        let connection = &mut self.connections[at];
        loop {
            while connection.written < connection.out.len() {
                match connection.stream.write(&connection.out[connection.written..]) {
                    Ok(0) => bail!("the broker closed the connection"),
                    Ok(n) => connection.written += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return self.want_write(at, true),
                    Err(e) => return Err(e.into()),
                }
            }
            if connection.in_flight.len() >= plan.in_flight {
                break;
            }
            let intended = if plan.interval.is_zero() {
                if !sending || self.issued >= plan.requests_max {
                    break;
                }
                self.issued += 1;
                Instant::now()
            } else {
                match connection.due.pop_front() {
                    Some(intended) => intended,
                    None => break,
                }
            };
            let frame = &plan.frames[connection.next_frame % plan.frames.len()];
            connection.next_frame += 1;
            connection.out.clear();
            connection.out.extend_from_slice(frame);
            connection.correlation = connection.correlation.wrapping_add(1);
            let bytes = connection.correlation.to_be_bytes();
            connection.out[wire::CORRELATION_AT..wire::CORRELATION_AT + 4].copy_from_slice(&bytes);
            if let Some(stamp) = plan.stamp {
                stamp(&mut connection.out, intended.elapsed());
            }
            connection.written = 0;
            if plan.acks != 0 {
                connection.in_flight.push_back(intended);
            }
        }
        self.want_write(at, false)
    }

    fn want_write(&mut self, at: usize, wants: bool) -> Result<()> {
        let connection = &mut self.connections[at];
        if connection.wants_write != wants {
            connection.wants_write = wants;
            let flags = if wants { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(at as u64), flags)?;
        }
        Ok(())
    }

    /// Sets the timer to the next request's time, or to look again soon when the run is ending.
    fn arm(&self, start: Instant, sending: bool) -> Result<()> {
        let wait = if !sending {
            Duration::from_millis(10)
        } else if self.plan.interval.is_zero() {
            Duration::from_millis(100)
        } else {
            let next = start + self.plan.interval.mul_f64(self.issued as f64);
            next.saturating_duration_since(Instant::now()).max(COALESCE)
        };
        let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    fn ready(&mut self, event: &Event, outcome: &mut Outcome) -> Result<()> {
        let (at, flags) = (event.data.u64(), event.flags);
        if at == TIMER {
            let mut spent = [0; 8];
            let _ = rustix::io::read(&self.timer, &mut spent);
            return Ok(());
        }
        if !flags.contains(EventFlags::IN) {
            return Ok(());
        }
        let connection = &mut self.connections[at as usize];
        loop {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(n) => {
                    connection.input.extend_from_slice(&self.buffer[..n]);
                    if n < self.buffer.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
        let now = Instant::now();
        let mut at = 0;
        while let Some(size) = connection.input.get(at..at + 4) {
            let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize;
            let Some(frame) = connection.input.get(at + 4..at + 4 + size) else { break };
            match wire::produce_error(frame, &self.plan.target.topic) {
                Some(0) => outcome.acked += 1,
                _ => outcome.errors += 1,
            }
            if let Some(intended) = connection.in_flight.pop_front() {
                outcome.latency.saturating_record(micros(intended, now));
            }
            at += 4 + size;
        }
        connection.input.drain(..at);
        Ok(())
    }
}
