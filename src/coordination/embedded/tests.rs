//! The embedded store passes the suite, and keeps what it acknowledged.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{EmbeddedStore, conformance};
use crate::coordination::{CoordinationError, CreateMode, MultiOp, ZnodeStore};

#[tokio::test]
async fn conforms_in_memory() {
    conformance::nodes(EmbeddedStore::in_memory()).await;
    conformance::sequential_names(EmbeddedStore::in_memory()).await;
    let store = EmbeddedStore::in_memory();
    conformance::watches(store.new_session(), store.clone()).await;
    let store = EmbeddedStore::in_memory();
    conformance::multis(store.new_session(), store.clone()).await;
    let store = EmbeddedStore::in_memory();
    ephemerals(&store).await;
}

#[tokio::test]
async fn conforms_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| EmbeddedStore::open(dir.path().join(name)).unwrap();
    conformance::nodes(open("1")).await;
    conformance::sequential_names(open("2")).await;
    let store = open("3");
    conformance::watches(store.new_session(), store.clone()).await;
    let store = open("4");
    conformance::multis(store.new_session(), store.clone()).await;
    let store = open("5");
    ephemerals(&store).await;
}

async fn ephemerals(store: &Arc<EmbeddedStore>) {
    let one = store.new_session();
    let ending = Arc::clone(&one);
    conformance::ephemerals(one.clone(), store.clone(), async move || ending.expire().await.unwrap()).await;
    assert_eq!(one.get("/ids", false).await.unwrap_err(), CoordinationError::SessionExpired);
}

fn create(path: &str, data: &str, mode: CreateMode) -> MultiOp {
    MultiOp::Create { path: path.into(), data: Bytes::copy_from_slice(data.as_bytes()), mode }
}

/// A restart ends the session: persistent nodes are as they were, ephemerals are gone, and no number is used twice.
#[tokio::test]
async fn survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coordination.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    store
        .multi(vec![create("/a", "1", CreateMode::Persistent), create("/a-b", "2", CreateMode::Persistent)])
        .await
        .unwrap();
    store.create("/a/s_", Bytes::new(), CreateMode::PersistentSequential).await.unwrap();
    let (_, registered) = store.create("/a/me", Bytes::new(), CreateMode::Ephemeral).await.unwrap();
    store.set("/a", Bytes::from_static(b"3"), None).await.unwrap();
    store.delete("/a-b", None).await.unwrap();
    let before = store.exists("/a", false).await.unwrap().unwrap();

    assert!(matches!(EmbeddedStore::open(&path), Err(CoordinationError::Store(why)) if why.contains("in use")));
    drop(store);

    let store = EmbeddedStore::open(&path).unwrap();
    let (data, after) = store.get("/a", false).await.unwrap();
    assert_eq!(data, "3");
    assert_eq!((after.version, after.czxid, after.mzxid), (1, before.czxid, before.mzxid));
    assert_eq!(store.exists("/a-b", false).await.unwrap(), None);
    assert_eq!(store.exists("/a/me", false).await.unwrap(), None);
    assert_eq!(store.children("/a", false).await.unwrap().0, ["s_0000000000"]);
    let next = store.create("/a/s_", Bytes::new(), CreateMode::PersistentSequential).await.unwrap().0;
    assert_eq!(next, "/a/s_0000000002");
    let (_, again) = store.create("/a/me", Bytes::new(), CreateMode::Ephemeral).await.unwrap();
    assert!(again.czxid > registered.czxid);
}

/// Ten thousand partitions in one transaction, then a fast start over them.
#[tokio::test]
async fn holds_many_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coordination.redb");
    let state = r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#;
    let began = Instant::now();
    let store = EmbeddedStore::open(&path).unwrap();
    let opened = began.elapsed();
    let mut ops = vec![create("/t", "", CreateMode::Persistent)];
    for partition in 0..10_000 {
        ops.push(create(&format!("/t/{partition}"), "", CreateMode::Persistent));
        ops.push(create(&format!("/t/{partition}/state"), state, CreateMode::Persistent));
    }
    let began = Instant::now();
    store.multi(ops).await.unwrap();
    let created = began.elapsed();
    drop(store);
    let began = Instant::now();
    let store = EmbeddedStore::open(&path).unwrap();
    let reopened = began.elapsed();
    assert_eq!(store.children("/t", false).await.unwrap().0.len(), 10_000);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("open {opened:?}, 20 001 creates {created:?}, reopen {reopened:?}, {bytes} bytes");
}
