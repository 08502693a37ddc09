//! A channel against a peer that misbehaves in turn.

use std::time::Duration;

use bytes::{Buf, BufMut};
use kafka_protocol::{
    messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, BrokerId},
    protocol::Encodable,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    client::{ControllerChannel, Sockets},
    metadata::{BrokerImage, Endpoint, MetadataCache, MetadataDelta},
};

fn config(request_timeout_ms: u64) -> Arc<ClientConfig> {
    Arc::new(ClientConfig {
        client_id: "broker-1-fetcher-0".to_owned(),
        request_timeout: Duration::from_millis(request_timeout_ms),
        connect_timeout: Duration::from_secs(5),
        connector: Arc::new(Sockets { send_buffer_bytes: Some(65_536), receive_buffer_bytes: None }),
        response_bytes_max: 1 << 20,
    })
}

async fn listen() -> (TcpListener, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Peer { id: 2, host: "127.0.0.1".to_owned(), port })
}

/// One request: its key, version, correlation id and what follows.
async fn request(stream: &mut TcpStream) -> (i16, i16, i32, BytesMut) {
    let length = stream.read_i32().await.unwrap();
    let mut frame = BytesMut::zeroed(length as usize);
    stream.read_exact(&mut frame).await.unwrap();
    (frame.get_i16(), frame.get_i16(), frame.get_i32(), frame)
}

async fn respond(stream: &mut TcpStream, correlation_id: i32, body: &[u8]) {
    stream.write_i32(4 + body.len() as i32).await.unwrap();
    stream.write_i32(correlation_id).await.unwrap();
    stream.write_all(body).await.unwrap();
}

fn ids(start: i64) -> BytesMut {
    let mut body = BytesMut::from(&[0u8][..]);
    AllocateProducerIdsResponse::default().with_producer_id_start(start.into()).encode(&mut body, 0).unwrap();
    body
}

fn ask() -> AllocateProducerIdsRequest {
    AllocateProducerIdsRequest::default().with_broker_id(BrokerId(1)).with_broker_epoch(77)
}

#[tokio::test]
async fn requests_go_over_one_connection() {
    let (listener, peer) = listen().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for round in 0..3 {
            let (key, version, correlation_id, rest) = request(&mut stream).await;
            assert_eq!((key, version, correlation_id), (67, 0, round));
            assert_eq!(&rest[..2 + 18 + 1], b"\x00\x12broker-1-fetcher-0\x00");
            respond(&mut stream, correlation_id, &ids(1000 + i64::from(round))).await;
        }
    });
    let mut channel = Channel::new(peer, config(5_000));
    assert!(!channel.is_connected());
    for round in 0..3 {
        assert_eq!(channel.send(&ask(), 0).await.unwrap().producer_id_start.0, 1000 + round);
    }
    served.await.unwrap();
    assert!(matches!(channel.send(&ask(), 0).await, Err(ClientError::Broken(_) | ClientError::Connect(_))));
    assert!(!channel.is_connected());
}

/// An answer to another request, a length beyond the bound, a cut body, a count nobody could hold: the connection goes.
#[tokio::test]
async fn a_peer_that_lies_is_hung_up_on() {
    let (listener, peer) = listen().await;
    let served = tokio::spawn(async move {
        for case in 0..4 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (.., correlation_id, _) = request(&mut stream).await;
            match case {
                0 => respond(&mut stream, correlation_id + 1, &ids(1)).await,
                1 => stream.write_i32((1 << 20) + 1).await.unwrap(),
                2 => respond(&mut stream, correlation_id, &ids(1)[..9]).await,
                _ => respond(&mut stream, correlation_id, &[0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f]).await,
            }
            // Kept open: it is the other side that must hang up.
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "case {case}");
        }
    });
    let mut channel = Channel::new(peer, config(5_000));
    for case in 0..4 {
        let fault = channel.send(&ask(), 0).await.unwrap_err();
        assert!(matches!(fault, ClientError::Malformed(_)), "case {case}: {fault}");
        assert!(!channel.is_connected());
    }
    served.await.unwrap();
}

#[tokio::test]
async fn silence_ends_and_giving_up_half_way_leaves_nothing_behind() {
    let (listener, peer) = listen().await;
    let served = tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        request(&mut silent).await;
        let (mut late, _) = listener.accept().await.unwrap();
        request(&mut late).await;
        let (mut third, _) = listener.accept().await.unwrap();
        let (.., correlation_id, _) = request(&mut third).await;
        respond(&mut third, correlation_id, &ids(3)).await;
    });
    let mut channel = Channel::new(peer, config(100));
    assert!(matches!(channel.send(&ask(), 0).await, Err(ClientError::Timeout(_))));
    assert!(tokio::time::timeout(Duration::from_millis(20), channel.send(&ask(), 0)).await.is_err());
    assert_eq!(channel.send(&ask(), 0).await.unwrap().producer_id_start.0, 3);
    served.await.unwrap();
}

#[tokio::test]
async fn versions_are_negotiated_once_and_with_old_brokers_too() {
    let (listener, peer) = listen().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (key, version, correlation_id, _) = request(&mut stream).await;
        assert_eq!((key, version), (18, 4));
        // UNSUPPORTED_VERSION, in version 0.
        respond(&mut stream, correlation_id, &[0, 35, 0, 0, 0, 0]).await;
        let (key, version, correlation_id, _) = request(&mut stream).await;
        assert_eq!((key, version), (18, 0));
        let mut body = BytesMut::new();
        body.put_i16(0);
        body.put_i32(2);
        for row in [(1i16, 0i16, 11i16), (56, 0, 2)] {
            body.put_i16(row.0);
            body.put_i16(row.1);
            body.put_i16(row.2);
        }
        respond(&mut stream, correlation_id, &body).await;
        let (key, ..) = request(&mut stream).await;
        assert_eq!(key, 67, "nothing is asked twice");
    });
    let mut channel = Channel::new(peer, config(5_000));
    use kafka_protocol::messages::{AlterPartitionRequest, FetchRequest};
    assert_eq!(channel.version_for::<AlterPartitionRequest>(3).await.unwrap(), 2);
    assert_eq!(channel.version_for::<FetchRequest>(17).await.unwrap(), 11);
    assert_eq!(channel.version_for::<FetchRequest>(4).await.unwrap(), 4);
    let none = channel.version_for::<AllocateProducerIdsRequest>(0).await;
    assert!(matches!(none, Err(ClientError::UnsupportedVersion { api_key: 67, .. })));
    let _ = channel.send(&ask(), 0).await;
    served.await.unwrap();
}

/// The first broker asked is no controller any more; the image names the next, and the request goes there.
#[tokio::test]
async fn the_controller_is_looked_for_until_it_answers() {
    let (old, old_peer) = listen().await;
    let (new, new_peer) = listen().await;
    let broker = |id, peer: &Peer| BrokerImage {
        id,
        epoch: 1,
        rack: None,
        endpoints: vec![Endpoint {
            listener: "INTERNAL".to_owned(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: peer.host.clone(),
            port: peer.port,
        }],
    };
    let metadata = Arc::new(MetadataCache::default());
    metadata.apply(&MetadataDelta {
        controller: Some(Some(2)),
        brokers: Some(vec![broker(2, &old_peer), broker(3, &new_peer)]),
        ..MetadataDelta::default()
    });
    let served = {
        let metadata = Arc::clone(&metadata);
        tokio::spawn(async move {
            let (mut stream, _) = old.accept().await.unwrap();
            let (.., correlation_id, _) = request(&mut stream).await;
            metadata.apply(&MetadataDelta { controller: Some(Some(3)), ..MetadataDelta::default() });
            let mut body = BytesMut::from(&[0u8][..]);
            let refused = AllocateProducerIdsResponse::default().with_error_code(ErrorCode::NotController.code());
            refused.encode(&mut body, 0).unwrap();
            respond(&mut stream, correlation_id, &body).await;
            let (mut stream, _) = new.accept().await.unwrap();
            let (.., correlation_id, _) = request(&mut stream).await;
            respond(&mut stream, correlation_id, &ids(9)).await;
        })
    };
    let channel = ControllerChannel::new(Arc::clone(&metadata), "INTERNAL".to_owned(), config(5_000));
    let is_none = |answer: &AllocateProducerIdsResponse| answer.error_code == ErrorCode::NotController.code();
    let answer = channel.send(&ask(), 0, false, Duration::from_secs(10), is_none).await.unwrap();
    assert_eq!(answer.producer_id_start.0, 9);
    served.await.unwrap();
    metadata.apply(&MetadataDelta { controller: Some(None), ..MetadataDelta::default() });
    let none = channel.send(&ask(), 0, false, Duration::from_millis(150), is_none).await;
    assert!(matches!(none, Err(ClientError::NoController(_))));
}
