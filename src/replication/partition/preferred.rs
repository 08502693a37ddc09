//! From which replica a consumer should read (`ReplicaManager.findPreferredReadReplica`, class
//! `RackAwareReplicaSelector`, KIP-392).

use std::cmp::Reverse;

use super::PartitionState;
use crate::common::{BrokerId, Offset, Timestamp};

impl PartitionState {
    /// The follower in the consumer's rack that is furthest, if the leader is in another rack. Only members of the ISR
    /// count, and only if they have the offset: a consumer must not be sent to somebody who is always behind.
    #[must_use]
    pub fn preferred_read_replica<'a>(
        &self,
        fetch_offset: Offset,
        client_rack: &str,
        rack_of: impl Fn(BrokerId) -> Option<&'a str>,
        now: Timestamp,
    ) -> Option<BrokerId> {
        let is_near = |id: BrokerId| rack_of(id) == Some(client_rack);
        if client_rack.is_empty() || !self.is_leader() || is_near(self.local) {
            return None;
        }
        let candidates = self.remotes.iter().filter(|(id, replica)| {
            is_near(**id)
                && self.isr.members().contains(id)
                && replica.log_end_offset() >= fetch_offset
                && replica.log_start_offset() <= fetch_offset
        });
        let best = candidates
            .max_by_key(|(id, replica)| (replica.log_end_offset(), Reverse(replica.time_since_caught_up(now)), **id));
        best.map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use crate::replication::partition::{FollowerFetch, Leadership, LogOffsets, PartitionState};

    fn leader() -> PartitionState {
        let mut state = PartitionState::new(1, 30_000);
        let decision = Leadership {
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            isr: vec![1, 2, 3],
            replicas: vec![1, 2, 3, 4],
        };
        state.apply(0, &decision, 0);
        let log = LogOffsets { log_start_offset: 0, high_watermark: 0, log_end_offset: 100 };
        for (replica, offset) in [(2, 50), (3, 80), (4, 100)] {
            state.follower_fetched(10, FollowerFetch::new(replica, offset, 5), log, 1);
        }
        state
    }

    #[test]
    fn the_furthest_of_the_rack_is_preferred() {
        let state = leader();
        let racks = |id: i32| Some(if id == 1 { "a" } else { "b" });
        assert_eq!(state.preferred_read_replica(10, "b", racks, 20), Some(3));
        assert_eq!(state.preferred_read_replica(80, "b", racks, 20), Some(3));
        assert_eq!(state.preferred_read_replica(81, "b", racks, 20), None, "who is not in the ISR does not count");
        assert_eq!(state.preferred_read_replica(4, "b", racks, 20), None, "followers have forgotten it");
        assert_eq!(state.preferred_read_replica(10, "a", racks, 20), None, "the leader is near");
        assert_eq!(state.preferred_read_replica(10, "", racks, 20), None);
        assert_eq!(state.preferred_read_replica(10, "c", racks, 20), None);
    }
}
