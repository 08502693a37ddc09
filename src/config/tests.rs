//! The room against Apache Kafka 3.9.1: the golden files hold what the real broker printed.

use indexmap::IndexMap;

use super::{
    describe::{self, ConfigEntry, ConfigSource},
    docs,
    dynamic::{self, Overrides},
    properties, synonyms, table,
    table::topic::TopicValues,
    topic,
    value::{Kind, double_text},
    *,
};
use crate::{config::def::Dynamic, protocol::records::batch::TimestampType};

const BROKER_DEFAULTS: &str = include_str!("../../compat-tests/golden/config_defaults.txt");
const TOPIC_DEFAULTS: &str = include_str!("../../compat-tests/golden/topic_config_defaults.txt");
const DESCRIBED: &str = include_str!("../../compat-tests/golden/describe_configs.txt");

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn broker(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
    BrokerConfig::new(overrides(pairs))
}

fn fault(pairs: &[(&str, &str)]) -> String {
    broker(pairs).unwrap_err().message
}

#[test]
fn every_default_is_kafkas() {
    let golden: Vec<&str> = BROKER_DEFAULTS.lines().collect();
    assert_eq!(golden.len(), 328);
    let mine: Vec<String> = table::keys()
        .map(|key| format!("{}={}", key.name, key.default_value().to_text().unwrap_or_else(|| "null".into())))
        .collect();
    assert_eq!(mine, golden);
    let topics: Vec<String> = TopicValues::KEYS
        .iter()
        .map(|key| format!("{}={}", key.name, key.default_value().to_text().unwrap_or_else(|| "null".into())))
        .collect();
    assert_eq!(topics, TOPIC_DEFAULTS.lines().collect::<Vec<_>>());
}

/// A default that doesn't parse or that its own check refuses would be a slip in a declaration.
#[test]
fn declarations_hold_together() {
    for key in table::keys().chain(TopicValues::KEYS) {
        key.parse(None).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(key.default.is_some(), key.default_value().to_text().is_some(), "{}", key.name);
        if let Some(topic) = key.topic {
            assert!(table::server_keys(topic).contains(&key.name), "{topic} and {}", key.name);
        }
    }
    let count = |mode| table::keys().filter(|key| key.dynamic == mode).count();
    assert_eq!((count(Dynamic::PerBroker), count(Dynamic::ClusterWide)), (37, 52));
    assert_eq!(table::keys().filter(|key| key.internal).count(), 14);
    assert_eq!(TopicValues::KEYS.len(), 36);
    assert_eq!(LogConfig::default(), broker(&[]).unwrap().default_log_config());
}

fn source_name(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
        ConfigSource::BrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
    }
}

/// One line as the golden file has it.
fn line(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".into());
    let mut line = format!(
        "{}|{}|{}|{}|{}|{}",
        entry.name,
        text(&entry.value),
        source_name(entry.source),
        if entry.read_only { "ro" } else { "rw" },
        if entry.sensitive { "s" } else { "-" },
        entry.kind.map_or("UNKNOWN", Kind::name),
    );
    for synonym in &entry.synonyms {
        line.push_str(&format!("|{}:{}={}", source_name(synonym.source), synonym.name, text(&synonym.value)));
    }
    line
}

fn golden_section(title: &str) -> Vec<&'static str> {
    let lines = DESCRIBED.lines().skip_while(|line| *line != format!("## {title}")).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).collect()
}

fn assert_described(title: &str, entries: Vec<ConfigEntry>) {
    let mut mine: Vec<String> = entries.iter().map(line).collect();
    mine.sort_by(|one, other| one.split('|').next().cmp(&other.split('|').next()));
    let golden = golden_section(title);
    for (mine, golden) in mine.iter().zip(&golden) {
        assert_eq!(mine, golden, "{title}");
    }
    assert_eq!(mine.len(), golden.len(), "{title}");
}

/// The same story was told to Apache Kafka 3.9.1: described at start, then after dynamic changes on every level.
#[test]
fn describes_itself_as_kafka_does() {
    let config = DynamicConfig::new(overrides(&[
        ("broker.id", "0"),
        ("listeners", "PLAINTEXT://127.0.0.1:23192"),
        ("zookeeper.connect", "127.0.0.1:23181"),
        ("log.dirs", "/data/kafka"),
        ("log.retention.hours", "168"),
        ("num.partitions", "3"),
        ("offsets.topic.replication.factor", "1"),
        ("some.unknown.key", "hello"),
        ("ssl.keystore.password", "sekrit"),
    ]))
    .unwrap();
    let topic = overrides(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
    assert_described("topic", describe::describe_topic(&config, &topic).unwrap());
    assert_described("broker", describe::describe_broker(&config));

    config
        .set_default_overrides(&overrides(&[
            ("log.retention.ms", "3600000"),
            ("log.cleaner.min.cleanable.ratio", "0.60"),
            ("leader.replication.throttled.rate", "100"),
            ("some.default.key", "v"),
            ("log.cleanup.policy", ""),
        ]))
        .unwrap();
    config
        .set_broker_overrides(&overrides(&[
            ("foo", "bar"),
            ("log.retention.ms", "7200000"),
            ("log.cleanup.policy", "compact"),
            ("num.network.threads", "4"),
            ("metric.reporters", ""),
        ]))
        .unwrap();
    let topic = overrides(&[("segment.bytes", "20000000")]);
    assert_described("topic after", describe::describe_topic(&config, &topic).unwrap());
    assert_described("default after", describe::describe_cluster_default(&config));
    assert_described("broker after", describe::describe_broker(&config));
}

#[test]
fn values_are_parsed_as_strictly_as_kafka_does() {
    let ok = broker(&[
        ("num.partitions", " +7 "),
        ("auto.create.topics.enable", "FALSE"),
        ("log.cleaner.io.buffer.load.factor", "1e-1d"),
        ("log.cleanup.policy", "delete ,\tcompact"),
        ("ssl.keystore.password", " x "),
    ])
    .unwrap();
    assert_eq!(ok.general.num_partitions, 7);
    assert!(!ok.general.auto_create_topics_enable);
    assert!((ok.log.log_cleaner_io_buffer_load_factor - 0.1).abs() < f64::EPSILON);
    assert_eq!(ok.log.log_cleanup_policy, ["delete", "compact"]);
    assert_eq!(ok.ssl.ssl_keystore_password.as_ref().unwrap().0, "x");
    assert!(!format!("{ok:?}").contains(" x "), "a secret is never printed");
    for (key, value, expected) in [
        ("num.partitions", "abc", "Invalid value abc for configuration num.partitions: Not a number of type INT"),
        ("num.partitions", "0", "Invalid value 0 for configuration num.partitions: Value must be at least 1"),
        ("num.partitions", "", "Invalid value  for configuration num.partitions: Not a number of type INT"),
        (
            "log.segment.bytes",
            "99999999999",
            "Invalid value 99999999999 for configuration log.segment.bytes: Not a number of type INT",
        ),
        (
            "delete.topic.enable",
            "yes",
            "Invalid value yes for configuration delete.topic.enable: Expected value to be either true or false",
        ),
        (
            "log.cleaner.min.cleanable.ratio",
            "1.5",
            "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1",
        ),
        (
            "log.cleanup.policy",
            "delete,",
            "Invalid value  for configuration log.cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "inter.broker.protocol.version",
            "9.9",
            "Invalid value 9.9 for configuration inter.broker.protocol.version: Version 9.9 is not a valid version",
        ),
    ] {
        assert_eq!(fault(&[(key, value)]), expected);
    }
}

#[test]
fn doubles_are_written_as_java_writes_them() {
    for (value, text) in [
        (0.5, "0.5"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (12_345_678.0, "1.2345678E7"),
        (f64::MAX, "1.7976931348623157E308"),
    ] {
        assert_eq!(double_text(value), text);
    }
}

#[test]
fn times_in_several_units_take_the_finest_that_is_set() {
    let config = broker(&[("log.retention.hours", "1"), ("log.retention.minutes", "2"), ("log.roll.hours", "3")]);
    let config = config.unwrap();
    assert_eq!(config.log_retention_ms(), 120_000);
    assert_eq!(config.log_roll_ms(), 10_800_000);
    assert_eq!(config.log_flush_interval_ms(), i64::MAX);
    assert_eq!(broker(&[("log.retention.ms", "-7")]).unwrap().log_retention_ms(), -1);
    let defaults = config.default_log_config();
    assert_eq!((defaults.retention_ms, defaults.segment_ms), (120_000, 10_800_000));
}

#[test]
fn rules_between_keys_speak_kafkas_words() {
    for (given, expected) in [
        (
            &[("broker.id", "1001")][..],
            "requirement failed: broker.id must be greater than or equal to -1 and not greater than \
             reserved.broker.max.id",
        ),
        (&[("broker.id", "1"), ("node.id", "2")], "You must set `node.id` to the same value as `broker.id`."),
        (
            &[("log.retention.ms", "0")],
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        ),
        (
            &[("log.dirs", " , ")],
            "requirement failed: At least one log directory must be defined via log.dirs or log.dir.",
        ),
        (
            &[("inter.broker.listener.name", "A"), ("security.inter.broker.protocol", "SSL")],
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
        ),
        (
            &[("replica.lag.time.max.ms", "10")],
            "requirement failed: replica.fetch.wait.max.ms should always be less than or equal to \
             replica.lag.time.max.ms to prevent frequent changes in ISR",
        ),
        (
            &[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")],
            "requirement failed: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable \
             IP address.",
        ),
        (
            &[("log.cleaner.min.compaction.lag.ms", "10"), ("log.cleaner.max.compaction.lag.ms", "5")],
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
    ] {
        assert_eq!(fault(given), expected);
    }
}

#[test]
fn listeners_are_bound_and_advertised_by_name() {
    let config = broker(&[
        ("listeners", "internal://:19092, External://[::1]:9092"),
        ("advertised.listeners", "EXTERNAL://kafka.example.com:29092,INTERNAL://broker-1:19092"),
        ("listener.security.protocol.map", "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"),
        ("inter.broker.listener.name", "internal"),
    ])
    .unwrap();
    let bound: Vec<String> = config.listeners().iter().map(ListenerConfig::connection_string).collect();
    assert_eq!(bound, ["INTERNAL://:19092", "EXTERNAL://[::1]:9092"]);
    assert_eq!(config.advertised_listeners()[0].host.as_deref(), Some("kafka.example.com"));
    assert_eq!(config.inter_broker_listener(), ("INTERNAL", SecurityProtocol::Plaintext));

    let text = "PLAINTEXT://:1,SSL://:1";
    assert_eq!(
        fault(&[("listeners", text)]),
        format!("requirement failed: Each listener must have a different port, listeners: {text}")
    );
    let both = [("listeners", "PLAINTEXT://0.0.0.0:1,SSL://[::]:1"), ("advertised.listeners", "PLAINTEXT://h:1")];
    assert_eq!(broker(&both).unwrap().listeners().len(), 2);
    assert_eq!(
        fault(&[("listeners", "FOO://:1")]),
        "Error creating broker listeners from 'FOO://:1': No security protocol defined for listener FOO"
    );
    assert_eq!(
        fault(&[("listeners", "PLAINTEXT:9092")]),
        "Error creating broker listeners from 'PLAINTEXT:9092': Unable to parse PLAINTEXT:9092 to a broker endpoint"
    );
}

/// Images and test tools hand over files written for KRaft; what concerns its quorum falls away.
#[test]
fn a_file_written_for_kraft_loads() {
    let given = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", "1@localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("advertised.listeners", "PLAINTEXT://localhost:9092"),
    ];
    let config = broker(&given).unwrap();
    assert_eq!(config.general.broker_id, 1);
    assert_eq!(config.listeners().len(), 1);
    assert!(properties::warnings(&overrides(&given)).iter().any(|line| line.contains("process.roles")));
    assert!(fault(&[("controller.listener.names", "C")]).contains("must be empty when not running in KRaft mode"));
}

#[test]
fn properties_are_read_in_order_and_overridden() {
    let file =
        b"# a comment\nbroker.id=1\nlog.dirs = /a,\\\n  /b\nfoo.bar=1\nlistener.name.x.plain.sasl.jaas.config=j\n";
    let loaded = properties::load(file, &["broker.id=2".into(), "num.partitions=a=b".into()]).unwrap();
    assert_eq!(loaded.properties["broker.id"], "2");
    assert_eq!(loaded.properties["log.dirs"], "/a,/b");
    assert_eq!(loaded.properties["num.partitions"], "a=b");
    assert_eq!(loaded.warnings, ["The configuration 'foo.bar' was supplied but isn't a known config."]);
    assert!(properties::load(b"", &["broker.id".into()]).is_err());
}

#[test]
fn the_nearest_source_counts_and_drives_out_its_synonyms() {
    let config = DynamicConfig::new(overrides(&[("log.roll.hours", "2"), ("log.retention.minutes", "5")])).unwrap();
    let change = config.set_default_overrides(&overrides(&[("log.roll.ms", "100")])).unwrap();
    assert!(change.affects_logs());
    assert_eq!(change.changed.into_iter().collect::<Vec<_>>(), ["log.roll.hours", "log.roll.ms"]);
    assert_eq!(config.snapshot().log_roll_ms(), 100);
    let change = config.set_broker_overrides(&overrides(&[("num.io.threads", "9")])).unwrap();
    assert!(!change.affects_logs());
    config.set_broker_overrides(&overrides(&[("log.roll.ms", "200")])).unwrap();
    assert_eq!(config.snapshot().log_roll_ms(), 200);
    let change = config.set_default_overrides(&overrides(&[])).unwrap();
    assert!(change.changed.is_empty(), "hidden behind the broker's own value");
    config.set_broker_overrides(&overrides(&[])).unwrap();
    assert_eq!(config.snapshot().log_roll_ms(), 7_200_000);
}

#[test]
fn dynamic_changes_are_refused_in_kafkas_words() {
    let config = DynamicConfig::new(overrides(&[("broker.id", "0")])).unwrap();
    for (per_broker, key, value, expected) in [
        (true, "num.partitions", "5", "Cannot update these configs dynamically: Set(num.partitions)"),
        (
            true,
            "ssl.keystore.location",
            "/x",
            "These security configs can be dynamically updated only per-listener using the listener prefix: \
             HashSet(ssl.keystore.location)",
        ),
        (
            false,
            "listeners",
            "PLAINTEXT://:1",
            "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)",
        ),
        (
            true,
            "log.retention.ms",
            "abc",
            "Invalid value abc for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            true,
            "log.retention.ms",
            "0",
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        ),
        (
            true,
            "num.io.threads",
            "100",
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation \
             failed for num.io.threads=100, value should not be greater than double the current value 8 for \
             configuration Invalid dynamic configuration",
        ),
        (
            false,
            "log.cleaner.threads",
            "50",
            "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be increased to \
             more than double the current value 1 for configuration Invalid dynamic configuration",
        ),
        (
            true,
            "leader.replication.throttled.rate",
            "x",
            "Invalid value x for configuration leader.replication.throttled.rate: Not a number of type LONG",
        ),
    ] {
        assert_eq!(config.validate(&overrides(&[(key, value)]), per_broker).unwrap_err().message, expected);
    }
    assert_eq!(config.validate(&overrides(&[("foo", "bar"), ("log.segment.bytes", "1000")]), true), Ok(()));
}

/// What an older or a careless writer stored must not keep the rest from counting.
#[test]
fn bad_stored_values_are_passed_over() {
    let config = DynamicConfig::new(overrides(&[])).unwrap();
    let stored = [("log.segment.bytes", "2000"), ("log.roll.ms", "soon"), ("num.partitions", "9")];
    let change = config.set_broker_overrides(&overrides(&stored)).unwrap();
    assert_eq!(change.changed.into_iter().collect::<Vec<_>>(), ["log.segment.bytes"]);
    assert_eq!(change.ignored.len(), 2);
    assert!(config.set_broker_overrides(&overrides(&[("log.roll.ms", "0")])).is_err(), "breaks a rule as a whole");
    assert_eq!(config.snapshot().log.log_segment_bytes, 2000, "and so changes nothing");
}

#[test]
fn a_topic_overrides_the_broker() {
    let config =
        broker(&[("log.cleanup.policy", "compact"), ("log.message.timestamp.difference.max.ms", "9")]).unwrap();
    let given = overrides(&[
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "zstd"),
        ("message.timestamp.after.max.ms", "4"),
        ("leader.replication.throttled.replicas", "0:1,1:2"),
    ]);
    assert_eq!(topic::validate(&config, &given), Ok(()));
    let log = LogConfig::from_overrides(&config, &given).unwrap();
    assert!(log.cleanup_compact && !log.cleanup_delete);
    assert_eq!(log.message_timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(log.compression, topic::BrokerCompression::Zstd);
    assert_eq!((log.message_timestamp_before_max_ms, log.message_timestamp_after_max_ms), (9, 4));
    assert_eq!(log.leader_replication_throttled_replicas, ["0:1", "1:2"]);
    let unknown = topic::validate(&config, &overrides(&[("nope", "1")])).unwrap_err();
    assert_eq!((unknown.kind, unknown.message.as_str()), (ConfigErrorKind::Refused, "Unknown topic config name: nope"));
}

#[test]
fn listener_keys_stand_over_the_plain_ones() {
    let of = |name| synonyms::broker_synonyms(name, true);
    assert_eq!(of("listener.name.a.ssl.client.auth"), ["listener.name.a.ssl.client.auth", "ssl.client.auth"]);
    assert_eq!(
        of("listener.name.a.plain.sasl.jaas.config"),
        ["listener.name.a.plain.sasl.jaas.config", "sasl.jaas.config"]
    );
    assert!(dynamic::is_password("listener.name.a.ssl.keystore.password"));
    assert!(!dynamic::is_password("ssl.keystore.location"));
    let config = broker(&[("max.connections", "5"), ("listener.name.plaintext.max.connections", "3")]).unwrap();
    assert_eq!(config.listener_original("PLAINTEXT", "max.connections"), Some("3"));
    assert_eq!(config.listener_original("OTHER", "max.connections"), Some("5"));
}

#[test]
fn log_levels_fall_back_to_the_root() {
    use std::sync::Arc;

    use parking_lot::Mutex;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let loggers = Loggers::new("INFO", &["monedula"], Box::new(move |levels| sink.lock().push(levels.clone())));
    assert_eq!(loggers.describe(), [("monedula".into(), "INFO".into()), ("root".into(), "INFO".into())]);
    loggers.set("monedula", Some("DEBUG"));
    loggers.set("root", Some("WARN"));
    assert_eq!(loggers.describe(), [("monedula".into(), "DEBUG".into()), ("root".into(), "WARN".into())]);
    loggers.set("monedula", None);
    assert_eq!(loggers.describe()[0].1, "WARN");
    assert_eq!(seen.lock().len(), 3);
    assert_eq!(loggers.check("nologger", "DEBUG").unwrap_err().message, "Logger nologger does not exist!");
    assert!(loggers.check("root", "LOUD").unwrap_err().message.contains("DEBUG, ERROR, FATAL, INFO, TRACE, WARN"));
}

/// `UPDATE=1 cargo test --lib docs_are_fresh` rewrites the page.
#[test]
fn docs_are_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    let page = docs::markdown();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "run with UPDATE=1");
}

#[test]
fn nothing_given_is_a_broker_too() {
    let config = BrokerConfig::new(IndexMap::new()).unwrap();
    assert_eq!(config.log_dirs(), [std::path::PathBuf::from("/tmp/kafka-logs")]);
    assert_eq!(config.group.group_initial_rebalance_delay_ms, 3000);
    assert_eq!(config.network.socket_request_max_bytes, 104_857_600);
}
