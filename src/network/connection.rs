//! One connection: frames in, one request in flight, replies out in order (classes `KafkaChannel`, `NetworkReceive`).

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;

use super::{
    handler::RequestHandler,
    memory::{self, READ_SIZE, RequestMemory},
    reactor::Registration,
};
use crate::{
    api::{BadRequest, ConnectionInfo, Reply},
    protocol::{
        chunk::Chunk,
        frame::{FrameError, LENGTH_SIZE, claimed_length},
    },
    transport::{self, Stream},
};

/// Most bytes read at once while the size of the next frame is not known: less than this may have to be moved.
const BLIND_READ_MAX: usize = 64 * 1024;
/// Frames up to this size are copied out, so that a request that waits keeps its own few bytes and not the buffer that
/// many were read into.
const COPIED_FRAME_MAX: usize = 2 * 1024;
/// Replies to pipelined requests are sent together up to this many bytes.
const COALESCED_BYTES_MAX: usize = 64 * 1024;
/// How far ahead a connection is read while its request waits; mostly to learn that the client has gone.
const READ_AHEAD_MAX: usize = 16 * 1024;
const READ_AHEAD_STEP: usize = 2 * 1024;
/// Requests answered in a row before other connections get their turn.
const REQUESTS_PER_TURN: usize = 32;

/// Why a connection ended otherwise than by its client's closing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// The client went away, or a file was cut short under a response.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What all connections are held to.
pub(super) struct Limits {
    pub(super) request_max_bytes: usize,
    pub(super) queued: Option<RequestMemory>,
}

/// How a connection's stay on a reactor ended, if not by a fault.
pub(super) enum Outcome {
    Closed,
    /// To go on at the reactor of this index.
    Moves(Box<Moving>, usize),
}

/// A connection between two reactors.
pub(super) struct Moving {
    socket: std::net::TcpStream,
    limits: Arc<Limits>,
    input: BytesMut,
    /// Keeps its place with the old reactor until it has one with the new.
    _registration: Registration,
}

pub(super) struct Connection {
    stream: Stream,
    registration: Registration,
    limits: Arc<Limits>,
    /// Received and not yet handed on. Without memory of its own while nothing is there.
    input: BytesMut,
    output: VecDeque<Chunk>,
    output_bytes: usize,
    /// The client sends nothing more; what it has sent is still answered.
    at_end: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, registration: Registration, limits: Arc<Limits>) -> Self {
        Self {
            stream,
            registration,
            limits,
            input: BytesMut::new(),
            output: VecDeque::new(),
            output_bytes: 0,
            at_end: false,
        }
    }

    /// Takes up on the current runtime what was left on another.
    pub(super) fn arrive(moving: Moving, registration: Registration) -> io::Result<Self> {
        let stream = Stream::Tcp(TcpStream::from_std(moving.socket)?);
        Ok(Self { input: moving.input, ..Self::new(stream, registration, moving.limits) })
    }

    /// Leaves the current runtime. Only between two requests, with nothing left to send.
    fn depart(self) -> Result<Option<Moving>, Fault> {
        let Stream::Tcp(stream) = self.stream else { return Ok(None) };
        let socket = stream.into_std()?;
        Ok(Some(Moving { socket, limits: self.limits, input: self.input, _registration: self.registration }))
    }

    /// Serves until the client closes, is idle for too long, or sends what is no request, or until it is to move.
    pub(super) async fn run<H: RequestHandler>(
        mut self,
        handler: &H,
        info: &Arc<ConnectionInfo>,
    ) -> Result<Outcome, Fault> {
        let limits = Arc::clone(&self.limits);
        // For those who complete requests on other threads; a task has one waker all its life.
        let waker = poll_fn(|context| Poll::Ready(self.registration.relayed(context.waker()))).await;
        let mut lease = None;
        let mut answered = 0;
        loop {
            let claimed = match claimed_length(&self.input, limits.request_max_bytes) {
                Ok(claimed) => claimed,
                Err(fault) => {
                    self.flush().await?;
                    return Err(fault.into());
                }
            };
            if let (Some(pool), Some(size), None) = (&limits.queued, claimed, &lease) {
                lease = match pool.try_lease(size) {
                    None => {
                        self.flush().await?;
                        Some(pool.lease(size).await)
                    }
                    granted => granted,
                };
            }
            let missing = claimed.map(|size| (size + LENGTH_SIZE).saturating_sub(self.input.len()));
            if missing != Some(0) {
                self.flush().await?;
                if self.at_end || self.registration.liveness.is_closing() {
                    return Ok(Outcome::Closed);
                }
                let may_move = lease.is_none() && self.stream.is_socket();
                if let (true, Some(reactor)) = (may_move, self.registration.liveness.destination()) {
                    let moving = self.depart()?;
                    return Ok(moving.map_or(Outcome::Closed, |moving| Outcome::Moves(Box::new(moving), reactor)));
                }
                self.read(missing, may_move).await?;
                continue;
            }
            let frame = self.take_frame(claimed.unwrap_or(0));
            let ended = self.answer(handler, info, frame, &waker).await?;
            lease = None;
            if ended || self.registration.liveness.is_closing() {
                self.flush().await?;
                return Ok(Outcome::Closed);
            }
            answered += 1;
            if answered % REQUESTS_PER_TURN == 0 && !self.input.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Runs one request; `true` if the connection is to be closed after what has been queued.
    async fn answer<H: RequestHandler>(
        &mut self,
        handler: &H,
        info: &Arc<ConnectionInfo>,
        frame: BytesMut,
        waker: &Waker,
    ) -> Result<bool, Fault> {
        let may_abandon = handler.may_abandon(&frame);
        let mut request = pin!(handler.handle(info, frame));
        // Most requests are answered at the first poll, and those ahead of it in the same read can share a write.
        let answered = request.as_mut().poll(&mut Context::from_waker(waker));
        let reply = match answered {
            Poll::Ready(reply) => reply,
            Poll::Pending => {
                self.registration.liveness.set_busy(true);
                let reply = self.wait_for(request, waker, may_abandon).await;
                self.registration.liveness.set_busy(false);
                self.registration.touch();
                match reply? {
                    Some(reply) => reply,
                    None => return Ok(false),
                }
            }
        };
        match reply {
            Ok(Reply::Frame(chunks)) => {
                self.output_bytes += chunks.iter().map(Chunk::len).sum::<usize>();
                self.output.extend(chunks);
                if self.output_bytes >= COALESCED_BYTES_MAX {
                    self.flush().await?;
                }
                Ok(false)
            }
            Ok(Reply::Nothing) => Ok(false),
            Ok(Reply::Close) => Ok(true),
            Err(fault) => {
                self.flush().await?;
                Err(fault.into())
            }
        }
    }

    /// Waits for a request that is not answered at once; `None` if it was abandoned, because its client has gone.
    async fn wait_for(
        &mut self,
        mut request: Pin<&mut (impl Future<Output = Result<Reply, BadRequest>> + Send)>,
        waker: &Waker,
        may_abandon: bool,
    ) -> Result<Option<Result<Reply, BadRequest>>, io::Error> {
        self.flush().await?;
        self.release_input();
        let mut may_read = true;
        poll_fn(|context| {
            if let Poll::Ready(reply) = request.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(Ok(Some(reply)));
            }
            if may_abandon && self.registration.liveness.poll_closing(context) {
                return Poll::Ready(Ok(None));
            }
            while may_read && !self.at_end && self.input.len() < READ_AHEAD_MAX {
                if self.stream.poll_read_ready(context).is_pending() {
                    break;
                }
                memory::make_room(&mut self.input, READ_AHEAD_STEP);
                match self.stream.poll_read_into(context, &mut self.input, READ_AHEAD_MAX) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => self.at_end = true,
                    Poll::Ready(Ok(_)) => {}
                    // A request with effects runs to its end; the next write tells what is wrong.
                    Poll::Ready(Err(_)) => {
                        may_read = false;
                        self.at_end = true;
                    }
                }
            }
            if self.at_end && may_abandon { Poll::Ready(Ok(None)) } else { Poll::Pending }
        })
        .await
    }

    /// Waits for bytes, for the end of the stream, or until the connection is to close or to move. `missing` is what the
    /// frame at the front still lacks, if its size is known.
    async fn read(&mut self, missing: Option<usize>, may_move: bool) -> io::Result<()> {
        let liveness = Arc::clone(&self.registration.liveness);
        self.release_input();
        let read = poll_fn(|context| {
            if liveness.poll_closing(context) || (may_move && liveness.destination().is_some()) {
                return Poll::Ready(Ok(None));
            }
            std::task::ready!(self.stream.poll_read_ready(context))?;
            if self.input.capacity() == 0 {
                self.input = memory::lend();
            }
            let limit = match missing {
                // Up to the frame's end and no further: then the next one starts at the front of the buffer.
                Some(missing) if missing > BLIND_READ_MAX => {
                    memory::make_room(&mut self.input, missing);
                    missing
                }
                Some(missing) => {
                    memory::make_room(&mut self.input, missing.max(READ_SIZE));
                    BLIND_READ_MAX
                }
                None => {
                    memory::make_room(&mut self.input, READ_SIZE);
                    BLIND_READ_MAX
                }
            };
            self.stream.poll_read_into(context, &mut self.input, limit).map_ok(Some)
        })
        .await?;
        if let Some(read) = read {
            self.registration.touch();
            self.at_end = read == 0;
        }
        Ok(())
    }

    /// A connection that only waits, for its client or for the answer to a request, needs no memory to do so.
    fn release_input(&mut self) {
        if self.input.is_empty() {
            memory::give_back(std::mem::take(&mut self.input));
        }
    }

    fn take_frame(&mut self, size: usize) -> BytesMut {
        self.input.advance(LENGTH_SIZE);
        if size > COPIED_FRAME_MAX {
            return self.input.split_to(size);
        }
        let frame = BytesMut::from(&self.input[..size]);
        self.input.advance(size);
        frame
    }

    /// Sends what has been queued. A client that takes nothing for as long as an idle one may wait is given up.
    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.output_bytes = 0;
        let registration = &self.registration;
        let progress = || registration.touch();
        let mut sending = pin!(transport::send(&mut self.stream, &mut self.output, &progress));
        poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Pending if registration.liveness.poll_expired(context) => {
                Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
            other => other,
        })
        .await
    }
}
