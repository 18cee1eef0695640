//! Things to do at the homeserver, in lanes.
