//! With a real redis-server.
