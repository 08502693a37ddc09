//! A frame is a length and so many bytes (classes `NetworkReceive`, `SendBuilder`).

use bytes::{BufMut, BytesMut};

/// What stands before every frame.
pub const LENGTH_SIZE: usize = 4;

/// Why a length is refused; the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("invalid receive (size = {0})")]
    Negative(i32),
    #[error("invalid receive (size = {size} larger than {max})")]
    TooLarge { size: usize, max: usize },
}

/// The length that `received` claims for its first frame, once four bytes are there. `max` is
/// `socket.request.max.bytes`.
pub fn claimed_length(received: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(&prefix) = received.first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
    let claimed = i32::from_be_bytes(prefix);
    let size = usize::try_from(claimed).map_err(|_| FrameError::Negative(claimed))?;
    if size > max { Err(FrameError::TooLarge { size, max }) } else { Ok(Some(size)) }
}

/// Begins a response: room for the length, then the header (v1 if `flexible`, else v0).
#[must_use]
pub fn begin_response(correlation_id: i32, flexible: bool, capacity: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(capacity);
    out.put_i32(0);
    out.put_i32(correlation_id);
    if flexible {
        out.put_u8(0);
    }
    out
}

/// Writes the length over the room left for it; `beyond` bytes follow that are not in `out`. `None` if a length cannot
/// say so much.
#[must_use]
pub fn finish_response(out: &mut BytesMut, beyond: usize) -> Option<()> {
    let length = i32::try_from((out.len() - LENGTH_SIZE).checked_add(beyond)?).ok()?;
    out[..LENGTH_SIZE].copy_from_slice(&length.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded_both_ways() {
        assert_eq!(claimed_length(&[0, 0, 1], 100), Ok(None));
        assert_eq!(claimed_length(&[0, 0, 0, 100, 9], 100), Ok(Some(100)));
        assert_eq!(claimed_length(&[0, 0, 0, 0], 100), Ok(Some(0)));
        assert_eq!(claimed_length(&[0, 0, 0, 101], 100), Err(FrameError::TooLarge { size: 101, max: 100 }));
        assert_eq!(claimed_length(&[0xff; 4], 100), Err(FrameError::Negative(-1)));
        assert_eq!(
            claimed_length(b"GET / HTTP/1.1", 104_857_600),
            Err(FrameError::TooLarge { size: 0x4745_5420, max: 104_857_600 })
        );
    }
}
