//! Identities and certificates: how they are made, read and judged.

mod certificate;
mod der;
mod public_key;
mod sound;
mod x509;

pub(crate) use certificate::PemFile;
pub(crate) use sound::{certificate_of, check, readable_by_others};
