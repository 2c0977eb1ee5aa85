//! What any program of ours needs: errors and their exit statuses, the command
//! line, text in its one form, files that appear whole, processes.

pub mod cli;
pub mod error;
mod files;
pub mod problem;
mod process;
pub mod refusal;
mod text;

pub use files::{
    appended, beneath, edit_lock, identity, paths, publish, remove, result_file, watch, watches,
};
pub use process::{
    become_user, cgroups, descriptors, groups, leader, no_core, operator, printed, program,
    signals, users,
};
pub use text::{argv, digest, encoding, key, moment, names, nearest, record, thumbprint, units};
