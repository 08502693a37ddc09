//! Listeners, connections and their limits. One task per connection, one request in flight on each, as Kafka.
