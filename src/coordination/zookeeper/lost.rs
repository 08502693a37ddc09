//! A write was sent twice because its first answer was lost, and the second answer is a refusal: was it refused, or had
//! it happened already? The tree tells, mostly.
//!
//! Kafka asks case by case (`KafkaZkClient`: the election, broker registrations, partition states). Here it is asked
//! once for all: if every node a write touches is as the write would have left it, it happened.

use bytes::Bytes;
use futures::{StreamExt, stream};
use indexmap::IndexMap;
use zookeeper_client::Client;

use super::request::{Failure, Result, path_of, read};
use crate::coordination::{CoordinationError, CreateMode, MultiOp, MultiResult, Stat};

/// Nodes read at a time.
const READS_AT_ONCE: usize = 10;

/// How a write leaves a node.
#[derive(Debug, PartialEq)]
enum Left {
    Absent,
    Present {
        data: Bytes,
        /// `None` where the write does not say.
        version: Option<i32>,
        ephemeral: Option<bool>,
    },
}

/// The results of a write that happened in spite of `fault`, or the fault.
pub async fn settle(client: &Client, steps: &[MultiOp], fault: CoordinationError) -> Result<Vec<MultiResult>> {
    let own = matches!(
        fault,
        CoordinationError::NodeExists(_) | CoordinationError::BadVersion(_) | CoordinationError::NoNode(_)
    );
    let Some(aftermath) = aftermath(steps).filter(|_| own) else { return Err(Failure::Fault(fault)) };
    let reads: Vec<_> = aftermath.keys().map(|path| read(client, path)).collect();
    let found: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).collect().await;
    let mut stats = IndexMap::new();
    for ((path, left), found) in aftermath.iter().zip(found) {
        let found = match found {
            Ok(found) => Some(found),
            Err(Failure::Fault(CoordinationError::NoNode(_))) => None,
            Err(failure) => return Err(failure),
        };
        if !is_as_left(left, found.as_ref(), client.session_id().0) {
            return Err(Failure::Fault(fault));
        }
        if let Some((_, stat)) = found {
            stats.insert(*path, stat);
        }
    }
    tracing::debug!(%fault, "a write whose answer was lost had happened");
    let stat = |path: &str| stats.get(path).copied().unwrap_or_default();
    Ok(steps
        .iter()
        .map(|step| match step {
            MultiOp::Create { path, .. } => MultiResult::Created { path: path.clone(), stat: stat(path) },
            MultiOp::Set { path, .. } => MultiResult::Set { stat: stat(path) },
            MultiOp::Delete { .. } => MultiResult::Deleted,
            MultiOp::Check { .. } => MultiResult::Checked,
        })
        .collect())
}

/// `None` if that cannot be told: the name of a sequential node is not known, and checks leave nothing.
fn aftermath(steps: &[MultiOp]) -> Option<IndexMap<&str, Left>> {
    let mut nodes = IndexMap::new();
    for step in steps {
        let left = match step {
            MultiOp::Create { mode: CreateMode::PersistentSequential, .. } => return None,
            MultiOp::Create { data, mode, .. } => {
                Left::Present { data: data.clone(), version: Some(0), ephemeral: Some(*mode == CreateMode::Ephemeral) }
            }
            MultiOp::Set { path, data, version } => {
                let (before, ephemeral) = match nodes.get(path.as_str()) {
                    Some(Left::Present { version, ephemeral, .. }) => (*version, *ephemeral),
                    _ => (*version, None),
                };
                Left::Present { data: data.clone(), version: before.map(|version| version.wrapping_add(1)), ephemeral }
            }
            MultiOp::Delete { .. } => Left::Absent,
            MultiOp::Check { .. } => continue,
        };
        nodes.insert(path_of(step), left);
    }
    (!nodes.is_empty()).then_some(nodes)
}

fn is_as_left(left: &Left, found: Option<&(Bytes, Stat)>, session: i64) -> bool {
    match (left, found) {
        (Left::Absent, None) => true,
        (Left::Present { data, version, ephemeral }, Some((found, stat))) => {
            let owner = ephemeral.map(|ephemeral| if ephemeral { session } else { 0 });
            data == found
                && version.is_none_or(|version| version == stat.version)
                && owner.is_none_or(|owner| owner == stat.ephemeral_owner)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: i64 = 7;

    fn create(path: &str, data: &'static str, mode: CreateMode) -> MultiOp {
        MultiOp::Create { path: path.into(), data: Bytes::from_static(data.as_bytes()), mode }
    }

    fn set(path: &str, data: &'static str, version: Option<i32>) -> MultiOp {
        MultiOp::Set { path: path.into(), data: Bytes::from_static(data.as_bytes()), version }
    }

    fn node(data: &'static str, version: i32, ephemeral_owner: i64) -> (Bytes, Stat) {
        (Bytes::from_static(data.as_bytes()), Stat { version, ephemeral_owner, ..Stat::default() })
    }

    /// A broker's registration: created empty, then filled, in one multi.
    #[test]
    fn a_registration_is_known_by_its_owner() {
        let steps = [create("/ids/1", "", CreateMode::Ephemeral), set("/ids/1", "me", None)];
        let left = aftermath(&steps).unwrap();
        let is_mine = |found: (Bytes, Stat)| is_as_left(&left["/ids/1"], Some(&found), ME);
        assert!(is_mine(node("me", 1, ME)));
        assert!(!is_mine(node("me", 1, 8)), "another broker with the same addresses");
        assert!(!is_mine(node("other", 1, ME)));
        assert!(!is_as_left(&left["/ids/1"], None, ME));
    }

    /// A guarded write of a partition's state.
    #[test]
    fn a_state_is_known_by_its_version() {
        let steps = [
            MultiOp::Check { path: "/epoch".into(), version: Some(3) },
            set("/state", "leader 1", Some(4)),
            MultiOp::Delete { path: "/marker".into(), version: None },
        ];
        let left = aftermath(&steps).unwrap();
        assert_eq!(left.len(), 2, "a check leaves nothing");
        assert!(is_as_left(&left["/state"], Some(&node("leader 1", 5, 0)), ME));
        assert!(!is_as_left(&left["/state"], Some(&node("leader 1", 6, 0)), ME));
        assert!(!is_as_left(&left["/state"], Some(&node("leader 2", 5, 0)), ME));
        assert!(is_as_left(&left["/marker"], None, ME));
        assert!(!is_as_left(&left["/marker"], Some(&node("", 0, 0)), ME));
    }

    #[test]
    fn some_cannot_be_told() {
        assert_eq!(aftermath(&[create("/changes/c_", "x", CreateMode::PersistentSequential)]), None);
        assert_eq!(aftermath(&[MultiOp::Check { path: "/epoch".into(), version: Some(3) }]), None);
    }
}
