//! Wakes that come from other threads, in bunches.
//!
//! What completes one request often completes many: a rebalance answers all members of its group, a high watermark all
//! producers that wait for it. Their connections live on all reactors, and to wake a task of another thread's runtime is a
//! write to that runtime's eventfd each time. Here only the first of a bunch pays for that: it wakes one task over there,
//! which wakes the others from within.

use std::{
    cell::Cell,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

thread_local! {
    /// The relay of the reactor that this thread is; 0 on all others.
    static HERE: Cell<u64> = const { Cell::new(0) };
}

/// One reactor's.
pub(super) struct Relay {
    id: u64,
    /// To be woken when [`Relay::run`] has its turn.
    waiting: Mutex<Vec<Waker>>,
    /// Of [`Relay::run`].
    runner: AtomicWaker,
}

/// Stands for a task's waker, and takes the way over the relay when it is not called on the task's own thread.
struct Relayed {
    relay: Arc<Relay>,
    task: Waker,
}

impl Relay {
    pub(super) fn new() -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, waiting: Mutex::default(), runner: AtomicWaker::new() })
    }

    /// This thread is the reactor from now on.
    pub(super) fn settle_here(&self) {
        HERE.set(self.id);
    }

    /// A waker for `task`, which lives on this relay's reactor.
    pub(super) fn waker_of(self: &Arc<Self>, task: &Waker) -> Waker {
        Arc::new(Relayed { relay: Arc::clone(self), task: task.clone() }).into()
    }

    /// Wakes those that other threads have sent word to; a task of the reactor, for as long as it lives.
    pub(super) async fn run(self: Arc<Self>) {
        let mut due = Vec::new();
        std::future::poll_fn(|context: &mut Context<'_>| {
            self.runner.register(context.waker());
            mem::swap(&mut due, &mut *self.waiting.lock());
            due.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }

    fn pass_on(&self, task: Waker) {
        let is_first = {
            let mut waiting = self.waiting.lock();
            waiting.push(task);
            waiting.len() == 1
        };
        if is_first {
            self.runner.wake();
        }
    }
}

impl Wake for Relayed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HERE.get() == self.relay.id {
            self.task.wake_by_ref();
        } else {
            self.relay.pass_on(self.task.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Context, Poll},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_bunch_from_elsewhere_wakes_the_runner_once_and_each_task_from_it() {
        let relay = Relay::new();
        let (runner, task) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut running = std::pin::pin!(Arc::clone(&relay).run());
        let runner_waker = Waker::from(Arc::clone(&runner));
        let mut turn = || assert_eq!(running.as_mut().poll(&mut Context::from_waker(&runner_waker)), Poll::Pending);
        turn();
        let relayed = relay.waker_of(&Waker::from(Arc::clone(&task)));
        for bunch in 1..=3 {
            (0..10).for_each(|_| relayed.wake_by_ref());
            assert_eq!(runner.0.load(Ordering::Relaxed), bunch);
            assert_eq!(task.0.load(Ordering::Relaxed), (bunch - 1) * 10);
            turn();
            assert_eq!(task.0.load(Ordering::Relaxed), bunch * 10);
        }
    }

    #[test]
    fn at_home_a_task_is_woken_at_once() {
        std::thread::spawn(|| {
            let relay = Relay::new();
            relay.settle_here();
            let task = Arc::new(Count::default());
            relay.waker_of(&Waker::from(Arc::clone(&task))).wake();
            assert_eq!(task.0.load(Ordering::Relaxed), 1);
            assert!(relay.waiting.lock().is_empty());
        })
        .join()
        .unwrap();
    }
}
