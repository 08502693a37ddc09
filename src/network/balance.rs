//! Which reactor a connection belongs on.
//!
//! A thread that wakes for one event, and sleeps again, pays more for waking than for the event; one that finds several pays
//! once. So connections are kept together on as few reactors as carry their load, and spread over more, within a second,
//! when those get busy. (Kafka's `SocketServer` deals them out in turn and leaves them where they are.)
//!
//! Decisions only; [`super::reactor`] measures and moves.

/// A reactor as busy as this (thousandths of its thread) gives connections away, and is not given new ones.
pub(super) const BUSY: u32 = 500;
/// Two reactors that are together no busier than this become one. Well below [`BUSY`], or they would part again.
const QUIET: u32 = 250;

/// What a reactor carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Of a thousand.
    pub(super) busy: u32,
    pub(super) connections: usize,
    /// Of these the ones that have sent something lately; counted only where it matters, at [`BUSY`] and above.
    pub(super) active: usize,
}

/// `count` connections to go from one reactor to another; `busy` is the share of the load expected to go with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) count: usize,
    pub(super) busy: u32,
}

/// The reactor for a new connection: the first that is not busy, so that they stay together.
pub(super) fn place(loads: impl Iterator<Item = Load> + Clone) -> Option<usize> {
    let calm = loads.clone().position(|load| load.busy < BUSY);
    calm.or_else(|| loads.enumerate().min_by_key(|(_, load)| load.busy).map(|(at, _)| at))
}

/// What to move now, if anything.
pub(super) fn shift(loads: &[Load]) -> Option<Shift> {
    spread(loads).or_else(|| gather(loads))
}

/// From the busiest to the least busy, as many as make them equal if each active one carries the same. One alone may stay.
fn spread(loads: &[Load]) -> Option<Shift> {
    let (from, hot) = loads.iter().enumerate().filter(|(_, load)| load.active > 1).max_by_key(|(_, load)| load.busy)?;
    let (to, cool) = loads.iter().enumerate().min_by_key(|(_, load)| load.busy)?;
    if hot.busy < BUSY || cool.busy * 2 > hot.busy {
        return None;
    }
    let busy = (hot.busy - cool.busy) / 2;
    let share = hot.active * busy as usize / hot.busy as usize;
    Some(Shift { from, to, count: share.clamp(1, hot.active - 1), busy })
}

/// All from the last one that has any to the first that has room for their load.
fn gather(loads: &[Load]) -> Option<Shift> {
    let (from, last) = loads.iter().enumerate().rfind(|(_, load)| load.connections > 0)?;
    let to = loads[..from].iter().position(|load| load.busy + last.busy <= QUIET)?;
    Some(Shift { from, to, count: last.connections, busy: last.busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(busy: u32, connections: usize) -> Load {
        Load { busy, connections, active: connections }
    }

    #[test]
    fn new_connections_stay_together_until_that_is_too_much() {
        let place = |busy: [u32; 3]| place(busy.into_iter().map(|busy| load(busy, 7)));
        assert_eq!(place([0, 0, 0]), Some(0));
        assert_eq!(place([499, 0, 0]), Some(0));
        assert_eq!(place([500, 100, 0]), Some(1));
        assert_eq!(place([900, 800, 850]), Some(1));
    }

    #[test]
    fn a_busy_reactor_gives_half_of_the_difference_away() {
        assert_eq!(shift(&[load(800, 80), load(0, 0)]), Some(Shift { from: 0, to: 1, count: 40, busy: 400 }));
        assert_eq!(
            shift(&[load(600, 2), load(900, 90), load(300, 5)]),
            Some(Shift { from: 1, to: 2, count: 30, busy: 300 })
        );
    }

    #[test]
    fn one_connection_cannot_be_divided() {
        assert_eq!(shift(&[load(1000, 1), load(0, 0)]), None);
        assert_eq!(shift(&[Load { active: 1, ..load(1000, 50) }, load(0, 0)]), None);
        assert_eq!(shift(&[load(1000, 2), load(0, 0)]), Some(Shift { from: 0, to: 1, count: 1, busy: 500 }));
    }

    #[test]
    fn all_busy_stay_as_they_are() {
        assert_eq!(shift(&[load(900, 50), load(700, 50)]), None);
    }

    #[test]
    fn quiet_reactors_become_one() {
        assert_eq!(
            shift(&[load(50, 10), load(100, 20), load(0, 5)]),
            Some(Shift { from: 2, to: 0, count: 5, busy: 0 })
        );
        assert_eq!(
            shift(&[load(50, 10), load(100, 20), load(0, 0)]),
            Some(Shift { from: 1, to: 0, count: 20, busy: 100 })
        );
        assert_eq!(shift(&[load(200, 10), load(100, 20)]), None);
        assert_eq!(shift(&[load(0, 10), load(0, 0)]), None);
        assert_eq!(shift(&[]), None);
    }

    /// Applied over and over, as measured after each: it comes to rest, with nobody overloaded who need not be.
    #[test]
    fn equal_connections_come_to_rest() {
        for per_connection in [0, 1, 3, 10, 40] {
            let mut loads = vec![load(0, 0); 4];
            loads[0].connections = 60;
            let mut moves = 0;
            loop {
                for at in &mut loads {
                    *at = load((at.connections as u32 * per_connection).min(1000), at.connections);
                }
                let Some(shift) = shift(&loads) else { break };
                loads[shift.from].connections -= shift.count;
                loads[shift.to].connections += shift.count;
                moves += 1;
                assert!(moves < 20, "{per_connection}: {loads:?}");
            }
            let most = loads.iter().map(|load| load.connections).max().unwrap() as u32 * per_connection;
            assert!(most < 500 || most <= 60 * per_connection / 4 * 2, "{per_connection}: {loads:?}");
        }
    }
}
