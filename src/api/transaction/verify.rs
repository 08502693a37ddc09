//! Before a partition's first write into a transaction its coordinator is asked whether the partition is in it (class
//! `AddPartitionsToTxnManager`, KIP-890): a write that comes late, after the transaction's end, would hang for ever.

use crate::{
    api::Services,
    common::{
        ErrorCode, ProducerEpoch, ProducerId, TopicPartition, ids::NO_LEADER_EPOCH, topic_name::TRANSACTION_STATE_TOPIC,
    },
    storage::Verification,
};

/// What is known of the writer.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    pub transactional_id: &'a str,
    pub producer: (ProducerId, ProducerEpoch),
    /// Whether the client knows TRANSACTION_ABORTABLE; others are told INVALID_TXN_STATE.
    pub knows_abortable: bool,
}

/// One partition that is to be written to, with the sequence number it begins at.
pub type Asked = (TopicPartition, i32);

/// For each partition what its log needs to be told at the append, or the code to refuse it with. All partitions may be
/// written to if `transaction.partition.verification.enable` is off.
pub async fn verify(services: &Services, writer: Writer<'_>, asked: &[Asked]) -> Vec<Result<Verification, ErrorCode>> {
    if !services.config.snapshot().transaction.transaction_partition_verification_enable {
        return vec![Ok(Verification::NotRequired); asked.len()];
    }
    let now = services.clock.now_ms();
    let (id, epoch) = writer.producer;
    let start = |(tp, sequence): &Asked| {
        let (log, _) = services.replicas.leader_log(tp, NO_LEADER_EPOCH)?;
        Ok(log.start_verification(id, *sequence, epoch, now))
    };
    let mut outcomes: Vec<Result<Verification, ErrorCode>> = asked.iter().map(start).collect();
    let is_open = |outcome: &Result<Verification, ErrorCode>| matches!(outcome, Ok(Verification::Guard(_)));
    let unverified: Vec<TopicPartition> =
        asked.iter().zip(&outcomes).filter(|(_, outcome)| is_open(outcome)).map(|((tp, _), _)| tp.clone()).collect();
    if unverified.is_empty() {
        return outcomes;
    }
    let answers = match ask_coordinator(services, writer, unverified).await {
        Ok(answers) => answers.into_iter().map(|(_, error)| error).collect(),
        Err(error) => vec![error; asked.len()],
    };
    for (outcome, error) in outcomes.iter_mut().filter(|outcome| is_open(outcome)).zip(answers) {
        if !error.is_none() {
            *outcome = Err(told_to_writer(error, writer.knows_abortable));
        }
    }
    outcomes
}

/// The leader of the transaction's partition of `__transaction_state`, which may be this broker.
async fn ask_coordinator(
    services: &Services,
    writer: Writer<'_>,
    partitions: Vec<TopicPartition>,
) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
    let coordinator = {
        let image = services.metadata.load();
        let partition = services.transactions.partition_for(writer.transactional_id);
        let leader = image.partition(TRANSACTION_STATE_TOPIC, partition).map(|partition| partition.leader);
        leader.filter(|leader| image.brokers.contains_key(leader)).ok_or(ErrorCode::CoordinatorNotAvailable)?
    };
    if coordinator == services.broker_id {
        services.transactions.verify_partitions(writer.transactional_id, writer.producer, partitions)
    } else {
        services.txn_verifier.verify(coordinator, writer.transactional_id, writer.producer, partitions).await
    }
}

fn told_to_writer(error: ErrorCode, knows_abortable: bool) -> ErrorCode {
    match error {
        // Producers expect this one of a partition's leader.
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if !knows_abortable => ErrorCode::InvalidTxnState,
        other => other,
    }
}
