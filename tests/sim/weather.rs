//! Waiting for a state to change. The runtime's own watch channel wakes its waiters in an order that it draws by lot, which
//! no seed of ours reaches; this wakes them in the order in which they began to wait.

use std::sync::Arc;

use tokio::sync::Notify;

#[derive(Clone, Default)]
pub struct Weather {
    notify: Arc<Notify>,
}

impl Weather {
    /// To be called after what [`until`](Self::until) looks at has changed.
    pub fn changes(&self) {
        self.notify.notify_waiters();
    }

    pub async fn until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            let mut changed = std::pin::pin!(self.notify.notified());
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }
}
