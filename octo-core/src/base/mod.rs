//! What any program of ours needs: errors and their exit statuses, the command
//! line, text in its one form, files that appear whole, processes.

pub mod cli;
pub mod error;
mod files;
mod name_service;
pub mod problem;
mod process;
pub mod refusal;
pub mod service;
mod text;

pub use files::{
    appended, beneath, edit_lock, identity, paths, publish, remove, result_file, watch, watches,
};
pub use name_service::{groups, hosts, operator, users};
pub use process::{
    become_user, cgroups, descriptors, last_words, leader, no_core, own_program, printed, program,
    signals,
};
pub use text::{
    argv, digest, encoding, key, moment, names, nearest, package_name, record, thumbprint, units,
};
