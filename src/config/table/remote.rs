//! Tiered storage (KIP-405).

use crate::config::def::{Validator, at_least, between, config_keys};

config_keys! {
    /// Tiered storage (KIP-405).
    pub struct RemoteKeys;

    /// Longest time a fetch waits for remote storage.
    remote_fetch_max_wait_ms: i32 = "remote.fetch.max.wait.ms" {
        default: "500", check: at_least(1.0), importance: Medium, dynamic: ClusterWide
    }
    /// Disk space for cached index files of remote segments, in bytes.
    remote_log_index_file_cache_total_size_bytes: i64 = "remote.log.index.file.cache.total.size.bytes" {
        default: "1073741824", check: at_least(1.0), importance: Low, dynamic: ClusterWide
    }
    /// Threads that copy segments to remote storage; −1 takes the common number.
    remote_log_manager_copier_thread_pool_size: i32 = "remote.log.manager.copier.thread.pool.size" {
        default: "-1", check: Validator::ThreadPoolSize, importance: Medium
    }
    /// Most bytes per second copied to remote storage.
    remote_log_manager_copy_max_bytes_per_second: i64 = "remote.log.manager.copy.max.bytes.per.second" {
        default: "9223372036854775807", check: at_least(1.0), importance: Medium, dynamic: ClusterWide
    }
    /// Number of windows remembered by the copy quota.
    remote_log_manager_copy_quota_window_num: i32 = "remote.log.manager.copy.quota.window.num" {
        default: "11", check: at_least(1.0), importance: Medium
    }
    /// Seconds of one window of the copy quota.
    remote_log_manager_copy_quota_window_size_seconds: i32 = "remote.log.manager.copy.quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Medium
    }
    /// Threads that expire remote segments; −1 takes the common number.
    remote_log_manager_expiration_thread_pool_size: i32 = "remote.log.manager.expiration.thread.pool.size" {
        default: "-1", check: Validator::ThreadPoolSize, importance: Medium
    }
    /// Most bytes per second fetched from remote storage.
    remote_log_manager_fetch_max_bytes_per_second: i64 = "remote.log.manager.fetch.max.bytes.per.second" {
        default: "9223372036854775807", check: at_least(1.0), importance: Medium, dynamic: ClusterWide
    }
    /// Number of windows remembered by the fetch quota.
    remote_log_manager_fetch_quota_window_num: i32 = "remote.log.manager.fetch.quota.window.num" {
        default: "11", check: at_least(1.0), importance: Medium
    }
    /// Seconds of one window of the fetch quota.
    remote_log_manager_fetch_quota_window_size_seconds: i32 = "remote.log.manager.fetch.quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Medium
    }
    /// Time between runs of the copy and expiry tasks.
    remote_log_manager_task_interval_ms: i64 = "remote.log.manager.task.interval.ms" {
        default: "30000", check: at_least(1.0), importance: Low
    }
    /// Longest pause of a failed remote task.
    remote_log_manager_task_retry_backoff_max_ms: i64 = "remote.log.manager.task.retry.backoff.max.ms" {
        default: "30000", check: at_least(1.0), importance: Low, internal: true
    }
    /// First pause of a failed remote task.
    remote_log_manager_task_retry_backoff_ms: i64 = "remote.log.manager.task.retry.backoff.ms" {
        default: "500", check: at_least(1.0), importance: Low, internal: true
    }
    /// Random share added to those pauses.
    remote_log_manager_task_retry_jitter: f64 = "remote.log.manager.task.retry.jitter" {
        default: "0.2", check: between(0.0, 0.5), importance: Low, internal: true
    }
    /// Common number of threads of the remote tasks.
    remote_log_manager_thread_pool_size: i32 = "remote.log.manager.thread.pool.size" {
        default: "10", check: at_least(1.0), importance: Medium
    }
    /// Most bytes of a plugin's own metadata per segment.
    remote_log_metadata_custom_metadata_max_bytes: i32 = "remote.log.metadata.custom.metadata.max.bytes" {
        default: "128", check: at_least(0.0), importance: Low
    }
    /// Manager of remote metadata, by Kafka's class name.
    remote_log_metadata_manager_class_name: String = "remote.log.metadata.manager.class.name" {
        default: "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        check: Validator::NonEmpty,
        importance: Medium
    }
    /// Java class path of that manager; accepted.
    remote_log_metadata_manager_class_path: Option<String> = "remote.log.metadata.manager.class.path" {
        default: null, importance: Medium
    }
    /// Prefix of keys passed on to that manager.
    remote_log_metadata_manager_impl_prefix: String = "remote.log.metadata.manager.impl.prefix" {
        default: "rlmm.config.", check: Validator::NonEmpty, importance: Medium
    }
    /// Listener that manager connects to.
    remote_log_metadata_manager_listener_name: Option<String> = "remote.log.metadata.manager.listener.name" {
        default: null, check: Validator::NonEmpty, importance: Medium
    }
    /// Most remote reads waiting; more are refused.
    remote_log_reader_max_pending_tasks: i32 = "remote.log.reader.max.pending.tasks" {
        default: "100", check: at_least(1.0), importance: Medium
    }
    /// Threads that read from remote storage.
    remote_log_reader_threads: i32 = "remote.log.reader.threads" {
        default: "10", check: at_least(1.0), importance: Medium
    }
    /// Plugin for remote storage, by Kafka's class name.
    remote_log_storage_manager_class_name: Option<String> = "remote.log.storage.manager.class.name" {
        default: null, check: Validator::NonEmpty, importance: Medium
    }
    /// Java class path of that plugin; accepted.
    remote_log_storage_manager_class_path: Option<String> = "remote.log.storage.manager.class.path" {
        default: null, importance: Medium
    }
    /// Prefix of keys passed on to that plugin.
    remote_log_storage_manager_impl_prefix: String = "remote.log.storage.manager.impl.prefix" {
        default: "rsm.config.", check: Validator::NonEmpty, importance: Medium
    }
    /// Whether tiered storage is on in this broker.
    remote_log_storage_system_enable: bool = "remote.log.storage.system.enable" {
        default: "false", importance: Medium
    }
}
