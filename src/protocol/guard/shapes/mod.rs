//! The 62 request shapes of a ZooKeeper-mode listener, generated from Kafka 3.9.1's schemas.

mod admin;
mod cluster;
mod data_and_groups;

use super::shape::Shape;

/// The shape of an API's request, if a ZooKeeper-mode broker knows the API.
pub(super) fn of(key: i16) -> Option<&'static Shape> {
    let part = match key {
        0..=18 => data_and_groups::SHAPES,
        19..=39 => admin::SHAPES,
        _ => cluster::SHAPES,
    };
    part.binary_search_by_key(&key, |shape| shape.key).ok().map(|at| &part[at])
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Shape> {
    [data_and_groups::SHAPES, admin::SHAPES, cluster::SHAPES].into_iter().flatten()
}
