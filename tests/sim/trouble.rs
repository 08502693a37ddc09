//! What goes wrong, and what is put right again.

use std::{sync::Arc, time::Duration};

use rand::{Rng, seq::IndexedRandom};

use super::{
    disk::{self, Loss},
    network::CLIENTS,
    world::{BROKERS, World},
};

impl World {
    /// One thing goes wrong, or right.
    pub async fn trouble(&mut self) {
        let any = *BROKERS.choose(&mut self.random).unwrap();
        match self.random.random_range(0..15) {
            0 | 1 => self.crash(any, Loss::Nothing),
            2 => self.power_fails(any).await,
            3 => self.cut_off(any),
            4 => {
                let other = *BROKERS.choose(&mut self.random).unwrap();
                self.note(format_args!("{other} does not hear {any}"));
                self.network.cut(any, other);
            }
            5 => {
                self.note(format_args!("broker {any} is cut off from the store"));
                if let Some(broker) = self.brokers.get(&any) {
                    broker.store.cut();
                }
            }
            6 => {
                self.note(format_args!("broker {any} is paused: it hears nobody"));
                if let Some(broker) = self.brokers.get(&any) {
                    broker.store.cut();
                }
                for other in BROKERS.into_iter().chain([CLIENTS.id]).filter(|other| *other != any) {
                    self.network.cut(any, other);
                    self.network.cut(other, any);
                }
            }
            7 => {
                self.note(format_args!("the session of broker {any} is ended"));
                if let Some(broker) = self.brokers.get(&any) {
                    let store = Arc::clone(&broker.store);
                    tokio::spawn(async move { store.expire().await });
                }
            }
            8 => self.stop(any).await,
            9 => self.roll().await,
            10 => self.only_the_laggard_is_left(any).await,
            _ => self.heal().await,
        }
    }

    fn cut_off(&mut self, id: i32) {
        self.note(format_args!("broker {id} is cut off from the others"));
        for other in BROKERS.into_iter().filter(|other| *other != id) {
            self.network.cut(id, other);
            self.network.cut(other, id);
        }
    }

    /// One falls out of every ISR but not out of the cluster; then all others are gone, and it alone could lead. It may not
    /// (`unclean.leader.election.enable=false`): what it has not is acknowledged.
    async fn only_the_laggard_is_left(&mut self, laggard: i32) {
        self.heal().await;
        self.cut_off(laggard);
        let lag = self.random.random_range(8..15);
        self.pass(Duration::from_secs(lag)).await;
        for id in BROKERS.into_iter().filter(|id| *id != laggard) {
            self.crash(id, Loss::Nothing);
        }
        self.network.heal();
        // Until the sessions of the dead have ended and a controller has been found.
        let alone = self.random.random_range(5..20);
        self.pass(Duration::from_secs(alone)).await;
    }

    /// Where every append is synced before its answer, all three may lose what is not, at any time. Else at most one at a
    /// time may, and only of a whole cluster: two would be more than RF 3 with `min.insync.replicas=2` promises to survive.
    async fn power_fails(&mut self, any: i32) {
        if self.is_synced {
            let many = self.random.random_range(0..3);
            for id in BROKERS.into_iter().filter(|id| *id == any || many == 0) {
                self.crash(id, Loss::Unsynced);
            }
        } else if self.is_whole().await {
            self.crash(any, Loss::Unsynced);
        }
    }

    pub fn crash(&mut self, id: i32, loss: Loss) {
        let Some(broker) = self.brokers.remove(&id) else { return };
        let logs = Arc::clone(&broker.core.logs);
        let mut lost = 0;
        self.next_life(id, |from, to, random| lost = disk::survive(&logs, from, to, loss, random));
        self.note(format_args!("broker {id} crashes, losing {loss:?} ({lost} bytes)"));
        broker.die(&self.network);
    }

    /// SIGTERM: leadership is handed over first, if anybody can be asked.
    pub async fn stop(&mut self, id: i32) {
        let Some(broker) = self.brokers.remove(&id) else { return };
        self.note(format_args!("broker {id} is told to stop"));
        let store = Arc::clone(&broker.store);
        let network = self.network.clone();
        let mut stopping = std::pin::pin!(broker.stop(&network));
        while tokio::time::timeout(Duration::from_millis(250), stopping.as_mut()).await.is_err() {
            self.look().await;
        }
        store.close().await;
        self.next_life(id, |from, to, _| disk::copy(from, to));
        self.note(format_args!("broker {id} has stopped"));
    }

    /// A rolling restart, as an upgrade is done: each waits for the one before to be back in sync, within reason.
    pub async fn roll(&mut self) {
        self.note("a rolling restart begins");
        for id in BROKERS {
            self.stop(id).await;
            self.start(id).await;
            for _ in 0..40 {
                if self.is_whole().await {
                    break;
                }
                self.pass(Duration::from_millis(500)).await;
            }
        }
        self.note("the rolling restart is done");
    }

    pub async fn heal(&mut self) {
        self.note("all is well again");
        self.network.heal();
        for broker in self.brokers.values() {
            broker.store.heal();
        }
        for id in BROKERS {
            self.start(id).await;
        }
    }
}
