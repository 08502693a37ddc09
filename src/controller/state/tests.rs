//! Scripts of decisions: brokers come and go, topics are born, grow and die.

use super::{
    ControllerContext,
    partition_states::{led_by, new_partitions},
};
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    coordination::{
        cluster_store::{VersionedState, VersionedTopic},
        znode::{
            partition_state::PartitionState,
            topic::{ReplicaAssignment, TopicAssignment},
        },
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

/// Takes what a rule decides for written, and shows it as `partition leader@epoch [isr]`.
fn decide(
    context: &mut ControllerContext,
    rule: impl Fn(&ControllerContext, &TopicPartition) -> Option<PartitionState>,
) -> Vec<String> {
    let mut shown = Vec::new();
    for tp in context.all_partitions() {
        let Some(state) = rule(context, &tp) else { continue };
        shown.push(format!("{tp} {}@{} {:?}", state.leader, state.leader_epoch, state.isr));
        let version = context.partition(&tp).unwrap().state.as_ref().unwrap().version + 1;
        context.put_state(&tp, VersionedState { state, version });
    }
    shown
}

fn elect(context: &mut ControllerContext) -> Vec<String> {
    decide(context, |context, tp| context.elect_offline(tp, false))
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
    let image = context.topic_image(&"t".into()).unwrap();
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
    let hosted =
        |broker| context.all_partitions().iter().filter_map(|tp| context.leader_and_isr(broker, tp, true)).count();
    assert_eq!((hosted(1), hosted(2)), (3, 0));
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
    assert_eq!(led_by(&context, 1), [TopicPartition::new("t", 0)]);
    assert!(led_by(&context, 2).is_empty());
    assert_eq!(decide(&mut context, ControllerContext::new_epoch), ["t-0 1@1 [1]"]);
}

#[test]
fn a_dying_topic_is_left_alone() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1], &[2, 1]]);
    create(&mut context);
    let name = "t".into();
    assert!(context.begin_deletion("t"));
    assert!(!context.begin_deletion("t"));
    assert!(!context.begin_deletion("unknown"));
    assert!(context.topic_image(&name).is_none());
    assert!(context.leader_and_isr(1, &TopicPartition::new("t", 0), false).is_none());
    // Broker 2 dies before it could delete its replica: it would bring it back.
    let tp = |number| TopicPartition::new("t", number);
    assert_eq!(context.replicas_to_delete(&name), [(1, tp(0)), (2, tp(1)), (1, tp(1))]);
    assert!(context.replicas_to_delete(&name).is_empty(), "told once");
    context.brokers_failed(&[2].into());
    assert!(elect(&mut context).is_empty());
    context.replica_deletion_answered(1, &tp(0), ErrorCode::None);
    context.replica_deletion_answered(1, &tp(1), ErrorCode::KafkaStorageError);
    assert!(!context.is_deleted(&name) && !context.waits_for_deletion_answers("t"));
    // It returns, and whoever failed is asked again too.
    set_brokers(&mut context, &[1, 2]);
    assert_eq!(context.replicas_to_delete(&name), [(2, tp(1)), (1, tp(1))]);
    context.replica_deletion_answered(2, &tp(1), ErrorCode::None);
    context.replica_deletion_answered(1, &tp(1), ErrorCode::None);
    assert!(context.is_deleted(&name));
    context.remove_topic("t");
    assert!(context.all_partitions().is_empty());
}
