//! What octo-push does, against real tentacles and worse ones.

#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/separated.rs"]
mod separated;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tentacle.rs"]
mod tentacle;

mod ahead;
mod approvals;
mod control;
mod costs;
mod faults;
mod fleet;
mod freezes;
mod growth;
mod handed_over;
mod heads;
mod hooks;
mod hostile;
mod jobs;
mod merged;
mod output;
mod patches;
mod prepare;
mod real_input;
mod releases;
mod roads;
mod rolling;
mod run;
mod scripts;
mod sealed;
mod seals;
mod selection;
mod signals;
mod signatures;
mod signed;
mod sources;
mod statements;
mod stdin;
mod story;
mod tampering;
mod throttle;
mod transport;
mod two_users;
mod unprivileged;
mod variables;
