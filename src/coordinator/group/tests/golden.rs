//! Keys, values and batches as Apache Kafka 3.9.1 writes them (`GroupMetadataManager`, `MemoryRecords`).

use bytes::Bytes;

use crate::{
    common::TopicPartition,
    coordinator::group::{
        RecordError,
        records::{
            GroupMetadataValue, MemberValue, OffsetAndMetadata, RecordKey, group_key, group_value, offset_key,
            offset_value, read_group_value, read_key, read_offset_value,
        },
    },
};

const OFFSET_KEY: &str = "0001000a62696c6c696e672dc3bc00066f726465727300000007";
const GROUP_KEY: &str = "0002000a62696c6c696e672dc3bc";
const OFFSET_VALUE_PLAIN: &str = "000300000000000012670000000500056dc3a4726b0000018bcfe5687b";
const OFFSET_VALUE_NO_EPOCH: &str = "00030000000000000000ffffffff00000000000000000001";
const OFFSET_VALUE_EXPIRING: &str = "000100000000000000090001780000018bcfe5687b0000018bcfe6ee9f";
const GROUP_VALUE_WRITTEN: &str = "00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe569c8000000010003632d31ffff000163000a2f3132372e302e302e31000493e00000afc800000003010203000000020909";
const GROUP_VALUE_EMPTY: &str = "00030008636f6e73756d657200000004ffffffff0000018bcfe56b1500000000";
/// The same offset in value versions 0–4.
const OFFSET_VALUES: [&str; 5] = [
    "0000000000000000126700056dc3a4726b0000018bcfe5687b",
    "0001000000000000126700056dc3a4726b0000018bcfe5687bffffffffffffffff",
    "0002000000000000126700056dc3a4726b0000018bcfe5687b",
    "000300000000000012670000000500056dc3a4726b0000018bcfe5687b",
    "0004000000000000126700000005066dc3a4726b0000018bcfe5687b00",
];
/// The same generation of two members, one static, in value versions 0–4.
const GROUP_VALUES: [&str; 5] = [
    "00000008636f6e73756d657200000003000572616e67650003632d31000000020003632d31000163000a2f3132372e302e302e310000afc8000000030102030000000204050003692d32000000092f31302e302e302e39000027100000000000000000",
    "00010008636f6e73756d657200000003000572616e67650003632d31000000020003632d31000163000a2f3132372e302e302e31000493e00000afc8000000030102030000000204050003692d32000000092f31302e302e302e390000ea60000027100000000000000000",
    "00020008636f6e73756d657200000003000572616e67650003632d310000018bcfe569c8000000020003632d31000163000a2f3132372e302e302e31000493e00000afc8000000030102030000000204050003692d32000000092f31302e302e302e390000ea60000027100000000000000000",
    "00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe569c8000000020003632d31ffff000163000a2f3132372e302e302e31000493e00000afc8000000030102030000000204050003692d32000169000000092f31302e302e302e390000ea60000027100000000000000000",
    "000409636f6e73756d6572000000030672616e676504632d310000018bcfe569c80304632d310002630b2f3132372e302e302e31000493e00000afc8040102030304050004692d320269010a2f31302e302e302e390000ea600000271001010000",
];

pub(super) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn offset(leader_epoch: i32, metadata: &str, expire_timestamp: Option<i64>) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: 4711,
        leader_epoch,
        metadata: metadata.into(),
        commit_timestamp: 1_700_000_000_123,
        expire_timestamp,
    }
}

fn first_member() -> MemberValue {
    MemberValue {
        member_id: "c-1".into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: 300_000,
        session_timeout_ms: 45_000,
        subscription: Bytes::from_static(&[1, 2, 3]),
        assignment: Bytes::from_static(&[4, 5]),
    }
}

fn generation() -> GroupMetadataValue {
    let second = MemberValue {
        member_id: "i-2".into(),
        group_instance_id: Some("i".into()),
        client_id: "".into(),
        client_host: "/10.0.0.9".into(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        subscription: Bytes::new(),
        assignment: Bytes::new(),
    };
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("c-1".into()),
        current_state_timestamp: 1_700_000_000_456,
        members: vec![first_member(), second],
    }
}

#[test]
fn keys_are_kafkas() {
    let (group, tp) = ("billing-ü", TopicPartition::new("orders", 7));
    assert_eq!(offset_key(group, &tp), unhex(OFFSET_KEY));
    assert_eq!(group_key(group), unhex(GROUP_KEY));
    let read = read_key(&unhex(OFFSET_KEY)).unwrap();
    assert_eq!(read, RecordKey::Offset { group: group.into(), topic_partition: tp });
    assert_eq!(read_key(&unhex(GROUP_KEY)).unwrap(), RecordKey::Group { group: group.into() });
    assert_eq!(read_key(&[0, 3, 0, 1, b'x']).unwrap(), RecordKey::Unknown { version: 3 });
}

#[test]
fn offset_values_are_kafkas() {
    assert_eq!(offset_value(&offset(5, "märk", None)), unhex(OFFSET_VALUE_PLAIN));
    let bare = OffsetAndMetadata { offset: 0, commit_timestamp: 1, ..offset(-1, "", None) };
    assert_eq!(offset_value(&bare), unhex(OFFSET_VALUE_NO_EPOCH));
    let expiring = OffsetAndMetadata { offset: 9, ..offset(2, "x", Some(1_700_000_099_999)) };
    assert_eq!(offset_value(&expiring), unhex(OFFSET_VALUE_EXPIRING));
    // Version 1 has no place for the epoch.
    let read = read_offset_value(&unhex(OFFSET_VALUE_EXPIRING)).unwrap();
    assert_eq!(read, OffsetAndMetadata { leader_epoch: -1, ..expiring });
    for (version, bytes) in OFFSET_VALUES.iter().enumerate() {
        let expected = offset(if version >= 3 { 5 } else { -1 }, "märk", None);
        assert_eq!(read_offset_value(&unhex(bytes)).unwrap(), expected, "version {version}");
    }
}

#[test]
fn group_values_are_kafkas() {
    assert_eq!(group_value(&generation()), unhex(GROUP_VALUES[3]));
    let mut alone = generation();
    alone.members.truncate(1);
    alone.members[0].assignment = Bytes::from_static(&[9, 9]);
    assert_eq!(group_value(&alone), unhex(GROUP_VALUE_WRITTEN));
    let empty = GroupMetadataValue {
        generation: 4,
        protocol: None,
        leader: None,
        current_state_timestamp: 1_700_000_000_789,
        members: Vec::new(),
        ..generation()
    };
    assert_eq!(group_value(&empty), unhex(GROUP_VALUE_EMPTY));
    for (version, bytes) in GROUP_VALUES.iter().enumerate() {
        let mut expected = generation();
        if version < 3 {
            expected.members[1].group_instance_id = None;
        }
        if version < 2 {
            expected.current_state_timestamp = -1;
        }
        if version < 1 {
            expected.members.iter_mut().for_each(|member| member.rebalance_timeout_ms = member.session_timeout_ms);
        }
        assert_eq!(read_group_value(&unhex(bytes)).unwrap(), expected, "version {version}");
    }
}

/// Cut anywhere, a record is refused, never misread and never a reason to allocate.
#[test]
fn cut_and_lying_records_are_refused() {
    for bytes in OFFSET_VALUES.iter().map(|hex| unhex(hex)) {
        for length in 0..bytes.len() {
            assert!(read_offset_value(&bytes[..length]).is_err());
        }
    }
    for bytes in GROUP_VALUES.iter().map(|hex| unhex(hex)) {
        for length in 0..bytes.len() {
            assert!(read_group_value(&bytes[..length]).is_err());
        }
    }
    let mut lying = unhex(GROUP_VALUE_EMPTY);
    let count = lying.len() - 4;
    lying[count..].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(read_group_value(&lying), Err(RecordError::Truncated));
    assert_eq!(read_offset_value(&[0, 5]), Err(RecordError::UnknownVersion(5)));
}
