//! Partitions and who waits for them (classes `ReplicaManager`, `DelayedOperationPurgatory`).

use crate::metrics::{Gauge, Source, Value, Visitor};

crate::metrics! {
    pub struct ReplicaManagerMetrics {
        partition_count: Gauge = "kafka.server:type=ReplicaManager,name=PartitionCount";
        leader_count: Gauge = "kafka.server:type=ReplicaManager,name=LeaderCount";
        offline_replica_count: Gauge = "kafka.server:type=ReplicaManager,name=OfflineReplicaCount";
        under_replicated_partitions: Gauge = "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions";
        under_min_isr_partition_count: Gauge = "kafka.server:type=ReplicaManager,name=UnderMinIsrPartitionCount";
        at_min_isr_partition_count: Gauge = "kafka.server:type=ReplicaManager,name=AtMinIsrPartitionCount";
        reassigning_partitions: Gauge = "kafka.server:type=ReplicaManager,name=ReassigningPartitions";
        partitions_with_late_transactions_count: Gauge = "kafka.server:type=ReplicaManager,name=PartitionsWithLateTransactionsCount";
        producer_id_count: Gauge = "kafka.server:type=ReplicaManager,name=ProducerIdCount";
        isr_shrinks: Meter = "kafka.server:type=ReplicaManager,name=IsrShrinksPerSec";
        isr_expands: Meter = "kafka.server:type=ReplicaManager,name=IsrExpandsPerSec";
        failed_isr_updates: Meter = "kafka.server:type=ReplicaManager,name=FailedIsrUpdatesPerSec";
    }
}

/// `PurgatorySize` of each kind of waiting request, counted once per partition waited for.
#[derive(Debug, Default)]
pub struct PurgatoryMetrics {
    pub produce: Gauge,
    pub fetch: Gauge,
    pub delete_records: Gauge,
}

impl Source for PurgatoryMetrics {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let kinds = [("Produce", &self.produce), ("Fetch", &self.fetch), ("DeleteRecords", &self.delete_records)];
        for (kind, gauge) in kinds {
            let mbean = "kafka.server:type=DelayedOperationPurgatory,name=PurgatorySize";
            visitor(mbean, &[("delayedOperation", kind)], Value::from(gauge));
        }
    }
}
