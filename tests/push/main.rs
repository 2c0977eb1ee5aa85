//! What octo-push does, against real tentacles and worse ones.

#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tentacle.rs"]
mod tentacle;

mod ahead;
mod control;
mod errors;
mod faults;
mod fleet;
mod jobs;
mod json;
mod plumb;
mod real_input;
mod result_files;
mod run;
mod signals;
mod unprivileged;
