//! The APIs served: one row each. Dispatch, ApiVersions and the compatibility table of the README derive from it.

use bytes::BytesMut;
use futures::future::BoxFuture;

use super::{
    Context, admin, data,
    dispatch::{BadRequest, Reply, decode, encode},
    group, inter_broker, metadata, transaction,
};
use crate::metrics::catalog::{CountedApi, RequestMetrics};

/// Runs one request: the body after the header in, the whole response frame out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Never waits.
    Now(fn(&Context<'_>, BytesMut) -> Result<Reply, BadRequest>),
    Later(for<'a> fn(&'a Context<'a>, BytesMut) -> BoxFuture<'a, Result<Reply, BadRequest>>),
}

/// One API of Kafka 3.9's ZooKeeper listener that this broker serves.
pub struct ApiRow {
    pub key: i16,
    pub name: &'static str,
    /// Both ends inclusive; exactly Kafka 3.9's.
    pub min_version: i16,
    pub max_version: i16,
    pub handler: Handler,
}

macro_rules! api_table {
    ($($kind:ident $key:literal $name:ident $min:literal..=$max:literal => $($path:ident)::+;)*) => {
        pub static API_TABLE: &[ApiRow] = &[$(
            ApiRow {
                key: $key,
                name: stringify!($name),
                min_version: $min,
                max_version: $max,
                handler: api_table!(@handler $kind $($path)::+),
            }
        ),*];
    };
    (@handler typed $($path:ident)::+) => {
        Handler::Later(|ctx, body| Box::pin(async move {
            let request = decode(ctx, body)?;
            let response = $($path)::+::handle(ctx, request).await;
            ctx.count_errors(&response);
            encode(ctx, &response)
        }))
    };
    (@handler raw $($path:ident)::+) => {
        Handler::Later(|ctx, body| Box::pin($($path)::+::handle(ctx, body)))
    };
    (@handler now $($path:ident)::+) => {
        Handler::Now($($path)::+::handle)
    };
}

api_table! {
    raw    0 Produce                 0..=11 => data::produce;
    raw    1 Fetch                   0..=17 => data::fetch;
    typed  2 ListOffsets             0..=9  => data::list_offsets;
    typed  3 Metadata                0..=12 => metadata::metadata;
    typed  4 LeaderAndIsr            0..=7  => inter_broker::leader_and_isr;
    typed  5 StopReplica             0..=4  => inter_broker::stop_replica;
    typed  6 UpdateMetadata          0..=8  => inter_broker::update_metadata;
    typed  7 ControlledShutdown      0..=3  => inter_broker::controlled_shutdown;
    typed  8 OffsetCommit            0..=9  => group::offset_commit;
    typed  9 OffsetFetch             0..=9  => group::offset_fetch;
    typed 10 FindCoordinator         0..=6  => metadata::find_coordinator;
    raw   11 JoinGroup               0..=9  => group::join_group;
    now   12 Heartbeat               0..=4  => group::heartbeat;
    typed 13 LeaveGroup              0..=5  => group::leave_group;
    raw   14 SyncGroup               0..=5  => group::sync_group;
    typed 15 DescribeGroups          0..=5  => group::describe_groups;
    typed 16 ListGroups              0..=5  => group::list_groups;
    raw   18 ApiVersions             0..=4  => metadata::api_versions;
    typed 19 CreateTopics            0..=7  => admin::create_topics;
    typed 20 DeleteTopics            0..=6  => admin::delete_topics;
    typed 21 DeleteRecords           0..=2  => data::delete_records;
    typed 22 InitProducerId          0..=5  => data::init_producer_id;
    typed 23 OffsetForLeaderEpoch    0..=4  => data::offset_for_leader_epoch;
    typed 24 AddPartitionsToTxn      0..=5  => transaction::add_partitions_to_txn;
    typed 25 AddOffsetsToTxn         0..=4  => transaction::add_offsets_to_txn;
    typed 26 EndTxn                  0..=4  => transaction::end_txn;
    typed 27 WriteTxnMarkers         0..=1  => transaction::write_txn_markers;
    typed 28 TxnOffsetCommit         0..=4  => transaction::txn_offset_commit;
    typed 32 DescribeConfigs         0..=4  => admin::describe_configs;
    typed 33 AlterConfigs            0..=2  => admin::alter_configs;
    typed 34 AlterReplicaLogDirs     0..=2  => admin::alter_replica_log_dirs;
    typed 35 DescribeLogDirs         0..=4  => admin::describe_log_dirs;
    typed 37 CreatePartitions        0..=3  => admin::create_partitions;
    typed 42 DeleteGroups            0..=2  => group::delete_groups;
    typed 43 ElectLeaders            0..=2  => admin::elect_leaders;
    typed 44 IncrementalAlterConfigs 0..=1  => admin::incremental_alter_configs;
    typed 45 AlterPartitionReassignments 0..=0 => admin::alter_partition_reassignments;
    typed 46 ListPartitionReassignments 0..=0 => admin::list_partition_reassignments;
    typed 47 OffsetDelete            0..=0  => group::offset_delete;
    typed 56 AlterPartition          0..=3  => inter_broker::alter_partition;
    typed 60 DescribeCluster         0..=1  => metadata::describe_cluster;
    typed 61 DescribeProducers       0..=0  => data::describe_producers;
    typed 65 DescribeTransactions    0..=0  => transaction::describe_transactions;
    typed 66 ListTransactions        0..=1  => transaction::list_transactions;
    typed 67 AllocateProducerIds     0..=0  => inter_broker::allocate_producer_ids;
}

/// Counters for every row.
#[must_use]
pub fn request_metrics() -> RequestMetrics {
    RequestMetrics::new(API_TABLE.iter().map(|row| CountedApi {
        key: row.key,
        name: row.name,
        min_version: row.min_version,
        max_version: row.max_version,
    }))
}

/// The row for a key, if it is served.
#[must_use]
pub fn row(key: i16) -> Option<&'static ApiRow> {
    API_TABLE.binary_search_by_key(&key, |row| row.key).ok().map(|at| &API_TABLE[at])
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    /// Kafka 3.9's ranges are the message crate's ranges: a row may not promise more or less.
    #[test]
    fn ranges_are_those_of_the_schemas() {
        assert!(API_TABLE.is_sorted_by_key(|row| row.key));
        for row in API_TABLE {
            let schema = ApiKey::try_from(row.key).unwrap().valid_versions();
            assert_eq!((row.min_version, row.max_version), (schema.min, schema.max), "{}", row.name);
            assert_eq!(row.name, format!("{:?}", ApiKey::try_from(row.key).unwrap()));
        }
    }
}
