//! Windows of the quotas.

use crate::config::def::{ClassName, at_least, config_keys};

config_keys! {
    /// Windows of the quotas.
    pub struct QuotaKeys;

    /// Number of windows remembered by the quota on moves between directories.
    alter_log_dirs_replication_quota_window_num: i32 = "alter.log.dirs.replication.quota.window.num" {
        default: "11", check: at_least(1.0), importance: Low
    }
    /// Seconds of one window of that quota.
    alter_log_dirs_replication_quota_window_size_seconds: i32 = "alter.log.dirs.replication.quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Low
    }
    /// Java class that computes client quotas; accepted by name.
    client_quota_callback_class: Option<ClassName> = "client.quota.callback.class" { default: null, importance: Low }
    /// Number of windows remembered by the quota on topic mutations.
    controller_quota_window_num: i32 = "controller.quota.window.num" {
        default: "11", check: at_least(1.0), importance: Low
    }
    /// Seconds of one window of that quota.
    controller_quota_window_size_seconds: i32 = "controller.quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Low
    }
    /// Number of windows remembered by client quotas.
    quota_window_num: i32 = "quota.window.num" { default: "11", check: at_least(1.0), importance: Low }
    /// Seconds of one window of client quotas.
    quota_window_size_seconds: i32 = "quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Low
    }
    /// Number of windows remembered by replication quotas.
    replication_quota_window_num: i32 = "replication.quota.window.num" {
        default: "11", check: at_least(1.0), importance: Low
    }
    /// Seconds of one window of replication quotas.
    replication_quota_window_size_seconds: i32 = "replication.quota.window.size.seconds" {
        default: "1", check: at_least(1.0), importance: Low
    }
}
