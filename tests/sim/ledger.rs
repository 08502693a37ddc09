//! What transactions and a group's commits promised, and what was seen of it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// What is known of how a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Open,
    Committed,
    /// Its end was asked for and no answer came: all of it or nothing.
    Unknown,
    /// Never asked to commit: nobody may ever read a record of it.
    Aborted,
}

#[derive(Debug)]
struct Transaction {
    values: BTreeSet<u64>,
    end: End,
}

/// Every transaction by its number, and where a reader of committed records saw its values.
#[derive(Debug, Default)]
pub struct Transactions {
    by_number: BTreeMap<u64, Transaction>,
    owners: BTreeMap<u64, u64>,
    seen: BTreeMap<u64, (i32, i64)>,
    pub errors: BTreeMap<&'static str, u64>,
}

impl Transactions {
    pub fn begins(&mut self, number: u64, values: BTreeSet<u64>) {
        self.owners.extend(values.iter().map(|value| (*value, number)));
        self.by_number.insert(number, Transaction { values, end: End::Open });
    }

    pub fn ends(&mut self, number: u64, end: End) {
        if let Some(transaction) = self.by_number.get_mut(&number) {
            transaction.end = end;
        }
    }

    /// A reader with `isolation.level=read_committed` was given `value`.
    pub fn was_read(&mut self, partition: i32, offset: i64, value: u64, anomalies: &mut Vec<String>) {
        let place = (partition, offset);
        let before = *self.seen.entry(value).or_insert(place);
        if before != place {
            anomalies.push(format!("transactional {value:x} is at {before:?} and again at {place:?}"));
        }
        match self.owners.get(&value).and_then(|number| self.by_number.get(number)) {
            Some(transaction) if transaction.end == End::Aborted => {
                anomalies.push(format!("aborted {value:x} was read at {place:?}"));
            }
            Some(_) => {}
            None => anomalies.push(format!("{value:x} at {place:?} was never written")),
        }
    }

    /// To be asked when readers are at the end: nothing torn, nothing committed lost, nothing aborted read.
    pub fn are_whole(&self, anomalies: &mut Vec<String>) {
        for (number, transaction) in &self.by_number {
            let seen = transaction.values.iter().filter(|value| self.seen.contains_key(value)).count();
            let all = transaction.values.len();
            match transaction.end {
                End::Committed if seen == 0 => anomalies.push(format!("committed transaction {number:x} is lost")),
                End::Aborted | End::Open if seen > 0 => {
                    anomalies.push(format!("{seen} of {all} records of {:?} {number:x} were read", transaction.end));
                }
                _ if seen != 0 && seen != all => {
                    anomalies.push(format!("{:?} transaction {number:x} is torn: {seen} of {all}", transaction.end));
                }
                _ => {}
            }
        }
    }

    pub fn count(&self, end: End) -> usize {
        self.by_number.values().filter(|transaction| transaction.end == end).count()
    }
}

/// One commit of a group for a partition. Every value is used once.
#[derive(Debug)]
struct Commit {
    begun: Instant,
    acknowledged: Option<Instant>,
}

/// The committed offsets of a group, each a register.
#[derive(Debug, Default)]
pub struct Commits {
    by_partition: BTreeMap<i32, BTreeMap<i64, Commit>>,
    /// `(generation, partition)`: which member was given it.
    owners: BTreeMap<(i32, i32), String>,
    pub fetched: u64,
    /// Fetches that found what had been replaced, while there was trouble.
    pub stale: u64,
}

impl Commits {
    /// The value to commit next.
    pub fn begins(&mut self, partition: i32) -> i64 {
        let commits = self.by_partition.entry(partition).or_default();
        let value = commits.len() as i64 + 1;
        commits.insert(value, Commit { begun: Instant::now(), acknowledged: None });
        value
    }

    pub fn acknowledged(&mut self, partition: i32, value: i64) {
        if let Some(commit) = self.by_partition.entry(partition).or_default().get_mut(&value) {
            commit.acknowledged = Some(Instant::now());
        }
    }

    /// A fetch that was sent at `asked` found `found` (−1: nothing). What another commit has replaced before that may not
    /// come back.
    pub fn fetched(&mut self, partition: i32, found: i64, asked: Instant, anomalies: &mut Vec<String>) {
        self.fetched += 1;
        let commits = self.by_partition.entry(partition).or_default();
        let replaced_from = match commits.get(&found) {
            // One that nobody was told of may have come at any time.
            Some(commit) => commit.acknowledged,
            None if found == -1 => commits.values().next().map(|first| first.begun),
            None => {
                anomalies.push(format!("partition {partition}: offset {found} was never committed"));
                return;
            }
        };
        let Some(replaced_from) = replaced_from else { return };
        // They begin in the order of their values: nothing before the first that began too early is worth a look.
        let since = commits.iter().rev().take_while(|(_, commit)| commit.begun >= replaced_from);
        let newer =
            since.filter(|(value, commit)| **value != found && commit.acknowledged.is_some_and(|at| at < asked)).last();
        if let Some((newer, _)) = newer {
            anomalies.push(format!("partition {partition}: the committed offset went back from {newer} to {found}"));
        }
    }

    /// A generation gives a partition to one member.
    pub fn assigned(&mut self, generation: i32, partition: i32, member: &str, anomalies: &mut Vec<String>) {
        let owner = self.owners.entry((generation, partition)).or_insert_with(|| member.to_owned());
        if owner != member {
            anomalies.push(format!("generation {generation} gives partition {partition} to {owner} and to {member}"));
        }
    }

    pub fn acknowledged_count(&self) -> usize {
        self.by_partition.values().flat_map(BTreeMap::values).filter(|it| it.acknowledged.is_some()).count()
    }

    pub fn generations(&self) -> usize {
        self.owners.keys().map(|(generation, _)| *generation).collect::<BTreeSet<_>>().len()
    }
}

/// Each detector fires on a history made up for it.
#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: End, values: &[u64]) -> Vec<String> {
        let mut anomalies = Vec::new();
        let mut transactions = Transactions::default();
        transactions.begins(1, [10, 11].into());
        transactions.ends(1, end);
        for value in values {
            transactions.was_read(0, *value as i64, *value, &mut anomalies);
        }
        transactions.are_whole(&mut anomalies);
        anomalies
    }

    #[test]
    fn detectors_of_transactions_fire() {
        assert_eq!(read(End::Committed, &[10, 11]), Vec::<String>::new());
        assert_eq!(read(End::Unknown, &[]), Vec::<String>::new());
        assert_eq!(read(End::Aborted, &[]), Vec::<String>::new());
        assert!(read(End::Committed, &[])[0].contains("is lost"));
        assert!(read(End::Committed, &[10])[0].contains("is torn"));
        assert!(read(End::Unknown, &[11])[0].contains("is torn"));
        assert!(read(End::Aborted, &[10])[0].contains("aborted a was read"));
        assert!(read(End::Open, &[10, 11])[0].contains("were read"));
        assert!(read(End::Committed, &[10, 11, 12])[0].contains("never written"));
        let mut anomalies = Vec::new();
        let mut twice = Transactions::default();
        twice.begins(1, [10].into());
        twice.was_read(0, 5, 10, &mut anomalies);
        twice.was_read(0, 6, 10, &mut anomalies);
        assert!(anomalies[0].contains("again"));
    }

    #[tokio::test(start_paused = true)]
    async fn detectors_of_commits_fire() {
        let tick = || tokio::time::advance(std::time::Duration::from_millis(1));
        let mut commits = Commits::default();
        let mut anomalies = Vec::new();
        let first = commits.begins(0);
        tick().await;
        commits.acknowledged(0, first);
        let second = commits.begins(0);
        let unheard_of = commits.begins(0);
        let during = Instant::now();
        tick().await;
        commits.acknowledged(0, second);
        tick().await;
        commits.fetched(0, second, Instant::now(), &mut anomalies);
        commits.fetched(0, unheard_of, Instant::now(), &mut anomalies);
        commits.fetched(0, first, during, &mut anomalies);
        assert_eq!(anomalies, Vec::<String>::new(), "all of these may be");
        commits.fetched(0, first, Instant::now(), &mut anomalies);
        commits.fetched(0, -1, Instant::now(), &mut anomalies);
        commits.fetched(0, 99, Instant::now(), &mut anomalies);
        commits.assigned(7, 0, "a", &mut anomalies);
        commits.assigned(7, 0, "b", &mut anomalies);
        assert_eq!(anomalies.len(), 4, "{anomalies:#?}");
    }
}
