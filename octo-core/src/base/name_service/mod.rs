//! Who and what has a name on this machine: users, groups, hosts. Beyond its files getent(1)
//! and id(1) are asked, which know each source of nsswitch.conf(5): a program that is linked
//! statically could load the modules of its own C library only.

pub mod groups;
pub mod hosts;
pub mod operator;
pub mod users;
