//! signed=: by whose key a package has to be signed, in the formats of minisign(1). What
//! verifies is octo-exec's; here is what both sides read: keys, signatures, who is named.

mod base64;
mod keys;
mod signature;

pub use keys::{KeyId, Keys, PublicKey};
pub use signature::{MAXIMUM, Signature, file_beside};

use crate::base::encoding::printable;

/// Why a package without a signature is refused where each needs one.
pub fn missing(package: &str) -> String {
    let shown = printable(package.as_bytes());
    format!("package {shown} carries no signature, and its pusher's must: minisign -S makes one")
}
