//! This process and whoever started it.

mod become_user;
pub mod cgroups;
pub mod descriptors;
pub mod last_words;
pub mod leader;
pub mod no_core;
pub mod own_program;
pub mod printed;
pub mod program;
pub mod signals;

pub use become_user::become_user;
