//! What clients saw, and what must not be seen (in the spirit of Jepsen's Kafka checker).

use std::collections::BTreeMap;

use super::ledger::{Commits, Transactions};

/// Everything that clients observed, checked as it comes in; what is wrong is a line in `anomalies`.
#[derive(Debug, Default)]
pub struct History {
    /// What was read or acknowledged at an offset. It may never be another value (ConsistentRead).
    at: BTreeMap<(i32, i64), u64>,
    acknowledged: BTreeMap<u64, (i32, i64)>,
    /// Refused for certain: must never be read.
    refused: BTreeMap<u64, i32>,
    read: BTreeMap<u64, (i32, i64)>,
    pub sent: u64,
    pub unknown: u64,
    pub transactions: Transactions,
    pub commits: Commits,
    pub anomalies: Vec<String>,
}

impl History {
    pub fn acknowledged(&mut self, partition: i32, offset: i64, value: u64) {
        self.place(partition, offset, value, "acknowledged");
        self.acknowledged.insert(value, (partition, offset));
    }

    pub fn refused(&mut self, partition: i32, value: u64) {
        self.refused.insert(value, partition);
    }

    pub fn was_read(&mut self, partition: i32, offset: i64, value: u64) {
        self.place(partition, offset, value, "read");
        if self.refused.contains_key(&value) {
            self.anomalies.push(format!("partition {partition}: {value} was refused and read at {offset}"));
        }
        if let Some(other) = self.read.insert(value, (partition, offset)).filter(|other| *other != (partition, offset))
        {
            self.anomalies.push(format!("{value} was read at {other:?} and at {:?}", (partition, offset)));
        }
    }

    fn place(&mut self, partition: i32, offset: i64, value: u64, how: &str) {
        let before = *self.at.entry((partition, offset)).or_insert(value);
        if before != value {
            self.anomalies.push(format!("partition {partition} offset {offset}: {before} before, {value} {how}"));
        }
    }

    /// After everything has been read again: what was acknowledged is there.
    pub fn all_acknowledged_are_in(&mut self, logs: &BTreeMap<(i32, i64), u64>) {
        for (value, (partition, offset)) in &self.acknowledged {
            match logs.get(&(*partition, *offset)) {
                Some(found) if found == value => {}
                found => self.anomalies.push(format!(
                    "partition {partition}: {value} was acknowledged at {offset} and is lost; there is {found:?}"
                )),
            }
        }
    }

    pub fn summary(&self) -> String {
        let Self { sent, unknown, acknowledged, read, .. } = self;
        format!("{sent} sent, {} acknowledged, {unknown} unknown, {} read", acknowledged.len(), read.len())
    }
}

/// Each detector fires on a history made up for it: a checker that cannot find anything proves nothing.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_fire() {
        let mut lost = History::default();
        lost.acknowledged(0, 5, 7);
        lost.all_acknowledged_are_in(&BTreeMap::new());
        let mut changed = History::default();
        changed.was_read(0, 5, 7);
        changed.was_read(0, 5, 8);
        let mut twice = History::default();
        twice.was_read(0, 5, 7);
        twice.was_read(0, 6, 7);
        let mut refused = History::default();
        refused.refused(0, 7);
        refused.was_read(0, 5, 7);
        let mut elsewhere = History::default();
        elsewhere.acknowledged(0, 5, 7);
        elsewhere.was_read(0, 5, 9);
        for history in [lost, changed, twice, refused, elsewhere] {
            assert_eq!(history.anomalies.len(), 1, "{history:?}");
        }
        let mut good = History::default();
        good.acknowledged(0, 5, 7);
        good.was_read(0, 5, 7);
        good.was_read(0, 5, 7);
        good.all_acknowledged_are_in(&[((0, 5), 7)].into());
        assert_eq!(good.anomalies, Vec::<String>::new());
    }
}
