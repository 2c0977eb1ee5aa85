//! What octo-listen answers, asked by pushers of plain messages.

#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/fleet.rs"]
mod fleet;
#[path = "../support/listener.rs"]
mod listener;
#[path = "../support/mod.rs"]
mod support;

mod ahead;
mod chatter;
mod crash;
mod faults;
mod flood;
mod frames;
mod freezes;
mod limits;
mod lists;
mod looks;
mod many;
mod order;
mod parts;
mod put;
mod question;
mod releases;
mod service;
mod start;
mod startup;
mod strangers;
mod trust;
mod verbs;
