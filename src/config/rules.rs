//! Rules between keys (`KafkaConfig.validateValues`), in Kafka's order and words.
//!
//! Two departures: without `zookeeper.connect` the embedded coordination store serves, so its absence is no error;
//! and a file written for KRaft (`process.roles` given) loads, its controller listeners left out.

use indexmap::{IndexMap, IndexSet};

use super::{
    broker::BrokerConfig,
    error::ConfigError,
    listeners::{self, SecurityProtocol},
    table::{general::GeneralKeys, kraft::KraftKeys, network::NetworkKeys},
};

const PROTOCOL_MAP: &str = "listener.security.protocol.map";

fn require(holds: bool, message: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::requirement(message)) }
}

/// Names in `controller.listener.names`, in capitals.
pub(super) fn controller_listener_names(kraft: &KraftKeys) -> IndexSet<String> {
    listeners::parse_csv(kraft.controller_listener_names.as_deref().unwrap_or_default())
        .into_iter()
        .map(|name| name.to_uppercase())
        .collect()
}

/// The protocol map; with KRaft's roles and no map given, controller listeners are PLAINTEXT.
pub(super) fn effective_protocols(
    given: &IndexMap<String, String>,
    network: &NetworkKeys,
    general: &GeneralKeys,
    kraft: &KraftKeys,
) -> Result<IndexMap<String, SecurityProtocol>, ConfigError> {
    let mut protocols = listeners::parse_protocol_map(&network.listener_security_protocol_map)?;
    if !general.process_roles.is_empty() && !given.contains_key(PROTOCOL_MAP) {
        for name in controller_listener_names(kraft) {
            protocols.entry(name).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(protocols)
}

/// From `inter.broker.listener.name`, or else from `security.inter.broker.protocol`.
pub(super) fn inter_broker_listener(
    given: &IndexMap<String, String>,
    network: &NetworkKeys,
    protocols: &IndexMap<String, SecurityProtocol>,
) -> Result<(String, SecurityProtocol), ConfigError> {
    match &network.inter_broker_listener_name {
        Some(_) if given.contains_key("security.inter.broker.protocol") => Err(ConfigError::invalid(
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
        )),
        Some(name) => {
            let name = name.to_uppercase();
            match protocols.get(&name) {
                Some(protocol) => Ok((name, *protocol)),
                None => Err(ConfigError::invalid(format!(
                    "Listener with name {name} defined in inter.broker.listener.name not found in {PROTOCOL_MAP}."
                ))),
            }
        }
        None => {
            let protocol = &network.security_inter_broker_protocol;
            let known = SecurityProtocol::from_name(protocol).ok_or_else(|| {
                ConfigError::invalid(format!(
                    "Invalid security protocol `{protocol}` defined in security.inter.broker.protocol"
                ))
            })?;
            Ok((known.name().to_owned(), known))
        }
    }
}

pub(super) fn check(config: &BrokerConfig) -> Result<(), ConfigError> {
    check_ids(config)?;
    check_log(config)?;
    check_replication(config)?;
    check_listeners(config)?;
    check_connections(config)?;
    check_group(config)
}

fn check_ids(config: &BrokerConfig) -> Result<(), ConfigError> {
    let general = &config.general;
    if general.node_id != general.broker_id {
        return Err(ConfigError::invalid("You must set `node.id` to the same value as `broker.id`."));
    }
    if general.broker_id_generation_enable {
        require(
            (-1..=general.reserved_broker_max_id).contains(&general.broker_id),
            "broker.id must be greater than or equal to -1 and not greater than reserved.broker.max.id",
        )
    } else {
        require(general.broker_id >= 0, "broker.id must be greater than or equal to 0")
    }
}

fn check_log(config: &BrokerConfig) -> Result<(), ConfigError> {
    let retention_ms = config.log_retention_ms();
    require(config.log_roll_ms() >= 1, "log.roll.ms must be greater than or equal to 1")?;
    require(config.log_roll_jitter_ms() >= 0, "log.roll.jitter.ms must be greater than or equal to 0")?;
    require(
        retention_ms >= 1 || retention_ms == -1,
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    )?;
    require(!config.log_dirs().is_empty(), "At least one log directory must be defined via log.dirs or log.dir.")?;
    let threads = i64::from(config.log.log_cleaner_threads).max(1);
    require(
        config.log.log_cleaner_dedupe_buffer_size / threads > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )
}

fn check_replication(config: &BrokerConfig) -> Result<(), ConfigError> {
    let replication = &config.replication;
    require(
        replication.replica_fetch_wait_max_ms <= replication.replica_socket_timeout_ms,
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket \
         timeouts",
    )?;
    require(
        i64::from(replication.replica_fetch_wait_max_ms) <= replication.replica_lag_time_max_ms,
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent \
         changes in ISR",
    )
}

fn check_listeners(config: &BrokerConfig) -> Result<(), ConfigError> {
    let controller = config.kraft.controller_listener_names.as_deref().unwrap_or_default();
    require(
        controller.is_empty() || !config.general.process_roles.is_empty(),
        &format!("controller.listener.names must be empty when not running in KRaft mode: [{controller}]"),
    )?;
    let advertised: Vec<&str> = config.advertised_listeners().iter().map(|it| it.name.as_str()).collect();
    let bound: Vec<&str> = config.listeners().iter().map(|it| it.name.as_str()).collect();
    let (inter_broker, protocol) = config.inter_broker_listener();
    require(!advertised.is_empty(), "There must be at least one broker advertised listener.")?;
    require(
        advertised.contains(&inter_broker),
        &format!(
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options \
             based on currently configured listeners are {}",
            advertised.join(",")
        ),
    )?;
    require(
        advertised.iter().all(|name| bound.contains(name)),
        &format!(
            "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found \
             {}. The valid options based on the current configuration are {}",
            advertised.join(","),
            bound.join(",")
        ),
    )?;
    require(
        config.advertised_listeners().iter().all(|it| it.host.as_deref() != Some("0.0.0.0")),
        "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.",
    )?;
    check_control_plane(config, &advertised, inter_broker)?;
    let mechanism = &config.sasl.sasl_mechanism_inter_broker_protocol;
    let enabled = config.listener_original(inter_broker, "sasl.enabled.mechanisms").map_or_else(
        || config.sasl.sasl_enabled_mechanisms.clone(),
        |text| text.split(',').map(|it| it.trim().to_owned()).collect(),
    );
    require(
        !protocol.uses_sasl() || enabled.contains(mechanism),
        "sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms when SASL is used for \
         inter-broker communication",
    )
}

fn check_control_plane(config: &BrokerConfig, advertised: &[&str], inter_broker: &str) -> Result<(), ConfigError> {
    let Some(name) = &config.network.control_plane_listener_name else { return Ok(()) };
    let name = name.to_uppercase();
    require(
        advertised.contains(&name.as_str()),
        &format!(
            "control.plane.listener.name must be a listener name defined in advertised.listeners. The valid options \
             based on currently configured listeners are {}",
            advertised.join(",")
        ),
    )?;
    require(
        name != inter_broker,
        &format!(
            "control.plane.listener.name, when defined, should have a different value from the inter broker listener \
             name. Currently they both have the value ListenerName({name})"
        ),
    )
}

fn check_connections(config: &BrokerConfig) -> Result<(), ConfigError> {
    const OVERRIDES: &str = "max.connections.per.ip.overrides";
    let network = &config.network;
    require(
        network.queued_max_request_bytes <= 0
            || network.queued_max_request_bytes >= i64::from(network.socket_request_max_bytes),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )?;
    let overrides = listeners::parse_map(OVERRIDES, &network.max_connections_per_ip_overrides)?;
    for limit in overrides.values() {
        if limit.parse::<i32>().is_err() {
            return Err(ConfigError::invalid(format!("For input string: \"{limit}\"")));
        }
    }
    require(
        network.max_connections_per_ip != 0 || !overrides.is_empty(),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
    )?;
    let is_host = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || "-%._:".contains(c));
    let wrong: Vec<&str> = overrides.keys().map(String::as_str).filter(|host| !is_host(host)).collect();
    if !wrong.is_empty() {
        return Err(ConfigError::invalid(format!("{OVERRIDES} contains invalid addresses : {}", wrong.join(","))));
    }
    let (delay_ms, idle_ms) = (network.connection_failed_authentication_delay_ms, network.connections_max_idle_ms);
    require(
        idle_ms < 0 || i64::from(delay_ms) < idle_ms,
        &format!(
            "connection.failed.authentication.delay.ms={delay_ms} should always be less than \
             connections.max.idle.ms={idle_ms} to prevent failed authentication responses from timing out"
        ),
    )
}

fn check_group(config: &BrokerConfig) -> Result<(), ConfigError> {
    let protocols: Vec<String> =
        config.group.group_coordinator_rebalance_protocols.iter().map(|it| it.to_lowercase()).collect();
    if !protocols.iter().any(|it| it == "classic") {
        return Err(ConfigError::invalid("Disabling the 'classic' protocol is not supported."));
    }
    if protocols.iter().any(|it| it == "consumer") && config.general.process_roles.is_empty() {
        return Err(ConfigError::invalid("The new 'consumer' rebalance protocol is only supported in KRaft cluster."));
    }
    Ok(())
}
