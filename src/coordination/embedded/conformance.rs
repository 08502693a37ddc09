//! What every [`ZnodeStore`] must do, as ZooKeeper does it. Written against the trait: the same stories run against a
//! real ensemble. `one` and `other` are two sessions of the same, empty tree.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::coordination::{CoordinationError as Fault, CreateMode, Event, EventKind, MultiOp, MultiResult, ZnodeStore};

fn data(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn next(events: &mut UnboundedReceiver<Event>) -> (EventKind, String) {
    let event = tokio::time::timeout(std::time::Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
    (event.kind, event.path)
}

fn quiet(events: &mut UnboundedReceiver<Event>) {
    assert_eq!(events.try_recv().ok(), None);
}

/// Data, versions, children; and the errors in ZooKeeper's order of checks.
pub async fn nodes(one: Arc<dyn ZnodeStore>) {
    let (path, stat) = one.create("/a", data("x"), CreateMode::Persistent).await.unwrap();
    assert_eq!((path.as_str(), stat.version, stat.cversion, stat.num_children), ("/a", 0, 0, 0));
    assert_eq!(stat.czxid, stat.mzxid);
    assert_eq!(one.create("/a", data(""), CreateMode::Persistent).await, Err(Fault::NodeExists("/a".into())));
    assert!(matches!(one.create("/no/b", data(""), CreateMode::Persistent).await, Err(Fault::NoNode(_))));
    for bad in ["a", "/a/", "//a", "/a//b", "/a/./b", "/a/..", ""] {
        let answer = one.create(bad, data(""), CreateMode::Persistent).await;
        assert!(matches!(answer, Err(Fault::BadArguments(_))), "{bad:?}: {answer:?}");
    }

    let set = one.set("/a", data("y"), Some(0)).await.unwrap();
    assert_eq!((set.version, set.czxid), (1, stat.czxid));
    assert!(set.mzxid > stat.mzxid);
    assert_eq!(one.set("/a", data("z"), Some(0)).await, Err(Fault::BadVersion("/a".into())));
    assert_eq!(one.set("/a", data("z"), None).await.unwrap().version, 2);
    assert_eq!(one.set("/b", data("z"), None).await, Err(Fault::NoNode("/b".into())));
    assert_eq!(one.get("/a", false).await.unwrap().0, data("z"));
    assert_eq!(one.get("/b", false).await, Err(Fault::NoNode("/b".into())));
    assert_eq!(one.exists("/b", false).await, Ok(None));

    for child in ["/a/2", "/a/10", "/a/1"] {
        one.create(child, data(""), CreateMode::Persistent).await.unwrap();
    }
    let (mut names, stat) = one.children("/a", false).await.unwrap();
    names.sort();
    assert_eq!(names, ["1", "10", "2"]);
    assert_eq!((stat.num_children, stat.cversion, stat.version), (3, 3, 2));
    assert_eq!(one.delete("/a", Some(7)).await, Err(Fault::BadVersion("/a".into())));
    assert_eq!(one.delete("/a", None).await, Err(Fault::NotEmpty("/a".into())));
    assert_eq!(one.delete("/a/1", Some(1)).await, Err(Fault::BadVersion("/a/1".into())));
    one.delete("/a/1", Some(0)).await.unwrap();
    assert_eq!(one.delete("/a/1", None).await, Err(Fault::NoNode("/a/1".into())));
    let stat = one.exists("/a", false).await.unwrap().unwrap();
    assert_eq!((stat.num_children, stat.cversion), (2, 4));
}

/// The digits count creations under the parent, whatever was deleted since.
pub async fn sequential_names(one: Arc<dyn ZnodeStore>) {
    one.create("/s", data(""), CreateMode::Persistent).await.unwrap();
    let first = one.create("/s/n_", data(""), CreateMode::PersistentSequential).await.unwrap().0;
    assert_eq!(first, "/s/n_0000000000");
    one.create("/s/other", data(""), CreateMode::Persistent).await.unwrap();
    one.delete("/s/other", None).await.unwrap();
    one.delete(&first, None).await.unwrap();
    let second = one.create("/s/n_", data(""), CreateMode::PersistentSequential).await.unwrap().0;
    assert_eq!(second, "/s/n_0000000002");
}

/// A registration belongs to its session, and vanishes with it; `end` ends the session of `one`.
pub async fn ephemerals(one: Arc<dyn ZnodeStore>, other: Arc<dyn ZnodeStore>, end: impl AsyncFnOnce()) {
    one.create("/ids", data(""), CreateMode::Persistent).await.unwrap();
    let (_, stat) = one.create("/ids/1", data("me"), CreateMode::Ephemeral).await.unwrap();
    assert_eq!(stat.ephemeral_owner, one.session_id());
    assert_ne!(one.session_id(), other.session_id());
    assert!(matches!(
        one.create("/ids/1/x", data(""), CreateMode::Persistent).await,
        Err(Fault::NoChildrenForEphemerals(_))
    ));
    let mut events = other.events();
    assert!(other.exists("/ids/1", true).await.unwrap().is_some());
    other.children("/ids", true).await.unwrap();
    end().await;
    let mut heard = [next(&mut events).await, next(&mut events).await];
    heard.sort_by_key(|(_, path)| path.len());
    assert_eq!(heard[0], (EventKind::ChildrenChanged, "/ids".into()));
    assert_eq!(heard[1], (EventKind::Deleted, "/ids/1".into()));
    let (_, again) = other.create("/ids/1", data("you"), CreateMode::Ephemeral).await.unwrap();
    assert!(again.czxid > stat.czxid, "a new registration is a new broker epoch");
}

/// Which operation fires which watch, and that each fires once.
pub async fn watches(one: Arc<dyn ZnodeStore>, other: Arc<dyn ZnodeStore>) {
    let mut events = one.events();
    other.create("/w", data(""), CreateMode::Persistent).await.unwrap();

    // A read that fails arms nothing, but `exists` waits for a creation.
    assert!(one.get("/w/a", true).await.is_err());
    assert!(one.children("/w/a", true).await.is_err());
    assert_eq!(one.exists("/w/a", true).await, Ok(None));
    one.children("/w", true).await.unwrap();
    other.create("/w/a", data(""), CreateMode::Persistent).await.unwrap();
    assert_eq!(next(&mut events).await, (EventKind::Created, "/w/a".into()));
    assert_eq!(next(&mut events).await, (EventKind::ChildrenChanged, "/w".into()));

    // One-shot: nothing is armed now.
    other.set("/w/a", data("1"), None).await.unwrap();
    other.create("/w/b", data(""), CreateMode::Persistent).await.unwrap();
    one.exists("/w", false).await.unwrap();
    quiet(&mut events);

    // Data is not children, and children are not data.
    one.get("/w", true).await.unwrap();
    one.children("/w/a", true).await.unwrap();
    other.create("/w/c", data(""), CreateMode::Persistent).await.unwrap();
    other.set("/w/a", data("2"), None).await.unwrap();
    one.exists("/w", false).await.unwrap();
    quiet(&mut events);
    other.set("/w", data("3"), None).await.unwrap();
    assert_eq!(next(&mut events).await, (EventKind::DataChanged, "/w".into()));
    other.create("/w/a/deep", data(""), CreateMode::Persistent).await.unwrap();
    assert_eq!(next(&mut events).await, (EventKind::ChildrenChanged, "/w/a".into()));

    // A node watched twice dies once.
    one.get("/w/b", true).await.unwrap();
    one.children("/w/b", true).await.unwrap();
    one.children("/w", true).await.unwrap();
    other.delete("/w/b", None).await.unwrap();
    assert_eq!(next(&mut events).await, (EventKind::Deleted, "/w/b".into()));
    assert_eq!(next(&mut events).await, (EventKind::ChildrenChanged, "/w".into()));
    quiet(&mut events);

    // An operation that fails fires nothing, and one's own operations do fire.
    one.get("/w/c", true).await.unwrap();
    assert!(other.set("/w/c", data(""), Some(9)).await.is_err());
    one.set("/w/c", data("mine"), None).await.unwrap();
    assert_eq!(next(&mut events).await, (EventKind::DataChanged, "/w/c".into()));
    quiet(&mut events);
}

/// All or nothing, one zxid, later steps see earlier ones, watches fire only if all happened.
pub async fn multis(one: Arc<dyn ZnodeStore>, other: Arc<dyn ZnodeStore>) {
    let create = |path: &str| MultiOp::Create { path: path.into(), data: data("d"), mode: CreateMode::Persistent };
    let check = |path: &str, version| MultiOp::Check { path: path.into(), version: Some(version) };
    let mut events = other.events();
    one.multi(vec![create("/m"), create("/m/a"), create("/m/b")]).await.unwrap();
    other.children("/m", true).await.unwrap();
    other.get("/m/a", true).await.unwrap();
    let before = one.exists("/m", false).await.unwrap();

    let failing = vec![
        check("/m", 0),
        create("/m/c"),
        MultiOp::Set { path: "/m/a".into(), data: data("new"), version: Some(0) },
        MultiOp::Delete { path: "/m/b".into(), version: None },
        check("/m/a", 0),
    ];
    assert_eq!(one.multi(failing).await, Err(Fault::BadVersion("/m/a".into())));
    assert_eq!(one.exists("/m", false).await.unwrap(), before);
    assert_eq!(one.get("/m/a", false).await.unwrap().0, data("d"));
    assert!(one.exists("/m/b", false).await.unwrap().is_some());
    quiet(&mut events);

    let results = one
        .multi(vec![
            create("/m/c"),
            MultiOp::Set { path: "/m/c".into(), data: data("new"), version: Some(0) },
            check("/m/c", 1),
            MultiOp::Delete { path: "/m/b".into(), version: Some(0) },
        ])
        .await
        .unwrap();
    let [
        MultiResult::Created { path, stat },
        MultiResult::Set { stat: set },
        MultiResult::Checked,
        MultiResult::Deleted,
    ] = results.as_slice()
    else {
        panic!("{results:?}")
    };
    assert_eq!((path.as_str(), stat.czxid, set.version), ("/m/c", set.mzxid, 1));
    assert_eq!(next(&mut events).await, (EventKind::ChildrenChanged, "/m".into()));
    quiet(&mut events);
    assert!(matches!(one.multi(vec![check("/none", 0)]).await, Err(Fault::NoNode(_))));
}
