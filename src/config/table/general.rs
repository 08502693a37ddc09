//! Who this broker is, topic defaults, metrics.

use crate::config::def::{ClassName, Validator, at_least, between, config_keys, each_of, one_of};

config_keys! {
    /// Who this broker is, topic defaults, metrics.
    pub struct GeneralKeys;

    /// Java class of a policy for config changes; accepted by name, no class is loaded.
    alter_config_policy_class_name: Option<ClassName> = "alter.config.policy.class.name" {
        default: null, importance: Low
    }
    /// Whether a metadata request or a first write may create a missing topic.
    auto_create_topics_enable: bool = "auto.create.topics.enable" { default: "true", importance: High }
    /// Kept for compatibility: Kafka adds its JMX reporter by it; metrics are served otherwise here.
    auto_include_jmx_reporter: bool = "auto.include.jmx.reporter" { default: "true", importance: Low }
    /// Number of threads for periodic background work.
    background_threads: i32 = "background.threads" {
        default: "10", check: at_least(1.0), importance: High, dynamic: ClusterWide
    }
    /// KRaft only: time between a broker's heartbeats to the controller.
    broker_heartbeat_interval_ms: i32 = "broker.heartbeat.interval.ms" { default: "2000", importance: Medium }
    /// This broker's id in the cluster; −1 lets the cluster give one out.
    broker_id: i32 = "broker.id" { default: "-1", importance: High }
    /// Whether a broker without an id may take one above `reserved.broker.max.id`.
    broker_id_generation_enable: bool = "broker.id.generation.enable" { default: "true", importance: Medium }
    /// Rack or zone of this broker, for spreading replicas and for reading from a near one.
    broker_rack: Option<String> = "broker.rack" { default: null, importance: Medium }
    /// KRaft only: silence after which the controller fences a broker.
    broker_session_timeout_ms: i32 = "broker.session.timeout.ms" { default: "9000", importance: Medium }
    /// Level used when the broker itself writes gzip, 1 to 9, or −1 for the codec's own default.
    compression_gzip_level: i32 = "compression.gzip.level" {
        default: "-1",
        check: Validator::GzipLevel,
        importance: Medium,
        dynamic: ClusterWide,
        topic: "compression.gzip.level"
    }
    /// Level used when the broker itself writes lz4.
    compression_lz4_level: i32 = "compression.lz4.level" {
        default: "9",
        check: between(1.0, 17.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "compression.lz4.level"
    }
    /// Codec of stored batches; `producer` keeps what the producer chose, `uncompressed` means none.
    compression_type: String = "compression.type" {
        default: "producer",
        check: one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        importance: High,
        dynamic: ClusterWide,
        topic: "compression.type"
    }
    /// Level used when the broker itself writes zstd.
    compression_zstd_level: i32 = "compression.zstd.level" {
        default: "3",
        check: between(-131072.0, 22.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "compression.zstd.level"
    }
    /// Java class of a policy for new topics; accepted by name, no class is loaded.
    create_topic_policy_class_name: Option<ClassName> = "create.topic.policy.class.name" {
        default: null, importance: Low
    }
    /// Whether topics may be deleted; if not, a delete request is refused.
    delete_topic_enable: bool = "delete.topic.enable" { default: "true", importance: High }
    /// Listeners opened before the authorizer is ready, by name.
    early_start_listeners: Option<String> = "early.start.listeners" { default: null, importance: High }
    /// KRaft only: track replicas that are safe to elect although out of the ISR.
    eligible_leader_replicas_enable: bool = "eligible.leader.replicas.enable" { default: "false", importance: High }
    /// KRaft only: time a starting broker waits for its registration.
    initial_broker_registration_timeout_ms: i32 = "initial.broker.registration.timeout.ms" {
        default: "60000", importance: Medium
    }
    /// Seconds between polls of the legacy metrics reporters.
    kafka_metrics_polling_interval_secs: i32 = "kafka.metrics.polling.interval.secs" {
        default: "10", check: at_least(1.0), importance: Low
    }
    /// Java classes of legacy metrics reporters; accepted, not loaded.
    kafka_metrics_reporters: Vec<String> = "kafka.metrics.reporters" { default: "", importance: Low }
    /// Largest record batch accepted, in bytes after compression.
    message_max_bytes: i32 = "message.max.bytes" {
        default: "1048588", check: at_least(0.0), importance: High, dynamic: ClusterWide, topic: "max.message.bytes"
    }
    /// Java classes of metrics reporters; accepted, not loaded.
    metric_reporters: Vec<String> = "metric.reporters" { default: "", importance: Low, dynamic: ClusterWide }
    /// Number of sample windows a rate or average is computed over.
    metrics_num_samples: i32 = "metrics.num.samples" { default: "2", check: at_least(1.0), importance: Low }
    /// Least important level of metrics that is recorded: INFO, DEBUG or TRACE.
    metrics_recording_level: String = "metrics.recording.level" { default: "INFO", importance: Low }
    /// Length of one sample window of a metric.
    metrics_sample_window_ms: i64 = "metrics.sample.window.ms" {
        default: "30000", check: at_least(1.0), importance: Low
    }
    /// Id of this node; stands in for `broker.id`, and must equal it if both are given.
    node_id: i32 = "node.id" { default: "-1", importance: High }
    /// Number of partitions of a topic that is created without a number.
    num_partitions: i32 = "num.partitions" { default: "1", check: at_least(1.0), importance: Medium }
    /// KRaft roles of this process: accepted, and without effect.
    process_roles: Vec<String> = "process.roles" {
        default: "", check: each_of(&["broker", "controller"]), importance: High
    }
    /// Time a request of this broker to another waits for its answer.
    request_timeout_ms: i32 = "request.timeout.ms" { default: "30000", importance: High }
    /// Largest id given by hand; generated ids are above it.
    reserved_broker_max_id: i32 = "reserved.broker.max.id" {
        default: "1000", check: at_least(0.0), importance: Medium
    }
    /// Java security providers; accepted, not loaded.
    security_providers: Option<String> = "security.providers" { default: null, importance: Low }
    /// KRaft only: longest time a start may take.
    server_max_startup_time_ms: i64 = "server.max.startup.time.ms" {
        default: "9223372036854775807", check: at_least(0.0), importance: Medium, internal: true
    }
    /// Largest metrics push accepted from a client, in bytes.
    telemetry_max_bytes: i32 = "telemetry.max.bytes" { default: "1048576", check: at_least(1.0), importance: Low }
    /// Whether API versions still in development are offered.
    unstable_api_versions_enable: bool = "unstable.api.versions.enable" {
        default: "false", importance: High, internal: true
    }
    /// Whether feature versions still in development are offered.
    unstable_feature_versions_enable: bool = "unstable.feature.versions.enable" {
        default: "false", importance: High, internal: true
    }
}
