//! Text and the values in it, each with one spelling that is accepted.

pub mod argv;
pub mod digest;
pub mod encoding;
pub mod key;
pub mod moment;
pub mod names;
pub mod nearest;
pub mod package_name;
pub mod record;
pub mod thumbprint;
pub mod units;
