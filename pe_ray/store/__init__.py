"""Where durable things live: paths, manifests written last, three databases, the outbox."""
