//! Which brokers get a new partition's replicas (class `AdminUtils`). Deterministic: chance is an argument.
//!
//! Without racks, first replicas go round the list of brokers from a start index, and the others follow at a distance
//! that grows by one with every round, so that two brokers don't always share the same partitions. With racks, the list
//! alternates between them and a rack is used twice only when all have one.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{BrokerId, ErrorCode};

/// A broker that may get replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementBroker {
    pub id: BrokerId,
    pub rack: Option<String>,
}

/// Where to begin. Kafka takes random numbers for new topics, and the first partition's leader for more partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Index of the broker that partition 0 starts at; taken modulo the number of brokers.
    pub index: usize,
    /// First distance between the first and the other replicas.
    pub shift: usize,
}

/// Why there is no placement: a code and Kafka's words.
pub type Refusal = (ErrorCode, String);

/// Replicas of partitions `first_partition..first_partition + partitions`, in order.
pub fn assign(
    brokers: &[PlacementBroker],
    partitions: i32,
    replication_factor: i32,
    start: Start,
    first_partition: i32,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let count = match usize::try_from(partitions) {
        Ok(count) if count > 0 => count,
        _ => return Err((ErrorCode::InvalidPartitions, "Number of partitions must be larger than 0.".into())),
    };
    let factor = match usize::try_from(replication_factor) {
        Ok(factor) if factor > 0 => factor,
        _ => {
            let why = "Replication factor must be larger than 0.";
            return Err((ErrorCode::InvalidReplicationFactor, why.into()));
        }
    };
    if factor > brokers.len() {
        let available = brokers.len();
        let why = format!("Replication factor: {factor} larger than available brokers: {available}.");
        return Err((ErrorCode::InvalidReplicationFactor, why));
    }
    let first_partition = usize::try_from(first_partition).unwrap_or(0);
    if brokers.iter().all(|broker| broker.rack.is_none()) {
        let ids: Vec<BrokerId> = brokers.iter().map(|broker| broker.id).collect();
        return Ok(without_racks(&ids, count, factor, start, first_partition));
    }
    let mut racks = BTreeMap::new();
    for broker in brokers {
        let Some(rack) = broker.rack.as_deref() else {
            let why = "Not all brokers have rack information for replica rack aware assignment.";
            return Err((ErrorCode::UnknownServerError, why.into()));
        };
        racks.insert(broker.id, rack);
    }
    Ok(with_racks(&racks, count, factor, start, first_partition))
}

fn without_racks(ids: &[BrokerId], count: usize, factor: usize, start: Start, first: usize) -> Vec<Vec<BrokerId>> {
    let mut shift = start.shift;
    let one = |partition: usize| {
        if partition > 0 && partition.is_multiple_of(ids.len()) {
            shift += 1;
        }
        let leader = (partition + start.index) % ids.len();
        let followers = (0..factor - 1).map(|nth| ids[follower(leader, shift, nth, ids.len())]);
        std::iter::once(ids[leader]).chain(followers).collect()
    };
    (first..first + count).map(one).collect()
}

fn with_racks(
    racks: &BTreeMap<BrokerId, &str>,
    count: usize,
    factor: usize,
    start: Start,
    first: usize,
) -> Vec<Vec<BrokerId>> {
    let ids = alternate(racks);
    let rack_count = racks.values().collect::<BTreeSet<_>>().len();
    let mut shift = start.shift;
    let mut all = Vec::with_capacity(count);
    for partition in first..first + count {
        if partition > 0 && partition.is_multiple_of(ids.len()) {
            shift += 1;
        }
        let leader = (partition + start.index) % ids.len();
        let mut replicas = vec![ids[leader]];
        let mut used_racks = BTreeSet::from([racks[&ids[leader]]]);
        // Every distance is met within a round, and there is always a broker left: the factor is bounded by them.
        let mut nth = 0;
        while replicas.len() < factor {
            let broker = ids[follower(leader, shift * rack_count, nth, ids.len())];
            nth += 1;
            let rack = racks[&broker];
            if (used_racks.contains(rack) && used_racks.len() < rack_count) || replicas.contains(&broker) {
                continue;
            }
            replicas.push(broker);
            used_racks.insert(rack);
        }
        all.push(replicas);
    }
    all
}

/// Brokers in an order in which neighbours are in different racks, as far as possible.
fn alternate(racks: &BTreeMap<BrokerId, &str>) -> Vec<BrokerId> {
    let mut by_rack: BTreeMap<&str, std::collections::VecDeque<BrokerId>> = BTreeMap::new();
    for (broker, rack) in racks {
        by_rack.entry(rack).or_default().push_back(*broker);
    }
    let mut order = Vec::with_capacity(racks.len());
    while order.len() < racks.len() {
        order.extend(by_rack.values_mut().filter_map(std::collections::VecDeque::pop_front));
    }
    order
}

/// Index of the nth follower: never the leader's own.
fn follower(leader: usize, shift: usize, nth: usize, brokers: usize) -> usize {
    let distance = 1 + (shift + nth) % (brokers - 1).max(1);
    (leader + distance) % brokers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[Option<&str>]) -> Vec<PlacementBroker> {
        let named = |(id, rack): (usize, &Option<&str>)| PlacementBroker {
            id: i32::try_from(id).unwrap(),
            rack: rack.map(str::to_owned),
        };
        racks.iter().enumerate().map(named).collect()
    }

    /// The example of Kafka's own documentation: 10 partitions, 5 brokers, 3 replicas, starting at 0.
    #[test]
    fn goes_round_without_racks() {
        let placed = assign(&brokers(&[None; 5]), 10, 3, Start { index: 0, shift: 0 }, -1).unwrap();
        let expected: [[i32; 3]; 10] = [
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 0],
            [4, 0, 1],
            [0, 2, 3],
            [1, 3, 4],
            [2, 4, 0],
            [3, 0, 1],
            [4, 1, 2],
        ];
        assert_eq!(placed, expected);
    }

    #[test]
    fn more_partitions_go_on_where_the_topic_began() {
        let placed = assign(&brokers(&[None; 3]), 2, 2, Start { index: 1, shift: 1 }, 4).unwrap();
        assert_eq!(placed, [[2, 1], [0, 2]]);
    }

    #[test]
    fn uses_every_rack_before_one_twice() {
        let racks = [Some("a"), Some("b"), Some("b"), Some("c"), Some("a"), Some("c")];
        let brokers = brokers(&racks);
        for start in 0..6 {
            for factor in 1..=6 {
                let placed = assign(&brokers, 20, factor, Start { index: start, shift: start }, -1).unwrap();
                for replicas in placed {
                    let ids: BTreeSet<_> = replicas.iter().collect();
                    let used: BTreeSet<_> = replicas.iter().map(|id| racks[*id as usize]).collect();
                    assert_eq!(ids.len(), factor as usize);
                    assert_eq!(used.len(), 3.min(factor as usize), "{replicas:?}");
                }
            }
        }
    }

    #[test]
    fn refuses_in_kafkas_words() {
        let start = Start { index: 7, shift: 7 };
        let refusal =
            |brokers: &[PlacementBroker], count, factor| assign(brokers, count, factor, start, -1).unwrap_err();
        let one = brokers(&[None]);
        assert_eq!(refusal(&one, 0, 1).0, ErrorCode::InvalidPartitions);
        assert_eq!(refusal(&one, 1, 0).0, ErrorCode::InvalidReplicationFactor);
        let (code, why) = refusal(&one, 1, 3);
        assert_eq!(code, ErrorCode::InvalidReplicationFactor);
        assert_eq!(why, "Replication factor: 3 larger than available brokers: 1.");
        assert_eq!(refusal(&brokers(&[None, Some("a")]), 1, 1).0, ErrorCode::UnknownServerError);
        assert_eq!(assign(&one, 3, 1, start, -1).unwrap(), [[0], [0], [0]]);
    }
}
