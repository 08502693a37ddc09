//! Starts what copies partitions between brokers: the fetchers' threads, the proposals to the controller.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

use super::{launch::LaunchError, settings};
use crate::{
    api::Services,
    client::{ClientConfig, ControllerChannel},
    config::BrokerConfig,
    controller::{channels::ChannelConfig, wire::Versions},
    replication::{
        AlterPartitionSender, ZkIsrWriter,
        fetcher::{FetcherConfig, FetcherSetup},
        run_moves,
    },
};

/// Names of `replica.selector.class` that are known here.
pub const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
pub const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";

/// The fetchers' threads, each with a runtime of its own: appending what came blocks, and must not block the controller.
pub struct FetcherThreads {
    threads: Vec<(Option<oneshot::Sender<()>>, std::thread::JoinHandle<()>)>,
}

impl FetcherThreads {
    /// As many as `num.replica.fetchers` asks for, and where to run what.
    pub fn start(count: i32) -> Result<(Self, Vec<Handle>), LaunchError> {
        let refuse = |fault: std::io::Error| LaunchError(format!("cannot start a fetcher thread: {fault}"));
        let mut threads = Self { threads: Vec::new() };
        let mut handles = Vec::new();
        for number in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refuse)?;
            handles.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new()
                .name(format!("replica-fetcher-{number}"))
                .stack_size(1 << 20)
                .spawn(move || {
                    // Ends when the other side is dropped.
                    let _ = runtime.block_on(stopped);
                })
                .map_err(refuse)?;
            threads.threads.push((Some(stop), thread));
        }
        Ok((threads, handles))
    }

    /// Ends them; what a fetcher is appending is finished first.
    pub fn stop(&mut self) {
        for (stop, thread) in self.threads.drain(..) {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a fetcher thread had panicked");
            }
        }
    }
}

/// `broker_epoch` is read for every request. Returns the task that sends proposals to the controller.
pub fn start(
    keys: &BrokerConfig,
    services: &Arc<Services>,
    broker_epoch: &Arc<AtomicI64>,
    runtimes: Vec<Handle>,
) -> JoinHandle<()> {
    let listener = keys.inter_broker_listener().0;
    let replicas = Arc::downgrade(&services.replicas);
    if let Some(runtime) = runtimes.first() {
        runtime.spawn(run_moves(replicas.clone()));
    }
    let setup = FetcherSetup {
        replicas: replicas.clone(),
        runtimes,
        client: fetcher_client(keys, services),
        config: fetcher_config(keys),
        broker_id: services.broker_id,
        broker_epoch: Arc::clone(broker_epoch),
    };
    services.replicas.start_replication(listener, setup);
    if keys.replication.replica_selector_class.as_deref() == Some(RACK_AWARE_SELECTOR) {
        services.replicas.select_replicas_by_rack();
    }
    if !settings::protocol(keys).is_at_least("2.7-IV2") {
        let cluster = Arc::clone(&services.cluster);
        return tokio::spawn(ZkIsrWriter { replicas, cluster, broker_id: services.broker_id }.run());
    }
    let sender = AlterPartitionSender {
        replicas,
        channel: ControllerChannel::new(
            Arc::clone(&services.metadata),
            listener.to_owned(),
            Arc::new(controller_client(keys, services)),
        ),
        broker_id: services.broker_id,
        broker_epoch: Arc::clone(broker_epoch),
    };
    tokio::spawn(sender.run())
}

fn fetcher_config(keys: &BrokerConfig) -> FetcherConfig {
    let keys = &keys.replication;
    FetcherConfig {
        fetch_max_bytes: keys.replica_fetch_max_bytes,
        response_max_bytes: keys.replica_fetch_response_max_bytes,
        min_bytes: keys.replica_fetch_min_bytes,
        wait_max_ms: keys.replica_fetch_wait_max_ms,
        backoff_ms: i64::from(keys.replica_fetch_backoff_ms),
    }
}

/// What all requests to peers share, but for the client id.
fn client(keys: &BrokerConfig, services: &Services, request_timeout_ms: i32) -> ClientConfig {
    let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
    ClientConfig {
        client_id: String::new(),
        request_timeout: ms(request_timeout_ms),
        connect_timeout: ms(keys.general.request_timeout_ms),
        connector: Arc::clone(&services.connector),
        // Whatever a producer may send can come back in one answer, and more partitions beside it.
        response_bytes_max: usize::try_from(keys.network.socket_request_max_bytes).unwrap_or(0).max(64 << 20) * 2,
    }
}

fn fetcher_client(keys: &BrokerConfig, services: &Services) -> ClientConfig {
    // A leader may hold a fetch as long as it is asked to.
    client(keys, services, keys.replication.replica_socket_timeout_ms.max(keys.replication.replica_fetch_wait_max_ms))
}

/// How this broker, as controller, reaches the others.
pub fn controller_channels(keys: &BrokerConfig, services: &Services) -> ChannelConfig {
    let client_id = services.broker_id.to_string();
    let timeout_ms = keys.network.controller_socket_timeout_ms;
    ChannelConfig {
        client: Arc::new(ClientConfig { client_id, ..client(keys, services, timeout_ms) }),
        listener: keys
            .network
            .control_plane_listener_name
            .clone()
            .unwrap_or_else(|| keys.inter_broker_listener().0.to_owned()),
        versions: Versions::of(settings::protocol(keys)),
    }
}

/// Requests to the controller.
pub fn controller_client(keys: &BrokerConfig, services: &Services) -> ClientConfig {
    let client_id = services.broker_id.to_string();
    ClientConfig { client_id, ..client(keys, services, keys.general.request_timeout_ms) }
}

#[cfg(test)]
mod tests;
