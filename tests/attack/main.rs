//! A listener that was taken over gains nothing, nor does a job: what either could try,
//! tried by its user against octo-exec.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tar.rs"]
mod tar;

mod accounts;
mod approvals;
mod cancels;
mod certificates;
mod changes;
mod crowds;
mod entries;
mod every_call;
mod exploits;
mod freezes;
mod killed;
mod packages;
mod replays;
mod scripts;
mod separated;
mod serving;
mod set_up;
mod statements;
mod stopped;
mod victims;
