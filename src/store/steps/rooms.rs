//! Ghosts that are ready, and what the state of rooms says.
