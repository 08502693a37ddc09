//! The task table: recurring work under Kafka's names.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::scheduler::Task;
use crate::{api::Services, common::Timestamp, config::BrokerConfig, storage::LogManager};

/// What a task may reach.
#[derive(Clone)]
struct Reach {
    services: Arc<Services>,
    logs: Arc<LogManager>,
    /// Coordinators append, which may mean to wait: not on the scheduler's thread.
    runtime: Handle,
}

impl Reach {
    fn spawn(&self, run: fn(&Services)) {
        let services = Arc::clone(&self.services);
        self.runtime.spawn(async move { run(&services) });
    }
}

/// To be called within a runtime. Every recurring task with its first delay and period, in milliseconds.
pub fn tasks(config: &BrokerConfig, services: &Arc<Services>, logs: &Arc<LogManager>) -> Vec<Task> {
    let reach = Reach { services: Arc::clone(services), logs: Arc::clone(logs), runtime: Handle::current() };
    let delay = config.log.log_initial_task_delay_ms;
    let every = |name, initial_delay_ms, period_ms, run: fn(&Reach, Timestamp)| {
        let reach = reach.clone();
        let run = Box::new(move || run(&reach, reach.services.clock.now_ms()));
        Task { name, initial_delay_ms, period_ms, run }
    };
    let start_offset_interval_ms = i64::from(config.log.log_flush_start_offset_checkpoint_interval_ms);
    let offset_interval_ms = i64::from(config.log.log_flush_offset_checkpoint_interval_ms);
    let high_watermark_interval_ms = config.replication.replica_high_watermark_checkpoint_interval_ms;
    let expiry_interval_ms = i64::from(config.transaction.producer_id_expiration_check_interval_ms);
    let abort_interval_ms = i64::from(config.transaction.transaction_abort_timed_out_transaction_cleanup_interval_ms);
    let id_interval_ms = i64::from(config.transaction.transaction_remove_expired_transaction_cleanup_interval_ms);
    // A follower leaves the ISR at most half a lag time late.
    let lag_check_ms = (config.replication.replica_lag_time_max_ms / 2).max(1);
    vec![
        every("kafka-log-retention", delay, config.log.log_retention_check_interval_ms, |it, now| {
            it.logs.delete_old_segments(now);
        }),
        every("kafka-log-flusher", delay, config.log.log_flush_scheduler_interval_ms, |it, now| {
            it.logs.flush_dirty_logs(now);
        }),
        every("kafka-recovery-point-checkpoint", delay, offset_interval_ms, |it, _| {
            it.logs.checkpoint_recovery_points();
        }),
        every("kafka-log-start-offset-checkpoint", delay, start_offset_interval_ms, |it, _| {
            it.logs.checkpoint_log_start_offsets();
        }),
        // Also the flushes after rolls: a short period keeps the recovery point close behind.
        every("kafka-delete-logs", 1000, 1000, |it, now| it.logs.delete_pending(now)),
        every("highwatermark-checkpoint", high_watermark_interval_ms, high_watermark_interval_ms, |it, _| {
            it.services.replicas.checkpoint_high_watermarks();
        }),
        every("isr-expiration", lag_check_ms, lag_check_ms, |it, _| it.services.replicas.expire_isr()),
        every("PeriodicProducerExpirationCheck", expiry_interval_ms, expiry_interval_ms, |it, now| {
            it.logs.expire_producers(now);
        }),
        every("transaction-abort", abort_interval_ms, abort_interval_ms, |it, _| {
            it.spawn(|services| services.transactions.abort_timed_out());
        }),
        every("transactionalId-expiration", id_interval_ms, id_interval_ms, |it, _| {
            it.spawn(|services| services.transactions.expire_ids());
        }),
    ]
}
