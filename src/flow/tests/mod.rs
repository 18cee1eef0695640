//! The flows as people see them: each test is a sentence about rooms and phones.

mod aside;
mod bounds;
mod changes;
mod clock;
mod commands;
mod crash;
mod credit;
mod cut;
mod echo;
mod from_phones;
mod invitations;
mod limits;
mod look_back;
mod opt_out;
mod outbox;
mod pools;
mod rooms;
mod routing;
mod talk;
mod trouble;
mod unheard;
mod world;
