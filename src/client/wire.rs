//! Request frames out, response frames in.

use std::{collections::VecDeque, future::poll_fn, io};

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::protocol::{HeaderVersion, Request};

use super::ClientError;
use crate::{
    protocol::{
        chunk::Chunk,
        frame::{LENGTH_SIZE, claimed_length},
    },
    transport::{self, Stream},
};

/// Room made for a response before its bytes are there; it doubles with what arrives.
const FIRST_ROOM: usize = 1 << 20;
/// Tagged fields of a response header that are skipped; Kafka 3.9 defines none.
const HEADER_TAGS_MAX: u32 = 64;

/// A request with its length and header (v0–2).
pub(super) fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<BytesMut, ClientError> {
    let unsendable = |fault: &dyn std::fmt::Display| ClientError::Unsendable(format!("{fault:#}"));
    let header_version = R::header_version(version);
    let body_size = request.compute_size(version).map_err(|fault| unsendable(&fault))?;
    let mut frame = BytesMut::with_capacity(LENGTH_SIZE + 16 + client_id.len() + body_size);
    frame.put_i32(0);
    frame.put_i16(R::KEY);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    if header_version >= 1 {
        frame.put_i16(i16::try_from(client_id.len()).map_err(|fault| unsendable(&fault))?);
        frame.put_slice(client_id.as_bytes());
    }
    if header_version >= 2 {
        frame.put_u8(0);
    }
    request.encode(&mut frame, version).map_err(|fault| unsendable(&fault))?;
    let length = i32::try_from(frame.len() - LENGTH_SIZE).map_err(|fault| unsendable(&fault))?;
    frame[..LENGTH_SIZE].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

pub(super) async fn send(stream: &mut Stream, frame: BytesMut) -> io::Result<()> {
    let mut chunks = VecDeque::from([Chunk::Bytes(frame.freeze())]);
    transport::send(stream, &mut chunks, &|| ()).await
}

/// One response without its length. The buffer grows with what has arrived, not with what the length claims.
pub(super) async fn receive(stream: &mut Stream, bytes_max: usize) -> Result<BytesMut, ClientError> {
    let mut head = BytesMut::with_capacity(LENGTH_SIZE);
    fill(stream, &mut head, LENGTH_SIZE).await?;
    let length = claimed_length(&head, bytes_max).map_err(|fault| ClientError::Malformed(fault.to_string()))?;
    let length = length.unwrap_or_default();
    let mut frame = BytesMut::new();
    while frame.len() < length {
        let room = (length - frame.len()).min(frame.len().max(FIRST_ROOM));
        frame.reserve(room);
        let until = frame.len() + room;
        fill(stream, &mut frame, until).await?;
    }
    Ok(frame)
}

async fn fill(stream: &mut Stream, buffer: &mut BytesMut, until: usize) -> Result<(), ClientError> {
    while buffer.len() < until {
        let limit = until - buffer.len();
        let read =
            poll_fn(|context| stream.poll_read_into(context, buffer, limit)).await.map_err(ClientError::Broken)?;
        if read == 0 {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

/// Takes the header off a response and checks whose it is.
pub(super) fn take_header<R: Request>(
    frame: &mut BytesMut,
    version: i16,
    correlation_id: i32,
) -> Result<(), ClientError> {
    let short = |_| ClientError::Malformed("response header is cut short".to_owned());
    let answered = frame.try_get_i32().map_err(short)?;
    if answered != correlation_id {
        let text = format!("correlation id {answered} where {correlation_id} was asked");
        return Err(ClientError::Malformed(text));
    }
    if R::Response::header_version(version) >= 1 {
        skip_tags(frame)?;
    }
    Ok(())
}

fn skip_tags(frame: &mut BytesMut) -> Result<(), ClientError> {
    let count = take_varint(frame)?;
    if count > HEADER_TAGS_MAX {
        return Err(ClientError::Malformed(format!("response header has {count} tagged fields")));
    }
    for _ in 0..count {
        take_varint(frame)?;
        let size = take_varint(frame)? as usize;
        if frame.len() < size {
            return Err(ClientError::Malformed("response header is cut short".to_owned()));
        }
        frame.advance(size);
    }
    Ok(())
}

fn take_varint(frame: &mut BytesMut) -> Result<u32, ClientError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let byte = frame.try_get_u8().map_err(|_| ClientError::Malformed("varint is cut short".to_owned()))?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ClientError::Malformed("a varint is longer than five bytes".to_owned()))
}
