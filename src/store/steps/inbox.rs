//! What homeservers say: events, each once.
