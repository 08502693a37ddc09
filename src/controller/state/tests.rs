//! Scripts of decisions: brokers come and go, topics are born, grow and die.

use super::{
    ControllerContext,
    deletion::all_stopped,
    partition_states::{elections, new_partitions, restarts},
};
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    coordination::{
        cluster_store::{VersionedState, VersionedTopic},
        znode::topic::{ReplicaAssignment, TopicAssignment},
    },
    metadata::BrokerImage,
};

fn context(brokers: &[BrokerId]) -> ControllerContext {
    let mut context = ControllerContext::new(7);
    set_brokers(&mut context, brokers);
    context
}

fn set_brokers(context: &mut ControllerContext, brokers: &[BrokerId]) {
    let image = |id: &BrokerId| (*id, BrokerImage { id: *id, epoch: 1, rack: None, endpoints: Vec::new() });
    context.brokers = brokers.iter().map(image).collect();
}

fn put(context: &mut ControllerContext, topic: &str, replicas: &[&[BrokerId]]) -> bool {
    let partitions = (0..).zip(replicas).map(|(number, list)| (number, ReplicaAssignment::of(list.to_vec()))).collect();
    let assignment = TopicAssignment { topic_id: Some(uuid::Uuid::from_u64_pair(0, 1)), partitions };
    context.put_topic(&VersionedTopic { topic: topic.into(), assignment, version: 0 })
}

/// Chooses first leaders and takes them for written.
fn create(context: &mut ControllerContext) -> usize {
    let names: Vec<_> = context.topics.keys().cloned().collect();
    let new = new_partitions(context, &names);
    for one in &new {
        context.put_state(&one.topic_partition, VersionedState { state: one.state.clone(), version: 0 });
    }
    new.len()
}

/// Decides, takes the decisions for written, and shows them as `partition leader@epoch [isr]`.
fn elect(context: &mut ControllerContext) -> Vec<String> {
    let updates = elections(context);
    for update in &updates {
        let state = VersionedState { state: update.state.clone(), version: update.expected_version + 1 };
        context.put_state(&update.topic_partition, state);
    }
    let show = |update: &crate::coordination::cluster_store::PartitionStateUpdate| {
        let state = &update.state;
        format!("{} {}@{} {:?}", update.topic_partition, state.leader, state.leader_epoch, state.isr)
    };
    updates.iter().map(show).collect()
}

#[test]
fn the_first_live_replica_leads_a_new_partition() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1, 2], &[3, 2], &[3]]);
    let new = new_partitions(&context, &["t".into()]);
    assert_eq!(new.len(), 2, "nobody can lead the third");
    assert_eq!((new[0].state.leader, &new[0].state.isr), (1, &vec![1, 2]));
    assert_eq!((new[1].state.leader, &new[1].state.isr), (2, &vec![2]));
    assert_eq!((new[1].state.leader_epoch, new[1].state.controller_epoch), (0, 7));
    create(&mut context);
    assert_eq!(create(&mut context), 0);
    // The one that had to wait is shown without a leader, and gets one when its broker comes.
    let image = &context.topic_images(&["t".into()])[0];
    assert_eq!((image.partitions[2].leader, &image.partitions[2].offline_replicas), (-1, &vec![3]));
    set_brokers(&mut context, &[1, 2, 3]);
    assert_eq!(create(&mut context), 1);
}

#[test]
fn a_topic_grows() {
    let mut context = context(&[1]);
    assert!(put(&mut context, "t", &[&[1]]));
    create(&mut context);
    assert!(!put(&mut context, "t", &[&[1]]), "nothing is new");
    assert!(put(&mut context, "t", &[&[1], &[1], &[1]]));
    assert_eq!(create(&mut context), 2);
    let hosted = context.leader_and_isr(1, &context.all_partitions(), true);
    assert_eq!(hosted.len(), 3);
    assert!(context.leader_and_isr(2, &context.all_partitions(), true).is_empty());
}

#[test]
fn leadership_moves_with_the_brokers() {
    let mut context = context(&[1, 2, 3]);
    put(&mut context, "t", &[&[1, 2], &[2, 1], &[1]]);
    create(&mut context);
    assert!(elect(&mut context).is_empty());
    set_brokers(&mut context, &[2, 3]);
    assert_eq!(elect(&mut context), ["t-0 2@1 [2]", "t-1 2@1 [2]", "t-2 -1@1 [1]"]);
    assert!(elect(&mut context).is_empty(), "decided once");
    // All gone: 1 may not lead t-0 when it comes back, only 2 was in sync at last.
    set_brokers(&mut context, &[3]);
    assert_eq!(elect(&mut context), ["t-0 -1@2 [2]", "t-1 -1@2 [2]"]);
    set_brokers(&mut context, &[1, 3]);
    assert_eq!(elect(&mut context), ["t-2 1@2 [1]"]);
    set_brokers(&mut context, &[1, 2, 3]);
    assert_eq!(elect(&mut context), ["t-0 2@3 [2]", "t-1 2@3 [2]"]);
}

#[test]
fn a_crash_costs_an_epoch() {
    let mut context = context(&[1]);
    put(&mut context, "t", &[&[1]]);
    create(&mut context);
    let updates = restarts(&context, 1);
    assert_eq!((updates[0].state.leader, updates[0].state.leader_epoch, updates[0].expected_version), (1, 1, 0));
    assert!(restarts(&context, 2).is_empty());
}

#[test]
fn a_dying_topic_is_left_alone() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1], &[2, 1]]);
    create(&mut context);
    assert!(context.begin_deletion("t"));
    assert!(!context.begin_deletion("t"));
    assert!(!context.begin_deletion("unknown"));
    assert!(context.topic_images(&["t".into()]).is_empty());
    assert!(context.leader_and_isr(1, &context.all_partitions(), false).is_empty());
    assert_eq!(context.replicas_on(&"t".into(), 2), [TopicPartition::new("t", 1)]);
    assert!(context.is_eligible_for_deletion("t"));
    set_brokers(&mut context, &[1]);
    assert!(!context.is_eligible_for_deletion("t"), "broker 2 would bring it back");
    assert!(elect(&mut context).is_empty());
    assert!(all_stopped(2, &[ErrorCode::None, ErrorCode::None]));
    assert!(!all_stopped(2, &[ErrorCode::None]));
    assert!(!all_stopped(1, &[ErrorCode::KafkaStorageError]));
    context.remove_topic("t");
    assert!(context.all_partitions().is_empty());
}
