//! Zstandard frames, one after another, with a decoder kept per thread.

use std::cell::RefCell;

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::CompressionError;

/// The window a frame may ask for (2²⁷ bytes), zstd's own default and what zstd-jni accepts in Kafka's consumers.
const WINDOW_LOG_MAX: u32 = 27;

thread_local! {
    /// A decoder whose last frame had a small window: making one costs 150 KB and its tables.
    static IDLE: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
}

pub(super) struct Frames<'a> {
    rest: &'a [u8],
    decoder: Option<Decoder<'static>>,
    /// Between frames: the input may end here.
    between_frames: bool,
    keep: bool,
}

impl<'a> Frames<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Result<Self, CompressionError> {
        let decoder = match IDLE.with(RefCell::take) {
            Some(decoder) => decoder,
            None => new_decoder().map_err(|e| CompressionError::corrupt(e.to_string()))?,
        };
        Ok(Self { rest: payload, decoder: Some(decoder), between_frames: true, keep: true })
    }

    /// Fills `out`, as far as one step goes; 0 at the end.
    pub(super) fn next_into(&mut self, out: &mut [u8]) -> Result<usize, CompressionError> {
        let Some(decoder) = self.decoder.as_mut() else { return Ok(0) };
        loop {
            if self.rest.is_empty() && self.between_frames {
                return Ok(0);
            }
            if self.between_frames {
                self.keep &= has_small_window(self.rest);
            }
            let mut input = InBuffer::around(self.rest);
            let mut output = OutBuffer::around(&mut *out);
            let hint = decoder.run(&mut input, &mut output).map_err(|e| CompressionError::corrupt(e.to_string()))?;
            let (read, written) = (input.pos(), output.pos());
            self.rest = &self.rest[read..];
            self.between_frames = hint == 0;
            if written > 0 {
                return Ok(written);
            }
            if read == 0 || (self.rest.is_empty() && hint != 0) {
                return Err(CompressionError::corrupt("Truncated source"));
            }
        }
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        let Some(mut decoder) = self.decoder.take() else { return };
        if self.keep && decoder.reinit().is_ok() {
            let _ = IDLE.try_with(|idle| idle.replace(Some(decoder)));
        }
    }
}

fn new_decoder() -> std::io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
    Ok(decoder)
}

/// Whether the frame at the start of `frame` needs a window of at most 8 MB (levels up to 19), so that its decoder
/// may be kept. Anything odd counts as large.
fn has_small_window(frame: &[u8]) -> bool {
    match frame {
        [0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] => descriptor & 0x20 != 0 || window >> 3 <= 13,
        _ => false,
    }
}
