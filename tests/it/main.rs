//! Integration tests against real peers: Synapse, the SMSC simulator over real SMPP, Kannel,
//! and tshark.
//! The modules stand in the order in which a message travels.

// How the peers are started, and how tests talk to them.
mod support;

// The homeserver by itself.
mod homeserver;

// The simulator, by itself, before ESMEs of other makes.
mod interop;

// An invitation: who is a phone and who is none.
mod numbers;
mod opt_out;

mod encrypted;

mod upgrade;

// A text on its way to a phone: what it becomes, who pays, what became of it.
mod matrix_to_phone;

mod not_text;

mod credit;

mod pumping;

mod receipts;

mod uncertain;

// The way back.
mod phone_to_matrix;

mod groups;

// More than one peer on a side, and links of other kinds.
mod peers;

mod accounts;

mod reread;

mod bot;

// What went wrong, or was taken back.
mod aside;

// Everything again, while somebody dies.
mod restart;

mod look_back;

mod takeover;

mod migrate;

mod doors;

// What holds of very many.
mod steady;

mod campaign;

// The program as a service.
mod service;

// What really went over the wire.
mod tshark;
