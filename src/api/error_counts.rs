//! Which error codes an answer holds, for `RequestMetrics.ErrorsPerSec` (`AbstractResponse.errorCounts`).

use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, AllocateProducerIdsResponse, AlterClientQuotasResponse,
    AlterConfigsResponse, AlterPartitionReassignmentsResponse, AlterPartitionResponse, AlterReplicaLogDirsResponse,
    AlterUserScramCredentialsResponse, ApiVersionsResponse, ConsumerGroupDescribeResponse,
    ConsumerGroupHeartbeatResponse, ControlledShutdownResponse, CreateAclsResponse, CreateDelegationTokenResponse,
    CreatePartitionsResponse, CreateTopicsResponse, DeleteAclsResponse, DeleteGroupsResponse, DeleteRecordsResponse,
    DeleteTopicsResponse, DescribeAclsResponse, DescribeClientQuotasResponse, DescribeClusterResponse,
    DescribeConfigsResponse, DescribeDelegationTokenResponse, DescribeGroupsResponse, DescribeLogDirsResponse,
    DescribeProducersResponse, DescribeTransactionsResponse, DescribeUserScramCredentialsResponse,
    ElectLeadersResponse, EndTxnResponse, ExpireDelegationTokenResponse, FindCoordinatorResponse, HeartbeatResponse,
    IncrementalAlterConfigsResponse, InitProducerIdResponse, JoinGroupResponse, LeaderAndIsrResponse,
    LeaveGroupResponse, ListGroupsResponse, ListOffsetsResponse, ListPartitionReassignmentsResponse,
    ListTransactionsResponse, MetadataResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    OffsetForLeaderEpochResponse, RenewDelegationTokenResponse, SaslAuthenticateResponse, SaslHandshakeResponse,
    StopReplicaResponse, SyncGroupResponse, TxnOffsetCommitResponse, UpdateFeaturesResponse, UpdateMetadataResponse,
    WriteTxnMarkersResponse,
};

use crate::protocol::hot::{fetch::FetchResponse, produce::ProduceResponse};

/// An answer whose errors can be counted.
pub trait ErrorCounts {
    /// Shows every code in the answer, 0 for what went well.
    fn count_errors(&self, count: &mut dyn FnMut(i16));
}

/// The places of the codes: `()` the answer's own, `(topics partitions)` that of each partition of each topic.
macro_rules! error_counts {
    ($($response:ident: $($path:tt),+;)*) => {$(
        impl ErrorCounts for $response {
            fn count_errors(&self, count: &mut dyn FnMut(i16)) {
                $(error_counts!(@walk self, count, $path);)+
            }
        }
    )*};
    (@walk $it:expr, $count:ident, ()) => { $count($it.error_code) };
    (@walk $it:expr, $count:ident, ($field:ident $($rest:ident)*)) => {
        for inner in &$it.$field {
            error_counts!(@walk inner, $count, ($($rest)*));
        }
    };
}

error_counts! {
    AddOffsetsToTxnResponse: ();
    AllocateProducerIdsResponse: ();
    AlterClientQuotasResponse: (entries);
    AlterConfigsResponse: (responses);
    AlterPartitionResponse: (), (topics partitions);
    AlterPartitionReassignmentsResponse: (), (responses partitions);
    AlterReplicaLogDirsResponse: (results partitions);
    AlterUserScramCredentialsResponse: (results);
    ApiVersionsResponse: ();
    ConsumerGroupDescribeResponse: (groups);
    ConsumerGroupHeartbeatResponse: ();
    ControlledShutdownResponse: ();
    CreateAclsResponse: (results);
    CreateDelegationTokenResponse: ();
    CreatePartitionsResponse: (results);
    CreateTopicsResponse: (topics);
    DeleteAclsResponse: (filter_results);
    DeleteGroupsResponse: (results);
    DeleteRecordsResponse: (topics partitions);
    DeleteTopicsResponse: (responses);
    DescribeAclsResponse: ();
    DescribeClientQuotasResponse: ();
    DescribeClusterResponse: ();
    DescribeConfigsResponse: (results);
    DescribeDelegationTokenResponse: ();
    DescribeGroupsResponse: (groups);
    DescribeLogDirsResponse: (), (results);
    DescribeProducersResponse: (topics partitions);
    DescribeTransactionsResponse: (transaction_states);
    DescribeUserScramCredentialsResponse: (), (results);
    ElectLeadersResponse: (), (replica_election_results partition_result);
    EndTxnResponse: ();
    ExpireDelegationTokenResponse: ();
    HeartbeatResponse: ();
    IncrementalAlterConfigsResponse: (responses);
    InitProducerIdResponse: ();
    JoinGroupResponse: ();
    LeaderAndIsrResponse: (), (partition_errors), (topics partition_errors);
    StopReplicaResponse: (), (partition_errors);
    LeaveGroupResponse: (), (members);
    ListGroupsResponse: ();
    ListOffsetsResponse: (topics partitions);
    ListPartitionReassignmentsResponse: ();
    ListTransactionsResponse: ();
    MetadataResponse: (topics partitions), (topics);
    OffsetCommitResponse: (topics partitions);
    OffsetDeleteResponse: (), (topics partitions);
    OffsetForLeaderEpochResponse: (topics partitions);
    RenewDelegationTokenResponse: ();
    SaslAuthenticateResponse: ();
    SaslHandshakeResponse: ();
    SyncGroupResponse: ();
    TxnOffsetCommitResponse: (topics partitions);
    UpdateFeaturesResponse: (), (results);
    UpdateMetadataResponse: ();
    WriteTxnMarkersResponse: (markers topics partitions);
}

/// From version 4 on each coordinator has its own code.
impl ErrorCounts for FindCoordinatorResponse {
    fn count_errors(&self, count: &mut dyn FnMut(i16)) {
        if self.coordinators.is_empty() {
            return count(self.error_code);
        }
        self.coordinators.iter().for_each(|coordinator| count(coordinator.error_code));
    }
}

/// From version 8 on each group has its own code.
impl ErrorCounts for OffsetFetchResponse {
    fn count_errors(&self, count: &mut dyn FnMut(i16)) {
        if self.groups.is_empty() {
            count(self.error_code);
            let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
            return partitions.for_each(|partition| count(partition.error_code));
        }
        for group in &self.groups {
            count(group.error_code);
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.for_each(|partition| count(partition.error_code));
        }
    }
}

/// From version 4 on the answer has a code of its own.
impl ErrorCounts for AddPartitionsToTxnResponse {
    fn count_errors(&self, count: &mut dyn FnMut(i16)) {
        if self.results_by_topic_v3_and_below.is_empty() {
            count(self.error_code);
        }
        let batched = self.results_by_transaction.iter().flat_map(|transaction| &transaction.topic_results);
        let topics = self.results_by_topic_v3_and_below.iter().chain(batched);
        let partitions = topics.flat_map(|topic| &topic.results_by_partition);
        partitions.for_each(|partition| count(partition.partition_error_code));
    }
}

impl ErrorCounts for ProduceResponse {
    fn count_errors(&self, count: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| count(partition.error.code()));
    }
}

impl ErrorCounts for FetchResponse {
    fn count_errors(&self, count: &mut dyn FnMut(i16)) {
        count(self.error.code());
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| count(partition.error.code()));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{
        find_coordinator_response::Coordinator,
        metadata_response::{MetadataResponsePartition, MetadataResponseTopic},
    };

    use super::*;

    fn codes(response: &dyn ErrorCounts) -> Vec<i16> {
        let mut found = Vec::new();
        response.count_errors(&mut |code| found.push(code));
        found
    }

    #[test]
    fn every_level_of_an_answer_is_counted() {
        let partition = |code| MetadataResponsePartition::default().with_error_code(code);
        let topic =
            MetadataResponseTopic::default().with_error_code(3).with_partitions(vec![partition(5), partition(0)]);
        assert_eq!(codes(&MetadataResponse::default().with_topics(vec![topic])), [5, 0, 3]);
        assert_eq!(codes(&HeartbeatResponse::default().with_error_code(27)), [27]);
        let one = Coordinator::default().with_error_code(15);
        assert_eq!(codes(&FindCoordinatorResponse::default().with_coordinators(vec![one])), [15]);
        assert_eq!(codes(&FindCoordinatorResponse::default()), [0]);
    }
}
