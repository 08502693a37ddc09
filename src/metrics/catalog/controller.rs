//! The cluster as its controller sees it (classes `KafkaController`, `ControllerStats`). Zero on every other broker.

crate::metrics! {
    pub struct ControllerMetrics {
        /// 1 on the broker that is controller; the sum over all brokers should be 1.
        active_controller_count: Gauge = "kafka.controller:type=KafkaController,name=ActiveControllerCount";
        /// Partitions that nobody leads.
        offline_partitions_count: Gauge = "kafka.controller:type=KafkaController,name=OfflinePartitionsCount";
        /// Partitions led by another replica than the first of their assignment.
        preferred_replica_imbalance_count: Gauge = "kafka.controller:type=KafkaController,name=PreferredReplicaImbalanceCount";
        global_topic_count: Gauge = "kafka.controller:type=KafkaController,name=GlobalTopicCount";
        global_partition_count: Gauge = "kafka.controller:type=KafkaController,name=GlobalPartitionCount";
        topics_to_delete_count: Gauge = "kafka.controller:type=KafkaController,name=TopicsToDeleteCount";
        replicas_to_delete_count: Gauge = "kafka.controller:type=KafkaController,name=ReplicasToDeleteCount";
        active_broker_count: Gauge = "kafka.controller:type=KafkaController,name=ActiveBrokerCount";
        unclean_leader_elections: Meter = "kafka.controller:type=ControllerStats,name=UncleanLeaderElectionsPerSec";
    }
}
