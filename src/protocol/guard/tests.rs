//! The table against the message crate: what a shape says is a message, the crate decodes to the last byte; what has been
//! tampered with is refused, or decodes within the budget.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use super::{
    check, check_response,
    shape::{Field, Kind, Shape},
    shapes,
    walk::Walk,
};

/// A small generator, so that a failure is found again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Writer<'a> {
    out: Vec<u8>,
    dice: &'a mut Dice,
    version: i16,
    flexible: bool,
}

impl Writer<'_> {
    fn structure(&mut self, fields: &'static [Field]) {
        let version = self.version;
        for field in fields.iter().filter(|f| f.tag < 0 && f.exists_in(version)) {
            self.value(&field.kind, field.nullable_since <= self.version);
        }
        if !self.flexible {
            return;
        }
        let tagged = fields.iter().filter(|f| f.tag >= 0 && f.exists_in(version));
        let known: Vec<_> = tagged.filter(|_| self.dice.roll(2) == 0).collect();
        let unknown = self.dice.roll(3) as u32;
        self.varint(known.len() as u32 + unknown);
        for field in known {
            let mut inner = Writer { out: vec![], dice: self.dice, version: self.version, flexible: true };
            inner.value(&field.kind, field.nullable_since <= self.version);
            let bytes = inner.out;
            self.varint(field.tag as u32);
            self.varint(bytes.len() as u32);
            self.out.extend(bytes);
        }
        for tag in 0..unknown {
            self.varint(100 + tag);
            self.varint(3);
            self.out.extend([1, 2, 3]);
        }
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) {
        let null = nullable && self.dice.roll(3) == 0;
        let length = self.dice.roll(4) as usize;
        match kind {
            Kind::Fixed(bytes) => {
                for _ in 0..*bytes {
                    let byte = self.dice.roll(256) as u8;
                    self.out.push(byte);
                }
            }
            Kind::Text | Kind::Blob => {
                self.length(null, length, matches!(kind, Kind::Text));
                if !null {
                    self.out.extend(std::iter::repeat_n(b'x', length));
                }
            }
            Kind::Struct(fields) => self.structure(fields),
            Kind::Array { element, .. } => {
                self.length(null, length, false);
                for _ in 0..if null { 0 } else { length } {
                    self.value(element, false);
                }
            }
        }
    }

    fn length(&mut self, null: bool, length: usize, short: bool) {
        let signed = if null { -1 } else { length as i32 };
        if self.flexible {
            self.varint((signed + 1) as u32);
        } else if short {
            self.out.extend((signed as i16).to_be_bytes());
        } else {
            self.out.extend(signed.to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

fn random_body(shape: &'static Shape, version: i16, dice: &mut Dice) -> Vec<u8> {
    let mut writer = Writer { out: vec![], dice, version, flexible: version >= shape.flexible };
    writer.structure(shape.fields);
    writer.out
}

fn decode(shape: &Shape, version: i16, body: &[u8]) -> anyhow::Result<(RequestKind, usize)> {
    let mut body = Bytes::copy_from_slice(body);
    let request = RequestKind::decode(ApiKey::try_from(shape.key).unwrap(), &mut body, version)?;
    Ok((request, body.len()))
}

fn each_version(mut run: impl FnMut(&'static Shape, i16)) {
    for shape in shapes::all() {
        for version in 0..=shape.versions {
            run(shape, version);
        }
    }
}

#[test]
fn knows_the_apis_of_the_zookeeper_listener_in_all_their_versions() {
    assert_eq!(shapes::all().count(), 62);
    for shape in shapes::all() {
        let key = ApiKey::try_from(shape.key).unwrap();
        assert_eq!(key.valid_versions().max, shape.versions, "{}", shape.name);
        assert!(std::ptr::eq(shapes::of(shape.key).unwrap(), shape));
        // A flexible request is the one whose header has tagged fields too.
        for version in 0..=shape.versions {
            let flexible = key.request_header_version(version) >= 2;
            assert_eq!(flexible, version >= shape.flexible, "{} {version}", shape.name);
        }
    }
}

#[test]
fn random_messages_pass_and_the_crate_reads_the_same_bytes() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    each_version(|shape, version| {
        for _ in 0..40 {
            let body = random_body(shape, version, &mut dice);
            check(shape.key, version, &body).unwrap();
            let (request, left) = decode(shape, version, &body)
                .unwrap_or_else(|fault| panic!("{} {version}: {fault:#} in {body:x?}", shape.name));
            assert_eq!(left, 0, "{} {version}", shape.name);
            assert_eq!(Walk::new(shape, version, &body).run_to_rest().unwrap().len(), 0);
            let mut again = BytesMut::new();
            request.encode(&mut again, version).unwrap();
            check(shape.key, version, &again).unwrap();
        }
    });
}

#[test]
fn responses_of_peers_are_walked_as_the_crate_reads_them() {
    let mut dice = Dice(99);
    for shape in shapes::responses() {
        let key = ApiKey::try_from(shape.key).unwrap();
        assert_eq!(key.valid_versions().max, shape.versions, "{}", shape.name);
        for version in 0..=shape.versions {
            for _ in 0..40 {
                let body = random_body(shape, version, &mut dice);
                check_response(shape.key, version, &body).unwrap();
                let mut bytes = Bytes::copy_from_slice(&body);
                ResponseKind::decode(key, &mut bytes, version)
                    .unwrap_or_else(|fault| panic!("{} {version}: {fault:#} in {body:x?}", shape.name));
                assert!(bytes.is_empty(), "{} {version}", shape.name);
            }
        }
    }
    assert!(check_response(24, 3, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(check_response(1, 12, &[]).is_err(), "Fetch is not decoded by the crate");
}

#[test]
fn every_truncation_is_refused_or_decodes() {
    let mut dice = Dice(42);
    each_version(|shape, version| {
        let body = random_body(shape, version, &mut dice);
        for length in 0..body.len() {
            if check(shape.key, version, &body[..length]).is_ok() {
                assert!(decode(shape, version, &body[..length]).is_ok(), "{} {version} {length}", shape.name);
            }
        }
    });
}

/// Whatever the guard lets through, the crate decodes without claiming more than the bytes could hold: a claim of
/// gigabytes would end this process.
#[test]
fn tampered_messages_never_reach_a_large_allocation() {
    let mut dice = Dice(7);
    each_version(|shape, version| {
        for _ in 0..60 {
            let mut body = random_body(shape, version, &mut dice);
            if body.is_empty() {
                continue;
            }
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(body.len() as u64) as usize;
                let choices = [0x7f, 0xff, 0x80, 0, dice.roll(256) as u8];
                for byte in body.iter_mut().skip(at).take(1 + at % 4) {
                    *byte = choices[dice.roll(5) as usize];
                }
            }
            if check(shape.key, version, &body).is_ok() {
                let _ = decode(shape, version, &body);
            }
        }
    });
}

#[test]
fn four_bytes_do_not_end_the_process() {
    let fault = check(3, 0, &[0x7f, 0xff, 0xff, 0xff]).unwrap_err();
    assert!(fault.0.contains("Topics claims 2147483647 elements"), "{fault}");
    assert!(check(3, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(check(3, 1, &[0xff, 0xff, 0xff, 0xff]).is_ok(), "null means all topics from version 1");
    assert!(check(3, 0, &[0xff, 0xff, 0xff, 0xff]).is_err());
    assert!(check(3, 0, &[0xff, 0xff, 0xff, 0xfe]).is_err());
    assert!(check(3, 13, &[]).is_err());
    assert!(check(52, 0, &[]).is_err(), "Vote is not on this listener");
}

/// A frame full of empty names is a message, but each byte of it would become 32.
#[test]
fn dense_arrays_are_held_to_the_budget() {
    let groups = |count: usize| {
        let mut body = vec![];
        let mut left = count as u32 + 1;
        while left >= 0x80 {
            body.push(left as u8 | 0x80);
            left >>= 7;
        }
        body.push(left as u8);
        body.extend(std::iter::repeat_n(1, count));
        body.extend([0, 0]);
        body
    };
    assert!(check(15, 5, &groups(10_000)).is_ok());
    let fault = check(15, 5, &groups(1_000_000)).unwrap_err();
    assert!(fault.0.contains("bytes allowed"), "{fault}");
}

#[test]
fn unknown_tags_are_few() {
    let tags = |count: u8| {
        let mut body = vec![0, 0, 0, count];
        for tag in 0..count {
            body.extend([tag, 0]);
        }
        body
    };
    assert!(check(3, 12, &tags(64)).is_ok());
    assert!(check(3, 12, &tags(65)).is_err());
}

/// A hundred thousand named topics, and as many partitions to fetch, are not an attack.
#[test]
fn honest_large_requests_pass() {
    use kafka_protocol::{
        messages::{
            FetchRequest, MetadataRequest, TopicName,
            fetch_request::{FetchPartition, FetchTopic},
            metadata_request::MetadataRequestTopic,
        },
        protocol::{Encodable, StrBytes},
    };
    let name = || TopicName(StrBytes::from_static_str("a-topic-of-some-length"));
    let topics = (0..100_000).map(|_| MetadataRequestTopic::default().with_name(Some(name()))).collect();
    let mut body = BytesMut::new();
    MetadataRequest::default().with_topics(Some(topics)).encode(&mut body, 9).unwrap();
    check(3, 9, &body).unwrap();
    let partitions = (0..100_000).map(|index| FetchPartition::default().with_partition(index)).collect();
    let topic = FetchTopic::default().with_topic(name()).with_partitions(partitions);
    let mut body = BytesMut::new();
    FetchRequest::default().with_topics(vec![topic]).encode(&mut body, 4).unwrap();
    check(1, 4, &body).unwrap();
}
