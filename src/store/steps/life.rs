//! The life of a message: how its segments change, and what follows for the message, its lane, its
//! money and its history.
