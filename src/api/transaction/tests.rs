//! Every answer must fit every version it may be asked in: an answer that the schema refuses closes the connection.

use bytes::BytesMut;
use kafka_protocol::{
    messages::{AddPartitionsToTxnResponse, DescribeTransactionsResponse, TransactionalId},
    protocol::{Decodable, Encodable, StrBytes},
};

use super::{add_partitions_to_txn, describe_transactions, told_to, txn_offset_commit};
use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::transaction::{TransactionDescription, TransactionState},
};

fn round_trip<T: Encodable + Decodable>(response: &T, version: i16) -> T {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).unwrap_or_else(|fault| panic!("version {version}: {fault:#}"));
    T::decode(&mut bytes.freeze(), version).unwrap()
}

fn answers(error: ErrorCode) -> Vec<(TopicPartition, ErrorCode)> {
    ["a", "b", "a"].into_iter().zip(0..).map(|(topic, index)| (TopicPartition::new(topic, index), error)).collect()
}

#[test]
fn added_partitions_fit_old_versions() {
    for version in 0..=3 {
        let topics = add_partitions_to_txn::topics(answers(ErrorCode::ProducerFenced));
        let response = AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics);
        let seen = round_trip(&response, version).results_by_topic_v3_and_below;
        assert_eq!((seen.len(), seen[0].results_by_partition.len()), (2, 2), "one entry per topic");
    }
    assert_eq!(told_to(1, ErrorCode::ProducerFenced), ErrorCode::InvalidProducerEpoch);
    assert_eq!(told_to(2, ErrorCode::ProducerFenced), ErrorCode::ProducerFenced);
}

#[test]
fn old_producers_are_not_told_of_loading() {
    for version in 0..=4 {
        let response = txn_offset_commit::respond(version, answers(ErrorCode::CoordinatorLoadInProgress));
        let seen = ErrorCode::from_code(round_trip(&response, version).topics[0].partitions[0].error_code);
        let told = if version < 2 { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::CoordinatorLoadInProgress };
        assert_eq!(seen, told);
    }
}

#[test]
fn descriptions_fit() {
    let description = TransactionDescription {
        state: TransactionState::Ongoing,
        timeout_ms: 5,
        start_timestamp: 6,
        producer_id: 7,
        producer_epoch: 8,
        partitions: answers(ErrorCode::None).into_iter().map(|(tp, _)| tp).collect(),
    };
    let id = || TransactionalId(StrBytes::from_static_str("id"));
    let states = vec![
        describe_transactions::respond(id(), Ok(description)),
        describe_transactions::respond(id(), Err(ErrorCode::TransactionalIdNotFound)),
    ];
    let response = DescribeTransactionsResponse::default().with_transaction_states(states);
    let seen = round_trip(&response, 0).transaction_states;
    assert_eq!(seen[0].transaction_state.as_str(), "Ongoing");
    assert_eq!(seen[0].topics.len(), 2);
    assert_eq!(seen[1].error_code, 105);
}
