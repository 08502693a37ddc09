//! Which questions of producers share a request, and who is told what.

use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};

use super::*;

fn question(id: &str, epoch: ProducerEpoch, partition: i32) -> (Question, oneshot::Receiver<Verified>) {
    let (reply, answer) = oneshot::channel();
    let partitions = vec![TopicPartition::new("t", partition)];
    (Question { transactional_id: id.into(), producer: (7, epoch), partitions, reply }, answer)
}

fn told(id: &'static str, partition: i32, error: ErrorCode) -> AddPartitionsToTxnResult {
    let partition = AddPartitionsToTxnPartitionResult::default()
        .with_partition_index(partition)
        .with_partition_error_code(error.code());
    let topic = AddPartitionsToTxnTopicResult::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_results_by_partition(vec![partition]);
    AddPartitionsToTxnResult::default()
        .with_transactional_id(TransactionalId(StrBytes::from_static_str(id)))
        .with_topic_results(vec![topic])
}

/// While a request is on its way a producer is fenced and its successor asks, and another one retries: only the newest
/// question of each goes out, and everybody hears something.
#[test]
fn the_newest_question_of_a_transaction_is_asked() {
    let mut batch = Batch::default();
    let (zombie, mut zombie_answer) = question("a", 1, 0);
    let (current, mut current_answer) = question("a", 2, 0);
    let (late_zombie, mut late_zombie_answer) = question("a", 1, 0);
    let (first, mut first_answer) = question("b", 5, 3);
    let (retry, mut retry_answer) = question("b", 5, 3);
    for question in [zombie, current, late_zombie, first, retry] {
        batch.admit(question);
    }
    assert_eq!(zombie_answer.try_recv().unwrap(), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(late_zombie_answer.try_recv().unwrap(), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(first_answer.try_recv().unwrap(), Err(ErrorCode::NetworkException));
    let request = batch.request();
    let asked: Vec<(&str, i16)> =
        request.transactions.iter().map(|it| (it.transactional_id.as_str(), it.producer_epoch)).collect();
    assert_eq!(asked, [("a", 2), ("b", 5)]);
    assert!(request.transactions.iter().all(|it| it.verify_only));

    let results = vec![told("b", 3, ErrorCode::TransactionAbortable), told("a", 0, ErrorCode::None)];
    batch.answer(&AddPartitionsToTxnResponse::default().with_results_by_transaction(results));
    assert_eq!(current_answer.try_recv().unwrap().unwrap()[0].1, ErrorCode::None);
    assert_eq!(retry_answer.try_recv().unwrap().unwrap()[0].1, ErrorCode::TransactionAbortable);
}

#[test]
fn an_answer_that_passes_a_partition_over_lets_nobody_write() {
    let mut batch = Batch::default();
    let (asked, mut answer) = question("a", 1, 0);
    batch.admit(asked);
    batch.answer(&AddPartitionsToTxnResponse::default().with_results_by_transaction(vec![told(
        "a",
        9,
        ErrorCode::None,
    )]));
    assert_eq!(answer.try_recv().unwrap().unwrap()[0].1, ErrorCode::NetworkException);

    let mut batch = Batch::default();
    let (asked, mut answer) = question("a", 1, 0);
    batch.admit(asked);
    let code = ErrorCode::ClusterAuthorizationFailed.code();
    batch.answer(&AddPartitionsToTxnResponse::default().with_error_code(code));
    assert_eq!(answer.try_recv().unwrap(), Err(ErrorCode::InvalidTxnState));
}
