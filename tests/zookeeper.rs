//! The store over a real ZooKeeper. Without one these tests only say that they were skipped:
//!
//! - `MONEDULA_ZOOKEEPER=host:port` names a server that may be written to, below a chroot of its own for each test;
//! - `MONEDULA_ZOOKEEPER_CLASSPATH='/opt/kafka/libs/*'` lets one test start, kill and restart a server of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use monedula::coordination;

#[path = "../src/coordination/embedded/conformance.rs"]
mod conformance;
#[path = "zookeeper/proxy.rs"]
mod proxy;
#[path = "zookeeper/server.rs"]
mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use coordination::{
    ClusterStore, CoordinationError, CreateMode, Event, EventKind, MultiOp, MultiResult, SessionEvent, ZnodeStore,
    ZookeeperConfig, ZookeeperSecurity, ZookeeperStore, znode::broker::BrokerRegistration,
};
use futures::future::join_all;
use tokio::sync::mpsc::UnboundedReceiver;

use self::{proxy::Proxy, server::Server};

const SESSION_TIMEOUT: Duration = Duration::from_secs(4);

fn server() -> Option<String> {
    let server = std::env::var("MONEDULA_ZOOKEEPER").ok();
    if server.is_none() {
        println!("skipped: MONEDULA_ZOOKEEPER is not set");
    }
    server
}

/// A chroot that nobody else uses.
fn below(server: &str) -> String {
    format!("{server}/monedula-{}/{}", uuid::Uuid::new_v4(), "kafka")
}

fn config(connect: &str) -> ZookeeperConfig {
    ZookeeperConfig {
        connect: connect.to_owned(),
        session_timeout_ms: SESSION_TIMEOUT.as_millis() as u32,
        connection_timeout_ms: 10_000,
        max_in_flight: 10,
        security: ZookeeperSecurity::default(),
    }
}

async fn open(connect: &str) -> Arc<ZookeeperStore> {
    ZookeeperStore::connect(config(connect)).await.unwrap()
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn next<T>(receiver: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), receiver.recv()).await.expect("an event").expect("a live store")
}

fn all(events: &mut UnboundedReceiver<Event>) -> Vec<(EventKind, String)> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|event| (event.kind, event.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let Some(server) = server() else { return };
    conformance::nodes(open(&below(&server)).await).await;
    conformance::sequential_names(open(&below(&server)).await).await;
    let place = below(&server);
    conformance::watches(open(&place).await, open(&place).await).await;
    let place = below(&server);
    conformance::multis(open(&place).await, open(&place).await).await;
    let place = below(&server);
    let one = open(&place).await;
    conformance::ephemerals(one.clone(), open(&place).await, async move || one.close().await).await;
}

/// What a start over many partitions does: a multi of 2000 steps, 2000 reads at once.
#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_in_bulk() {
    let Some(server) = server() else { return };
    let store = open(&below(&server)).await;
    let state = text(r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#);
    let create = |path: String| MultiOp::Create { path, data: state.clone(), mode: CreateMode::Persistent };
    let began = Instant::now();
    let mut steps = vec![create("/t".into())];
    steps.extend((1..2000).map(|at| create(format!("/t/{at}"))));
    let results = store.multi(steps).await.unwrap();
    assert!(results.iter().all(|result| matches!(result, MultiResult::Created { stat, .. } if stat.czxid > 0)));
    let written = began.elapsed();
    let began = Instant::now();
    let reads = (1..2000).map(|at| {
        let path = format!("/t/{at}");
        let store = &store;
        async move { store.get(&path, true).await }
    });
    assert!(join_all(reads).await.into_iter().all(|found| found.unwrap().0 == state));
    println!("multi of 2000 creations {written:?}, 2000 watched reads {:?}", began.elapsed());

    let mut events = store.events();
    let deletes = (1..2000).map(|at| MultiOp::Delete { path: format!("/t/{at}"), version: Some(0) }).collect();
    store.multi(deletes).await.unwrap();
    for _ in 1..2000 {
        assert_eq!(next(&mut events).await.kind, EventKind::Deleted);
    }
}

/// A request that is too large is refused here: a server would close the connection, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_is_too_large() {
    let Some(server) = server() else { return };
    let store = open(&below(&server)).await;
    store.create("/large", vec![b'x'; 1_000_000].into(), CreateMode::Persistent).await.unwrap();
    let answer = store.set("/large", vec![b'x'; 1_100_000].into(), None).await;
    assert!(matches!(answer, Err(CoordinationError::BadArguments(_))), "{answer:?}");
    assert_eq!(store.get("/large", false).await.unwrap().0.len(), 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn says_that_nobody_answers() {
    let began = Instant::now();
    let nobody = ZookeeperConfig { connection_timeout_ms: 1500, ..config("127.0.0.1:1/kafka") };
    let Err(fault) = ZookeeperStore::connect(nobody).await else { panic!("connected to nobody") };
    assert_eq!(
        fault.to_string(),
        "coordination store failed: no ZooKeeper server at 127.0.0.1:1 answered within 1500 ms"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// The end of a broker: its registration vanishes at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_session_leaves_nothing() {
    let Some(server) = server() else { return };
    let place = below(&server);
    let (one, other) = (open(&place).await, open(&place).await);
    one.create("/me", text(""), CreateMode::Ephemeral).await.unwrap();
    let mut events = one.events();
    one.close().await;
    assert_eq!(other.exists("/me", false).await, Ok(None));
    assert_eq!(one.get("/me", false).await, Err(CoordinationError::ConnectionLoss));
    assert_eq!(events.recv().await, None);
}

/// The server ends the session: everybody hears of it, and a new one takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_replaced() {
    let Some(server) = server() else { return };
    let place = below(&server);
    let (one, other) = (open(&place).await, open(&place).await);
    let mut sessions = one.session_events();
    let mut events = one.events();
    let first = one.session_id();
    one.create("/ids", text(""), CreateMode::Persistent).await.unwrap();
    one.create("/ids/1", text(""), CreateMode::Ephemeral).await.unwrap();
    one.children("/ids", true).await.unwrap();
    one.get("/ids", true).await.unwrap();
    one.exists("/controller", true).await.unwrap();

    one.expire().await.unwrap();
    let mut heard = Vec::new();
    while heard.last() != Some(&SessionEvent::Expired) {
        heard.push(next(&mut sessions).await);
    }
    assert_eq!(next(&mut sessions).await, SessionEvent::Connected);
    assert_ne!(one.session_id(), first);
    assert!(one.is_former_session(first));
    assert_eq!(other.exists("/ids/1", false).await, Ok(None));
    let told = all(&mut events);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&(EventKind::ChildrenChanged, "/ids".into())));
    assert!(told.contains(&(EventKind::DataChanged, "/ids".into())));
    assert!(told.contains(&(EventKind::Created, "/controller".into())));

    let (_, stat) = one.create("/ids/1", text(""), CreateMode::Ephemeral).await.unwrap();
    assert_eq!(stat.ephemeral_owner, one.session_id());
    one.exists("/controller", true).await.unwrap();
    other.create("/controller", text(""), CreateMode::Persistent).await.unwrap();
    assert_eq!(next(&mut events).await, Event { kind: EventKind::Created, path: "/controller".into() });
}

/// A broker may register again after its session has ended, and nobody may take the id of one that lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_registers_again() {
    let Some(server) = server() else { return };
    let place = below(&server);
    let (one, other) = (open(&place).await, open(&place).await);
    let (mine, theirs) = (ClusterStore::new(one.clone()), ClusterStore::new(other.clone()));
    mine.create_persistent_paths().await.unwrap();
    let broker = BrokerRegistration::decode(1, br#"{"version":5,"host":"h","port":9092,"endpoints":["PLAINTEXT://h:9092"],"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"jmx_port":-1,"timestamp":"1","features":{}}"#).unwrap();
    let epoch = mine.register_broker(&broker).await.unwrap();
    let taken = theirs.register_broker(&broker).await;
    assert!(matches!(taken, Err(CoordinationError::NodeExists(_))), "{taken:?}");
    one.expire().await.unwrap();
    let again = mine.register_broker(&broker).await.unwrap();
    assert!(again > epoch, "{again} is a new broker epoch after {epoch}");
    let known = theirs.brokers(false).await.unwrap();
    assert_eq!((known.len(), known[0].epoch), (1, again));
}

/// The connection breaks for a while: calls wait, session, ephemerals and watches stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_waited_for() {
    let Some(server) = server() else { return };
    let mut proxy = Proxy::start(&server).await;
    let place = below("");
    let (one, other) = (open(&proxy.in_front_of(&place)).await, open(&format!("{server}{place}")).await);
    let (mut events, mut sessions) = (one.events(), one.session_events());
    let session = one.session_id();
    one.create("/a", text("1"), CreateMode::Persistent).await.unwrap();
    one.create("/me", text(""), CreateMode::Ephemeral).await.unwrap();
    one.get("/a", true).await.unwrap();

    proxy.cut().await;
    assert_eq!(next(&mut sessions).await, SessionEvent::Disconnected);
    let late = tokio::spawn({
        let one = one.clone();
        async move { one.get("/a", false).await }
    });
    other.set("/a", text("2"), None).await.unwrap();
    tokio::time::sleep(SESSION_TIMEOUT / 4).await;
    assert!(!late.is_finished());
    proxy.restore().await;
    assert_eq!(next(&mut sessions).await, SessionEvent::Connected);
    assert_eq!(late.await.unwrap().unwrap().0, text("2"));
    assert_eq!(next(&mut events).await, Event { kind: EventKind::DataChanged, path: "/a".into() });
    assert_eq!(all(&mut events), []);
    assert_eq!(one.session_id(), session);
    assert_eq!(other.exists("/me", false).await.unwrap().unwrap().ephemeral_owner, session);
}

/// The server hears nothing of us for too long: by its verdict, and not before, the session is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_cut_ends_the_session() {
    let Some(server) = server() else { return };
    let mut proxy = Proxy::start(&server).await;
    let place = below("");
    let (one, other) = (open(&proxy.in_front_of(&place)).await, open(&format!("{server}{place}")).await);
    let mut sessions = one.session_events();
    one.create("/me", text(""), CreateMode::Ephemeral).await.unwrap();
    proxy.cut().await;
    assert_eq!(next(&mut sessions).await, SessionEvent::Disconnected);
    let stale = tokio::spawn({
        let one = one.clone();
        async move { one.set("/me", text("stale"), None).await }
    });
    tokio::time::sleep(SESSION_TIMEOUT * 2).await;
    assert_eq!(sessions.try_recv().ok(), None);
    assert_eq!(other.exists("/me", false).await, Ok(None));
    proxy.restore().await;
    assert_eq!(next(&mut sessions).await, SessionEvent::Expired);
    assert_eq!(next(&mut sessions).await, SessionEvent::Connected);
    assert_eq!(stale.await.unwrap(), Err(CoordinationError::SessionExpired));
    one.create("/me", text(""), CreateMode::Ephemeral).await.unwrap();
}

/// A write happens, its answer does not arrive: sent again it would be refused, but the caller hears the truth.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_out() {
    let Some(server) = server() else { return };
    let mut proxy = Proxy::start(&server).await;
    let one = open(&proxy.in_front_of(&below(""))).await;
    one.create("/a", text("1"), CreateMode::Persistent).await.unwrap();
    one.create("/old", text("1"), CreateMode::Persistent).await.unwrap();
    let steps = vec![
        MultiOp::Check { path: "/a".into(), version: Some(1) },
        MultiOp::Create { path: "/me".into(), data: Bytes::new(), mode: CreateMode::Ephemeral },
        MultiOp::Set { path: "/me".into(), data: text("me"), version: None },
        MultiOp::Delete { path: "/old".into(), version: Some(0) },
    ];

    proxy.swallow().await;
    let (set, created, multi, refused) = tokio::join!(
        one.set("/a", text("2"), Some(0)),
        one.create("/b", text("b"), CreateMode::Persistent),
        one.multi(steps),
        one.set("/a", text("3"), Some(0)),
    );
    assert!(proxy.has_swallowed());
    assert_eq!(set.unwrap().version, 1);
    assert_eq!(created.unwrap().0, "/b");
    let multi = multi.unwrap();
    let [MultiResult::Checked, MultiResult::Created { stat, .. }, MultiResult::Set { .. }, MultiResult::Deleted] =
        multi.as_slice()
    else {
        panic!("{multi:?}")
    };
    assert_eq!(stat.ephemeral_owner, one.session_id());
    assert_eq!(refused, Err(CoordinationError::BadVersion("/a".into())));
    assert_eq!(one.get("/a", false).await.unwrap().0, text("2"));
}

/// The only server is down for much longer than a session lasts, and comes back: it counts from anew, so the session
/// lives on, and with it what is ephemeral. The library alone would have given it up.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_does_not_end_the_session() {
    let Some(mut server) = Server::start().await else { return };
    let one = open(&server.address()).await;
    let (mut events, mut sessions) = (one.events(), one.session_events());
    let session = one.session_id();
    let (_, before) = one.create("/me", text(""), CreateMode::Ephemeral).await.unwrap();
    one.get("/me", true).await.unwrap();
    one.exists("/none", true).await.unwrap();

    server.kill();
    assert_eq!(next(&mut sessions).await, SessionEvent::Disconnected);
    let late = tokio::spawn({
        let one = one.clone();
        async move { one.get("/me", false).await }
    });
    tokio::time::sleep(SESSION_TIMEOUT * 3).await;
    assert!(!late.is_finished());
    server.restart().await;
    assert_eq!(next(&mut sessions).await, SessionEvent::Connected);
    assert_eq!(one.session_id(), session);
    let (_, after) = late.await.unwrap().unwrap();
    assert_eq!((after.czxid, after.ephemeral_owner), (before.czxid, session));
    // Nobody knows what was missed: every watch has fired.
    let mut told = all(&mut events);
    told.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(told, [(EventKind::DataChanged, "/me".into()), (EventKind::Created, "/none".into())]);
    assert_eq!(sessions.try_recv().ok(), None);
    one.close().await;
}
