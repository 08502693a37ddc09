//! Scripts of decisions: brokers come and go, topics are born, grow and die.

use super::{
    ControllerContext,
    alter_partition::Verdict,
    partition_states::{led_by, new_partitions},
};
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::command::{AlterPartition, IsrProposal},
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

#[test]
fn without_an_isr_only_an_unclean_election_helps() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1, 2]]);
    create(&mut context);
    let tp = TopicPartition::new("t", 0);
    context.brokers_failed(&[2].into());
    assert_eq!(elect(&mut context), ["t-0 1@1 [1]"]);
    context.brokers_failed(&[1].into());
    assert_eq!(elect(&mut context), ["t-0 -1@2 [1]"]);
    set_brokers(&mut context, &[2]);
    assert!(context.waits_for_isr(&tp));
    assert!(elect(&mut context).is_empty(), "broker 2 lacks what only 1 has");
    assert_eq!(decide(&mut context, |context, tp| context.elect_offline(tp, true)), ["t-0 2@3 [2]"]);
    let state = context.partition(&tp).unwrap().state.clone().unwrap().state;
    assert_eq!(state.leader_recovery_state, 1, "the new leader recovers");
}

#[test]
fn a_bounced_broker_costs_what_it_led_an_epoch() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1, 2], &[1]]);
    create(&mut context);
    let again = BrokerImage { id: 1, epoch: 9, rack: None, endpoints: Vec::new() };
    let registered = vec![again, context.brokers[&2].clone()];
    let changes = context.broker_changes(&registered);
    assert_eq!((changes.bounced.clone(), changes.new.len(), changes.dead.len()), ([1].into(), 0, 0));
    context.brokers_failed(&changes.bounced);
    assert_eq!(elect(&mut context), ["t-0 2@1 [2]", "t-1 -1@1 [1]"]);
    context.put_brokers(registered.clone());
    assert_eq!(elect(&mut context), ["t-1 1@2 [1]"]);
    assert_eq!(context.broker_changes(&registered), super::brokers::BrokerChanges::default());
}

#[test]
fn a_broker_leaves_what_others_can_lead() {
    let mut context = context(&[1, 2, 3]);
    put(&mut context, "t", &[&[1, 2], &[2, 1], &[1], &[1, 3]]);
    create(&mut context);
    // Of t-3 broker 1 is the last in-sync replica.
    context.brokers_failed(&[3].into());
    assert_eq!(elect(&mut context), ["t-3 1@1 [1]"]);
    assert_eq!(context.begin_shutdown(1, 0), Err(ErrorCode::StaleBrokerEpoch));
    assert_eq!(context.begin_shutdown(9, 1), Err(ErrorCode::BrokerNotAvailable));
    let leaving = context.begin_shutdown(1, 1).unwrap();
    let tp = |number| TopicPartition::new("t", number);
    assert_eq!((&leaving.led, &leaving.followed), (&vec![tp(0), tp(3)], &vec![tp(1)]));
    let led = leaving.led;
    let moved = decide(&mut context, |context, tp| context.elect_for_shutdown(tp).filter(|_| led.contains(tp)));
    assert_eq!(moved, ["t-0 2@1 [2]"]);
    let followed = leaving.followed;
    let shrunk = |context: &ControllerContext, tp: &TopicPartition| {
        context.without_replicas(tp, &[1]).filter(|_| followed.contains(tp))
    };
    assert_eq!(decide(&mut context, shrunk), ["t-1 2@1 [2]"]);
    assert_eq!(context.still_led_by(1), [tp(3)], "it is still needed");
    assert!(elect(&mut context).is_empty(), "a broker that leaves serves to the end");
}

#[test]
fn leaders_return_to_where_they_are_preferred() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1, 2], &[1, 2], &[2, 1]]);
    create(&mut context);
    assert!(context.imbalanced(10).is_empty());
    context.brokers_failed(&[1].into());
    elect(&mut context);
    assert!(context.imbalanced(10).is_empty(), "the preferred leader is away");
    set_brokers(&mut context, &[1, 2]);
    assert!(context.imbalanced(10).is_empty(), "and not in sync yet");
    for number in 0..2 {
        let tp = TopicPartition::new("t", number);
        let mut current = context.partition(&tp).unwrap().state.clone().unwrap();
        current.state.isr = vec![2, 1];
        context.put_state(&tp, current);
    }
    assert_eq!(context.imbalanced(10).len(), 2);
    assert!(context.imbalanced(100).is_empty());
    assert_eq!(decide(&mut context, ControllerContext::elect_preferred), ["t-0 1@2 [2, 1]", "t-1 1@2 [2, 1]"]);
}

#[test]
fn a_partition_moves_and_may_be_called_back() {
    let mut context = context(&[1, 2, 3, 4]);
    put(&mut context, "t", &[&[1, 2]]);
    create(&mut context);
    let tp = TopicPartition::new("t", 0);
    let code = |context: &ControllerContext, target: Option<&[BrokerId]>| {
        context.plan_reassignment(&tp, target).unwrap_err().code
    };
    assert_eq!(code(&context, None), ErrorCode::NoReassignmentInProgress);
    for bad in [&[][..], &[3, 3], &[-1], &[9]] {
        assert_eq!(code(&context, Some(bad)), ErrorCode::InvalidReplicaAssignment, "{bad:?}");
    }
    let plan = context.plan_reassignment(&tp, Some(&[3, 1])).unwrap();
    assert_eq!((&plan.replicas, &plan.adding, &plan.removing), (&vec![3, 1, 2], &vec![3], &vec![2]));
    context.put_assignment(&tp, plan);
    assert!(!context.is_reassignment_complete(&tp));
    context.adopt_deletion("t");
    assert!(!context.is_deleting("t"), "a new controller lets a topic arrive before it is deleted");
    // Another wish: 3 is dropped, 4 comes, and the origin is where it was.
    context.deletion_waits.clear();
    let plan = context.plan_reassignment(&tp, Some(&[4])).unwrap();
    assert_eq!((&plan.replicas, &plan.adding, &plan.removing), (&vec![4, 1, 2], &vec![4], &vec![1, 2]));
    let back = context.plan_reassignment(&tp, None).unwrap();
    assert_eq!((&back.replicas, back.is_being_reassigned()), (&vec![1, 2], false));
    // The new replica is in sync: the old ones go.
    context.put_assignment(&tp, plan);
    let mut current = context.partition(&tp).unwrap().state.clone().unwrap();
    current.state.isr = vec![1, 2, 4];
    context.put_state(&tp, current);
    assert!(context.is_reassignment_complete(&tp));
    assert_eq!(context.ongoing(None)[0].adding, [4]);
    assert_eq!(decide(&mut context, |context, tp| context.elect_for_reassignment(tp, &[4])), ["t-0 4@1 [4]"]);
}

/// As in Kafka: the deletion does not wait for the move, and takes the replicas on both ends of it.
#[test]
fn a_topic_on_its_way_is_deleted_at_once() {
    let mut context = context(&[1, 2, 3]);
    put(&mut context, "t", &[&[1, 2]]);
    create(&mut context);
    let tp = TopicPartition::new("t", 0);
    let plan = context.plan_reassignment(&tp, Some(&[2, 3])).unwrap();
    context.put_assignment(&tp, plan);
    assert!(context.begin_deletion("t"));
    let told: Vec<BrokerId> = context.replicas_to_delete(&"t".into()).into_iter().map(|(broker, _)| broker).collect();
    assert_eq!(told, [2, 3, 1]);
    assert_eq!(context.plan_reassignment(&tp, Some(&[1, 3])).unwrap_err().code, ErrorCode::UnknownTopicOrPartition);
    for broker in told {
        context.replica_deletion_answered(broker, &tp, ErrorCode::None);
    }
    assert!(context.is_deleted(&"t".into()));
}

/// One proposal after another, each wrong in all ways that come later in Kafka's order of checks.
#[test]
fn an_isr_is_judged_in_kafkas_order() {
    let mut context = context(&[1, 2]);
    put(&mut context, "t", &[&[1, 2, 3]]);
    create(&mut context);
    let tp = TopicPartition::new("t", 0);
    let mut current = context.partition(&tp).unwrap().state.clone().unwrap();
    (current.version, current.state.leader_epoch) = (5, 3);
    context.put_state(&tp, current);
    let request = AlterPartition { broker: 1, broker_epoch: 1, partitions: vec![], knows_ineligible_replica: true };
    assert!(context.is_sender_stale(1, 0) && context.is_sender_stale(9, 1) && !context.is_sender_stale(1, 1));
    let judge = |topic: &str, leader_epoch, partition_epoch, isr: &[(BrokerId, i64)], leader_recovery_state| {
        let topic_partition = TopicPartition::new(topic, 0);
        let isr = isr.to_vec();
        let proposal = IsrProposal { topic_partition, leader_epoch, partition_epoch, isr, leader_recovery_state };
        context.judge(&request, &proposal)
    };
    let strange = [(1, 1), (3, 1)];
    let refused = Verdict::Refused;
    assert_eq!(judge("u", 9, 9, &strange, 1), refused(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(judge("t", 2, 9, &strange, 1), refused(ErrorCode::NotController));
    assert_eq!(judge("t", 4, 4, &strange, 1), refused(ErrorCode::NotController));
    assert_eq!(judge("t", 2, 4, &strange, 1), refused(ErrorCode::FencedLeaderEpoch));
    assert!(matches!(judge("t", 3, 4, &[(1, 1), (2, 1)], 0), Verdict::Already(state) if state.partition_epoch == 5));
    assert_eq!(judge("t", 3, 4, &strange, 1), refused(ErrorCode::InvalidUpdateVersion));
    assert_eq!(judge("t", 3, 5, &strange, 1), refused(ErrorCode::InvalidRequest));
    assert_eq!(judge("t", 3, 5, &[(1, 1)], 1), refused(ErrorCode::InvalidRequest), "it has recovered already");
    assert_eq!(judge("t", 3, 5, &strange, 0), refused(ErrorCode::IneligibleReplica));
    // The quick reboot that Kafka 3.9 does not see (KIP-903): broker 2 was seen in an earlier life.
    assert_eq!(
        judge("t", 3, 5, &[(1, 1), (2, 0)], 0),
        Verdict::Already(super::alter_partition::answer(context.partition(&tp).unwrap().state.as_ref().unwrap()))
    );
    assert_eq!(judge("t", 3, 5, &[(2, 0), (1, 1)], 0), refused(ErrorCode::IneligibleReplica));
    assert!(matches!(judge("t", 3, 5, &[(1, 1)], 0), Verdict::Write(update) if update.expected_version == 5));
    assert!(matches!(judge("t", 3, 5, &[(2, -1), (1, 1)], 0), Verdict::Write(_)), "a leader that does not know epochs");
    let old = AlterPartition { knows_ineligible_replica: false, ..request.clone() };
    let proposal = IsrProposal {
        topic_partition: tp.clone(),
        leader_epoch: 3,
        partition_epoch: 5,
        isr: strange.to_vec(),
        leader_recovery_state: 0,
    };
    assert_eq!(context.judge(&old, &proposal), refused(ErrorCode::OperationNotAttempted));
}

/// What the gauges show while brokers go and topics die.
#[test]
fn the_census_counts_what_operators_watch() {
    let mut context = context(&[1, 2, 3]);
    put(&mut context, "t", &[&[1, 2], &[2, 3], &[3]]);
    put(&mut context, "dying", &[&[1, 2]]);
    create(&mut context);
    let all_well = context.census();
    assert_eq!((all_well.brokers, all_well.topics, all_well.partitions), (3, 2, 4));
    assert_eq!((all_well.offline_partitions, all_well.imbalanced_partitions, all_well.topics_to_delete), (0, 0, 0));
    set_brokers(&mut context, &[1, 2]);
    assert_eq!(context.census().offline_partitions, 1, "nobody else has the third partition");
    elect(&mut context);
    let census = context.census();
    assert_eq!((census.offline_partitions, census.imbalanced_partitions), (1, 1), "no leader is not the preferred one");
    set_brokers(&mut context, &[2]);
    elect(&mut context);
    let census = context.census();
    assert_eq!((census.offline_partitions, census.imbalanced_partitions), (1, 3));
    assert!(context.begin_deletion("dying"));
    let census = context.census();
    assert_eq!((census.topics_to_delete, census.replicas_to_delete, census.imbalanced_partitions), (1, 2, 2));
    assert_eq!((census.topics, census.partitions), (2, 4), "until it is gone");
}
