//! `blast`: an open-loop load generator for a Kafka broker.
//!
//! Frames are encoded once and only their correlation id is patched, so that the generator costs a fraction of what it
//! measures. Latency counts from the moment a request was *meant* to leave (no coordinated omission). Each run prints
//! one line of JSON. One thread drives all connections of a run, apart from the consumers, which have one each.

mod call;
mod consume;
mod produce;
mod rebalance;
mod transactions;
mod wire;
mod writable;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use hdrhistogram::Histogram;

#[derive(Parser)]
#[command(about = "An open-loop load generator for a Kafka broker")]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Large batches at a rate in MB/s, or as fast as they are taken.
    Produce(ProduceArgs),
    /// One record per request, at a rate in requests per second, or as fast as they are taken.
    Small(SmallArgs),
    /// Reads all partitions to their end, discarding the records.
    Consume(ConsumeArgs),
    /// One producer and many consumers at the tail; latency from the producer's intended time to each consumer.
    Fanout(FanoutArgs),
    /// Opens connections and keeps them.
    Idle(IdleArgs),
    /// Producers that commit one transaction after the other.
    Transactions(TransactionsArgs),
    /// A large group of which one member after the other leaves and comes again.
    Rebalance(RebalanceArgs),
    /// Waits until every partition takes a record: how long a failover takes.
    Writable(WritableArgs),
}

/// Where to send.
#[derive(Args, Clone)]
struct Target {
    /// host:port of the broker that leads all partitions of the topic.
    #[arg(long)]
    bootstrap: String,
    #[arg(long, default_value = "blast")]
    topic: String,
    #[arg(long, default_value_t = 1)]
    partitions: i32,
}

#[derive(Args, Clone)]
struct ProduceArgs {
    #[command(flatten)]
    target: Target,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024)]
    record_size: usize,
    /// Bytes of a record batch.
    #[arg(long, default_value_t = 1_000_000)]
    batch_bytes: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests in flight per connection.
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Offered load in MB/s; 0 sends as fast as the broker takes it.
    #[arg(long, default_value_t = 0.0)]
    rate_mb: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stops after this many MB even if time is left; 0 for no limit.
    #[arg(long, default_value_t = 0.0)]
    total_mb: f64,
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    acks: i16,
}

#[derive(Args, Clone)]
struct SmallArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 100)]
    record_size: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Offered requests per second over all connections; 0 for as many as are taken.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    acks: i16,
}

#[derive(Args, Clone)]
struct ConsumeArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Bytes per partition and answer.
    #[arg(long, default_value_t = 1_048_576)]
    fetch_bytes: i32,
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Begins again at the start until the time is over.
    #[arg(long)]
    again: bool,
}

#[derive(Args, Clone)]
struct FanoutArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 10)]
    consumers: usize,
    #[arg(long, default_value_t = 1024)]
    record_size: usize,
    #[arg(long, default_value_t = 16_384)]
    batch_bytes: usize,
    #[arg(long, default_value_t = 20.0)]
    rate_mb: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args, Clone)]
struct IdleArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 100)]
    connections: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args, Clone)]
struct WritableArgs {
    /// host:port of any broker that is alive.
    #[arg(long)]
    bootstrap: String,
    /// Topics whose names begin with this.
    #[arg(long, default_value = "blast")]
    prefix: String,
    /// A broker that is known to be dead: what it still seems to lead waits.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    dead: i32,
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    acks: i16,
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

#[derive(Args, Clone)]
struct TransactionsArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 8)]
    producers: usize,
    /// Records of a transaction, in one batch.
    #[arg(long, default_value_t = 1)]
    records: i32,
    #[arg(long, default_value_t = 100)]
    record_size: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Before a producer that was told CONCURRENT_TRANSACTIONS asks again. Java's waits 20 ms.
    #[arg(long, default_value_t = 1.0)]
    backoff_ms: f64,
}

#[derive(Args, Clone)]
struct RebalanceArgs {
    /// The topic's name is the group's, too; the topic need not exist.
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 500)]
    members: usize,
    #[arg(long, default_value = "range")]
    assignor: String,
    /// Members that leave and come again, one after the other.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Partitions of each member.
    #[arg(long, default_value_t = 4)]
    owned: i32,
    /// Between two rounds.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// The broker, if it is on this machine: the CPU it spends on the rounds alone is told, too.
    #[arg(long)]
    pid: Option<u32>,
}

fn main() -> Result<()> {
    let line = match Cli::parse().mode {
        Mode::Produce(args) => produce::large(&args)?,
        Mode::Small(args) => produce::small(&args)?,
        Mode::Consume(args) => consume::all(&args)?,
        Mode::Fanout(args) => consume::fanout(&args)?,
        Mode::Idle(args) => idle(&args)?,
        Mode::Transactions(args) => transactions::all(&args)?,
        Mode::Rebalance(args) => rebalance::all(&args)?,
        Mode::Writable(args) => writable::all(&args)?,
    };
    println!("{line}");
    Ok(())
}

fn idle(args: &IdleArgs) -> Result<serde_json::Value> {
    let open = (0..args.connections).map(|_| connect(&args.target.bootstrap)).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(Duration::from_secs_f64(args.seconds));
    Ok(serde_json::json!({"mode": "idle", "connections": open.len()}))
}

fn connect(bootstrap: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(bootstrap).with_context(|| format!("cannot reach {bootstrap}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A histogram of microseconds up to two minutes, three digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 120_000_000, 3)?)
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX).clamp(1, 120_000_000)
}

/// The quantiles of a run, in microseconds.
fn quantiles(histogram: &Histogram<u64>) -> serde_json::Value {
    serde_json::json!({
        "p50_us": histogram.value_at_quantile(0.5),
        "p99_us": histogram.value_at_quantile(0.99),
        "p999_us": histogram.value_at_quantile(0.999),
        "max_us": histogram.max(),
    })
}

/// User and system time of a process of this machine.
fn cpu_seconds_of(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything; user and system time are the 12th and 13th field behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let [user, system] = ticks[..] else { anyhow::bail!("/proc/{pid}/stat is cut short") };
    Ok((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU seconds this process has used: shows when the generator itself was the bottleneck.
fn own_cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
