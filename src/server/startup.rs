//! The order of starting: disks, coordination, logs, sockets bound, registration, controller, sockets served.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    adopt,
    apply::Apply,
    background,
    broker::Broker,
    cleaner,
    clock::SystemClock,
    config_watch::{self, ConfigWatch},
    coordination::Coordination,
    identity::{self, Identity},
    launch::{Launch, LaunchError},
    log_dir_failure, logging,
    peers::{self, Peers},
    replication::{self, FetcherThreads},
    scheduler::{Scheduler, Task},
    seat::Seat,
    settings,
    shutdown::blocking,
    topic_configs::{ConfigRules, TopicConfigs},
};
use crate::{
    admin::Admin,
    api::{
        Services,
        data::fetch_session::FetchSessions,
        inter_broker::{ClusterUpdate, ClusterUpdates},
        table,
    },
    client::Connector,
    common::{
        BrokerId, Clock,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    config::{BrokerConfig, DynamicConfig, Loggers},
    controller::{ControllerHandle, adopt::adopt_existing, output::ControllerOutput},
    coordination::{ClusterStore, CoordinationError, znode::broker::BrokerRegistration},
    coordinator::{group::GroupCoordinator, transaction::TransactionCoordinator, txn_markers::MarkerWriter},
    metadata::{Endpoint, MetadataCache, MetadataImage},
    metrics::{ServerMetrics, catalog::BrokerState},
    network::{BoundListeners, ConnectionLimits, NetworkConfig},
    replication::ReplicaManager,
    storage::{LogCleaner, LogManager},
};

/// Min. idle time before a fetch session may be evicted (`KafkaServer.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const FETCH_SESSION_EVICTION_MS: i64 = 120_000;
/// The controller may run this many steps ahead.
const OUTPUTS_MAX: usize = 16;
/// How often a starting broker looks whether the controller is another one.
const CONTROLLER_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How much later than its timeout a server may end a session.
const SESSION_STRIDE: Duration = Duration::from_secs(5);
/// How long the first image may take.
const FIRST_IMAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a broker stands on. The simulation puts other things here: its own time, tree and ways to other brokers.
pub struct Ground {
    pub config: Arc<DynamicConfig>,
    pub clock: Arc<dyn Clock>,
    pub coordination: Coordination,
    /// How this broker reaches others.
    pub connector: Arc<dyn Connector>,
    /// Where fetchers run (`num.replica.fetchers`).
    pub fetchers: Vec<Handle>,
}

/// A broker without sockets and without a scheduler's thread: all that decides, and all that is kept.
pub struct Core {
    pub services: Arc<Services>,
    pub logs: Arc<LogManager>,
    pub(super) cleaner: Option<Arc<LogCleaner>>,
    /// Controller, configuration watch, group timers, producer id blocks.
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) coordination: Coordination,
    pub(super) broker_epoch: Arc<AtomicI64>,
    pub(super) none_left: oneshot::Receiver<()>,
    /// What listeners are to be held to.
    network: watch::Receiver<NetworkConfig>,
    registration: BrokerRegistration,
    image: BoxFuture<'static, Result<(), LaunchError>>,
}

impl Broker {
    /// Starts everything and returns once clients are served.
    pub async fn start(launch: Launch) -> Result<Self, LaunchError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let config = Arc::new(launch.config);
        let keys = config.snapshot();
        announce_dirs(&keys);
        raise_descriptor_limit();
        let logs = Core::open_logs(&keys, &clock)?;
        let coordination = Coordination::open(&keys).await?;
        let connector = Arc::new(settings::sockets(&keys));
        let (fetchers, runtimes) = FetcherThreads::start(keys.replication.num_replica_fetchers)?;
        let ground = Ground { config, clock: Arc::clone(&clock), coordination, connector, fetchers: runtimes };
        let mut bound = None;
        // Early: an address in use must stop us before anything is registered.
        let bind = || {
            let listeners = BoundListeners::bind(settings::network(&keys))
                .map_err(|fault| LaunchError(format!("cannot bind {}: {fault}", keys.network.listeners)))?;
            let port = |listener: &str| listeners.local_addr(listener).map(|address| address.port());
            let ports = keys.advertised_listeners().iter().map(|it| (it.name.clone(), port(&it.name))).collect();
            bound = Some(listeners);
            Ok(ports)
        };
        let mut core = Core::start(ground, logs, bind).await?;
        let Some(bound) = bound else { return Err(LaunchError("no listener".to_owned())) };
        let server = core.served(|services| bound.serve(Arc::clone(services)).map_err(refuse)).await?;
        let scheduler = Scheduler::start(core.recurring(), Arc::clone(&clock)).map_err(refuse)?;
        core.services.server_metrics.enter(BrokerState::Running);
        announce_ready(&core.registration, core.services.broker_id, clock.as_ref());
        let mut tasks = std::mem::take(&mut core.tasks);
        tasks.push(tokio::spawn(follow_limits(core.network.clone(), server.limits())));
        let Core { services, logs, cleaner, coordination, broker_epoch, none_left, .. } = core;
        Ok(Self { services, logs, server, scheduler, fetchers, cleaner, tasks, coordination, broker_epoch, none_left })
    }
}

/// The ports that listeners really have, by name.
type Ports = BTreeMap<String, Option<u16>>;

impl Core {
    /// Takes the log dirs: nobody else may have them.
    pub fn open_logs(keys: &BrokerConfig, clock: &Arc<dyn Clock>) -> Result<Arc<LogManager>, LaunchError> {
        LogManager::open(settings::log_manager(keys), Arc::clone(clock)).map(Arc::new).map_err(refuse)
    }

    /// Loads the logs, registers the broker and contends for the controller's place. `bind` is called when the broker
    /// knows who it is and before it is known to others.
    pub async fn start(
        ground: Ground,
        logs: Arc<LogManager>,
        bind: impl FnOnce() -> Result<Ports, LaunchError>,
    ) -> Result<Self, LaunchError> {
        let Ground { config, clock, coordination, connector, fetchers } = ground;
        let keys = config.snapshot();
        let server_metrics = Arc::new(ServerMetrics::default());
        server_metrics.enter(BrokerState::Starting);
        let cluster = Arc::clone(&coordination.cluster);
        // Before anything is registered, so that no news of this session is missed.
        let session = cluster.store().session_events();
        cluster.create_persistent_paths().await.map_err(refuse)?;
        let identity = identity::establish(&keys, &coordination, &logs).await?;
        let ports = bind()?;

        let configs = Arc::new(TopicConfigs::new(Arc::clone(&config)));
        server_metrics.enter(BrokerState::Recovery);
        let clean = load_logs(&logs, &coordination, &configs, &identity, clock.as_ref()).await?;
        let broker_epoch = Arc::new(AtomicI64::new(-1));
        let (cluster_updates, updates) = ClusterUpdates::channel();
        let (controller, commands) = ControllerHandle::channel();
        let shared = Shared {
            broker_epoch: &broker_epoch,
            cluster_updates,
            server_metrics: &server_metrics,
            connector,
            controller,
        };
        let services = build_services(config, &identity, &cluster, &logs, &clock, shared).await?;
        config_watch::load_broker_layers(&services).await.map_err(refuse)?;

        let cleaner = cleaner::start(&services.config.snapshot(), &logs, &clock);
        let registration = registration(&keys, &identity, &ports, clock.as_ref());
        let (outputs, receiver) = mpsc::channel(OUTPUTS_MAX);
        let seat = Seat {
            cluster: Arc::clone(&cluster),
            registration: registration.clone(),
            clock: Arc::clone(&clock),
            outputs,
            commands,
            keys: Arc::clone(&services.config),
            channels: replication::controller_channels(&keys, &services),
            broker_epoch: Arc::clone(&broker_epoch),
            patience: registration_patience(&keys),
        };
        seat.register().await.map_err(refuse)?;
        let (limits, network) = watch::channel(settings::network(&services.config.snapshot()));
        let watch = ConfigWatch {
            services: Arc::clone(&services),
            configs: Arc::clone(&configs),
            cleaner: cleaner.clone(),
            network: limits,
        };
        let mut tasks = start_tasks(&services, &configs, watch, receiver, updates);
        tasks.push(replication::start(&keys, &services, &broker_epoch, fetchers));
        let image = first_image(&services, has_topics(&cluster).await.map_err(refuse)?);
        let (log_dirs, none_left) = log_dir_failure::watch(&services, &logs);
        tasks.push(log_dirs);
        tasks.push(tokio::spawn(seat.hold(clean, session)));
        Ok(Self { services, logs, cleaner, tasks, coordination, broker_epoch, none_left, network, registration, image })
    }

    /// Returns once the controller has shown the cluster. A controller elsewhere does so through our socket, and `serve` is
    /// called when there is one; one in this process does so before clients come.
    pub async fn served<S>(
        &mut self,
        serve: impl FnOnce(&Arc<Services>) -> Result<S, LaunchError>,
    ) -> Result<S, LaunchError> {
        let image = &mut self.image;
        tokio::select! {
            biased;
            shown = &mut *image => shown?,
            () = led_elsewhere(&self.coordination.cluster, self.services.broker_id) => {
                let server = serve(&self.services)?;
                image.await?;
                return Ok(server);
            }
        }
        serve(&self.services)
    }

    /// Ends it without any order, as a crash does.
    pub fn abort(self) {
        for task in self.tasks {
            task.abort();
        }
    }

    /// The task table. To be called within a runtime.
    #[must_use]
    pub fn recurring(&self) -> Vec<Task> {
        background::tasks(&self.services.config.snapshot(), &self.services, &self.logs)
    }
}

fn refuse(fault: impl std::fmt::Display) -> LaunchError {
    LaunchError(fault.to_string())
}

fn announce_dirs(keys: &BrokerConfig) {
    let dirs: Vec<String> = keys
        .log_dirs()
        .iter()
        .map(|dir| std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir)).display().to_string())
        .collect();
    tracing::info!("Monedula {} keeps its data in {}", env!("CARGO_PKG_VERSION"), dirs.join(", "));
}

/// Every partition holds a descriptor and every connection one: take what the system allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(fault) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%fault, "cannot raise the limit of open files");
    }
}

/// Loads every log with its topic's configuration, and adopts topics that only the disk knows. Returns whether the last
/// stop was clean.
async fn load_logs(
    logs: &Arc<LogManager>,
    coordination: &Coordination,
    configs: &Arc<TopicConfigs>,
    identity: &Identity,
    clock: &dyn Clock,
) -> Result<bool, LaunchError> {
    let cluster = &coordination.cluster;
    let topics = cluster.topics(false).await.map_err(refuse)?;
    configs.refresh(cluster, &topics).await.map_err(refuse)?;
    // Recovery may take minutes, longer than a session lives without pings.
    let (loaded, rules) = (Arc::clone(logs), Arc::clone(configs));
    let clean =
        blocking(move || loaded.load(&|topic| rules.log_config(topic))).await.map_err(refuse)?.map_err(refuse)?;
    // A store with topics has seen this folder before; what it does not know was deleted, or is a stranger's.
    if topics.is_empty() && coordination.learns_from_disk() {
        let found = adopt::topics_on_disk(logs);
        adopt_existing(cluster, identity.broker_id, clock.now_ms(), found).await.map_err(refuse)?;
    }
    Ok(clean)
}

/// What the services share with those who run beside them.
struct Shared<'a> {
    broker_epoch: &'a Arc<AtomicI64>,
    cluster_updates: ClusterUpdates,
    server_metrics: &'a Arc<ServerMetrics>,
    connector: Arc<dyn Connector>,
    controller: ControllerHandle,
}

async fn build_services(
    config: Arc<DynamicConfig>,
    identity: &Identity,
    cluster: &Arc<ClusterStore>,
    logs: &Arc<LogManager>,
    clock: &Arc<dyn Clock>,
    shared: Shared<'_>,
) -> Result<Arc<Services>, LaunchError> {
    let keys = config.snapshot();
    let metadata = Arc::new(MetadataCache::default());
    metadata.update(|image| image.cluster_id = Some(identity.cluster_id.clone()));
    let replicas = ReplicaManager::with_metadata(
        settings::replicas(&keys, identity.broker_id),
        Arc::clone(logs),
        Arc::clone(clock),
        Arc::clone(&metadata),
    );
    let partitions = partitions_of(cluster, GROUP_METADATA_TOPIC, keys.group.offsets_topic_num_partitions).await?;
    let groups = GroupCoordinator::new(settings::groups(&keys), Arc::clone(&replicas), Arc::clone(clock), partitions);
    let planned = keys.transaction.transaction_state_log_num_partitions;
    let partitions = partitions_of(cluster, TRANSACTION_STATE_TOPIC, planned).await?;
    let settings = settings::transactions(&keys);
    let transactions = TransactionCoordinator::new(settings, Arc::clone(&replicas), Arc::clone(clock), partitions);
    let markers = Arc::new(MarkerWriter {
        replicas: Arc::clone(&replicas),
        groups: Arc::clone(&groups),
        clock: Arc::clone(clock),
        timeout_ms: keys.general.request_timeout_ms,
    });
    let rules = Arc::new(ConfigRules(Arc::clone(&config)));
    let admin = Arc::new(Admin::new(Arc::clone(cluster), Arc::clone(&metadata), settings::admin(&keys), rules));
    let peers = Peers { keys: &keys, broker_id: identity.broker_id, metadata: &metadata, connector: &shared.connector };
    let producer_ids = peers.producer_ids(cluster, shared.broker_epoch);
    let txn_verifier = peers.txn_verifier();
    let slots = usize::try_from(keys.network.max_incremental_fetch_session_cache_slots).unwrap_or(0);
    let apply_levels = Box::new(|levels: &BTreeMap<String, String>| logging::set_levels(levels));
    Ok(Arc::new(Services {
        broker_id: identity.broker_id,
        cluster_id: identity.cluster_id.clone(),
        clock: Arc::clone(clock),
        metadata,
        cluster: Arc::clone(cluster),
        replicas,
        groups,
        transactions,
        markers,
        admin,
        config,
        loggers: Arc::new(Loggers::new("INFO", &["monedula"], apply_levels)),
        producer_ids: Arc::new(producer_ids),
        txn_verifier,
        fetch_sessions: Arc::new(FetchSessions::new(slots, FETCH_SESSION_EVICTION_MS)),
        request_metrics: table::request_metrics(),
        server_metrics: Arc::clone(shared.server_metrics),
        broker_epoch: Arc::clone(shared.broker_epoch),
        cluster_updates: shared.cluster_updates,
        controller: shared.controller,
        connector: shared.connector,
    }))
}

/// How many partitions a coordinator's topic has, or will have: where a key lives depends on it.
async fn partitions_of(cluster: &ClusterStore, topic: &str, planned: i32) -> Result<i32, LaunchError> {
    let found = cluster.topic_assignments(&[topic], false).await.map_err(refuse)?;
    let partitions = found.first().and_then(|topic| i32::try_from(topic.assignment.partitions.len()).ok());
    Ok(partitions.unwrap_or(planned))
}

fn registration(keys: &BrokerConfig, identity: &Identity, ports: &Ports, clock: &dyn Clock) -> BrokerRegistration {
    let endpoints = keys.advertised_listeners().iter().map(|listener| {
        let port = match listener.port {
            0 => ports.get(&listener.name).copied().flatten().unwrap_or(0),
            port => port,
        };
        Endpoint {
            listener: listener.name.clone(),
            security_protocol: listener.protocol.name().to_owned(),
            host: listener.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(host_name),
            port,
        }
    });
    BrokerRegistration {
        id: identity.broker_id,
        endpoints: endpoints.collect(),
        rack: keys.general.broker_rack.clone(),
        jmx_port: -1,
        timestamp_ms: clock.now_ms(),
        version: if settings::protocol(keys).is_at_least("2.7-IV0") { 5 } else { 4 },
    }
}

/// As long as a session of this broker may outlive it; servers end sessions in strides of a few seconds.
fn registration_patience(keys: &BrokerConfig) -> Duration {
    let session_ms = u64::try_from(keys.zookeeper.zookeeper_session_timeout_ms).unwrap_or(0);
    Duration::from_millis(session_ms) + SESSION_STRIDE
}

/// What a listener without a host advertises (`InetAddress.getCanonicalHostName` in Kafka).
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Those who carry out the controller's decisions, and the rest of what runs beside the sockets.
fn start_tasks(
    services: &Arc<Services>,
    configs: &Arc<TopicConfigs>,
    watch: ConfigWatch,
    outputs: mpsc::Receiver<ControllerOutput>,
    updates: mpsc::Receiver<ClusterUpdate>,
) -> Vec<JoinHandle<()>> {
    let apply = Apply { services: Arc::clone(services), configs: Arc::clone(configs) };
    let events = services.cluster.store().events();
    let ids = Arc::clone(services);
    let mut tasks = vec![
        tokio::spawn(apply.run(outputs, updates)),
        tokio::spawn(watch.run(events)),
        services.groups.start(),
        services.transactions.start(),
        tokio::spawn(async move { ids.producer_ids.run().await }),
    ];
    if let Some(markers) = services.transactions.markers_to_send() {
        tasks.push(tokio::spawn(peers::marker_sender(services).run(markers)));
    }
    tasks
}

/// Holds the listeners to the limits as they are, from the stored ones on.
async fn follow_limits(mut network: watch::Receiver<NetworkConfig>, limits: ConnectionLimits) {
    loop {
        let config = network.borrow_and_update().clone();
        limits.reconfigure(&config);
        if network.changed().await.is_err() {
            return;
        }
    }
}

/// Whether another broker is controller now. A store that does not answer will be heard of soon enough.
async fn is_led_elsewhere(cluster: &ClusterStore, broker_id: i32) -> bool {
    matches!(cluster.controller(false).await, Ok(Some(controller)) if controller != broker_id)
}

/// Returns once another broker is controller.
async fn led_elsewhere(cluster: &ClusterStore, broker_id: i32) {
    loop {
        tokio::time::sleep(CONTROLLER_CHECK_INTERVAL).await;
        if is_led_elsewhere(cluster, broker_id).await {
            return;
        }
    }
}

/// Whether there is a topic that is not about to be deleted.
async fn has_topics(cluster: &ClusterStore) -> Result<bool, CoordinationError> {
    let leaving = cluster.topics_marked_for_deletion(false).await?;
    Ok(cluster.topics(false).await?.iter().any(|topic| !leaving.contains(topic)))
}

/// Resolves once the image shows this broker, and every topic if there are any: they are shown together, and by then
/// their partitions are led. Watches from the call on.
fn first_image(services: &Arc<Services>, with_topics: bool) -> BoxFuture<'static, Result<(), LaunchError>> {
    let services = Arc::clone(services);
    let mut changes = services.metadata.subscribe();
    let future = async move {
        let shown = async {
            let is_shown = |image: &MetadataImage| {
                image.brokers.contains_key(&services.broker_id) && (!with_topics || !image.topics.is_empty())
            };
            while !is_shown(&services.metadata.load()) {
                if changes.next().await.is_none() {
                    break;
                }
            }
        };
        let shown = tokio::time::timeout(FIRST_IMAGE_TIMEOUT, shown).await;
        shown.map_err(|_| LaunchError("the controller showed no cluster in time".to_owned()))
    };
    future.boxed()
}

fn announce_ready(registration: &BrokerRegistration, broker_id: BrokerId, clock: &dyn Clock) {
    let addresses: Vec<String> =
        registration.endpoints.iter().map(|it| format!("{}://{}:{}", it.listener, it.host, it.port)).collect();
    // Scripts and test containers wait for this line of Kafka's.
    tracing::info!("[KafkaServer id={}] started (kafka.server.KafkaServer)", broker_id);
    tracing::info!("ready on {} after {} ms", addresses.join(", "), clock.monotonic_ms());
}
