//! Runs the task table (class `KafkaScheduler`): one thread that sleeps until the next task is due, so that an idle broker
//! does not wake. Tasks run one after another; a slow one delays the others, as a short table of short tasks may.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::common::Clock;

/// One recurring piece of background work.
pub struct Task {
    /// Kafka's name for it.
    pub name: &'static str,
    pub initial_delay_ms: i64,
    /// `i64::MAX` switches the task off.
    pub period_ms: i64,
    pub run: Box<dyn Fn() + Send>,
}

/// The thread, and the way to stop it.
pub struct Scheduler {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Scheduler {
    pub fn start(tasks: Vec<Task>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("kafka-scheduler".into())
            .stack_size(1 << 20)
            .spawn(move || run_until_stopped(tasks, clock.as_ref(), &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Waits for the task that is running, starts no other.
    pub fn stop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the scheduler thread had panicked");
        }
    }
}

fn run_until_stopped(tasks: Vec<Task>, clock: &dyn Clock, stop: &(Mutex<bool>, Condvar)) {
    let start = clock.monotonic_ms();
    let mut due: Vec<i64> = tasks
        .iter()
        .map(|task| start.saturating_add(if task.period_ms == i64::MAX { i64::MAX } else { task.initial_delay_ms }))
        .collect();
    loop {
        let now = clock.monotonic_ms();
        for (task, due) in tasks.iter().zip(&mut due) {
            if *due <= now {
                tracing::trace!(task = task.name, "running");
                (task.run)();
                *due = now.saturating_add(task.period_ms.max(1));
            }
        }
        let next = due.iter().copied().min().unwrap_or(i64::MAX);
        let mut stopped = stop.0.lock();
        if *stopped {
            return;
        }
        let wait_ms = next.saturating_sub(clock.monotonic_ms()).clamp(0, 3_600_000);
        if wait_ms > 0 {
            stop.1.wait_for(&mut stopped, std::time::Duration::from_millis(wait_ms.unsigned_abs()));
        }
        if *stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::server::clock::SystemClock;

    #[test]
    fn runs_what_is_due_and_stops_at_once() {
        let runs = Arc::new(AtomicU32::new(0));
        let never = Arc::new(AtomicU32::new(0));
        let (count, not) = (Arc::clone(&runs), Arc::clone(&never));
        let tasks = vec![
            Task {
                name: "often",
                initial_delay_ms: 0,
                period_ms: 5,
                run: Box::new(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                }),
            },
            Task {
                name: "never",
                initial_delay_ms: 0,
                period_ms: i64::MAX,
                run: Box::new(move || {
                    not.fetch_add(1, Ordering::SeqCst);
                }),
            },
        ];
        let mut scheduler = Scheduler::start(tasks, Arc::new(SystemClock::default())).unwrap();
        while runs.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        scheduler.stop();
        let after = runs.load(Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(runs.load(Ordering::SeqCst), after);
        assert_eq!(never.load(Ordering::SeqCst), 0);
    }
}
