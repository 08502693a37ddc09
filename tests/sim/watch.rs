//! What must hold at every moment, looked at from above.

use std::collections::BTreeMap;

use monedula::{
    common::{TopicPartition, ids::NO_LEADER_EPOCH},
    coordination::cluster_store::VersionedState,
};

use super::{broker::SimBroker, network::Host};

#[derive(Debug, Default)]
pub struct Watch {
    /// One leader per partition and epoch, for ever.
    leaders: BTreeMap<(TopicPartition, i32), i32>,
    /// The high watermark of a replica never goes back while its broker lives.
    high_watermarks: BTreeMap<(TopicPartition, Host), i64>,
    /// Epochs of a partition's state only grow.
    epochs: BTreeMap<TopicPartition, (i32, i32)>,
}

impl Watch {
    pub fn look(
        &mut self,
        brokers: &BTreeMap<i32, SimBroker>,
        partitions: &[TopicPartition],
        states: &[Option<VersionedState>],
        anomalies: &mut Vec<String>,
    ) {
        for (tp, state) in partitions.iter().zip(states) {
            if let Some(state) = state {
                self.state_is_legal(tp, state, anomalies);
            }
            for (id, broker) in brokers {
                let replicas = &broker.services().replicas;
                if let Ok((log, epoch)) = replicas.leader_log(tp, NO_LEADER_EPOCH) {
                    let first = *self.leaders.entry((tp.clone(), epoch)).or_insert(*id);
                    if first != *id {
                        anomalies.push(format!("{tp}: {first} and {id} lead in epoch {epoch}"));
                    }
                    strong_isr(tp, *id, log.high_watermark(), state.as_ref(), brokers, anomalies);
                }
                if let Some(log) = replicas.local_log(&tp.topic, tp.partition) {
                    self.high_watermark_is_monotone(tp, broker.host, log.high_watermark(), anomalies);
                }
            }
        }
    }

    fn state_is_legal(&mut self, tp: &TopicPartition, state: &VersionedState, anomalies: &mut Vec<String>) {
        let now = (state.state.leader_epoch, state.version);
        let before = self.epochs.insert(tp.clone(), now).unwrap_or(now);
        if now.0 < before.0 || now.1 < before.1 {
            anomalies.push(format!("{tp}: epochs went from {before:?} to {now:?}"));
        }
        let leader = state.state.leader;
        if state.state.isr.is_empty() || (leader >= 0 && !state.state.isr.contains(&leader)) {
            anomalies.push(format!("{tp}: leader {leader} is not in the ISR {:?}", state.state.isr));
        }
    }

    fn high_watermark_is_monotone(&mut self, tp: &TopicPartition, host: Host, now: i64, anomalies: &mut Vec<String>) {
        let before = self.high_watermarks.insert((tp.clone(), host), now).unwrap_or(now);
        if now < before {
            tracing::error!(partition = %tp, broker = host.id, before, now, "the high watermark went back");
            anomalies.push(format!("{tp}: broker {}'s high watermark went from {before} to {now}", host.id));
        }
    }
}

/// StrongIsr: whatever a broker that believes to lead calls committed is on every member of the true ISR.
fn strong_isr(
    tp: &TopicPartition,
    leader: i32,
    high_watermark: i64,
    state: Option<&VersionedState>,
    brokers: &BTreeMap<i32, SimBroker>,
    anomalies: &mut Vec<String>,
) {
    let Some(state) = state else { return };
    for member in &state.state.isr {
        let Some(log) = brokers.get(member).and_then(|it| it.services().replicas.local_log(&tp.topic, tp.partition))
        else {
            continue;
        };
        if log.log_end_offset() < high_watermark {
            anomalies.push(format!(
                "{tp}: leader {leader} has committed up to {high_watermark}, ISR member {member} ends at {}",
                log.log_end_offset()
            ));
        }
    }
}
