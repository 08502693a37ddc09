//! One blocking connection that speaks generated messages; a caller may send on many connections before it reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{FindCoordinatorRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::{connect, wire};

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// An answer larger than that is not ours.
const ANSWER_BYTES_MAX: usize = 256 << 20;

pub struct Call {
    stream: TcpStream,
}

impl Call {
    pub fn new(bootstrap: &str) -> Result<Self> {
        let stream = connect(bootstrap)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream })
    }

    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send(&frame(request, version)?)?;
        self.receive::<R>(version)
    }

    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    /// The answer to the oldest request that has none yet, of type `R`.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut answer = self.receive_raw()?;
        ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
        R::Response::decode(&mut answer, version)
    }

    /// As it came, from the correlation id on.
    pub fn receive_raw(&mut self) -> Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).context("no answer")?;
        let size = u32::from_be_bytes(size) as usize;
        if size > ANSWER_BYTES_MAX {
            bail!("an answer of {size} bytes");
        }
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    /// Until the one broker there is coordinates the key (0: a group, 1: a transactional id).
    pub fn find_coordinator(&mut self, key: &str, key_type: i8) -> Result<()> {
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![StrBytes::from_string(key.to_owned())]);
        let deadline = Instant::now() + ANSWER_MAX;
        while Instant::now() < deadline {
            if self.ask(&request, 4)?.coordinators.first().is_some_and(|found| found.error_code == 0) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("no coordinator for {key}");
    }
}

/// A whole frame of a generated request.
pub fn frame<R: Request>(request: &R, version: i16) -> Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("blast")));
    let mut out = BytesMut::from(&[0; 4][..]);
    header.encode(&mut out, R::header_version(version))?;
    request.encode(&mut out, version)?;
    Ok(wire::finish(out))
}
