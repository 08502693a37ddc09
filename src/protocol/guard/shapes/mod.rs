//! The 62 request shapes of a ZooKeeper-mode listener, and those of the responses among
//! brokers, generated from Kafka 3.9.1's schemas.

mod admin;
mod cluster;
mod data_and_groups;
mod responses;

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

/// The shape of a response that a broker takes from its peers.
pub(super) fn of_response(key: i16) -> Option<&'static Shape> {
    let at = responses::SHAPES.binary_search_by_key(&key, |shape| shape.key).ok()?;
    Some(&responses::SHAPES[at])
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Shape> {
    [data_and_groups::SHAPES, admin::SHAPES, cluster::SHAPES].into_iter().flatten()
}

#[cfg(test)]
pub(super) fn responses() -> impl Iterator<Item = &'static Shape> {
    responses::SHAPES.iter()
}
