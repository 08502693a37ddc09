//! The order of starting: disks, coordination, logs, sockets bound, registration, controller, sockets served.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    adopt,
    apply::Apply,
    background,
    broker::Broker,
    clock::SystemClock,
    config_watch::{self, ConfigWatch},
    identity::{self, Identity},
    launch::{Launch, LaunchError},
    logging,
    scheduler::Scheduler,
    settings,
    topic_configs::{ConfigRules, TopicConfigs},
};
use crate::{
    admin::Admin,
    api::{Services, data::fetch_session::FetchSessions},
    common::{
        Clock,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    config::{BrokerConfig, DynamicConfig, Loggers},
    controller::{Controller, ControllerConfig, adopt::adopt_existing},
    coordination::{ClusterStore, embedded::EmbeddedStore, znode::broker::BrokerRegistration},
    coordinator::{
        group::GroupCoordinator,
        producer_ids::ProducerIdManager,
        transaction::TransactionCoordinator,
        txn_markers::{MarkerSender, MarkerWriter},
    },
    metadata::{Endpoint, MetadataCache},
    network::BoundListeners,
    replication::ReplicaManager,
    storage::LogManager,
};

/// The embedded store's file, in the first log dir: Kafka looks at folders there, not at files.
const STORE_FILE: &str = "monedula-coordination.redb";
/// Min. idle time before a fetch session may be evicted (`KafkaServer.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const FETCH_SESSION_EVICTION_MS: i64 = 120_000;
/// The controller may run this many steps ahead.
const OUTPUTS_MAX: usize = 16;
/// How long the first image may take.
const FIRST_IMAGE_TIMEOUT: Duration = Duration::from_secs(60);

impl Broker {
    /// Starts everything and returns once clients are served.
    pub async fn start(launch: Launch) -> Result<Self, LaunchError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let config = Arc::new(launch.config);
        let keys = config.snapshot();
        announce_dirs(&keys);
        raise_descriptor_limit();

        let logs = LogManager::open(settings::log_manager(&keys), Arc::clone(&clock)).map_err(refuse)?;
        let logs = Arc::new(logs);
        let cluster = Arc::new(open_store(&keys)?);
        cluster.create_persistent_paths().await.map_err(refuse)?;
        let identity = identity::establish(&keys, &cluster, &logs).await?;
        // Early: an address in use must stop us before anything is registered.
        let bound = BoundListeners::bind(settings::network(&keys))
            .map_err(|fault| LaunchError(format!("cannot bind {}: {fault}", keys.network.listeners)))?;

        let configs = Arc::new(TopicConfigs::new(Arc::clone(&config)));
        let clean = load_logs(&logs, &cluster, &configs, &identity, clock.as_ref()).await?;
        let services = build_services(config, &identity, &cluster, &logs, &clock).await?;
        config_watch::load_broker_layers(&services).await.map_err(refuse)?;

        let registration = registration(&keys, &identity, &bound, clock.as_ref());
        let broker_epoch = cluster.register_broker(&registration).await.map_err(refuse)?;
        let tasks = start_tasks(&services, &configs, clean).await?;
        let tasks_table = background::tasks(&keys, &services, &logs);
        let scheduler = Scheduler::start(tasks_table, Arc::clone(&clock)).map_err(refuse)?;
        let server = bound.serve(Arc::clone(&services)).map_err(refuse)?;
        announce_ready(&registration, &identity, clock.as_ref());
        Ok(Self { services, logs, server, scheduler, tasks, broker_epoch })
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

fn open_store(keys: &BrokerConfig) -> Result<ClusterStore, LaunchError> {
    if keys.zookeeper.zookeeper_connect.as_deref().is_some_and(|connect| !connect.trim().is_empty()) {
        return Err(LaunchError(
            "zookeeper.connect is set, but this version coordinates itself: leave the key out, or empty it with \
             --override zookeeper.connect="
                .to_owned(),
        ));
    }
    let Some(first) = keys.log_dirs().first() else { return Err(LaunchError("log.dirs is empty".to_owned())) };
    let store = EmbeddedStore::open(first.join(STORE_FILE)).map_err(refuse)?;
    Ok(ClusterStore::new(store))
}

/// Loads every log with its topic's configuration, and adopts topics that only the disk knows. Returns whether the last
/// stop was clean.
async fn load_logs(
    logs: &Arc<LogManager>,
    cluster: &ClusterStore,
    configs: &Arc<TopicConfigs>,
    identity: &Identity,
    clock: &dyn Clock,
) -> Result<bool, LaunchError> {
    let topics = cluster.topics(false).await.map_err(refuse)?;
    configs.refresh(cluster, &topics).await.map_err(refuse)?;
    let clean = logs.load(&|topic| configs.log_config(topic)).map_err(refuse)?;
    // A store with topics has seen this folder before; what it does not know was deleted, or is a stranger's.
    if topics.is_empty() {
        let found = adopt::topics_on_disk(logs);
        adopt_existing(cluster, identity.broker_id, clock.now_ms(), found).await.map_err(refuse)?;
    }
    Ok(clean)
}

async fn build_services(
    config: Arc<DynamicConfig>,
    identity: &Identity,
    cluster: &Arc<ClusterStore>,
    logs: &Arc<LogManager>,
    clock: &Arc<dyn Clock>,
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
        producer_ids: Arc::new(ProducerIdManager::new(identity.broker_id)),
        fetch_sessions: Arc::new(FetchSessions::new(slots, FETCH_SESSION_EVICTION_MS)),
    }))
}

/// How many partitions a coordinator's topic has, or will have: where a key lives depends on it.
async fn partitions_of(cluster: &ClusterStore, topic: &str, planned: i32) -> Result<i32, LaunchError> {
    let found = cluster.topic_assignments(&[topic], false).await.map_err(refuse)?;
    let partitions = found.first().and_then(|topic| i32::try_from(topic.assignment.partitions.len()).ok());
    Ok(partitions.unwrap_or(planned))
}

fn registration(
    keys: &BrokerConfig,
    identity: &Identity,
    bound: &BoundListeners,
    clock: &dyn Clock,
) -> BrokerRegistration {
    let endpoints = keys.advertised_listeners().iter().map(|listener| {
        let port = match listener.port {
            0 => bound.local_addr(&listener.name).map_or(0, |address: SocketAddr| address.port()),
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
    }
}

/// What a listener without a host advertises (`InetAddress.getCanonicalHostName` in Kafka).
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The controller and those who carry out its decisions; returns once the first image shows this broker.
async fn start_tasks(
    services: &Arc<Services>,
    configs: &Arc<TopicConfigs>,
    clean_start: bool,
) -> Result<Vec<JoinHandle<()>>, LaunchError> {
    let (sender, receiver) = mpsc::channel(OUTPUTS_MAX);
    let mut changes = services.metadata.subscribe();
    let controller = Controller::new(
        Arc::clone(&services.cluster),
        ControllerConfig { broker_id: services.broker_id, clean_start },
        Arc::clone(&services.clock),
        sender,
    );
    let apply = Apply { services: Arc::clone(services), configs: Arc::clone(configs) };
    let watch = ConfigWatch { services: Arc::clone(services), configs: Arc::clone(configs) };
    let events = services.cluster.store().events();
    let ids = Arc::clone(services);
    let mut tasks = vec![
        tokio::spawn(apply.run(receiver)),
        tokio::spawn(controller.run()),
        tokio::spawn(watch.run(events)),
        services.groups.start(),
        services.transactions.start(),
        tokio::spawn(async move { ids.producer_ids.run(&ids.cluster).await }),
    ];
    if let Some(markers) = services.transactions.markers_to_send() {
        let sender = MarkerSender {
            broker_id: services.broker_id,
            metadata: Arc::clone(&services.metadata),
            transactions: Arc::clone(&services.transactions),
            writer: Arc::clone(&services.markers),
        };
        tasks.push(tokio::spawn(sender.run(markers)));
    }
    let first_image = async {
        while !services.metadata.load().brokers.contains_key(&services.broker_id) {
            if changes.next().await.is_none() {
                break;
            }
        }
    };
    match tokio::time::timeout(FIRST_IMAGE_TIMEOUT, first_image).await {
        Ok(()) => Ok(tasks),
        Err(_) => Err(LaunchError("the controller showed no cluster in time".to_owned())),
    }
}

fn announce_ready(registration: &BrokerRegistration, identity: &Identity, clock: &dyn Clock) {
    let addresses: Vec<String> =
        registration.endpoints.iter().map(|it| format!("{}://{}:{}", it.listener, it.host, it.port)).collect();
    // Scripts and test containers wait for this line of Kafka's.
    tracing::info!("[KafkaServer id={}] started (kafka.server.KafkaServer)", identity.broker_id);
    tracing::info!("ready on {} after {} ms", addresses.join(", "), clock.monotonic_ms());
}
