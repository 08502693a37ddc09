//! One request: what goes to the server, what comes back, and what a failure means.

use bytes::Bytes;
use tokio::sync::oneshot;
use zookeeper_client::{
    Acl, Acls, Client, CreateOptions, Error, MultiWriteError, MultiWriteResult, OneshotWatcher, Permission,
};

use super::watches::Watched;
use crate::coordination::{CoordinationError, CreateMode, MultiOp, MultiResult, Stat, znode::access::Access};

/// A server closes the connection at a larger request (`jute.maxbuffer`), and the session would never get past it.
const REQUEST_BYTES_MAX: usize = 1_048_575;

/// Beside path and data: headers, lengths, the access list.
const STEP_OVERHEAD_BYTES: usize = 64;

#[derive(Debug, Clone)]
pub enum Op {
    Get { path: String, watch: bool },
    Exists { path: String, watch: bool },
    Children { path: String, watch: bool },
    Create { path: String, data: Bytes, mode: CreateMode },
    Set { path: String, data: Bytes, version: Option<i32> },
    Delete { path: String, version: Option<i32> },
    Multi(Vec<MultiOp>),
}

#[derive(Debug)]
pub enum Answer {
    Data(Bytes, Stat),
    Found(Option<Stat>),
    Children(Vec<String>, Stat),
    Created(String, Stat),
    Set(Stat),
    Deleted,
    Multi(Vec<MultiResult>),
}

pub type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The answer did not arrive: it may have happened or not.
    Lost,
    /// The library has given up the session; nothing goes through this client any more.
    Gone,
    /// The server's answer, or ours about what it would not understand.
    Fault(CoordinationError),
}

/// A call on its way.
#[derive(Debug)]
pub struct Job {
    pub op: Op,
    /// Which session it was made under; see `Shared::generation`.
    pub generation: u64,
    /// How often the answer was lost.
    pub losses: u32,
    /// It was sent before, so a refusal may be the echo of its own success.
    pub resent: bool,
    pub reply: oneshot::Sender<std::result::Result<Answer, CoordinationError>>,
}

impl Op {
    /// The kind and path of the watch it asks for.
    pub fn watch(&self) -> Option<(Watched, &str)> {
        match self {
            Op::Get { path, watch: true } | Op::Exists { path, watch: true } => Some((Watched::Data, path)),
            Op::Children { path, watch: true } => Some((Watched::Children, path)),
            _ => None,
        }
    }

    /// A write as the steps of a multi; `None` for a read.
    pub fn steps(&self) -> Option<Vec<MultiOp>> {
        Some(match self.clone() {
            Op::Create { path, data, mode } => vec![MultiOp::Create { path, data, mode }],
            Op::Set { path, data, version } => vec![MultiOp::Set { path, data, version }],
            Op::Delete { path, version } => vec![MultiOp::Delete { path, version }],
            Op::Multi(steps) => steps,
            Op::Get { .. } | Op::Exists { .. } | Op::Children { .. } => return None,
        })
    }

    /// BADARGUMENTS for what no server would take.
    pub fn check_size(&self, chroot: &str) -> std::result::Result<(), CoordinationError> {
        let step = |path: &str, data: usize| chroot.len() + path.len() + data + STEP_OVERHEAD_BYTES;
        let bytes = match self {
            Op::Get { path, .. } | Op::Exists { path, .. } | Op::Children { path, .. } | Op::Delete { path, .. } => {
                step(path, 0)
            }
            Op::Create { path, data, .. } | Op::Set { path, data, .. } => step(path, data.len()),
            Op::Multi(steps) => steps
                .iter()
                .map(|op| match op {
                    MultiOp::Create { path, data, .. } | MultiOp::Set { path, data, .. } => step(path, data.len()),
                    MultiOp::Delete { path, .. } | MultiOp::Check { path, .. } => step(path, 0),
                })
                .sum(),
        };
        if bytes > REQUEST_BYTES_MAX {
            let limit = REQUEST_BYTES_MAX;
            return Err(CoordinationError::BadArguments(format!("a request of {bytes} bytes, above {limit}")));
        }
        Ok(())
    }
}

/// Sends a request at the first poll, and reads its answer. `set_acl` is `zookeeper.set.acl`.
pub async fn perform(client: &Client, op: &Op, set_acl: bool) -> Result<(Answer, Option<OneshotWatcher>)> {
    match op {
        Op::Get { path, watch: true } => {
            let (data, stat, watcher) = client.get_and_watch_data(path).await.map_err(|e| failure(e, path))?;
            Ok((Answer::Data(data.into(), to_stat(&stat)), Some(watcher)))
        }
        Op::Exists { path, watch: true } => {
            let (stat, watcher) = client.check_and_watch_stat(path).await.map_err(|e| failure(e, path))?;
            Ok((Answer::Found(stat.as_ref().map(to_stat)), Some(watcher)))
        }
        Op::Children { path, watch: true } => {
            let (names, stat, watcher) = client.get_and_watch_children(path).await.map_err(|e| failure(e, path))?;
            Ok((Answer::Children(names, to_stat(&stat)), Some(watcher)))
        }
        _ => Ok((perform_unwatched(client, op, set_acl).await?, None)),
    }
}

async fn perform_unwatched(client: &Client, op: &Op, set_acl: bool) -> Result<Answer> {
    match op {
        Op::Get { path, .. } => read(client, path).await.map(|(data, stat)| Answer::Data(data, stat)),
        Op::Exists { path, .. } => {
            let stat = client.check_stat(path).await.map_err(|e| failure(e, path))?;
            Ok(Answer::Found(stat.as_ref().map(to_stat)))
        }
        Op::Children { path, .. } => {
            let (names, stat) = client.get_children(path).await.map_err(|e| failure(e, path))?;
            Ok(Answer::Children(names, to_stat(&stat)))
        }
        Op::Create { path, data, mode } => {
            let (stat, sequence) = client
                .create(path, data, &create_options(*mode, Access::of(set_acl, path)))
                .await
                .map_err(|e| failure(e, path))?;
            let path = match mode {
                CreateMode::PersistentSequential => format!("{path}{sequence}"),
                CreateMode::Persistent | CreateMode::Ephemeral => path.clone(),
            };
            Ok(Answer::Created(path, to_stat(&stat)))
        }
        Op::Set { path, data, version } => {
            let stat = client.set_data(path, data, *version).await.map_err(|e| failure(e, path))?;
            Ok(Answer::Set(to_stat(&stat)))
        }
        Op::Delete { path, version } => {
            client.delete(path, *version).await.map_err(|e| failure(e, path))?;
            Ok(Answer::Deleted)
        }
        Op::Multi(steps) => multi(client, steps, set_acl).await.map(Answer::Multi),
    }
}

pub async fn read(client: &Client, path: &str) -> Result<(Bytes, Stat)> {
    let (data, stat) = client.get_data(path).await.map_err(|e| failure(e, path))?;
    Ok((data.into(), to_stat(&stat)))
}

async fn multi(client: &Client, steps: &[MultiOp], set_acl: bool) -> Result<Vec<MultiResult>> {
    let answers = {
        let mut writer = client.new_multi_writer();
        for step in steps {
            let (path, added) = match step {
                MultiOp::Create { path, data, mode } => {
                    (path, writer.add_create(path, data, &create_options(*mode, Access::of(set_acl, path))))
                }
                MultiOp::Set { path, data, version } => (path, writer.add_set_data(path, data, *version)),
                MultiOp::Delete { path, version } => (path, writer.add_delete(path, *version)),
                // -1 is any version, as for the other steps.
                MultiOp::Check { path, version } => (path, writer.add_check_version(path, version.unwrap_or(-1))),
            };
            added.map_err(|e| failure(e, path))?;
        }
        writer.commit()
    };
    let answers = answers.await.map_err(|fault| match fault {
        MultiWriteError::RequestFailed { source } => failure(source, "multi"),
        MultiWriteError::OperationFailed { index, source } => failure(source, steps.get(index).map_or("", path_of)),
    })?;
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        results.push(match answer {
            MultiWriteResult::Create { path, stat } => MultiResult::Created { stat: to_stat(&stat), path },
            MultiWriteResult::SetData { stat } => MultiResult::Set { stat: to_stat(&stat) },
            MultiWriteResult::Delete => MultiResult::Deleted,
            MultiWriteResult::Check => MultiResult::Checked,
            // The library may come to know more kinds; we ask for none of them.
            _ => return Err(Failure::Fault(CoordinationError::Store("an answer of another kind".into()))),
        });
    }
    complete_stats(client, steps, &mut results).await?;
    Ok(results)
}

/// Servers before 3.9 answer a creation within a multi without a valid stat (ZOOKEEPER-4026, -4667). The number of the
/// transaction is what matters of it: a later step on the same node knows it, or else the node is asked.
async fn complete_stats(client: &Client, steps: &[MultiOp], results: &mut [MultiResult]) -> Result<()> {
    for at in 0..results.len() {
        let path = match &results[at] {
            MultiResult::Created { path, stat } if stat.czxid <= 0 => path.clone(),
            _ => continue,
        };
        let later = steps.iter().zip(results.iter()).skip(at + 1).find_map(|(step, result)| match result {
            MultiResult::Set { stat } if path_of(step) == path => Some(Stat { version: 0, ..*stat }),
            _ => None,
        });
        let known = match later {
            Some(stat) => Some(stat),
            None => client.check_stat(&path).await.map_err(|e| failure(e, &path))?.as_ref().map(to_stat),
        };
        if let (Some(known), MultiResult::Created { stat, .. }) = (known, &mut results[at]) {
            *stat = known;
        }
    }
    Ok(())
}

pub fn path_of(step: &MultiOp) -> &str {
    match step {
        MultiOp::Create { path, .. }
        | MultiOp::Set { path, .. }
        | MultiOp::Delete { path, .. }
        | MultiOp::Check { path, .. } => path,
    }
}

static CREATOR_AND_READERS: [Acl; 2] =
    [Acl::new_const(Permission::ALL, "auth", ""), Acl::new_const(Permission::READ, "world", "anyone")];

/// Mode and access list of a new node.
pub fn create_options(mode: CreateMode, access: Access) -> CreateOptions<'static> {
    let mode = match mode {
        CreateMode::Persistent => zookeeper_client::CreateMode::Persistent,
        CreateMode::Ephemeral => zookeeper_client::CreateMode::Ephemeral,
        CreateMode::PersistentSequential => zookeeper_client::CreateMode::PersistentSequential,
    };
    mode.with_acls(match access {
        Access::Open => Acls::anyone_all(),
        Access::CreatorAndReaders => Acls::new(&CREATOR_AND_READERS),
        Access::CreatorOnly => Acls::creator_all(),
    })
}

fn failure(error: Error, path: &str) -> Failure {
    let path = || path.to_owned();
    Failure::Fault(match error {
        Error::NoNode => CoordinationError::NoNode(path()),
        Error::NodeExists => CoordinationError::NodeExists(path()),
        Error::BadVersion => CoordinationError::BadVersion(path()),
        Error::NotEmpty => CoordinationError::NotEmpty(path()),
        Error::NoChildrenForEphemerals => CoordinationError::NoChildrenForEphemerals(path()),
        Error::NoAuth => CoordinationError::NoAuth(path()),
        Error::BadArguments(why) => CoordinationError::BadArguments(format!("{}: {why}", path())),
        // What broke the connection is told to every request under way: an I/O error, silence, bytes without sense.
        Error::ConnectionLoss
        | Error::SessionMoved
        | Error::Timeout
        | Error::UnmarshalError { .. }
        | Error::Custom(_) => return Failure::Lost,
        // `UnexpectedError` is a library that does not answer any more.
        Error::SessionExpired | Error::AuthFailed | Error::ClientClosed | Error::UnexpectedError(_) => {
            return Failure::Gone;
        }
        other => CoordinationError::Store(format!("{}: {other}", path())),
    })
}

fn to_stat(stat: &zookeeper_client::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime_ms: stat.ctime,
        mtime_ms: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        ephemeral_owner: stat.ephemeral_owner,
        num_children: stat.num_children,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_takes_is_not_sent() {
        let set = |bytes: usize| Op::Set { path: "/a".into(), data: vec![0; bytes].into(), version: None };
        assert_eq!(set(1_000_000).check_size("/kafka"), Ok(()));
        assert!(matches!(set(1_048_576).check_size(""), Err(CoordinationError::BadArguments(_))));
        let path = format!("/brokers/topics/{}/partitions/1000/state", "t".repeat(200));
        let step = MultiOp::Create { path, data: vec![0; 90].into(), mode: CreateMode::Persistent };
        assert_eq!(Op::Multi(vec![step.clone(); 2000]).check_size("/kafka"), Ok(()));
        assert!(Op::Multi(vec![step; 4000]).check_size("/kafka").is_err());
    }
}
